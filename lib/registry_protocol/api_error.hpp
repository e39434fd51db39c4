#pragma once

#include <string>

namespace nodemirror {

/// The first entry of a registry's error body (distribution specification, "Error Codes").
struct ApiError {
    std::string code;  ///< UNAUTHORIZED, DENIED, MANIFEST_UNKNOWN, …; empty when the body has none
    std::string message;
};

ApiError parseApiError(const std::string& body);

}  // namespace nodemirror
