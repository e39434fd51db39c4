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

/// Brackets in quotes count as well: it is no more than an estimate.
void refuseEndlessBrackets(const std::string& text) {
    static constexpr std::string_view kSigns = "[]{},:\"'";
    const auto isSign = [](char c) { return kSigns.find(c) != std::string_view::npos; };
    YAML::Mark here;
    YAML::Mark opened;
    size_t depth = 0;
    size_t words = 0;
    bool comment = false;
    char before = '\n';
    for (const char c : text) {
        comment = c != '\n' && (comment || (c == '#' && isBlank(before)));
        const bool opens = !comment && (c == '[' || c == '{');
        if (opens && depth++ == 0) {
            opened = here;
            words = 0;
        }
        const bool begins = isSign(c) || isBlank(before) || isSign(before);
        if (depth > 0 && !comment && !isBlank(c) && begins && ++words > kMostInBrackets)
            throw YAML::ParserException(
                opened, "a bracket that is not closed within what a desired state may have");
        if (!comment && depth > 0 && (c == ']' || c == '}')) --depth;
        ++here.pos;
        here.column = c == '\n' ? 0 : here.column + 1;
        here.line += c == '\n' ? 1 : 0;
        before = c;
    }
}

}  // namespace

YamlTree::YamlTree(const std::string& text) {
    refuseEndlessBrackets(text);
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
