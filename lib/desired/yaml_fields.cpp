#include "desired/yaml_fields.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace nodemirror {

std::string childKey(const std::string& parent, const std::string& child) {
    const bool plain =
        !child.empty() && std::all_of(child.begin(), child.end(), [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '_' || c == '-';
        });
    const std::string name = plain ? child : inQuotes(child);
    return parent.empty() ? name : parent + "." + name;
}

namespace {

/// Sums of a few durations and a moment stay far from what 64 bits of nanoseconds hold.
constexpr Duration kLongest = std::chrono::hours(8760);

const char* typeName(const YamlNode& node) {
    switch (node.kind) {
        case YamlNode::Kind::Map: return "a map";
        case YamlNode::Kind::Sequence: return "a list";
        case YamlNode::Kind::Scalar: return "a single value";
        default: return "empty";
    }
}

/// A key as it is told: a colon that was forgotten makes a secret part of it, and a wrong file may
/// hold anything. What no key of a desired state looks like is left out.
std::string shownKey(const std::string& name) {
    const size_t end = std::min<size_t>(
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "._:/*-"),
        64);
    return end >= name.size() ? name : name.substr(0, end) + "…";
}

}  // namespace

bool YamlFields::visit(const Field& field, size_t count) {
    const bool before = visited_ <= kMostValues;
    visited_ += count;
    if (visited_ <= kMostValues) return true;
    if (before)
        problem(field, "more values than a desired state may have, with each alias counted");
    return false;
}

void YamlFields::problemAt(const YAML::Mark& mark, std::string key, std::string message) {
    if (enough()) {
        ++more_;
        return;
    }
    Problem problem;
    problem.line = mark.is_null() ? 0 : mark.line + 1;
    problem.column = mark.is_null() ? 0 : mark.column + 1;
    problem.key = std::move(key);
    problem.message = printable(message);
    problems_.push_back(std::move(problem));
}

void YamlFields::problem(const Field& field, std::string message) {
    problemAt(field.node->mark, field.key, std::move(message));
}

std::vector<Problem> YamlFields::takeProblems() {
    if (more_ > 0) {
        Problem rest;
        rest.line = problems_.back().line;
        rest.column = problems_.back().column;
        rest.message = "and at least " + std::to_string(more_) + " more problems";
        problems_.push_back(std::move(rest));
    }
    std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
        return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    return std::move(problems_);
}

std::vector<std::pair<std::string, Field>> YamlFields::entries(const Field& field) {
    std::vector<std::pair<std::string, Field>> out;
    if (!field.node->isMap()) {
        problem(field,
                std::string("must be a map of keys to values, and is ") + typeName(*field.node));
        return out;
    }
    if (!visit(field, field.node->items.size())) return out;
    std::set<std::string> seen;
    for (size_t i = 0; i + 1 < field.node->items.size(); i += 2) {
        const YamlNode& word = *field.node->items[i];
        if (!word.isScalar()) {
            problemAt(word.mark, field.key, "a key must be a single word");
            continue;
        }
        const std::string& name = word.text;
        const std::string key = childKey(field.key, shownKey(name));
        if (!seen.insert(name).second) {
            problemAt(
                word.mark, key,
                "the key " + inQuotes(shownKey(name)) + " is written twice; keep one of them");
            continue;
        }
        // An empty value has no mark of its own worth showing: point at its key.
        Field child{field.node->items[i + 1], key};
        if (child.node->isNull()) {
            problemAt(word.mark, key, "has no value; write one or remove the key");
            continue;
        }
        out.emplace_back(name, std::move(child));
    }
    return out;
}

std::map<std::string, Field> YamlFields::map(const Field& field,
                                             const std::vector<std::string>& known) {
    std::map<std::string, Field> out;
    if (field.node->isMap()) {
        for (size_t i = 0; i < field.node->items.size() && mayGoOn(); i += 2) {
            const YamlNode& word = *field.node->items[i];
            if (!word.isScalar()) continue;
            const std::string& name = word.text;
            if (std::find(known.begin(), known.end(), name) != known.end()) continue;
            const std::string meant = nearest(name, known);
            problemAt(word.mark, childKey(field.key, shownKey(name)),
                      "unknown key " + inQuotes(shownKey(name)) +
                          (meant.empty() ? "; known here: " + join(known, ", ")
                                         : "; did you mean " + inQuotes(meant) + "?"));
        }
    }
    for (auto& [name, child] : entries(field))
        if (std::find(known.begin(), known.end(), name) != known.end())
            out.emplace(name, std::move(child));
    return out;
}

std::vector<Field> YamlFields::list(const Field& field) {
    std::vector<Field> out;
    if (!field.node->isSequence()) {
        problem(field, std::string("must be a list, and is ") + typeName(*field.node) +
                           "; write it as [a, b] or as lines that begin with \"- \"");
        return out;
    }
    if (!visit(field, field.node->items.size())) return out;
    size_t index = 0;
    for (const YamlNode* item : field.node->items) {
        out.push_back(Field{item, field.key + "[" + std::to_string(index) + "]"});
        ++index;
    }
    return out;
}

std::optional<std::string> YamlFields::string(const Field& field) {
    if (!field.node->isScalar()) {
        problem(field, std::string("must be a text, and is ") + typeName(*field.node));
        return std::nullopt;
    }
    if (field.node->text.empty()) {
        problem(field, "must not be empty");
        return std::nullopt;
    }
    return field.node->text;
}

std::vector<std::string> YamlFields::strings(const Field& field) {
    std::vector<std::string> out;
    for (const auto& item : list(field))
        if (auto text = string(item)) out.push_back(std::move(*text));
    return out;
}

std::optional<bool> YamlFields::boolean(const Field& field) {
    const bool plain = field.node->isScalar() && !field.node->quoted;
    if (plain && (field.node->text == "true" || field.node->text == "false"))
        return field.node->text == "true";
    problem(field, "must be true or false" +
                       (field.node->isScalar() ? ", and is " + inQuotes(field.node->text) : ""));
    return std::nullopt;
}

std::optional<int> YamlFields::integer(const Field& field, int least, int most) {
    if (field.node->isScalar() && !field.node->quoted) {
        const std::string& text = field.node->text;
        int value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc() && end == text.data() + text.size() && value >= least &&
            value <= most)
            return value;
    }
    problem(field,
            "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
}

std::optional<Duration> YamlFields::duration(const Field& field) {
    if (field.node->isScalar()) {
        const auto value = parseGoDuration(field.node->text);
        if (value && value->count() > 0 && *value <= kLongest) return value;
    }
    problem(field,
            "must be a duration above zero, and at most 8760h, with its unit, such as "
            "500ms, 2s, 1m or 1h");
    return std::nullopt;
}

std::optional<size_t> YamlFields::oneOf(const Field& field, const std::vector<std::string>& words) {
    if (field.node->isScalar()) {
        const auto found = std::find(words.begin(), words.end(), field.node->text);
        if (found != words.end()) return static_cast<size_t>(found - words.begin());
    }
    problem(field, "must be " + join(words, " or ") +
                       (field.node->isScalar() ? ", and is " + inQuotes(field.node->text) : ""));
    return std::nullopt;
}

}  // namespace nodemirror
