#include "toml/read_go_v1.hpp"

#include "base/text.hpp"
#include "toml/go_v1_key.hpp"
#include "toml/go_v1_lexer.hpp"

#include <algorithm>
#include <set>

namespace nodemirror::toml_text {

namespace {

using Kind = GoToken::Kind;
using Path = std::vector<std::string>;

constexpr int kDeepest = 64;  // the original recurses without end; no real file comes near

/// Carries the first error out of the parser; never leaves this file.
struct Refused {
    SyntaxError error;
};

class Parser {
  public:
    explicit Parser(std::vector<GoToken> tokens, bool oldRecover)
        : tokens_(std::move(tokens)), oldRecover_(oldRecover) {
        root_.line = 1;
    }

    Value run() {
        while (peek().kind != Kind::End) {
            switch (peek().kind) {
                case Kind::DoubleLeftBracket: tableArray(); break;
                case Kind::LeftBracket: table(); break;
                case Kind::Key: assign(); break;
                default: refuse(peek(), "unexpected " + what(peek()));
            }
        }
        return std::move(root_);
    }

  private:
    const GoToken& peek() const { return tokens_[at_]; }
    const GoToken& take() {
        const GoToken& token = tokens_[at_];
        if (at_ + 1 < tokens_.size()) ++at_;
        return token;
    }
    static std::string what(const GoToken& token) {
        // Values may be secrets that somebody forgot to quote.
        switch (token.kind) {
            case Kind::End: return "end of file";
            case Kind::String: return "string";
            case Kind::Number: return "number";
            case Kind::Date:
            case Kind::Clock:
            case Kind::Offset: return "time";
            default: return inQuotes(token.text);
        }
    }
    [[noreturn]] static void refuse(const GoToken& token, std::string message) {
        SyntaxError error;
        error.message = std::move(message);
        error.line = token.line;
        throw Refused{error};
    }
    void expect(Kind kind) {
        const GoToken& token = take();
        if (token.kind != kind) refuse(token, "unexpected " + what(token));
    }
    Path keyOf(const GoToken& token) {
        auto parts = splitGoKey(token.text);
        if (!parts) refuse(token, "invalid key " + inQuotes(token.text));
        if (parts->size() > kMostParts) refuse(token, "nested too deep");
        return std::move(*parts);
    }

    /// Tree.GetPath: through tables and the last elements of table arrays; null when not there.
    Value* get(const Path& path) {
        Value* node = &root_;
        for (size_t i = 0; i < path.size(); ++i) {
            if (node->kind == Value::Kind::TableArray && i > 0) {
                if (node->items.empty()) return nullptr;
                node = &node->items.back();
            }
            if (!node->isTable()) return nullptr;
            node = node->find(path[i]);
            if (node == nullptr) return nullptr;
        }
        return node;
    }

    /// Tree.createSubTree: false when something on the way is no table.
    bool createTables(const Path& path, int line) {
        Value* node = &root_;
        for (const auto& key : path) {
            Value* next = node->find(key);
            if (next == nullptr) {
                Value table = Value::ofKind(Value::Kind::Table, line);
                table.isInline = node->isInline;
                next = &node->entries.emplace_back(key, std::move(table)).second;
            }
            if (next->kind == Value::Kind::TableArray && !next->items.empty())
                node = &next->items.back();
            else if (next->isTable())
                node = next;
            else
                return false;
        }
        return true;
    }

    void tableArray() {
        const int line = take().line;
        const GoToken& key = take();
        if (key.kind != Kind::TableArrayKey) refuse(key, "expected a table array key");
        const Path path = keyOf(key);
        createTables(Path(path.begin(), path.end() - 1), line);
        Value* target = get(path);
        if (target != nullptr && target->kind != Value::Kind::TableArray)
            refuse(key, "key is already assigned and not of type table array");
        if (target == nullptr) target = addTableArray(key, path, line);
        target->items.push_back(Value::ofKind(Value::Kind::Table, line));
        current_ = path;
        seenArray(key.text);
        expect(Kind::DoubleRightBracket);
    }

    Value* addTableArray(const GoToken& key, const Path& path, int line) {
        Value* parent = path.size() == 1 ? &root_ : get(Path(path.begin(), path.end() - 1));
        if (parent != nullptr && parent->kind == Value::Kind::TableArray && !parent->items.empty())
            parent = &parent->items.back();
        if (parent == nullptr || !parent->isTable()) refuse(key, "not a table");
        Value made = Value::ofKind(Value::Kind::TableArray, line);
        return &parent->entries.emplace_back(path.back(), std::move(made)).second;
    }

    /// A new element of a table array makes the headers below the array's name free again.
    void seenArray(const std::string& key) {
        const std::string prefix = key + ".";
        const auto first = seen_.lower_bound(prefix);
        auto last = first;
        while (last != seen_.end() && last->compare(0, prefix.size(), prefix) == 0) ++last;
        seen_.erase(first, last);
        seen_.insert(key);
    }

    void table() {
        const int line = take().line;
        const GoToken& key = take();
        if (key.kind != Kind::TableKey) refuse(key, "expected a table key");
        // Headers are compared as they are written: ["a"] and [a] do not clash.
        if (!seen_.insert(key.text).second) refuse(key, "duplicated tables");
        const Path path = keyOf(key);
        if (!createTables(path, line)) refuse(key, "part of the header is no table");
        const Value* target = get(path);
        if (target != nullptr && target->isTable() && target->isInline)
            refuse(key, "an inline table cannot be defined again");
        expect(Kind::RightBracket);
        current_ = path;
    }

    void assign() {
        const GoToken& key = take();
        expect(Kind::Equal);
        const Path parsed = keyOf(key);
        Value value = readValue(0);
        Path path = current_;
        path.insert(path.end(), parsed.begin(), parsed.end() - 1);
        Value* target = path.empty() ? &root_ : get(path);
        if (target == nullptr) {
            if (!createTables(path, key.line)) refuse(key, "part of the key is no table");
            target = get(path);
        }
        if (target->kind == Value::Kind::TableArray && !target->items.empty())
            target = &target->items.back();
        if (!target->isTable()) refuse(key, "part of the key is no table");
        if (target->isInline) refuse(key, "an inline table cannot be added to");
        if (target->find(parsed.back()) != nullptr)
            refuse(key, "the key " + inQuotes(parsed.back()) + " is defined twice");
        if (!value.isTable() && value.kind != Value::Kind::TableArray) value.line = key.line;
        target->entries.emplace_back(parsed.back(), std::move(value));
    }

    Value readValue(int depth) {
        const GoToken& token = take();
        if (depth > kDeepest) refuse(token, "nested too deep");
        switch (token.kind) {
            case Kind::String: {
                Value value = Value::ofKind(Value::Kind::String, token.line);
                value.string = token.text;
                return value;
            }
            case Kind::True:
            case Kind::False: {
                Value value = Value::ofKind(Value::Kind::Boolean, token.line);
                value.boolean = token.kind == Kind::True;
                return value;
            }
            case Kind::Number:
                if (!isGoNumber(token.text)) refuse(token, "invalid number");
                return Value::ofKind(Value::Kind::Number, token.line);
            case Kind::Clock:
                checkClock(token);
                return Value::ofKind(Value::Kind::Time, token.line);
            case Kind::Date:
                if (!isGoDate(token.text)) refuse(token, "invalid date");
                if (peek().kind == Kind::Clock) {
                    checkClock(take());
                    if (peek().kind == Kind::Offset) take();
                }
                return Value::ofKind(Value::Kind::Time, token.line);
            case Kind::LeftBracket: return array(depth);
            case Kind::LeftBrace: return inlineTable(depth);
            case Kind::Equal: refuse(token, "cannot have multiple equals for the same key");
            case Kind::Error: refuse(token, token.text);
            case Kind::End: refuse(token, "expecting a value");
            default: unhandled(token);
        }
    }

    static void checkClock(const GoToken& token) {
        if (!isGoClock(token.text)) refuse(token, "invalid time");
    }

    /// panic(fmt.Errorf("unhandled token")) in parseRvalue.
    [[noreturn]] void unhandled(const GoToken& token) const {
        SyntaxError error;
        error.message = "unhandled token " + what(token);
        error.line = token.line;
        error.crashes = oldRecover_;
        throw Refused{error};
    }

    Value array(int depth) {
        Value out = Value::ofKind(Value::Kind::Array, peek().line);
        while (peek().kind != Kind::RightBracket) {
            if (peek().kind == Kind::End) refuse(peek(), "unterminated array");
            out.items.push_back(readValue(depth + 1));
            if (peek().kind == Kind::End) refuse(peek(), "unterminated array");
            if (peek().kind != Kind::RightBracket && peek().kind != Kind::Comma)
                refuse(peek(), "missing comma");
            if (peek().kind == Kind::Comma) take();
        }
        take();
        const bool tables =
            !out.items.empty() && std::all_of(out.items.begin(), out.items.end(),
                                              [](const Value& item) { return item.isTable(); });
        if (tables) out.kind = Value::Kind::TableArray;
        return out;
    }

    Value inlineTable(int depth) {
        Value out = Value::ofKind(Value::Kind::Table, 0);
        bool first = true;
        bool comma = false;
        while (peek().kind != Kind::RightBrace) {
            const GoToken& token = peek();
            switch (token.kind) {
                case Kind::Key:
                case Kind::Number:
                case Kind::String:
                    if (!comma && !first) refuse(token, "comma expected between fields");
                    inlineEntry(out, depth);
                    comma = false;
                    break;
                case Kind::Comma:
                    if (comma) refuse(token, "need field between two commas");
                    take();
                    comma = true;
                    break;
                default: refuse(token, "unexpected " + what(token) + " in inline table");
            }
            first = false;
        }
        if (comma) refuse(peek(), "trailing comma at the end of inline table");
        take();
        out.isInline = true;
        return out;
    }

    /// Tree.SetPath: a key that is already there is replaced without a word.
    void inlineEntry(Value& table, int depth) {
        const GoToken& key = take();
        expect(Kind::Equal);
        const Path path = keyOf(key);
        Value value = readValue(depth + 1);
        Value* node = &table;
        for (size_t i = 0; i + 1 < path.size(); ++i) {
            Value* next = node->find(path[i]);
            if (next == nullptr) {
                Value made = Value::ofKind(Value::Kind::Table, static_cast<int>(i));
                next = &node->entries.emplace_back(path[i], std::move(made)).second;
            }
            if (next->kind == Value::Kind::TableArray && !next->items.empty())
                node = &next->items.back();
            else if (next->isTable())
                node = next;
        }
        if (Value* old = node->find(path.back()))
            *old = std::move(value);
        else
            node->entries.emplace_back(path.back(), std::move(value));
    }

    std::vector<GoToken> tokens_;
    size_t at_ = 0;
    bool oldRecover_;
    Value root_;
    Path current_;
    std::set<std::string> seen_;
};

/// LoadBytes drops a byte order mark of any kind.
std::string_view withoutMark(std::string_view text) {
    using namespace std::string_view_literals;
    for (const std::string_view mark : {"\0\0\xfe\xff"sv, "\xff\xfe\0\0"sv})
        if (text.substr(0, 4) == mark) return text.substr(4);
    if (text.substr(0, 3) == "\xef\xbb\xbf") return text.substr(3);
    for (const std::string_view mark : {"\xfe\xff"sv, "\xff\xfe"sv})
        if (text.substr(0, 2) == mark) return text.substr(2);
    return text;
}

}  // namespace

ReadValue readGoTomlV1(std::string_view text, bool oldRecover) {
    ReadValue out;
    try {
        out.root = Parser(lexGoTomlV1(withoutMark(text)), oldRecover).run();
        out.valid = true;
    } catch (const Refused& refused) {
        out.error = refused.error;
    }
    return out;
}

}  // namespace nodemirror::toml_text
