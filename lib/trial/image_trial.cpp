#include "trial/image_trial.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"
#include "diagnose/resolution.hpp"
#include "trial/some_at_once.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

constexpr uint64_t kRanged = 64 << 10;
constexpr uint64_t kWhole = uint64_t{1} << 40;
constexpr uint64_t kLargestConfig = 4 << 20;
constexpr size_t kHostsAtOnce = 32;
constexpr size_t kMostLayers = 500;  // OVL_MAX_STACK of fs/overlayfs/params.h

bool has(const ChainHost& host, const char* capability) {
    const auto& all = host.capabilities;
    return std::find(all.begin(), all.end(), capability) != all.end();
}

std::string headerOf(const Exchange& exchange, const char* name) {
    const auto found = exchange.headers.find(name);
    return found == exchange.headers.end() ? "" : found->second;
}

/// What a host told of a tag (dockerResolver.Resolve): the only word of a registry's that is
/// believed, and it goes into URLs and names.
void noteDigest(const std::string& told, HostFinding& finding) {
    if (told.empty()) return;
    const std::string problem = digestProblem(told);
    if (problem.empty())
        finding.digest = told;
    else
        finding.invalidDigest =
            inQuotes(shortened(told, 200)) + " in header not a valid digest: " + problem;
}

/// The size of the whole resource that an answer tells; nothing where it tells none.
std::optional<uint64_t> toldSize(const Exchange& exchange) {
    const std::string range = headerOf(exchange, "content-range");
    if (const size_t slash = range.rfind('/');
        slash != std::string::npos && exchange.status == 206) {
        if (range.substr(slash) == "/*") return std::nullopt;
        return std::strtoull(range.c_str() + slash + 1, nullptr, 10);
    }
    const std::string length = headerOf(exchange, "content-length");
    if (length.empty() || exchange.status != 200) return std::nullopt;
    return std::strtoull(length.c_str(), nullptr, 10);
}

/// Whether an answer goes on where a body broke off: from that byte, or from the beginning, of
/// which what is there already is thrown away (dockerFetcher.open).
bool continues(const RegistryAnswer& answer, uint64_t have) {
    if (answer.status < 200 || answer.status > 299) return false;
    const std::string range = headerOf(answer.last(), "content-range");
    if (!range.empty()) return range.rfind("bytes " + std::to_string(have) + "-", 0) == 0;
    return answer.last().bodySize >= have;
}

/// An image has hundreds of pieces, and a hostile mirror sends as much as it may for each: what the
/// findings tell of one is what came last.
void dropDetails(RegistryAnswer& answer) {
    constexpr size_t kMostBody = 8 << 10;
    constexpr size_t kMostUrl = 2000;
    auto& exchanges = answer.exchanges;
    if (exchanges.empty()) return;
    exchanges.erase(exchanges.begin(), std::prev(exchanges.end()));
    Exchange& last = exchanges.back();
    last.headers.clear();
    last.url = shortened(std::move(last.url), kMostUrl);
    if (last.body.size() > kMostBody) last.body.resize(kMostBody);
    last.body.shrink_to_fit();
}

/// Whether the host is known not to answer anything, so that it need not be waited for again.
bool isOutOfReach(const RegistryAnswer& answer) {
    return answer.fault != Fault::None && answer.fault != Fault::Unauthorized &&
           answer.fault != Fault::Unparsed && answer.status == 0;
}

}  // namespace

ImageTrial::ImageTrial(asio::io_context& io, Resolver& resolver, TrialOptions options)
    : io_(io), resolver_(resolver), options_(std::move(options)) {}

Task<void> ImageTrial::askHost(size_t index) {
    HostFinding& finding = findings_.hosts[index];
    RegistryClient& client = *clients_[index];
    const bool byDigest = !findings_.reference.digest.empty();
    RegistryClient::Ask head;
    head.method = "HEAD";
    head.kind = "manifests";
    head.object = byDigest ? findings_.reference.digest : findings_.reference.tag;
    head.accept = kManifestAccept;
    auto task = client.ask(head);
    finding.head = co_await std::move(task);
    finding.url = client.urlOf(head.kind, head.object).text();
    if (finding.head.status > 399) {
        // A HEAD has no body: why it is refused is in that of a GET.
        RegistryClient::Ask why = head;
        why.method = "GET";
        auto ask = client.ask(why);
        const RegistryAnswer refusal = co_await std::move(ask);
        finding.apiError = parseApiError(refusal.last().body);
    }
    if (!finding.head.ok()) co_return;
    const Exchange& answered = finding.head.last();
    const bool sized = !headerOf(answered, "content-length").empty();
    if (byDigest)
        finding.digest = findings_.reference.digest;
    else if (sized && finding.resolves)
        noteDigest(headerOf(answered, "docker-content-digest"), finding);
    finding.mediaType = headerOf(answered, "content-type");
    finding.size = toldSize(answered).value_or(0);
    if (!finding.resolves || !finding.invalidDigest.empty()) co_return;
    if (sized && !finding.digest.empty()) co_return;
    RegistryClient::Ask get = head;
    get.method = "GET";
    get.readLimit = kLargestManifest + 1;
    get.keepLimit = 0;  // its size and digest are all that counts
    auto fetch = client.ask(get);
    finding.get = co_await std::move(fetch);
    finding.size = finding.get->last().bodySize;
    if (finding.digest.empty() && finding.get->last().bodyComplete)
        finding.digest = "sha256:" + finding.get->last().bodySha256;
}

/// Asks for the rest of a piece that broke off, as containerd's httpReadSeeker does: of every host
/// in order, and again where nothing comes, three times in a row (maxRetry; the first break counts
/// as one). True when it came.
Task<bool> ImageTrial::resume(PieceFinding& piece, RegistryClient::Ask ask) {
    constexpr int kInVain = 3;
    constexpr int kMost = 8;  // a blob that comes by pieces comes in the end
    const uint64_t size = piece.descriptor.size;
    const bool manifest = ask.kind == "manifests";
    uint64_t have = piece.attempts.back().answer.last().bodySize;
    int inVain = 0;
    for (int turn = 0; turn < kMost && inVain < kInVain; ++turn) {
        // containerd asks for nothing behind the size that it knows.
        if ((size > 0 && have >= size) || have > ask.readLimit) co_return true;
        ask.range = std::to_string(have) + "-";
        std::optional<Exchange> came;
        for (size_t i = 0; i < clients_.size() && !came; ++i) {
            if (isOutOfReach(findings_.hosts[i].head)) continue;
            auto task = clients_[i]->ask(ask);
            const RegistryAnswer answer = co_await std::move(task);
            if (continues(answer, have)) came = answer.last();
        }
        if (!came) break;
        const uint64_t already = headerOf(*came, "content-range").empty() ? have : 0;
        const bool more = came->bodySize > already;
        if (more && came->body.size() > already && lastBody_.size() <= kLargestManifest)
            lastBody_ += came->body.substr(already);
        if (more) have += came->bodySize - already;
        if (came->fault == Fault::Hang) {
            piece.fault = Fault::Hang;
            piece.error = came->error + ", after " + std::to_string(have) + " bytes";
            co_return false;
        }
        if (came->fault == Fault::None) co_return true;
        if (came->fault != Fault::Truncated) break;
        inVain = more ? 0 : inVain + 1;
        if (turn + 1 == kMost && more && !manifest) co_return true;
    }
    piece.fault = Fault::Truncated;
    piece.error = kBrokeOff;
    piece.came = have;
    co_return false;
}

/// A manifest that was put together.
void ImageTrial::compareManifest(PieceFinding& piece) const {
    const std::string& wanted = piece.descriptor.digest;
    const std::string found = "sha256:" + sha256Hex(lastBody_);
    const bool whole = lastBody_.size() <= kLargestManifest;
    if (!whole || wanted.rfind("sha256:", 0) != 0 || wanted == found) return;
    piece.fault = Fault::DigestMismatch;
    piece.sha256 = found.substr(found.find(':') + 1);
    piece.error = "unexpected commit digest " + found + ", expected " + wanted;
}

/// Reads a piece from the host that took the request.
Task<void> ImageTrial::readBody(PieceFinding& piece, RegistryClient::Ask ask) {
    const Exchange& got = piece.attempts.back().answer.last();
    const uint64_t have = got.bodySize;
    lastBody_ = got.body;
    const auto told = toldSize(got);
    const bool known = piece.descriptor.size > 0;
    if (got.fault == Fault::Hang) {
        piece.fault = Fault::Hang;
        piece.error = got.error + ", after " + std::to_string(have) + " bytes";
    } else if (got.fault == Fault::Truncated) {
        const bool manifest = ask.kind == "manifests";
        auto task = resume(piece, std::move(ask));
        const bool came = co_await std::move(task);
        if (came && manifest) compareManifest(piece);
    } else if (known && told && *told != piece.descriptor.size) {
        piece.fault = *told < piece.descriptor.size ? Fault::Truncated : Fault::DigestMismatch;
        piece.came = *told;
        piece.error = "the server sends " + std::to_string(*told) +
                      " bytes, and the manifest says " + std::to_string(piece.descriptor.size);
    } else if (known && have > piece.descriptor.size) {
        piece.fault = Fault::DigestMismatch;
        piece.came = have;
        piece.error = "the server sends more than the " + std::to_string(piece.descriptor.size) +
                      " bytes that the manifest says";
    } else if (got.bodyComplete && (!known || have >= piece.descriptor.size) &&
               piece.descriptor.digest.rfind("sha256:", 0) == 0) {
        piece.whole = true;
        if ("sha256:" + got.bodySha256 != piece.descriptor.digest) {
            piece.fault = Fault::DigestMismatch;
            piece.sha256 = got.bodySha256;
            piece.error = "unexpected commit digest sha256:" + got.bodySha256 + ", expected " +
                          piece.descriptor.digest;
        }
    }
}

/// dockerFetcher.Fetch. True when the piece can be read.
Task<bool> ImageTrial::readPiece(Descriptor descriptor, std::string what, uint64_t limit) {
    PieceFinding piece;
    piece.what = std::move(what);
    piece.descriptor = descriptor;
    const bool manifest = piece.what == "index" || piece.what == "manifest";
    RegistryClient::Ask ask;
    ask.kind = manifest ? "manifests" : "blobs";
    ask.object = descriptor.digest;
    ask.accept = descriptor.mediaType.empty() ? "*/*" : descriptor.mediaType + ", */*";
    if (limit == kRanged && descriptor.size > kRanged)
        ask.range = "0-" + std::to_string(kRanged - 1);
    ask.readLimit = ask.range.empty() ? limit + 1 : limit;
    // A large one may take its time as long as it comes.
    if (limit == kWhole && descriptor.size > 0) {
        ask.readLimit = std::min(limit, descriptor.size) + 1;
        ask.patient = true;
    }
    ask.keepLimit = manifest ? kLargestManifest : kRanged;
    for (size_t i = 0; i < clients_.size() && !piece.servedBy; ++i) {
        PieceAttempt attempt;
        attempt.host = i;
        const RegistryAnswer& before = findings_.hosts[i].head;
        if (isOutOfReach(before)) {
            attempt.answer = before;
        } else {
            auto task = clients_[i]->ask(ask);
            attempt.answer = co_await std::move(task);
        }
        const bool served = attempt.answer.status >= 200 && attempt.answer.status < 300;
        piece.attempts.push_back(std::move(attempt));
        if (served) piece.servedBy = i;
        if (!served && isEndless(piece.attempts.back().answer)) break;
    }
    if (piece.servedBy) {
        auto read = readBody(piece, ask);
        co_await std::move(read);
    }
    const bool good = piece.servedBy && piece.fault == Fault::None;
    for (auto& attempt : piece.attempts) dropDetails(attempt.answer);
    if (piece.servedBy) std::string().swap(piece.attempts.back().answer.exchanges.back().body);
    findings_.pieces.push_back(std::move(piece));
    co_return good;
}

/// The digest that containerd goes on with. It keeps the first one that it was told, even where it
/// then passed that host over for the size of its manifest (Resolve, 1.6 to 2.1).
std::string ImageTrial::resolvedDigest() const {
    for (size_t i = 0; i <= *findings_.winner; ++i) {
        const HostFinding& finding = findings_.hosts[i];
        if (finding.resolves && finding.head.ok() && !finding.digest.empty()) return finding.digest;
    }
    return "";
}

/// The configuration, and the layers as far as there is time for them.
Task<void> ImageTrial::readBlobs(ImageDocument manifest) {
    auto config = readPiece(manifest.config, "config", kLargestConfig);
    if (!co_await std::move(config)) co_return;
    const size_t count = manifest.layers.size();
    if (count > kMostLayers) {
        findings_.problem = "the manifest lists " + std::to_string(count) +
                            " layers, and overlayfs takes " + std::to_string(kMostLayers);
        findings_.uselessness = ImageFindings::Uselessness::Other;
        co_return;
    }
    for (size_t i = 0; i < count; ++i) {
        if (std::chrono::steady_clock::now() >= deadline_) {
            findings_.layersLeft = count - i;
            co_return;
        }
        const std::string what = "layer " + std::to_string(i + 1) + " of " + std::to_string(count);
        auto layer = readPiece(manifest.layers[i], what, options_.full ? kWhole : kRanged);
        if (!co_await std::move(layer)) co_return;
    }
}

Task<void> ImageTrial::readImage() {
    const HostFinding& winner = findings_.hosts[*findings_.winner];
    Descriptor descriptor;
    descriptor.digest = resolvedDigest();
    descriptor.mediaType = winner.mediaType;
    descriptor.size = winner.size;
    for (int depth = 0; depth < 2; ++depth) {
        const bool index = descriptor.mediaType.find("index") != std::string::npos ||
                           descriptor.mediaType.find("list") != std::string::npos;
        auto read = readPiece(descriptor, index ? "index" : "manifest", kLargestManifest + 1);
        if (!co_await std::move(read)) co_return;
        const auto document = parseImageDocument(lastBody_);
        if (!document) {
            findings_.problem = document.error().reason();
            const size_t first = lastBody_.find_first_not_of(" \t\r\n");
            const bool text = first != std::string::npos && lastBody_[first] != '{';
            findings_.uselessness =
                text ? ImageFindings::Uselessness::NotJson : ImageFindings::Uselessness::Other;
            if (text) findings_.firstCharacter = lastBody_[first];
            co_return;
        }
        if (!document->isIndex) {
            auto rest = readBlobs(*document);
            co_await std::move(rest);
            co_return;
        }
        const Descriptor* chosen = choosePlatform(*document, options_.platform);
        if (chosen == nullptr) {
            findings_.problem = "the index has no manifest for " + options_.platform.text();
            findings_.uselessness = ImageFindings::Uselessness::NoPlatform;
            co_return;
        }
        descriptor = *chosen;
    }
    findings_.problem = "the index leads to another index";
    findings_.uselessness = ImageFindings::Uselessness::Other;
}

Task<ImageFindings> ImageTrial::run(ImageReference reference, ChainReading chain) {
    findings_.reference = std::move(reference);
    findings_.chain = std::move(chain);
    findings_.platform = options_.platform;
    if (!options_.full)
        deadline_ = std::chrono::steady_clock::now() +
                    std::chrono::duration_cast<SteadyTime::duration>(options_.layersFor);
    const bool byDigest = !findings_.reference.digest.empty();
    for (const auto& host : findings_.chain.hosts) {
        HostFinding finding;
        finding.host = host;
        finding.resolves = has(host, "pull") && (byDigest || has(host, "resolve"));
        ClientOptions options;
        options.registry = findings_.reference.host;
        options.version = options_.version;
        options.proxies = options_.proxies;
        options.patience = options_.patience;
        options.contexts = options_.contexts;
        clients_.push_back(std::make_unique<RegistryClient>(
            io_, resolver_, host, findings_.reference.repository, std::move(options)));
        findings_.hosts.push_back(std::move(finding));
    }
    // At once: one that hangs must not keep the others from being seen.
    const auto askOne = [this](size_t index) { return askHost(index); };
    auto ask = someAtOnce(io_, kHostsAtOnce, findings_.hosts.size(), askOne);
    co_await std::move(ask);
    findings_.winner = resolveAmong(findings_.hosts, findings_.reference, options_.version).winner;
    if (findings_.winner && options_.pieces) {
        auto read = readImage();
        co_await std::move(read);
    }
    co_return std::move(findings_);
}

}  // namespace nodemirror
