#include "toml/go_v1_lexer.hpp"

#include "toml/runes.hpp"

#include <cstdlib>
#include <optional>

namespace nodemirror::toml_text {

namespace {

using Kind = GoToken::Kind;

constexpr char32_t kEof = 0xffffffff;

bool isSpace(char32_t r) { return r == ' ' || r == '\t'; }
bool isNewline(char32_t r) { return r == '\r' || r == '\n'; }
bool isDigit(char32_t r) { return r >= '0' && r <= '9'; }
bool isHexDigit(char32_t r) {
    return isDigit(r) || (r >= 'a' && r <= 'f') || (r >= 'A' && r <= 'F');
}
bool isBare(char32_t r) {
    return isDigit(r) || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || r == '_' || r == '-';
}

/// What may come next, as lexVoid and lexRvalue of the original.
enum class Mode { Void, Value, Stop };

class Lexer {
  public:
    explicit Lexer(std::u32string input) : input_(std::move(input)) {}

    std::vector<GoToken> run() {
        Mode mode = Mode::Void;
        while (mode != Mode::Stop) mode = mode == Mode::Void ? lexVoid() : lexValue();
        return std::move(tokens_);
    }

  private:
    char32_t peek(size_t ahead = 0) const {
        return at_ + ahead < input_.size() ? input_[at_ + ahead] : kEof;
    }
    char32_t next() {
        const char32_t r = peek();
        if (r == '\n') ++line_;
        ++at_;
        return r;
    }
    void skip(size_t count) {
        for (size_t i = 0; i < count; ++i) next();
    }
    bool follows(std::u32string_view word) const {
        return at_ <= input_.size() && std::u32string_view(input_).substr(at_, word.size()) == word;
    }
    /// Starts a token here: its line is the one that it begins on.
    void begin() {
        tokenBegin_ = at_;
        tokenLine_ = line_;
    }
    void emit(Kind kind, std::string text) {
        GoToken token;
        token.kind = kind;
        token.text = std::move(text);
        token.line = tokenLine_;
        tokens_.push_back(std::move(token));
        begin();
    }
    void emitRead(Kind kind) {
        const size_t end = std::min(at_, input_.size());
        emit(kind, toUtf8(std::u32string_view(input_).substr(tokenBegin_, end - tokenBegin_)));
    }
    Mode fail(std::string message) {
        emit(Kind::Error, std::move(message));
        return Mode::Stop;
    }
    Mode symbol(Kind kind, Mode after) {
        next();
        emitRead(kind);
        return after;
    }
    bool inside(char32_t bracket) const {
        return !brackets_.empty() && brackets_.back() == bracket;
    }

    void skipComment() {
        while (peek() != '\n' && peek() != kEof) {
            if (follows(U"\r\n")) break;
            next();
        }
    }

    Mode lexVoid() {
        while (true) {
            begin();
            const char32_t r = peek();
            if (r == kEof) {
                emit(Kind::End, "");
                return Mode::Stop;
            }
            if (r == '}') return closeBracket('{', Kind::RightBrace);
            if (r == '[') return tableHeader();
            if (r == '#') {
                skipComment();
            } else if (r == '=') {
                return symbol(Kind::Equal, Mode::Value);
            } else if (isNewline(r) || isSpace(r)) {
                next();
            } else {
                return key();
            }
        }
    }

    Mode lexValue() {
        while (true) {
            begin();
            const char32_t r = peek();
            switch (r) {
                case kEof: emit(Kind::End, ""); return Mode::Stop;
                case '.': return fail("cannot start float with a dot");
                case '=': return symbol(Kind::Equal, Mode::Value);
                case '[': brackets_ += '['; return symbol(Kind::LeftBracket, Mode::Value);
                case ']': return closeBracket('[', Kind::RightBracket);
                case '{': brackets_ += '{'; return symbol(Kind::LeftBrace, Mode::Void);
                case '}': return closeBracket('{', Kind::RightBrace);
                case '#': skipComment(); continue;
                case '"': return basicString();
                case '\'': return literalString();
                case ',': return symbol(Kind::Comma, inside('{') ? Mode::Void : Mode::Value);
                case '\r':
                case '\n':
                    next();
                    if (inside('[')) continue;
                    return Mode::Void;
                default: break;
            }
            if (isSpace(r)) {
                next();
                continue;
            }
            return word(r);
        }
    }

    Mode word(char32_t r) {
        if (follows(U"true")) return literal(4, Kind::True);
        if (follows(U"false")) return literal(5, Kind::False);
        if (follows(U"inf") || follows(U"nan")) return literal(3, Kind::Number);
        if (r == '+' || r == '-') return number();
        if (isDigit(r)) return dateOrNumber();
        return fail("no value can start with " + toUtf8(std::u32string(1, r)));
    }

    Mode literal(size_t length, Kind kind) {
        skip(length);
        emitRead(kind);
        return Mode::Value;
    }

    Mode closeBracket(char32_t opening, Kind kind) {
        next();
        emitRead(kind);
        if (!inside(opening)) return fail("cannot have a closing bracket here");
        brackets_.pop_back();
        return Mode::Value;
    }

    /// A key outside of headers; quoted parts are unescaped here and keep their quotes.
    Mode key() {
        std::u32string out;
        for (char32_t r = peek(); r != '=' && r != kEof; r = peek()) {
            if (r == '"') {
                next();
                const auto part = basicText(U"\"", false, true);
                if (!part) return fail(textError_);
                out += U"\"" + *part + U"\"";
                next();
            } else if (r == '\'') {
                next();
                const auto part = literalText(U"'", false);
                if (!part) return fail(textError_);
                out += U"'" + *part + U"'";
                next();
            } else if (r == '\n') {
                return fail("keys cannot contain new lines");
            } else if (isSpace(r)) {
                if (!spaceInKey(out)) break;
            } else if (r == '.' || isBare(r)) {
                out += next();
            } else {
                return fail("keys cannot contain " + toUtf8(std::u32string(1, r)) + " character");
            }
        }
        emit(Kind::Key, toUtf8(out));
        return Mode::Void;
    }

    /// Blanks in a key: kept around a dot, the key's end otherwise.
    bool spaceInKey(std::u32string& out) {
        std::u32string blanks = U" ";
        next();
        while (isSpace(peek())) blanks += next();
        if (peek() != '.') return false;
        blanks += next();
        while (isSpace(peek())) blanks += next();
        out += blanks;
        return true;
    }

    Mode tableHeader() {
        next();
        const bool array = peek() == '[';
        if (array) next();
        emitRead(array ? Kind::DoubleLeftBracket : Kind::LeftBracket);
        for (char32_t r = peek(); r != kEof; r = peek()) {
            if (r == '[') return fail("table key cannot contain '['");
            if (r != ']') {
                next();
                continue;
            }
            if (at_ > tokenBegin_) emitRead(array ? Kind::TableArrayKey : Kind::TableKey);
            next();
            if (array && peek() != ']') continue;
            if (array) next();
            emitRead(array ? Kind::DoubleRightBracket : Kind::RightBracket);
            return Mode::Void;
        }
        return fail("unclosed table key");
    }

    Mode basicString() {
        next();
        const bool multiline = follows(U"\"\"");
        if (multiline) skip(2);
        const auto text = basicText(multiline ? U"\"\"\"" : U"\"", multiline, multiline);
        return emitText(text, multiline ? 3 : 1);
    }

    Mode literalString() {
        next();
        const bool multiline = follows(U"''");
        if (multiline) skip(2);
        return emitText(literalText(multiline ? U"'''" : U"'", multiline), multiline ? 3 : 1);
    }

    Mode emitText(const std::optional<std::u32string>& text, size_t terminator) {
        if (!text) return fail(textError_);
        emit(Kind::String, toUtf8(*text));
        skip(terminator);
        begin();
        return Mode::Value;
    }

    std::optional<std::u32string> textFails(std::string why) {
        textError_ = std::move(why);
        return std::nullopt;
    }

    void dropLeadingNewline() {
        if (follows(U"\r\n"))
            skip(2);
        else if (peek() == '\n')
            next();
    }

    /// Stops before the terminator.
    std::optional<std::u32string> literalText(std::u32string_view terminator, bool multiline) {
        if (multiline) dropLeadingNewline();
        std::u32string out;
        while (!follows(terminator)) {
            if (peek() == kEof) return textFails("unclosed string");
            out += next();
        }
        return out;
    }

    /// Stops before the terminator.
    std::optional<std::u32string> basicText(std::u32string_view terminator, bool multiline,
                                            bool newlines) {
        if (multiline) dropLeadingNewline();
        std::u32string out;
        while (true) {
            if (follows(terminator)) return out;
            const char32_t r = peek();
            if (r == '\\') {
                next();
                if (!escape(out)) return std::nullopt;
            } else if (r < 0x20 && r != '\t' && !(newlines && isNewline(r))) {
                return textFails("unescaped control character");
            } else {
                out += next();
            }
            if (peek() == kEof) return textFails("unclosed string");
        }
    }

    /// After a backslash.
    bool escape(std::u32string& out) {
        const char32_t r = peek();
        if (isNewline(r) || isSpace(r)) {
            while (isNewline(peek()) || isSpace(peek())) next();
            return true;
        }
        if (r == 'u' || r == 'U') return unicodeEscape(out, r == 'u' ? 4 : 8);
        static constexpr std::u32string_view kNames = U"\"nbf/tr\\";
        static constexpr std::u32string_view kCodes = U"\"\n\b\f/\t\r\\";
        const size_t index = kNames.find(r);
        if (index == std::u32string_view::npos) {
            textError_ = "invalid escape sequence";
            return false;
        }
        out += kCodes[index];
        next();
        return true;
    }

    bool unicodeEscape(std::u32string& out, size_t digits) {
        next();
        std::string hex;
        for (size_t i = 0; i < digits; ++i) {
            if (!isHexDigit(peek())) {
                textError_ = "unfinished unicode escape";
                return false;
            }
            hex += static_cast<char>(next());
        }
        const unsigned long code = std::strtoul(hex.c_str(), nullptr, 16);
        out += code > 0x10ffff ? char32_t{0xfffd} : static_cast<char32_t>(code);
        return true;
    }

    /// Passes over `count` digits; false at anything else.
    bool digits(int count) {
        for (int i = 0; i < count; ++i)
            if (!isDigit(next())) return false;
        return true;
    }

    Mode dateOrNumber() {
        const bool clock = isDigit(peek(1)) && peek(2) == ':';
        const bool date =
            isDigit(peek(1)) && isDigit(peek(2)) && isDigit(peek(3)) && peek(4) == '-';
        // The original looks five runes ahead and takes fewer than three for a number.
        if (clock && input_.size() - at_ >= 3) return clockAfterHours();
        return date ? dateTime() : number();
    }

    Mode clockAfterHours() {
        skip(3);
        if (!clockRest()) return fail("invalid time");
        emitRead(Kind::Clock);
        return Mode::Value;
    }

    /// mm:ss[.fraction]
    bool clockRest() {
        if (!digits(2) || next() != ':' || !digits(2)) return false;
        if (peek() != '.') return true;
        next();
        if (!digits(1)) return false;
        while (isDigit(peek())) next();
        return true;
    }

    Mode dateTime() {
        skip(5);
        if (!digits(2) || next() != '-' || !digits(2)) return fail("invalid date");
        emitRead(Kind::Date);
        const char32_t separator = peek();
        if (separator == kEof) return Mode::Value;
        if (separator != ' ' && separator != 'T')
            return fail("incorrect date/time separation character");
        if (separator == ' ' && !(isDigit(peek(1)) && isDigit(peek(2)))) return Mode::Value;
        next();
        begin();
        if (!digits(2) || next() != ':' || !clockRest()) return fail("invalid time");
        emitRead(Kind::Clock);
        return offset();
    }

    Mode offset() {
        const char32_t r = peek();
        if (r == 'Z') return symbol(Kind::Offset, Mode::Value);
        if (r != '+' && r != '-') return Mode::Value;
        next();
        if (!digits(2) || next() != ':' || !digits(2)) return fail("invalid time offset");
        emitRead(Kind::Offset);
        return Mode::Value;
    }

    std::optional<Mode> prefixedNumber() {
        const char32_t base = peek(1);
        if (base != 'x' && base != 'o' && base != 'b') {
            if ((base >= 'a' && base <= 'z') || (base >= 'A' && base <= 'Z'))
                return fail("unknown number base");
            return std::nullopt;
        }
        skip(2);
        const auto valid = [base](char32_t r) {
            if (r == '_') return true;
            if (base == 'x') return isHexDigit(r);
            return base == 'o' ? r >= '0' && r <= '7' : r == '0' || r == '1';
        };
        if (!valid(peek())) return fail("number needs at least one digit");
        while (valid(peek())) next();
        emitRead(Kind::Number);
        return Mode::Value;
    }

    Mode number() {
        if (peek() == '0')
            if (const auto done = prefixedNumber()) return *done;
        if (peek() == '+' || peek() == '-') {
            next();
            if (follows(U"inf") || follows(U"nan")) return literal(3, Kind::Number);
        }
        bool point = false;
        bool digit = false;
        while (true) {
            const char32_t r = peek();
            if (r == '.') {
                if (point) return fail("cannot have two dots in one float");
                next();
                if (!isDigit(peek())) return fail("float cannot end with a dot");
                point = true;
            } else if (r == 'e' || r == 'E') {
                next();
                if (peek() == '+' || peek() == '-') next();
            } else if (isDigit(r)) {
                digit = true;
                next();
            } else if (r == '_') {
                next();
            } else {
                break;
            }
            if (point && !digit) return fail("cannot start float with a dot");
        }
        if (!digit) return fail("no digit in that number");
        emitRead(Kind::Number);
        return Mode::Value;
    }

    std::u32string input_;
    size_t at_ = 0;
    int line_ = 1;
    size_t tokenBegin_ = 0;
    int tokenLine_ = 1;
    std::u32string brackets_;
    std::string textError_;
    std::vector<GoToken> tokens_;
};

}  // namespace

std::vector<GoToken> lexGoTomlV1(std::string_view bytes) { return Lexer(toRunes(bytes)).run(); }

}  // namespace nodemirror::toml_text
