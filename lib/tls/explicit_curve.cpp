#include "tls/explicit_curve.hpp"

namespace nodemirror {

bool hasExplicitCurve(std::string_view der) {
    // 1.2.840.10045.1, and .1 or .2 behind it; without its tag and length, which can be written in
    // several ways.
    constexpr std::string_view kFieldType("\x2a\x86\x48\xce\x3d\x01", 6);
    for (size_t at = der.find(kFieldType); at != std::string_view::npos;
         at = der.find(kFieldType, at + 1)) {
        const size_t next = at + kFieldType.size();
        if (next < der.size() && (der[next] == '\x01' || der[next] == '\x02')) return true;
    }
    return false;
}

}  // namespace nodemirror
