#include "toml/newer_toml.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace nodemirror::toml_text {

namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }

/// Goes through a text that is known to be valid, so that brackets and quotes close.
class Scan {
  public:
    explicit Scan(std::string_view text) : text_(text) {}

    std::optional<SyntaxError> run() {
        while (at_ < text_.size() && found_.empty()) {
            const char c = text_[at_];
            if (c == '"' || c == '\'')
                string(c);
            else if (c == '#')
                comment();
            else
                character(c);
        }
        if (found_.empty()) return std::nullopt;
        SyntaxError out;
        out.message = found_;
        out.line = line_;
        return out;
    }

  private:
    bool inInlineTable() const { return !open_.empty() && open_.back() == '{'; }

    void comment() {
        if (inInlineTable()) found_ = "a comment in an inline table";
        at_ = std::min(text_.find('\n', at_), text_.size());
    }

    void character(char c) {
        if (c == '\n' && inInlineTable()) found_ = "a line end in an inline table";
        if (c == '}' && comma_) found_ = "a comma at the end of an inline table";
        if (c == ':' && isShortTime()) found_ = "a time without seconds";
        if (!found_.empty()) return;
        if (c == '\n') ++line_;
        if (c == '{' || c == '[') open_.push_back(c);
        if ((c == '}' || c == ']') && !open_.empty()) open_.pop_back();
        if (c != ' ' && c != '\t') comma_ = c == ',' && inInlineTable();
        ++at_;
    }

    char around(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

    /// At the colon of hh:mm without another behind it, nor one before: +hh:mm is an offset.
    bool isShortTime() const {
        if (at_ < 2 || !isDigit(text_[at_ - 1]) || !isDigit(text_[at_ - 2])) return false;
        if (!isDigit(around(at_ + 1)) || !isDigit(around(at_ + 2))) return false;
        const char before = at_ > 2 ? text_[at_ - 3] : ' ';
        return around(at_ + 3) != ':' && before != ':' && before != '+' && before != '-';
    }

    void string(char quote) {
        comma_ = false;
        const std::string triple(3, quote);
        const bool multi = text_.substr(at_, 3) == triple;
        at_ += multi ? 3 : 1;
        while (at_ < text_.size() && found_.empty()) {
            if (text_[at_] == '\\' && quote == '"') {
                escape();
            } else if (multi ? text_.substr(at_, 3) == triple : text_[at_] == quote) {
                at_ += multi ? 3 : 1;
                while (multi && around(at_) == quote)
                    ++at_;  // up to two may stand before the three
                return;
            } else {
                if (text_[at_] == '\n') ++line_;
                ++at_;
            }
        }
    }

    void escape() {
        const char escaped = around(at_ + 1);
        if (escaped == 'e' || escaped == 'x') found_ = std::string("the escape \\") + escaped;
        if (escaped == '\n') ++line_;
        at_ += 2;
    }

    std::string_view text_;
    size_t at_ = 0;
    int line_ = 1;
    bool comma_ = false;      ///< the last thing in this inline table was one
    std::vector<char> open_;  ///< brackets
    std::string found_;
};

}  // namespace

std::optional<SyntaxError> firstNewer(std::string_view text) { return Scan(text).run(); }

}  // namespace nodemirror::toml_text
