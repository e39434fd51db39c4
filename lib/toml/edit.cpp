#include "toml/edit.hpp"

#include "base/text.hpp"
#include "toml/expressions.hpp"
#include "toml/read_v2.hpp"

#include <algorithm>
#include <cctype>
#include <regex>

namespace nodemirror::toml_text {

namespace {

using Path = std::vector<std::string>;
using Paths = std::set<Path>;

/// An expression with the header that it stands under.
struct Placed {
    Expression expression;
    Path header;  ///< of the table that it belongs to; a header's own path for a header
    Path full;    ///< header and key
};

std::vector<Placed> placedExpressions(const std::string& text) {
    std::vector<Placed> out;
    Path header;
    for (auto& expression : scanExpressions(text)) {
        Placed placed;
        if (expression.kind != Expression::Kind::KeyValue) {
            header = expression.key;
            placed.full = header;
        } else {
            placed.full = header;
            placed.full.insert(placed.full.end(), expression.key.begin(), expression.key.end());
        }
        placed.header = header;
        placed.expression = std::move(expression);
        out.push_back(std::move(placed));
    }
    return out;
}

bool startsWith(const Path& path, const Path& prefix) {
    return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

bool isWithin(const Paths& paths, Path path) {
    for (; !path.empty(); path.pop_back())
        if (paths.count(path) > 0) return true;
    return false;
}

std::string lineBreak(const std::string& text) {
    const size_t newline = text.find('\n');
    return newline != std::string::npos && newline > 0 && text[newline - 1] == '\r' ? "\r\n" : "\n";
}

size_t lineBegin(const std::string& text, size_t at) {
    while (at > 0 && text[at - 1] != '\n') --at;
    return at;
}

std::string indentOf(const std::string& text, size_t at) {
    const size_t begin = lineBegin(text, at);
    return text.substr(begin, at - begin);
}

/// Inserts a whole line at `at`, which is the end of a line or of the text.
std::string insertLine(std::string text, size_t at, const std::string& line) {
    const std::string newline = lineBreak(text);
    const bool open = at > 0 && text[at - 1] != '\n';
    return text.insert(at, (open ? newline : "") + line + newline);
}

bool isBlankIndent(const std::string& indent) {
    return indent.find_first_not_of(" \t") == std::string::npos;
}

Error byHand(const Path& table, const std::string& key, const std::string& value) {
    return {"edit", "the table [" + dottedKey(table) + "]",
            "it is written in a form that is not edited",
            "set " + key + " = " + inQuotes(value) + " there by hand"};
}

/// The text with the string of a key that an inline table has replaced; empty where it has none.
std::string inlineStringReplaced(const std::string& text, const Expression& expression,
                                 const std::string& key, const std::string& quotedValue) {
    const std::string value =
        text.substr(expression.valueBegin, expression.end - expression.valueBegin);
    constexpr size_t kLongest = 8192;  // std::regex recurses with the length of a text
    if (value.size() > kLongest) return "";
    const std::regex entry("([{,\\s]" + key + "\\s*=\\s*)(\"[^\"]*\"|'[^']*')");
    std::smatch match;
    if (!std::regex_search(value, match, entry)) return "";
    const size_t begin = expression.valueBegin + static_cast<size_t>(match.position(2));
    return std::string(text).replace(begin, static_cast<size_t>(match.length(2)), quotedValue);
}

/// The text with the key set, by the first way that fits; empty when none does.
std::string withStringSet(const std::string& text, const Path& table, const std::string& key,
                          const std::string& value) {
    Path full = table;
    full.push_back(key);
    const std::string quotedValue = quotedScalar(value);
    const auto expressions = placedExpressions(text);
    for (const auto& [expression, header, path] : expressions)
        if (expression.kind == Expression::Kind::KeyValue && path == full)
            return std::string(text).replace(expression.valueBegin,
                                             expression.end - expression.valueBegin, quotedValue);
    for (const auto& [expression, header, path] : expressions) {
        if (expression.kind == Expression::Kind::Table && path == table)
            return insertLine(text, expression.lineEnd,
                              indentOf(text, expression.begin) + "  " + key + " = " + quotedValue);
        if (expression.kind != Expression::Kind::KeyValue) continue;
        if (path == table && text[expression.valueBegin] == '{') {
            const auto replaced = inlineStringReplaced(text, expression, key, quotedValue);
            if (!replaced.empty()) return replaced;
            const size_t inside = text.find_first_not_of(" \t\r\n", expression.valueBegin + 1);
            const bool empty = inside != std::string::npos && text[inside] == '}';
            return std::string(text).insert(expression.valueBegin + 1,
                                            " " + key + " = " + quotedValue + (empty ? " " : ","));
        }
        const bool dotted =
            path.size() > table.size() && startsWith(path, table) && header.size() < table.size();
        if (dotted) {
            Path relative(table.begin() + static_cast<Path::difference_type>(header.size()),
                          table.end());
            relative.push_back(key);
            return insertLine(
                text, expression.lineEnd,
                indentOf(text, expression.begin) + dottedKey(relative) + " = " + quotedValue);
        }
    }
    const std::string newline = lineBreak(text);
    const std::string gap = text.empty() ? "" : newline;
    return insertLine(
        text, text.size(),
        gap + "[" + dottedKey(table) + "]" + newline + "  " + key + " = " + quotedValue);
}

bool sameValue(const Value& a, const Value& b) {
    if (a.kind != b.kind || a.string != b.string || a.boolean != b.boolean ||
        a.integer != b.integer || a.items.size() != b.items.size() ||
        a.entries.size() != b.entries.size())
        return false;
    for (size_t i = 0; i < a.items.size(); ++i)
        if (!sameValue(a.items[i], b.items[i])) return false;
    size_t next = 0;
    return std::all_of(a.entries.begin(), a.entries.end(), [&](const Value::Entry& entry) {
        // Mostly it is where it was.
        const Value::Entry& likely = b.entries[next++];
        const Value* other = likely.first == entry.first ? &likely.second : b.find(entry.first);
        return other != nullptr && sameValue(entry.second, *other);
    });
}

void erase(Value& root, const Path& path) {
    Value* node = &root;
    for (size_t i = 0; i + 1 < path.size(); ++i) {
        node = node->isTable() ? node->find(path[i]) : nullptr;
        if (node == nullptr) return;
    }
    node->entries.eraseIf([&](const Value::Entry& entry) { return entry.first == path.back(); });
}

/// Drops the tables on the way to `path` that hold nothing, so that a table which the edit had to
/// make, or emptied, does not count as a difference.
void eraseEmpty(Value& root, Path path) {
    for (; !path.empty(); path.pop_back()) {
        const Value* node = root.at(path);
        if (node != nullptr && node->isTable() && node->entries.empty()) erase(root, path);
    }
}

/// Whether the two texts say the same apart from what is at `paths`.
bool onlyDiffersAt(const std::string& before, const std::string& after, const Paths& paths) {
    auto a = readTomlV2(before);
    auto b = readTomlV2(after);
    if (!a.valid || !b.valid) return false;
    for (Value* root : {&a.root, &b.root}) {
        for (const auto& path : paths) {
            erase(*root, path);
            eraseEmpty(*root, Path(path.begin(), path.end() - 1));
        }
    }
    return sameValue(a.root, b.root);
}

}  // namespace

std::string dottedKey(const std::vector<std::string>& path) {
    std::string out;
    for (const auto& part : path) {
        if (!out.empty()) out += ".";
        const bool bare =
            !part.empty() && std::all_of(part.begin(), part.end(), [](unsigned char c) {
                return std::isalnum(c) != 0 || c == '_' || c == '-';
            });
        out += bare ? part : quotedScalar(part);
    }
    return out;
}

Result<std::string> setString(const std::string& text, const Path& table, const std::string& key,
                              const std::string& value) {
    const std::string after = withStringSet(text, table, key, value);
    Path full = table;
    full.push_back(key);
    const auto read = readTomlV2(after);
    const Value* found = read.valid ? read.root.at(full) : nullptr;
    if (found == nullptr || found->string != value || !onlyDiffersAt(text, after, {full}))
        return byHand(table, key, value);
    return after;
}

Result<std::string> removePaths(const std::string& text, const Paths& paths) {
    std::string out;
    size_t copied = 0;
    for (const auto& [expression, header, full] : placedExpressions(text)) {
        if (!isWithin(paths, full)) continue;
        const std::string indent = indentOf(text, expression.begin);
        if (!isBlankIndent(indent)) continue;
        out += text.substr(copied, lineBegin(text, expression.begin) - copied);
        // A comment behind the expression stays, on a line of its own.
        const std::string rest = text.substr(expression.end, expression.lineEnd - expression.end);
        const size_t comment = rest.find('#');
        if (comment != std::string::npos) out += indent + rest.substr(comment);
        copied = expression.lineEnd;
    }
    out += text.substr(copied);
    const auto read = readTomlV2(out);
    const auto left = std::find_if(paths.begin(), paths.end(), [&](const Path& path) {
        return !read.valid || read.root.at(path) != nullptr;
    });
    if (left == paths.end() && onlyDiffersAt(text, out, paths)) return out;
    return Error("edit",
                 "the table [" + dottedKey(left == paths.end() ? *paths.begin() : *left) + "]",
                 "it is written in a form that is not edited", "remove it by hand");
}

}  // namespace nodemirror::toml_text
