#include "toml/redact.hpp"

#include "containerd_config/config_reader.hpp"

namespace nodemirror {

std::string redactConfig(const std::string& text) {
    return toml_text::redactToml(
        text, {"password", "auth", "token", "secret", "username", "header", "credential"});
}

}  // namespace nodemirror
