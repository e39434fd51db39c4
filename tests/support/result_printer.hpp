#pragma once

#include "base/result.hpp"

#include <catch2/catch.hpp>

/// How Catch shows a Result: by its error, where it has one.
template <class T>
struct Catch::StringMaker<boost::system::result<T, nodemirror::Error>> {
    static std::string convert(const boost::system::result<T, nodemirror::Error>& result) {
        return result.has_error() ? result.error().text() : "a value";
    }
};
