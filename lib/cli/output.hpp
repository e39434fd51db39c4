#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace nodemirror::cli {

using Document = nlohmann::ordered_json;

/// Exit statuses of nodemirrorctl, for scripts.
enum Exit : int {
    kFine = 0,
    kAnswerIsNo = 1,  ///< invalid, not ready, something to change
    kUsage = 2,       ///< wrong usage or unreadable input
    kNoDaemon = 3,    ///< the daemon cannot be reached
};

enum class Format { Text, Json, Yaml };

/// How to print: the format, whether colour is welcome (a terminal, and no NO_COLOR), and the
/// terminal's width.
struct Output {
    Format format = Format::Text;
    bool colour = false;
    size_t width = 0;  ///< columns; 0 where there is no terminal: lines are left whole for tools
};

Output makeOutput(const std::string& format);

/// Prints a document as indented JSON or as YAML, for the formats that are not text.
/// JSON or YAML, in ASCII: what others wrote does not act on a terminal.
void printDocument(const Output& output, const Document& document);

enum class Colour { None, Good, Bad, Warn, Dim, Bold };
/// The text in that colour when the output has colours. Control characters in it are replaced.
std::string paint(const Output& output, Colour colour, std::string_view text);

/// Prints prose at an indent, broken between words to fit a terminal; `first` is how much of the
/// line is taken already. Not for what people copy, such as commands.
void printProse(const Output& output, Colour colour, std::string_view text, size_t indent,
                size_t first = 0);

/// Rows printed with their columns aligned; widths ignore colours.
class Table {
  public:
    void row(std::vector<std::pair<Colour, std::string>> cells);
    void print(const Output& output, std::string_view indent = "") const;

  private:
    std::vector<std::vector<std::pair<Colour, std::string>>> rows_;
};

/// Prints "nodemirrorctl: <message>" to standard error.
void complain(std::string_view message);

}  // namespace nodemirror::cli
