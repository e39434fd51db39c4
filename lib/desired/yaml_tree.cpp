#include "desired/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>
#include <string_view>

namespace nodemirror {

bool YamlNode::hasKey(const std::string& name) const {
    for (size_t i = 0; isMap() && i < items.size(); i += 2)
        if (items[i]->isScalar() && items[i]->text == name) return true;
    return false;
}

/// Builds the tree of one document from the parser's events.
class YamlTreeBuilder : public YAML::EventHandler {
  public:
    explicit YamlTreeBuilder(YamlTree& tree) : tree_(tree) {}

    YAML::Mark start = YAML::Mark::null_mark();  ///< of the document

    void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        add(YamlNode::Kind::Null, mark, anchor);
    }
    void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override { place(anchors_.at(anchor)); }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        YamlNode& node = add(YamlNode::Kind::Scalar, mark, anchor);
        node.quoted = tag == "!";
        node.text = value;
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open_.push_back(&add(YamlNode::Kind::Sequence, mark, anchor));
    }
    void OnSequenceEnd() override { open_.pop_back(); }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open_.push_back(&add(YamlNode::Kind::Map, mark, anchor));
    }
    void OnMapEnd() override { open_.pop_back(); }

  private:
    YamlNode& add(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (tree_.nodes_.size() >= kMostValues) throw TooManyValues(mark);
        YamlNode& node = tree_.nodes_.emplace_back();
        node.kind = kind;
        node.mark = mark;
        place(&node);
        if (anchor != YAML::NullAnchor) {
            if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
            anchors_[anchor] = &node;
        }
        return node;
    }

    void place(const YamlNode* node) {
        if (open_.empty())
            tree_.root_ = node;
        else
            open_.back()->items.push_back(node);
    }

    YamlTree& tree_;
    std::vector<YamlNode*> open_;
    std::vector<const YamlNode*> anchors_;  ///< by their numbers, which begin with 1
};

namespace {

bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Counts what is between brackets. Outside of them quotes are letters like others, inside of them
/// a word in quotes is one.
class BracketCount {
  public:
    void read(char c) {
        if (quote_ == 0)
            readOutsideQuotes(c);
        else if (!isEscaped(c) && c == quote_)
            quote_ = 0;
        here_.column = c == '\n' ? 0 : here_.column + 1;
        here_.line += c == '\n' ? 1 : 0;
        ++here_.pos;
        before_ = c;
    }

  private:
    static bool isSign(char c) {
        static constexpr std::string_view kSigns = "[]{},:\"'";
        return kSigns.find(c) != std::string_view::npos;
    }

    bool isEscaped(char c) {
        escaped_ = quote_ == '"' && !escaped_ && before_ == '\\' && c != '\n';
        return escaped_;
    }

    void readOutsideQuotes(char c) {
        comment_ = c != '\n' && (comment_ || (c == '#' && isBlank(before_)));
        if (comment_ || isBlank(c)) return;
        if ((c == '[' || c == '{') && depth_++ == 0) {
            opened_ = here_;
            words_ = 0;
        }
        if (depth_ == 0) return;
        const bool begins = isBlank(before_) || isSign(before_);
        if ((begins || isSign(c)) && ++words_ > kMostInBrackets)
            throw TooManyValues(opened_,
                                "has more between this bracket and its end than a desired state "
                                "may have: it may be left open; what is so long is written in "
                                "block style");
        if (begins && (c == '"' || c == '\'')) quote_ = c;
        if (c == ']' || c == '}') --depth_;
    }

    YAML::Mark here_;
    YAML::Mark opened_;
    size_t depth_ = 0;
    size_t words_ = 0;
    bool comment_ = false;
    bool escaped_ = false;
    char quote_ = 0;
    char before_ = '\n';
};

}  // namespace

bool isIndentedWithTab(std::string_view yaml, const YAML::Mark& mark) {
    if (mark.pos < 0 || static_cast<size_t>(mark.pos) > yaml.size()) return false;
    const size_t newline = yaml.substr(0, static_cast<size_t>(mark.pos)).rfind('\n');
    const std::string_view line = yaml.substr(newline == std::string_view::npos ? 0 : newline + 1);
    return line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

YamlTree::YamlTree(const std::string& text) {
    BracketCount brackets;
    for (const char c : text) brackets.read(c);
    std::istringstream in(text);
    YAML::Parser parser(in);
    YamlTreeBuilder first(*this);
    if (!parser.HandleNextDocument(first)) return;
    YamlTree ignored;
    YamlTreeBuilder further(ignored);
    if (!parser.HandleNextDocument(further)) return;
    if (further.start.pos == first.start.pos)
        throw YAML::ParserException(first.start, "something that begins no value");
    second_ = further.start;
}

}  // namespace nodemirror
