// Prints what the product's reader makes of containerd configurations, one JSON document a line:
// config_probe VERSION FILE…
#include "containerd_config/config_reader.hpp"

#include <nlohmann/json.hpp>

#include <iostream>

using namespace nodemirror;

namespace {

nlohmann::json reading(const std::string& path, const ContainerdVersion& containerd) {
    const auto config = readContainerdConfig(path, containerd);
    if (!config) return {{"error", config.error().text()}};
    nlohmann::json mirrors = nlohmann::json::object();
    for (const auto& mirror : config->mirrors) mirrors[mirror.registry] = mirror.endpoints;
    return {{"error", ""},
            {"configPath", config->configPath},
            {"sandboxImage", config->sandboxImage},
            {"criDisabled", config->criDisabled},
            {"mirrors", std::move(mirrors)}};
}

}  // namespace

int main(int argc, char** argv) {
    const auto version = argc > 1 ? parseContainerdVersion(argv[1]) : std::nullopt;
    if (!version) return 2;
    for (int i = 2; i < argc; ++i) std::cout << reading(argv[i], *version).dump() << "\n";
}
