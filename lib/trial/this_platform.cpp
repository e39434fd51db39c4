#include "trial/this_platform.hpp"

#include <sys/utsname.h>

namespace nodemirror {

Platform thisPlatform() {
    utsname name{};
    ::uname(&name);
    const std::string machine = name.machine;
    Platform out{"linux", machine, ""};
    if (machine == "x86_64") out.architecture = "amd64";
    if (machine == "aarch64") out = {"linux", "arm64", "v8"};
    if (machine.rfind("armv7", 0) == 0) out = {"linux", "arm", "v7"};
    if (machine.rfind("armv6", 0) == 0) out = {"linux", "arm", "v6"};
    if (machine.rfind("i", 0) == 0 && machine.size() == 4) out.architecture = "386";
    if (machine == "loongarch64") out.architecture = "loong64";
    return out;
}

}  // namespace nodemirror
