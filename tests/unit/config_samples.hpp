#pragma once

#include "containerd_config/config_reader.hpp"
#include "support/result_printer.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace nodemirror {

const std::string kCerts = "/etc/containerd/certs.d";

inline ContainerdConfig readConfig(const std::string& path, const ContainerdVersion& version) {
    auto config = readContainerdConfig(path, version);
    REQUIRE(config);
    return std::move(*config);
}

}  // namespace nodemirror
