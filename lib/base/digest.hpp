#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace nodemirror {

/// SHA-256 of bytes that come piece by piece.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    void add(std::string_view bytes);
    /// As 64 lower-case hexadecimal digits. Ends the sum.
    std::string hex();

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

/// SHA-256 of the bytes, as 64 lower-case hexadecimal digits.
std::string sha256Hex(std::string_view bytes);

/// RFC 4648, section 4.
std::string base64(std::string_view bytes);

}  // namespace nodemirror
