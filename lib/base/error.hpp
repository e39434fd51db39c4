#pragma once

#include <stdexcept>
#include <string>

namespace nodemirror {

/// What went wrong, in the four parts that a reader needs: what was being done, to what, why it
/// failed, and what would mend it (may be empty). Never carries a secret.
class Error {
  public:
    Error() = default;
    Error(std::string context, std::string object, std::string reason, std::string remedy = "");

    const std::string& context() const { return context_; }
    const std::string& object() const { return object_; }
    const std::string& reason() const { return reason_; }
    const std::string& remedy() const { return remedy_; }

    /// The errno value of a failed system call, or 0.
    int code() const { return code_; }
    /// Whether the same may succeed in a moment with nothing changed: descriptors or memory had run
    /// out, or a device failed.
    bool transient() const;

    /// Whether whoever was asked could not be reached, so that nothing is known of the object.
    bool unreachable() const { return unreachable_; }
    /// Whether what was asked for may have been done all the same: it was asked, no answer came.
    bool unanswered() const { return unanswered_; }

    /// "cannot <context> <object>: <reason>"
    std::string brief() const;
    /// The same with "; <remedy>".
    std::string text() const;

    /// The same of another object.
    Error of(std::string object) const;
    /// The same in words that tell more than errno does.
    Error inWords(std::string reason, std::string remedy) const;
    /// The same failure of something larger that it was a part of.
    Error during(std::string context, std::string object) const;
    /// The same of a path that a reader can find, with what would mend it where errno tells that.
    Error at(std::string path) const;

    /// An Error for a failed system call; `code` is an errno value.
    static Error system(std::string context, std::string object, int code);
    /// An Error of which unreachable() is true.
    static Error unreachable(std::string context, std::string object, std::string reason);
    /// An Error of which transient() is true: somebody else's doing is in the way for a while.
    static Error passing(std::string context, std::string object, std::string reason,
                         std::string remedy);
    /// An Error of which unanswered() is true.
    static Error unanswered(std::string context, std::string object, std::string reason);

  private:
    std::string context_;
    std::string object_;
    std::string reason_;
    std::string remedy_;
    int code_ = 0;
    bool unreachable_ = false;
    bool unanswered_ = false;
};

/// Thrown only by Result::value() on an error: a bug, since expected failures are tested for.
class BadResult : public std::logic_error {
  public:
    explicit BadResult(const Error& error) : std::logic_error(error.text()) {}
};

}  // namespace nodemirror
