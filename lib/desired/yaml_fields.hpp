#pragma once

#include "desired/desired.hpp"
#include "desired/yaml_tree.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// A value in the YAML with the place and the path of keys that lead to it.
struct Field {
    const YamlNode* node = nullptr;
    std::string key;
};

/// Reads YAML values into C++ ones and gathers every problem with its place, so that all of a
/// file's errors are told at once. A reading that fails records a problem and gives nothing.
class YamlFields {
  public:
    /// The fields of a map by name. Unknown and duplicate keys, and a value that is no map, are
    /// problems.
    std::map<std::string, Field> map(const Field& field, const std::vector<std::string>& known);
    /// The entries of a map whose keys are the user's own, in order; duplicates are problems.
    std::vector<std::pair<std::string, Field>> entries(const Field& field);
    std::vector<Field> list(const Field& field);

    std::optional<std::string> string(const Field& field);
    std::vector<std::string> strings(const Field& field);
    std::optional<bool> boolean(const Field& field);
    std::optional<int> integer(const Field& field, int least, int most);
    std::optional<Duration> duration(const Field& field);
    /// The index of the word in `words`.
    std::optional<size_t> oneOf(const Field& field, const std::vector<std::string>& words);

    void problem(const Field& field, std::string message);
    void problemAt(const YAML::Mark& mark, std::string key, std::string message);
    const std::vector<Problem>& problems() const { return problems_; }
    /// The problems in the order of the file.
    std::vector<Problem> takeProblems();

  private:
    /// Counts values that are gone through. False where there have been too many.
    bool visit(const Field& field, size_t count);
    bool enough() const { return problems_.size() >= kMostProblems; }
    bool mayGoOn() const { return !enough() && visited_ <= kMostValues; }

    static constexpr size_t kMostProblems = 1000;
    std::vector<Problem> problems_;
    size_t more_ = 0;  ///< problems that are not kept
    size_t visited_ = 0;
};

/// `parent.child`, with quotes around a child that has a dot or another odd character.
std::string childKey(const std::string& parent, const std::string& child);

}  // namespace nodemirror
