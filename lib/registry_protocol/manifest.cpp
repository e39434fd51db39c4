#include "registry_protocol/manifest.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <regex>
#include <string_view>

namespace nodemirror {

const char kManifestAccept[] =
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

namespace {

using Json = nlohmann::json;

std::string text(const Json& json, const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string()
               ? json[key].get<std::string>()
               : "";
}

std::optional<Descriptor> descriptor(const Json& json) {
    Descriptor out;
    out.mediaType = text(json, "mediaType");
    out.digest = text(json, "digest");
    if (!digestProblem(out.digest).empty()) return std::nullopt;
    if (json.contains("size") && json["size"].is_number_unsigned())
        out.size = json["size"].get<uint64_t>();
    if (json.contains("platform") && json["platform"].is_object()) {
        const auto& platform = json["platform"];
        out.platform = Platform{text(platform, "os"), text(platform, "architecture"),
                                text(platform, "variant")};
    }
    return out;
}

/// Reads JSON without keeping it, until it has more values, or deeper ones, than any manifest:
/// whoever serves it writes what they like, and 4 MiB may stand for hundreds.
class Bounds : public nlohmann::json_sax<Json> {
  public:
    bool exceeded = false;

    bool null() override { return value(); }
    bool boolean(bool) override { return value(); }
    bool number_integer(number_integer_t) override { return value(); }
    bool number_unsigned(number_unsigned_t) override { return value(); }
    bool number_float(number_float_t, const string_t&) override { return value(); }
    bool string(string_t&) override { return value(); }
    bool binary(binary_t&) override { return value(); }
    bool key(string_t&) override { return true; }
    bool start_object(std::size_t) override { return opened(); }
    bool start_array(std::size_t) override { return opened(); }
    bool end_object() override { return closed(); }
    bool end_array() override { return closed(); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;  // the parser that follows tells of it
    }

  private:
    bool value() {
        constexpr size_t kMost = 100'000;
        exceeded = exceeded || ++values_ > kMost;
        return !exceeded;
    }
    bool opened() {
        constexpr size_t kDeepest = 32;
        exceeded = exceeded || ++depth_ > kDeepest;
        return value();
    }
    bool closed() {
        --depth_;
        return true;
    }

    size_t values_ = 0;
    size_t depth_ = 0;
};

Error malformed(const std::string& why) { return {"read", "the manifest", why}; }

}  // namespace

std::string Platform::text() const {
    return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

std::string digestProblem(const std::string& digest) {
    constexpr char kNoFormat[] = "invalid checksum digest format";
    static const std::map<std::string, size_t> kHexDigits{
        {"sha256", 64}, {"sha384", 96}, {"sha512", 128}};
    const size_t colon = digest.find(':');
    if (colon == std::string::npos) return kNoFormat;
    const std::string_view hex = std::string_view(digest).substr(colon + 1);
    const auto algorithm = kHexDigits.find(digest.substr(0, colon));
    if (algorithm == kHexDigits.end()) {
        static const std::regex other("[a-z0-9]+([.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+");
        constexpr size_t kLongest = 1000;  // std::regex recurses
        const bool isOne = digest.size() < kLongest && std::regex_match(digest, other);
        return isOne ? "unsupported digest algorithm" : kNoFormat;
    }
    if (hex.empty()) return kNoFormat;
    if (hex.size() != algorithm->second) return "invalid checksum digest length";
    const bool good = hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    return good ? "" : kNoFormat;
}

Result<ImageDocument> parseImageDocument(const std::string& body) {
    Bounds bounds;
    (void)Json::sax_parse(body, &bounds);
    if (bounds.exceeded) return malformed("it has more values than any manifest, or deeper ones");
    const Json json = Json::parse(body, nullptr, false);
    if (!json.is_object()) return malformed("it is no JSON object");
    ImageDocument out;
    if (json.contains("manifests") && json["manifests"].is_array()) {
        out.isIndex = true;
        for (const auto& item : json["manifests"])
            if (auto found = descriptor(item)) out.manifests.push_back(std::move(*found));
        return out;
    }
    if (!json.contains("config") || !json.contains("layers") || !json["layers"].is_array())
        return malformed(json.contains("fsLayers")
                             ? "it is of Docker's schema 1, which containerd 2.x refuses"
                             : "it has neither manifests nor config and layers");
    auto config = descriptor(json["config"]);
    if (!config) return malformed("its config has no valid digest");
    out.config = std::move(*config);
    for (const auto& item : json["layers"]) {
        auto layer = descriptor(item);
        if (!layer) return malformed("one of its layers has no valid digest");
        out.layers.push_back(std::move(*layer));
    }
    return out;
}

namespace {

/// Normalize of containerd's platforms: the names that others have for the same.
Platform normalized(Platform platform) {
    std::string& architecture = platform.architecture;
    std::string& variant = platform.variant;
    if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
    if (architecture == "aarch64") architecture = "arm64";
    if (architecture == "i386") architecture = "386";
    if (architecture == "386" || (architecture == "amd64" && variant == "v1")) variant.clear();
    if (architecture == "arm64" && (variant == "8" || variant == "v8")) variant.clear();
    if (architecture != "arm") return platform;
    if (variant.empty()) variant = "v7";
    if (variant.size() == 1) variant.insert(0, "v");
    return platform;
}

/// What a machine runs, the best first (platformVector).
std::vector<Platform> runnableOn(const Platform& machine) {
    std::vector<Platform> out{normalized(machine)};
    const Platform& own = out.front();
    const std::string os = own.os;
    const std::string architecture = own.architecture;
    std::string variant = own.variant;
    if (architecture == "amd64") out.push_back({os, "386", ""});
    if (architecture == "arm64") out.push_back({os, "arm", variant = "v8"});
    if (architecture == "arm" || architecture == "arm64")
        while (variant.size() == 2 && variant[1] > '5' && variant[1] <= '9') {
            --variant[1];
            out.push_back({os, "arm", variant});
        }
    return out;
}

bool isSame(const Platform& one, const Platform& other) {
    return one.os == other.os && one.architecture == other.architecture &&
           one.variant == other.variant;
}

}  // namespace

const Descriptor* choosePlatform(const ImageDocument& index, const Platform& platform) {
    for (const auto& wanted : runnableOn(platform))
        for (const auto& item : index.manifests)
            if (item.platform && isSame(normalized(*item.platform), wanted)) return &item;
    // One that names none fits all.
    for (const auto& item : index.manifests)
        if (!item.platform) return &item;
    return nullptr;
}

}  // namespace nodemirror
