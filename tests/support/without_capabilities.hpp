#pragma once

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace nodemirror {

/// Root without any capability, as the service runs, for as long as it lives (capabilities(7): the
/// permitted set stays, so that it can be undone).
class WithoutCapabilities {
  public:
    WithoutCapabilities() {
        if (::syscall(SYS_capget, &header_, before_) != 0) std::abort();
        __user_cap_data_struct none[2] = {before_[0], before_[1]};
        none[0].effective = none[1].effective = 0;
        if (::syscall(SYS_capset, &header_, none) != 0) std::abort();
    }
    ~WithoutCapabilities() {
        if (::syscall(SYS_capset, &header_, before_) != 0) std::abort();
    }
    WithoutCapabilities(const WithoutCapabilities&) = delete;
    WithoutCapabilities& operator=(const WithoutCapabilities&) = delete;

  private:
    __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct before_[2] = {};
};

}  // namespace nodemirror
