#include "hosts_toml/decode.hpp"

#include "base/text.hpp"
#include "base/time.hpp"
#include "desired/url.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/redact.hpp"
#include "toml/expressions.hpp"
#include "toml/read_go_v1.hpp"
#include "toml/read_v2.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace nodemirror {

namespace {

using toml_text::Value;
using Kind = toml_text::Value::Kind;

/// Why parseHostsFile returns an error; never leaves this file.
struct Dropped {
    std::string why;
    bool crashes = false;
    bool tooMuch = false;
};

/// A host that is written several times has all that it holds each time (getSortedHosts): a small
/// file can stand for a chain that fills the memory. So many hosts, and so much in all of them, are
/// read.
constexpr size_t kMostHosts = 1000;
constexpr size_t kMostBytes = 4 << 20;  ///< more than a file that writes each host once can have

/// About what a host takes in memory, in bytes.
size_t sizeOf(const ChainHost& host) {
    const auto sizeOfAll = [](const std::vector<std::string>& texts) {
        size_t size = 0;
        for (const auto& text : texts) size += sizeof text + text.size();
        return size;
    };
    size_t size = sizeof host + host.url().size() + sizeOfAll(host.capabilities) +
                  sizeOfAll(host.ca) + host.dialTimeout.size();
    for (const auto& pair : host.client) size += sizeof pair + sizeOfAll(pair);
    for (const auto& [name, values] : host.header)
        size += 2 * sizeof name + name.size() + sizeof values + sizeOfAll(values);
    return size;
}

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

std::string at(const Value& value) {
    return value.line > 0 ? " (line " + std::to_string(value.line) + ")" : "";
}

class Decoder {
  public:
    Decoder(const std::string& directory, const ContainerdVersion& version)
        : directory_(directory), version_(version) {}

    Chain run(const Value& root, std::string_view text) {
        const auto order = version_.readsWithGoTomlV1() ? orderV1(root) : orderV2(text);
        const Dropped tooMuch{"it names more hosts, or certificates, than are read", false, true};
        if (order.size() > kMostHosts) throw tooMuch;
        checkTypes(root);
        const auto tables = fields(root, "host");
        std::map<std::string_view, ChainHost> decoded;
        Chain hosts;
        size_t bytes = 0;
        for (const auto& name : order) {
            auto known = decoded.find(name);
            if (known == decoded.end())
                known = decoded.emplace(name, host(name, hostTables(tables, name))).first;
            bytes += sizeOf(known->second);
            if (bytes > kMostBytes) throw tooMuch;
            hosts.push_back(known->second);
        }
        std::string server;
        for (const Value* value : fields(root, "server")) server = value->string;
        hosts.push_back(host(server, {&root}));
        if (sizeOf(hosts.back()) > kMostBytes) throw tooMuch;
        return hosts;
    }

  private:
    /// The values that end up in the struct field `name`. go-toml 1.x takes the exact name or all
    /// capitals; 2.x takes any case, and of several the last one wins.
    std::vector<const Value*> fields(const Value& table, const std::string& name) const {
        std::vector<const Value*> out;
        if (version_.readsWithGoTomlV1()) {
            const Value* value = table.find(name);
            if (value == nullptr) value = table.find(upper(name));
            if (value != nullptr) out.push_back(value);
            return out;
        }
        for (const auto& [key, value] : table.entries)
            if (key.size() == name.size() && lower(key) == name) out.push_back(&value);
        return out;
    }

    /// getSortedHosts of 1.x: the keys of the `host` table by line. It asserts that each is a
    /// table while it compares two of them, and a failed assertion ends the process.
    static std::vector<std::string> orderV1(const Value& root) {
        const Value* hosts = root.find("host");
        if (hosts == nullptr || !hosts->isTable())
            throw Dropped{"invalid `host` tree: containerd 1.x needs at least a bare [host] line"};
        std::vector<const Value::Entry*> sorted;
        for (const auto& entry : hosts->entries) sorted.push_back(&entry);
        if (sorted.size() > 1)
            for (const auto* entry : sorted)
                if (!entry->second.isTable())
                    throw Dropped{"host." + shownHost(entry->first) + " is no table", true};
        std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
            return a->second.line < b->second.line;
        });
        std::vector<std::string> names;
        for (const auto* entry : sorted) names.push_back(entry->first);
        return names;
    }

    /// getSortedHosts of 2.x: only table headers count, and a name is passed over only when it is
    /// the same as the one before.
    static std::vector<std::string> orderV2(std::string_view text) {
        std::vector<std::string> names;
        std::string previous;
        for (const auto& expression : toml_text::scanExpressions(text)) {
            if (expression.kind != toml_text::Expression::Kind::Table) continue;
            const auto& key = expression.key;
            if (key.size() < 2 || key[0] != "host" || key[1] == previous) continue;
            previous = key[1];
            names.push_back(previous);
        }
        return names;
    }

    static std::vector<const Value*> hostTables(const std::vector<const Value*>& all,
                                                const std::string& name) {
        std::vector<const Value*> out;
        for (const Value* hosts : all)
            if (const Value* table = hosts->find(name)) out.push_back(table);
        return out;
    }

    /// `host`: whose key it is; null for a key of the file itself.
    static void require(const Value& value, Kind kind, const char* name, const char* type,
                        const std::string* host = nullptr) {
        if (value.kind == kind) return;
        throw Dropped{(host != nullptr ? "host." + shownHost(*host) + "." : "") + name +
                      " must be " + type + at(value)};
    }

    /// Unmarshal checks the types of every known field, also of hosts that are not used.
    void checkTypes(const Value& root) const {
        checkHost(root, nullptr);
        for (const Value* server : fields(root, "server"))
            require(*server, Kind::String, "server", "a string");
        for (const Value* hosts : fields(root, "host")) {
            require(*hosts, Kind::Table, "host", "a table");
            for (const auto& [name, table] : hosts->entries) {
                if (table.kind != Kind::Table)
                    throw Dropped{"host." + shownHost(name) + " must be a table" + at(table)};
                checkHost(table, &name);
            }
        }
    }

    void checkHost(const Value& table, const std::string* host) const {
        for (const Value* value : fields(table, "capabilities")) {
            require(*value, Kind::Array, "capabilities", "a list of strings", host);
            for (const auto& item : value->items)
                require(item, Kind::String, "capabilities", "a list of strings", host);
        }
        for (const Value* value : fields(table, "skip_verify"))
            require(*value, Kind::Boolean, "skip_verify", "true or false", host);
        for (const Value* value : fields(table, "override_path"))
            require(*value, Kind::Boolean, "override_path", "true or false", host);
        for (const Value* value : fields(table, "header"))
            require(*value, Kind::Table, "header", "a table", host);
        if (version_.knowsDialTimeout())
            for (const Value* value : fields(table, "dial_timeout"))
                require(*value, Kind::String, "dial_timeout", "a string", host);
    }

    /// parseHostConfig
    ChainHost host(const std::string& server, const std::vector<const Value*>& tables) const {
        ChainHost out;
        bool overridePath = false;
        for (const Value* table : tables) {
            for (const Value* value : fields(*table, "override_path"))
                overridePath = value->boolean;
            for (const Value* value : fields(*table, "skip_verify"))
                out.skipVerify = value->boolean;
        }
        if (!server.empty()) place(server, overridePath, out);
        out.capabilities = capabilities(tables);
        for (const Value* table : tables) {
            for (const Value* value : fields(*table, "ca")) {
                out.ca = ca(*value);
                // No certificate, and an option of TLS all the same: makeStringSlice is never nil.
                if (out.ca.empty() && !out.skipVerify) out.skipVerify = false;
            }
            for (const Value* value : fields(*table, "client")) out.client = client(*value);
            for (const Value* value : fields(*table, "header")) headers(*value, out);
            dialTimeout(*table, out);
        }
        return out;
    }

    void place(std::string server, bool overridePath, ChainHost& out) const {
        if (server.compare(0, 4, "http") != 0) server = "https://" + server;
        const auto url = parseGoUrl(server, !version_.readsWithGoTomlV1());
        if (!url) throw Dropped{"unable to parse the URL " + inQuotes(withoutCredentials(server))};
        out.scheme = url->scheme;
        out.host = url->host;
        out.path = url->path;
        static constexpr std::string_view kRoot = "/v2";
        if (!out.path.empty()) {
            out.path = cleanPath(out.path);
            if (!endsInApiRoot(out.path) && !overridePath) out.path += kRoot;
        } else if (!overridePath) {
            out.path = kRoot;
        }
    }

    std::vector<std::string> capabilities(const std::vector<const Value*>& tables) const {
        const Value* list = nullptr;
        for (const Value* table : tables)
            for (const Value* value : fields(*table, "capabilities")) list = value;
        std::set<std::string> out;
        if (list == nullptr || list->items.empty()) {
            out = {"pull", "push", "resolve"};
            if (version_.knowsReferrers()) out.insert("referrers");
        } else {
            for (const auto& item : list->items) {
                const std::string word = lower(item.string);
                const bool known = word == "pull" || word == "resolve" || word == "push" ||
                                   (word == "referrers" && version_.knowsReferrers());
                if (!known)
                    throw Dropped{"unknown capability " + inQuotes(item.string) + at(*list)};
                out.insert(word);
            }
        }
        return {out.begin(), out.end()};
    }

    std::vector<std::string> ca(const Value& value) const {
        if (value.kind == Kind::String) return {absolutePath(value.string, directory_)};
        require(value, Kind::Array, "ca", "a string or a list of strings");
        std::vector<std::string> out;
        for (const auto& item : value.items) {
            require(item, Kind::String, "ca", "a string or a list of strings");
            out.push_back(absolutePath(item.string, directory_));
        }
        return out;
    }

    std::vector<std::vector<std::string>> client(const Value& value) const {
        static constexpr char kType[] = "a string, a list of strings or a list of pairs";
        if (value.kind == Kind::String) return {{absolutePath(value.string, directory_)}};
        require(value, Kind::Array, "client", kType);
        std::vector<std::vector<std::string>> out;
        for (const auto& item : value.items) {
            if (item.kind == Kind::String) {
                out.push_back({absolutePath(item.string, directory_)});
                continue;
            }
            require(item, Kind::Array, "client", kType);
            std::vector<std::string> pair;
            for (const auto& path : item.items) {
                require(path, Kind::String, "client", kType);
                pair.push_back(absolutePath(path.string, directory_));
            }
            if (pair.size() != 2) throw Dropped{"invalid pair for \"client\"" + at(value)};
            // An empty key means that it is in the certificate's own file; joined to the
            // directory it never is empty, so the pair stays a pair.
            out.push_back(std::move(pair));
        }
        return out;
    }

    static void headers(const Value& table, ChainHost& out) {
        for (const auto& [name, value] : table.entries) {
            std::vector<std::string> values;
            if (value.kind == Kind::String) {
                values.push_back(value.string);
            } else {
                const std::string key = "header " + inQuotes(name);
                require(value, Kind::Array, key.c_str(), "a string or a list of strings");
                for (const auto& item : value.items) {
                    require(item, Kind::String, key.c_str(), "a string or a list of strings");
                    values.push_back(item.string);
                }
            }
            out.header[name] = std::move(values);
        }
    }

    void dialTimeout(const Value& table, ChainHost& out) const {
        if (!version_.knowsDialTimeout()) return;
        for (const Value* value : fields(table, "dial_timeout")) {
            if (value->string.empty()) continue;
            const auto duration = parseGoDuration(value->string);
            if (!duration)
                throw Dropped{"invalid duration " + inQuotes(value->string) + at(*value)};
            out.dialTimeout = formatGoDuration(*duration);
        }
    }

    const std::string& directory_;
    const ContainerdVersion& version_;
};

}  // namespace

Decoded decodeHostsToml(std::string_view text, const std::string& directory,
                        const ContainerdVersion& version) {
    Decoded out;
    if (text.size() > kLargestHostsToml) {
        out.error = "it is larger than " + std::to_string(kLargestHostsToml) + " bytes";
        out.tooMuch = true;
        return out;
    }
    const auto read = version.readsWithGoTomlV1()
                          ? toml_text::readGoTomlV1(text, version.diesOfUnhandledTokens())
                          : toml_text::readTomlV2(text);
    if (!read.valid) {
        out.error = read.error.message;
        if (read.error.line > 0) out.error += " (line " + std::to_string(read.error.line) + ")";
        out.crashes = read.error.crashes;
        return out;
    }
    try {
        out.hosts = Decoder(directory, version).run(read.root, text);
        out.valid = true;
    } catch (const Dropped& dropped) {
        out.error = dropped.why;
        out.crashes = dropped.crashes;
        out.tooMuch = dropped.tooMuch;
    }
    return out;
}

}  // namespace nodemirror
