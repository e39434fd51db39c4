#pragma once

namespace nodemirror {

/// A visitor of a variant: one function for each of its types, none of which can be forgotten.
template <class... Functions>
struct Overloaded : Functions... {
    using Functions::operator()...;
};

}  // namespace nodemirror
