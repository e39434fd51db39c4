#include "cli/output.hpp"

#include "base/text.hpp"

#include <sys/ioctl.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace nodemirror::cli {

Output makeOutput(const std::string& format) {
    Output output;
    if (format == "json") output.format = Format::Json;
    if (format == "yaml") output.format = Format::Yaml;
    const char* noColour = std::getenv("NO_COLOR");
    const bool refused = noColour != nullptr && *noColour != '\0';
    const bool terminal = output.format == Format::Text && isatty(STDOUT_FILENO) == 1;
    output.colour = terminal && !refused;
    winsize size{};
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) output.width = size.ws_col;
    return output;
}

namespace {

void emit(YAML::Emitter& out, const Document& value) {
    switch (value.type()) {
        case Document::value_t::object:
            out << YAML::BeginMap;
            for (const auto& [key, child] : value.items()) {
                out << YAML::Key << key << YAML::Value;
                emit(out, child);
            }
            out << YAML::EndMap;
            break;
        case Document::value_t::array:
            if (value.empty()) out << YAML::Flow;
            out << YAML::BeginSeq;
            for (const auto& child : value) emit(out, child);
            out << YAML::EndSeq;
            break;
        case Document::value_t::string: {
            const auto& text = value.get_ref<const std::string&>();
            out << YAML::DoubleQuoted << text;
            break;
        }
        case Document::value_t::null: out << YAML::Null; break;
        default: out << value.dump(); break;
    }
}

}  // namespace

void printDocument(const Output& output, const Document& document) {
    if (output.format == Format::Json) {
        std::cout << document.dump(2, ' ', true, Document::error_handler_t::replace) << "\n";
        return;
    }
    YAML::Emitter out;
    out.SetOutputCharset(YAML::EscapeNonAscii);
    emit(out, document);
    std::cout << out.c_str() << "\n";
}

std::string paint(const Output& output, Colour colour, std::string_view text) {
    const std::string safe = oneLine(text);
    if (!output.colour || colour == Colour::None || safe.empty()) return safe;
    const char* code = "";
    switch (colour) {
        case Colour::Good: code = "32"; break;
        case Colour::Bad: code = "31"; break;
        case Colour::Warn: code = "33"; break;
        case Colour::Dim: code = "2"; break;
        case Colour::Bold: code = "1"; break;
        case Colour::None: break;
    }
    return std::string("\x1b[") + code + "m" + safe + "\x1b[0m";
}

void printProse(const Output& output, Colour colour, std::string_view text, size_t indent,
                size_t first) {
    constexpr size_t kNarrowest = 40;
    const size_t width = output.width >= kNarrowest ? output.width : SIZE_MAX;
    std::string line(first == 0 ? indent : 0, ' ');
    size_t column = std::max(first, indent);
    std::string words;
    const auto flush = [&] {
        std::cout << line << paint(output, colour, words) << "\n";
        line.assign(indent, ' ');
        words.clear();
        column = indent;
    };
    for (const auto& word : split(oneLine(text), ' ')) {
        const size_t gap = words.empty() ? 0 : 1;
        if (column > indent && column + gap + word.size() > width) flush();
        column += word.size() + (words.empty() ? 0 : 1);
        words += (words.empty() ? "" : " ") + word;
    }
    flush();
}

void Table::row(std::vector<std::pair<Colour, std::string>> cells) {
    rows_.push_back(std::move(cells));
}

void Table::print(const Output& output, std::string_view indent) const {
    std::vector<size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], row[i].second.size());
    }
    for (const auto& row : rows_) {
        std::string line(indent);
        for (size_t i = 0; i < row.size(); ++i) {
            line += paint(output, row[i].first, row[i].second);
            if (i + 1 < row.size()) line += std::string(widths[i] - row[i].second.size() + 2, ' ');
        }
        while (!line.empty() && line.back() == ' ') line.pop_back();
        std::cout << line << "\n";
    }
}

void complain(std::string_view message) {
    std::cerr << "nodemirrorctl: " << oneLine(message) << "\n";
}

}  // namespace nodemirror::cli
