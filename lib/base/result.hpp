#pragma once

#include "base/error.hpp"

#include <boost/system/result.hpp>

namespace nodemirror {

/// A value, or the Error that kept it from being had. Expected failures travel this way;
/// exceptions are for bugs and for startup.
template <class T>
using Result = boost::system::result<T, Error>;

/// Found by boost::system::result when value() is called on an error.
[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
    throw BadResult(error);
}

/// Something that was looked for and may be there or not; or nobody could look, and then why.
/// `Unknown` is never treated as absent: it never leads to a removal.
template <class T>
class Seen {
  public:
    enum class State { Unknown, Absent, Known };

    Seen() = default;
    static Seen known(T value) {
        Seen seen;
        seen.state_ = State::Known;
        seen.value_ = std::move(value);
        return seen;
    }
    static Seen absent() {
        Seen seen;
        seen.state_ = State::Absent;
        return seen;
    }
    static Seen unknown(std::string why) {
        Seen seen;
        seen.why_ = std::move(why);
        return seen;
    }

    State state() const { return state_; }
    bool isKnown() const { return state_ == State::Known; }
    bool isAbsent() const { return state_ == State::Absent; }
    bool isUnknown() const { return state_ == State::Unknown; }
    const T& value() const { return value_; }
    T& value() { return value_; }
    /// Why it could not be looked at; empty unless unknown.
    const std::string& why() const { return why_; }

  private:
    State state_ = State::Unknown;
    T value_{};
    std::string why_;
};

}  // namespace nodemirror
