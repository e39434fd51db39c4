#pragma once

#include "containerd_config/version.hpp"

namespace nodemirror {

/// One containerd of each of the ways in which their readers and their resolvers differ.
inline constexpr ContainerdVersion k16{1, 6, 20};
inline constexpr ContainerdVersion k17{1, 7, 24};
inline constexpr ContainerdVersion k21{2, 1, 9};
inline constexpr ContainerdVersion k22{2, 2, 0};

}  // namespace nodemirror
