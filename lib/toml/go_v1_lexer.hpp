#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nodemirror::toml_text {

/// The tokens of go-toml 1.9 (lexer.go), the parser of hosts.toml in containerd 1.6 and 1.7. It
/// accepts and refuses other texts than TOML 1.0, so its rules are followed one by one.
struct GoToken {
    enum class Kind {
        Error,
        End,
        Key,
        TableKey,
        TableArrayKey,
        String,
        True,
        False,
        Number,
        Date,
        Clock,
        Offset,
        Equal,
        Comma,
        LeftBracket,
        RightBracket,
        LeftBrace,
        RightBrace,
        DoubleLeftBracket,
        DoubleRightBracket,
    };
    Kind kind = Kind::End;
    std::string text;
    int line = 1;
};

std::vector<GoToken> lexGoTomlV1(std::string_view bytes);

}  // namespace nodemirror::toml_text
