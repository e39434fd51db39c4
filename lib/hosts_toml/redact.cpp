#include "hosts_toml/redact.hpp"

#include "toml/redact.hpp"

namespace nodemirror {

std::string redactHostsToml(const std::string& text) {
    return toml_text::redactToml(text, {"header", "authorization"});
}

}  // namespace nodemirror
