#include "toml/read_v2.hpp"

// go-toml 2.4 takes what TOML 1.1 adds (escapes \\e and \\x, newlines and a last comma in inline
// tables); toml++ has it behind this switch, in its header-only form alone.
#define TOML_HEADER_ONLY 1
// What toml++ asserts does not hold for every text ("[" and a line end): its checks behind that are
// what counts, so nothing may be assumed from it either.
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#define TOML_ENABLE_UNRELEASED_FEATURES 1
#include <toml++/toml.h>

#include <algorithm>

namespace nodemirror::toml_text {

namespace {

bool writtenBefore(const toml::node& a, const toml::node& b) {
    return a.source().begin < b.source().begin;
}

Value convert(const toml::node& node);

Value convertTable(const toml::table& table) {
    Value out = Value::ofKind(Value::Kind::Table, static_cast<int>(table.source().begin.line));
    out.isInline = table.is_inline();
    std::vector<std::pair<const toml::key*, const toml::node*>> ordered;
    for (const auto& [key, node] : table) ordered.emplace_back(&key, &node);
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
        return writtenBefore(*a.second, *b.second);
    });
    for (const auto& [key, node] : ordered)
        out.entries.emplace_back(std::string(key->str()), convert(*node));
    return out;
}

Value convertArray(const toml::array& array) {
    const bool tables =
        !array.empty() && std::all_of(array.begin(), array.end(), [](const toml::node& node) {
            return node.is_table() && !node.as_table()->is_inline();
        });
    Value out = Value::ofKind(tables ? Value::Kind::TableArray : Value::Kind::Array,
                              static_cast<int>(array.source().begin.line));
    for (const auto& node : array) out.items.push_back(convert(node));
    return out;
}

Value convert(const toml::node& node) {
    const int line = static_cast<int>(node.source().begin.line);
    if (const auto* table = node.as_table()) return convertTable(*table);
    if (const auto* array = node.as_array()) return convertArray(*array);
    if (const auto* text = node.as_string()) {
        Value out = Value::ofKind(Value::Kind::String, line);
        out.string = text->get();
        return out;
    }
    if (const auto* boolean = node.as_boolean()) {
        Value out = Value::ofKind(Value::Kind::Boolean, line);
        out.boolean = boolean->get();
        return out;
    }
    return Value::ofKind(node.is_number() ? Value::Kind::Number : Value::Kind::Time, line);
}

/// Walks over the characters that stand outside strings and comments.
class OutsideStrings {
  public:
    explicit OutsideStrings(std::string_view text) : text_(text) {}

    /// The place of the first character that TOML has nowhere there: only visible ASCII, blanks and
    /// line ends are. npos where there is none.
    size_t firstStray() {
        while (at_ < text_.size()) {
            const unsigned char c = static_cast<unsigned char>(text_[at_]);
            if (c == '#')
                at_ = std::min(text_.find('\n', at_), text_.size());
            else if (c == '"' || c == '\'')
                skipString(text_[at_]);
            else if ((c >= ' ' && c < 0x7f) || c == '\t' || c == '\n' || c == '\r')
                ++at_;
            else
                return at_;
        }
        return std::string_view::npos;
    }

  private:
    void skipString(char quote) {
        const std::string triple(3, quote);
        const bool multi = text_.substr(at_, 3) == triple;
        at_ += multi ? 3 : 1;
        while (at_ < text_.size()) {
            if (text_[at_] == '\\' && quote == '"') {
                at_ += 2;
            } else if (multi ? text_.substr(at_, 3) == triple : text_[at_] == quote) {
                at_ += multi ? 3 : 1;
                // Up to two quotes may stand right before the closing three.
                while (multi && at_ < text_.size() && text_[at_] == quote) ++at_;
                return;
            } else if (!multi && text_[at_] == '\n') {
                return;
            } else {
                ++at_;
            }
        }
        at_ = text_.size();
    }

    std::string_view text_;
    size_t at_ = 0;
};

}  // namespace

ReadValue readTomlV2(std::string_view text) {
    ReadValue out;
    // go-toml 2.x takes a byte order mark for the first character of a key; toml++ passes over it.
    if (text.substr(0, 3) == "\xef\xbb\xbf") {
        out.error.message = "begins with a byte order mark";
        out.error.line = 1;
        return out;
    }
    // toml++ 3.3 goes astray at some of them (a NUL in a key, U+FE7F), and go-toml refuses them
    // all.
    if (const size_t stray = OutsideStrings(text).firstStray(); stray != std::string_view::npos) {
        const std::string_view before = text.substr(0, stray);
        out.error.message = "has a character that may only stand in strings and comments";
        out.error.line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
        return out;
    }
    try {
        out.root = convertTable(toml::parse(text));
        out.valid = true;
    } catch (const toml::parse_error& error) {
        out.error.message = std::string(error.description());
        out.error.line = static_cast<int>(error.source().begin.line);
    }
    return out;
}

}  // namespace nodemirror::toml_text
