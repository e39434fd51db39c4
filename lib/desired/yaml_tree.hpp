#pragma once

#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

/// A value in a YAML document. An alias is the same node once more, which may be one of those
/// around it: walk it by a schema, never to its end.
struct YamlNode {
    enum class Kind { Null, Scalar, Sequence, Map };
    Kind kind = Kind::Null;
    bool quoted = false;  ///< a scalar in quotes, which is a text whatever it looks like
    YAML::Mark mark;
    std::string text;  ///< of a scalar
    /// Of a sequence; of a map the keys, each followed by its value.
    std::vector<const YamlNode*> items;

    bool isNull() const { return kind == Kind::Null; }
    bool isScalar() const { return kind == Kind::Scalar; }
    bool isSequence() const { return kind == Kind::Sequence; }
    bool isMap() const { return kind == Kind::Map; }
    bool hasKey(const std::string& name) const;
};

/// The most values of a document, and of a walk over it, in which each alias counts with all that
/// is below it: 10,000 registries of four mirrors with every option have about a million.
inline constexpr size_t kMostValues = 2'000'000;

/// A document has more than kMostValues.
class TooManyValues : public YAML::ParserException {
  public:
    explicit TooManyValues(const YAML::Mark& place,
                           const std::string& what = "more values than a desired state may have")
        : YAML::ParserException(place, what) {}
};

/// The most words and signs between a bracket ([ or {) and the one that closes it. yaml-cpp keeps
/// them all until then (Scanner::EnsureTokensInQueue), with 200 bytes each and more.
inline constexpr size_t kMostInBrackets = 1'200'000;

/// Whether the line is, at which yaml-cpp found a mistake: what it says then speaks of something
/// else.
bool isIndentedWithTab(std::string_view yaml, const YAML::Mark& mark);

/// The first document of a text, read in one pass. yaml-cpp's own nodes are several allocations
/// each, which counts where there are thousands of registries; and its LoadAll finds documents
/// without end in a text such as ",".
class YamlTree {
  public:
    /// Throws YAML::Exception for what is no YAML.
    explicit YamlTree(const std::string& text);

    /// Null where there is no document. Lives as long as the tree.
    const YamlNode* root() const { return root_; }
    /// Where a second document begins.
    const std::optional<YAML::Mark>& second() const { return second_; }

  private:
    friend class YamlTreeBuilder;
    YamlTree() = default;
    std::deque<YamlNode> nodes_;
    const YamlNode* root_ = nullptr;
    std::optional<YAML::Mark> second_;
};

}  // namespace nodemirror
