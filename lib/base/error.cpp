#include "base/error.hpp"

#include <system_error>
#include <utility>

namespace nodemirror {

Error::Error(std::string context, std::string object, std::string reason, std::string remedy)
    : context_(std::move(context)),
      object_(std::move(object)),
      reason_(std::move(reason)),
      remedy_(std::move(remedy)) {}

std::string Error::brief() const {
    return "cannot " + context_ + (object_.empty() ? "" : " " + object_) + ": " + reason_;
}

std::string Error::text() const {
    std::string out = brief();
    if (!remedy_.empty()) out += "; " + remedy_;
    return out;
}

Error Error::system(std::string context, std::string object, int code) {
    return {std::move(context), std::move(object), std::generic_category().message(code)};
}

}  // namespace nodemirror
