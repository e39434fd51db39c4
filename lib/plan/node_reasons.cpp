#include "plan/node_reasons.hpp"

#include <chrono>
#include <utility>

namespace nodemirror {

namespace {

/// Known to be there, known to be missing, or neither.
std::optional<bool> resolves(const ObservedNode& node, const std::string& name) {
    const auto seen = node.images.find(name);
    if (seen == node.images.end() || !seen->second.isKnown()) return std::nullopt;
    return seen->second.value().resolves;
}

Reason unknownImage(const RequiredImage& image, const ObservedNode& node) {
    const auto seen = node.images.find(image.name);
    return makeReason(Reason::Weight::Degraded, "ImageUnknown", image.name,
                      "whether it is on the node cannot be told" +
                          (seen == node.images.end() ? "" : ": " + seen->second.why()),
                      "journalctl -u containerd tells why");
}

}  // namespace

std::optional<Reason> reasonOfContainerd(const ObservedNode& node, const std::string& unreachable,
                                         const std::string& unit) {
    if (!unreachable.empty())
        return makeReason(Reason::Weight::Degraded, "ContainerdUnreachable", "", unreachable,
                          "systemctl status " + unit);
    if (node.version.isKnown() || node.versionText.empty()) return std::nullopt;
    return makeReason(
        Reason::Weight::Degraded, "ContainerdVersionUnknown", "",
        "containerd says its version is " + inQuotes(node.versionText) + ", which cannot be read",
        "install a released containerd");
}

std::optional<Reason> reasonOfCri(const Seen<CriState>& cri, const std::string& unit,
                                  const std::string& configFile) {
    if (cri.isKnown() && cri.value().ready) return std::nullopt;
    const bool refused = cri.isKnown() && cri.value().refused;
    return makeReason(refused ? Reason::Weight::Blocked : Reason::Weight::Degraded,
                      refused ? "CriNotLoaded" : "CriNotReady", unit,
                      refused         ? "CRI is not loaded: " + cri.value().error
                      : cri.isKnown() ? "CRI is not ready: " + cri.value().error
                                      : cri.why(),
                      "mend what containerd names in " + configFile + " and restart containerd");
}

std::vector<Reason> reasonsOfImages(const std::vector<RequiredImage>& required,
                                    const ObservedNode& node,
                                    const std::map<std::string, std::string>& errors) {
    std::vector<Reason> out;
    const bool asked = node.cri.isKnown() && node.cri.value().ready;
    for (const auto& image : required) {
        const auto there = resolves(node, image.name);
        // Of what nobody could be asked about, the reason of CRI tells.
        if (there ? *there : !asked) continue;
        if (!there) {
            out.push_back(unknownImage(image, node));
            continue;
        }
        const auto error = errors.find(image.name);
        const bool known = error != errors.end() && !error->second.empty();
        out.push_back(makeReason(
            Reason::Weight::Degraded, image.pause ? "PauseImageMissing" : "ImageMissing",
            image.name,
            known         ? error->second
            : image.pause ? "it is being brought to the node"
                          : "it is being brought to the node, two images at a time",
            image.pause ? "give a reachable copy in pause.sources, or mend the mirrors of its "
                          "registry"
                        : "mend the mirrors of its registry"));
    }
    return out;
}

std::string PauseAbsence::follow(const std::vector<RequiredImage>& required,
                                 const ObservedNode& node,
                                 const std::map<std::string, std::string>& errors, SteadyTime now) {
    constexpr std::chrono::seconds kFelt{10};
    std::map<std::string, Absence> still;
    for (const auto& image : required) {
        if (!image.sandbox) continue;
        const auto before = missing_.find(image.name);
        const auto there = resolves(node, image.name);
        if (there ? !*there : before != missing_.end()) {
            Absence& absence = still[image.name];
            absence = before != missing_.end() ? before->second
                                               : Absence{now, seen_.count(image.name) == 0};
            const auto error = errors.find(image.name);
            absence.felt = absence.felt || (error != errors.end() && !error->second.empty()) ||
                           now - absence.since >= kFelt;
        }
        if (there && *there) {
            seen_.insert(image.name);
            if (before != missing_.end() && before->second.felt) back_ = image.name;
        }
    }
    missing_ = std::move(still);
    return missing_.empty() ? std::exchange(back_, {}) : std::string();
}

}  // namespace nodemirror
