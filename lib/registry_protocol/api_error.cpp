#include "registry_protocol/api_error.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

namespace nodemirror {

ApiError parseApiError(const std::string& body) {
    ApiError out;
    const auto json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("errors") || !json["errors"].is_array() ||
        json["errors"].empty())
        return out;
    const auto& first = json["errors"].front();
    if (!first.is_object()) return out;
    constexpr size_t kLongest = 200;
    const auto text = [&](const char* key) {
        return first.contains(key) && first[key].is_string()
                   ? printable(first[key].get<std::string>().substr(0, kLongest))
                   : "";
    };
    out.code = text("code");
    out.message = text("message");
    return out;
}

}  // namespace nodemirror
