/// Joins a target to libFuzzer; NODEMIRROR_FUZZ names it.
#include "targets.hpp"

#include <cstdint>

namespace {

void (*target)(std::string_view) = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    const char* name = std::getenv("NODEMIRROR_FUZZ");
    const auto found = nodemirror::fuzz::kTargets.find(name == nullptr ? "" : name);
    nodemirror::fuzz::expect(found != nodemirror::fuzz::kTargets.end(),
                             "NODEMIRROR_FUZZ names a target");
    target = found->second;
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    target(std::string_view(reinterpret_cast<const char*>(data), size));
    return 0;
}
