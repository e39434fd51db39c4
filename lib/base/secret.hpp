#pragma once

#include <string>
#include <utility>

namespace nodemirror {

/// A value that may reach a file made for it (mode 0600) and nothing else. It has no stream or
/// JSON conversion, so that it cannot get into a log, a status or an error by accident.
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    const std::string& reveal() const { return value_; }
    bool operator==(const Secret&) const = default;

  private:
    std::string value_;
};

}  // namespace nodemirror
