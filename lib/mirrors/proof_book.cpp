#include "mirrors/proof_book.hpp"

#include "base/text.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

namespace nodemirror {

namespace {

constexpr std::chrono::hours kRejectedFor{1};
constexpr std::chrono::seconds kSaveAgain{30};

}  // namespace

ProofBook::ProofBook(boost::asio::io_context& io, StateDir state)
    : state_(std::move(state)), saving_(io, [this] { save(); }), retry_(io) {}

void ProofBook::load() {
    auto proofs = state_.loadProofs();
    if (proofs)
        proofs_ = std::move(*proofs);
    else  // What a canary once saw must not keep the node from being defended.
        spdlog::error("msg={}", inQuotes(proofs.error().text()));
}

void ProofBook::save() {
    const auto saved = state_.saveProofs(proofs_);
    unsaved_ = !saved;
    if (saved) return;
    spdlog::error("msg={}", inQuotes(saved.error().text()));
    retry_.expires_after(kSaveAgain);
    retry_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) save();
    });
}

void ProofBook::flush() {
    saving_.cancel();
    if (unsaved_) save();
    retry_.cancel();
}

void ProofBook::keepOnly(const Desired& desired) {
    std::set<std::string> provable;
    for (const auto& registry : desired.registries)
        if (!registry.canary.empty()) provable.insert(registry.name);
    std::erase_if(proofs_, [&](const auto& entry) { return provable.count(entry.first) == 0; });
}

const ProofRecord* ProofBook::lastGood(const std::string& registry) const {
    const auto proof = proofs_.find(registry);
    return proof == proofs_.end() || proof->second.knownGood.empty() ? nullptr : &proof->second;
}

void ProofBook::accept(const std::string& registry, const std::string& sha256,
                       const RenderedHosts& text) {
    ProofRecord record;
    record.declaredSha256 = sha256;
    record.knownGood = text.text;
    record.secret = text.secret;
    proofs_[registry] = std::move(record);
    unsaved_ = true;
    saving_.soon();
}

void ProofBook::reject(const std::string& registry, const std::string& sha256,
                       const std::string& evidence) {
    ProofRecord& record = proofs_[registry];
    record.rejectedSha256 = sha256;
    record.rejectedAt = std::chrono::system_clock::now();
    record.evidence = evidence;
    unsaved_ = true;
    saving_.soon();
}

void ProofBook::forgetOtherRejection(const std::string& registry, const std::string& declared) {
    const auto proof = proofs_.find(registry);
    if (proof == proofs_.end() || proof->second.rejectedSha256 == declared) return;
    proof->second.rejectedSha256.clear();
    proof->second.evidence.clear();
}

bool ProofBook::wasRejected(const std::string& registry, const std::string& sha256) const {
    const auto proof = proofs_.find(registry);
    return proof != proofs_.end() && proof->second.rejectedSha256 == sha256;
}

bool ProofBook::hasRejection(const std::string& registry) const {
    const auto proof = proofs_.find(registry);
    return proof != proofs_.end() && !proof->second.rejectedSha256.empty();
}

bool ProofBook::isRejected(const std::string& registry, const std::string& sha256) const {
    if (!wasRejected(registry, sha256)) return false;
    const auto age = std::chrono::system_clock::now() - proofs_.at(registry).rejectedAt;
    return age >= std::chrono::hours(0) && age < kRejectedFor;
}

Duration ProofBook::untilRetry(Duration longest) const {
    const auto now = std::chrono::system_clock::now();
    for (const auto& [name, proof] : proofs_)
        if (const Duration left = proof.rejectedAt + kRejectedFor - now;
            !proof.rejectedSha256.empty() && left > Duration::zero())
            longest = std::min(longest, left);
    return longest;
}

std::vector<Reason> ProofBook::reasons(const Desired& desired) const {
    std::vector<Reason> out;
    for (const auto& [name, proof] : proofs_) {
        if (proof.rejectedSha256.empty()) continue;
        const Registry* registry = desired.find(name);
        if (registry == nullptr) continue;
        out.push_back(makeReason(
            Reason::Weight::Degraded, "ChangeRolledBack", name,
            "the change of its mirrors was taken back at " + rfc3339(proof.rejectedAt) +
                ": the canary " + registry->canary +
                " cannot be had through them, and can through the chain before: " + proof.evidence,
            "correct the mirrors of " + name +
                " in the desired state; the same change is tried again after " +
                rfc3339(proof.rejectedAt + kRejectedFor)));
    }
    return out;
}

}  // namespace nodemirror
