#pragma once

#include "containerd_config/config_reader.hpp"
#include "support/result_printer.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace nodemirror {

constexpr ContainerdVersion k16{1, 6, 20};
constexpr ContainerdVersion k17{1, 7, 24};
constexpr ContainerdVersion k21{2, 1, 9};
const std::string kCerts = "/etc/containerd/certs.d";

inline ContainerdConfig readConfig(const std::string& path, const ContainerdVersion& version) {
    auto config = readContainerdConfig(path, version);
    REQUIRE(config);
    return std::move(*config);
}

}  // namespace nodemirror
