#include "toml/expressions.hpp"

#include "toml/runes.hpp"

#include <cstdlib>

namespace nodemirror::toml_text {

namespace {

class Scanner {
  public:
    explicit Scanner(std::string_view text) : text_(text) {}

    std::vector<Expression> run() {
        std::vector<Expression> out;
        while (skipToExpression()) {
            Expression expression;
            expression.begin = at_;
            if (peek() == '[')
                header(expression);
            else
                keyValue(expression);
            if (failed_ || at_ > text_.size()) break;
            const size_t newline = text_.find('\n', at_);
            expression.lineEnd = newline == std::string_view::npos ? text_.size() : newline + 1;
            at_ = expression.lineEnd;
            out.push_back(std::move(expression));
        }
        return out;
    }

  private:
    char peek(size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    bool follows(std::string_view word) const { return text_.substr(at_, word.size()) == word; }

    void skipBlanks() {
        while (peek() == ' ' || peek() == '\t') ++at_;
    }
    void skipComment() {
        while (at_ < text_.size() && peek() != '\n') ++at_;
    }

    bool skipToExpression() {
        if (at_ == 0 && follows("\xef\xbb\xbf")) at_ = 3;
        while (at_ < text_.size()) {
            if (peek() == '#')
                skipComment();
            else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n')
                ++at_;
            else
                return true;
        }
        return false;
    }

    void header(Expression& out) {
        out.kind = follows("[[") ? Expression::Kind::ArrayTable : Expression::Kind::Table;
        const size_t brackets = out.kind == Expression::Kind::ArrayTable ? 2 : 1;
        at_ += brackets;
        key(out.key);
        if (peek() != ']') failed_ = true;
        at_ += brackets;
        out.end = at_;
    }

    void keyValue(Expression& out) {
        out.kind = Expression::Kind::KeyValue;
        key(out.key);
        if (peek() != '=') {
            failed_ = true;
            return;
        }
        ++at_;
        skipBlanks();
        out.valueBegin = at_;
        value();
        out.end = at_;
    }

    void key(std::vector<std::string>& parts) {
        while (true) {
            skipBlanks();
            if (peek() == '"')
                parts.push_back(basicString());
            else if (peek() == '\'')
                parts.push_back(literalString());
            else
                parts.push_back(bareKey());
            skipBlanks();
            if (peek() != '.') return;
            ++at_;
        }
    }

    std::string bareKey() {
        const size_t begin = at_;
        while (at_ < text_.size() &&
               std::string_view(" \t.=]\r\n#\"'").find(peek()) == std::string_view::npos)
            ++at_;
        if (at_ == begin) failed_ = true;
        return std::string(text_.substr(begin, at_ - begin));
    }

    std::string literalString() {
        const size_t close = text_.find('\'', at_ + 1);
        if (close == std::string_view::npos) {
            failed_ = true;
            return "";
        }
        std::string out(text_.substr(at_ + 1, close - at_ - 1));
        at_ = close + 1;
        return out;
    }

    std::string basicString() {
        std::string out;
        for (++at_; at_ < text_.size() && peek() != '"'; ++at_) {
            if (peek() != '\\')
                out += peek();
            else
                escape(out);
        }
        if (at_ >= text_.size()) failed_ = true;
        ++at_;
        return out;
    }

    /// At a backslash; leaves at_ on the last byte of the escape.
    void escape(std::string& out) {
        ++at_;
        const char c = peek();
        if (c == 'x' || c == 'u' || c == 'U') {
            const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
            const std::string hex(text_.substr(at_ + 1, digits));
            const auto code = std::strtoul(hex.c_str(), nullptr, 16);
            out += toUtf8(std::u32string(1, static_cast<char32_t>(code)));
            at_ += digits;
            return;
        }
        static constexpr std::string_view kNames = "btnfre";
        static constexpr std::string_view kCodes = "\b\t\n\f\r\x1b";
        const size_t index = kNames.find(c);
        out += index == std::string_view::npos ? c : kCodes[index];
    }

    void multilineString(std::string_view quotes, bool escapes) {
        at_ += 3;
        while (at_ < text_.size() && !follows(quotes)) at_ += escapes && peek() == '\\' ? 2 : 1;
        at_ += 3;
        // Up to two quotes may stand right before the closing three.
        for (int i = 0; i < 2 && peek() == quotes.front(); ++i) ++at_;
        if (at_ > text_.size()) failed_ = true;
    }

    /// Passes over one value; nested brackets are counted, so that depth costs no stack.
    void value() {
        size_t depth = 0;
        while (at_ < text_.size() && !failed_) {
            const char c = peek();
            if (follows("\"\"\"")) {
                multilineString("\"\"\"", true);
            } else if (follows("'''")) {
                multilineString("'''", false);
            } else if (c == '"') {
                basicString();
            } else if (c == '\'') {
                literalString();
            } else if (c == '[' || c == '{') {
                ++depth;
                ++at_;
            } else if (c == ']' || c == '}') {
                if (depth > 0) --depth;
                ++at_;
            } else if (c == '#' && depth > 0) {
                skipComment();
            } else if (depth == 0 && (c == '#' || c == '\n' || c == '\r')) {
                break;
            } else {
                ++at_;
                continue;
            }
            if (depth == 0) return;
        }
        trimBlanks();
    }

    /// A bare value (number, boolean, date) ends before the blanks that precede a comment.
    void trimBlanks() {
        if (at_ > text_.size()) at_ = text_.size();
        while (at_ > 0 && (text_[at_ - 1] == ' ' || text_[at_ - 1] == '\t')) --at_;
    }

    std::string_view text_;
    size_t at_ = 0;
    bool failed_ = false;
};

}  // namespace

std::vector<Expression> scanExpressions(std::string_view text) { return Scanner(text).run(); }

}  // namespace nodemirror::toml_text
