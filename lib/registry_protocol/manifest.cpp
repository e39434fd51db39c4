#include "registry_protocol/manifest.hpp"

#include <nlohmann/json.hpp>

#include <regex>

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

bool isDigest(const std::string& digest) {
    static const std::regex pattern("sha(256:[a-f0-9]{64}|384:[a-f0-9]{96}|512:[a-f0-9]{128})");
    return std::regex_match(digest, pattern);
}

std::optional<Descriptor> descriptor(const Json& json) {
    Descriptor out;
    out.mediaType = text(json, "mediaType");
    out.digest = text(json, "digest");
    if (!isDigest(out.digest)) return std::nullopt;
    if (json.contains("size") && json["size"].is_number_unsigned())
        out.size = json["size"].get<uint64_t>();
    if (json.contains("platform") && json["platform"].is_object()) {
        const auto& platform = json["platform"];
        out.platform = Platform{text(platform, "os"), text(platform, "architecture"),
                                text(platform, "variant")};
    }
    return out;
}

Error malformed(const std::string& why) { return {"read", "the manifest", why}; }

}  // namespace

std::string Platform::text() const {
    return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

Result<ImageDocument> parseImageDocument(const std::string& body) {
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

const Descriptor* choosePlatform(const ImageDocument& index, const Platform& platform) {
    const Descriptor* best = nullptr;
    for (const auto& item : index.manifests) {
        if (!item.platform || item.platform->os != platform.os ||
            item.platform->architecture != platform.architecture)
            continue;
        const std::string& variant = item.platform->variant;
        if (variant == platform.variant) return &item;
        // arm64 without a variant means v8; another variant of arm runs where it is older.
        const bool runs = variant.empty() || platform.variant.empty() || variant < platform.variant;
        if (runs && best == nullptr) best = &item;
    }
    return best;
}

}  // namespace nodemirror
