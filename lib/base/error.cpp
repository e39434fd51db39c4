#include "base/error.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

namespace nodemirror {

Error::Error(std::string context, std::string object, std::string reason, std::string remedy)
    : context_(std::move(context)),
      object_(std::move(object)),
      reason_(std::move(reason)),
      remedy_(std::move(remedy)) {}

std::string Error::brief() const {
    return "cannot " + context_ + (object_.empty() ? "" : " " + object_) + ": " + reason_;
}

std::string Error::text() const {
    std::string out = brief();
    if (!remedy_.empty()) out += "; " + remedy_;
    return out;
}

Error Error::system(std::string context, std::string object, int code) {
    Error out(std::move(context), std::move(object), std::generic_category().message(code));
    out.code_ = code;
    return out;
}

namespace {

/// For what the caller of a system call can do nothing about.
std::string remedyFor(int code, const std::string& path) {
    switch (code) {
        case ENOSPC:
        case EDQUOT: return "make room on the file system of " + path;
        case EROFS:
            return "make its file system writable: findmnt -T " + path +
                   "; the service writes below /etc alone, and where ReadWritePaths= of its unit "
                   "says so (systemctl edit nodemirrord)";
        case EPERM:
            return "it, or a directory above it, may be immutable: lsattr -d " + path +
                   "; chattr -i ends that";
        case EACCES:
            return "let root have access to it, which the service has to nothing below /root, "
                   "/home and /run/user: namei -l " +
                   path;
        default: return "";
    }
}

}  // namespace

Error Error::inWords(std::string reason, std::string remedy) const {
    Error out = *this;
    out.reason_ = std::move(reason);
    out.remedy_ = std::move(remedy);
    return out;
}

Error Error::of(std::string object) const {
    Error out = *this;
    out.object_ = std::move(object);
    return out;
}

Error Error::during(std::string context, std::string object) const {
    Error out = of(std::move(object));
    out.context_ = std::move(context);
    return out;
}

Error Error::at(std::string path) const {
    Error out = of(std::move(path));
    if (out.remedy_.empty()) out.remedy_ = remedyFor(code_, out.object_);
    return out;
}

Error Error::unreachable(std::string context, std::string object, std::string reason) {
    Error out(std::move(context), std::move(object), std::move(reason));
    out.unreachable_ = true;
    return out;
}

Error Error::passing(std::string context, std::string object, std::string reason,
                     std::string remedy) {
    Error out(std::move(context), std::move(object), std::move(reason), std::move(remedy));
    out.code_ = EAGAIN;
    return out;
}

Error Error::unanswered(std::string context, std::string object, std::string reason) {
    Error out(std::move(context), std::move(object), std::move(reason));
    out.unanswered_ = true;
    return out;
}

bool Error::transient() const {
    switch (code_) {
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
        case EAGAIN:
        case EINTR:
        case EIO:
        case ESTALE: return true;
        default: return false;
    }
}

}  // namespace nodemirror
