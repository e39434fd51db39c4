#include "hosts_toml/redact.hpp"

#include "base/text.hpp"
#include "desired/desired.hpp"
#include "toml/redact.hpp"

namespace nodemirror {

std::string redactHostsToml(const std::string& text) {
    if (text.size() > kLargestHostsToml) return "# <not shown: it is larger than 128 KiB>\n";
    return toml_text::redactToml(text, {"header", "authorization"});
}

std::string shownHost(const std::string& name) {
    const bool bare = name.find("//") == std::string::npos;
    return inQuotes(bare ? withoutCredentials("//" + name).substr(2) : withoutCredentials(name));
}

}  // namespace nodemirror
