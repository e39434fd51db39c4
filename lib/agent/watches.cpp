#include "agent/watches.hpp"

#include <fcntl.h>

#include <utility>

namespace nodemirror {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Gives the descriptor to the loop, to be told when something comes.
bool hear(asio::posix::stream_descriptor& ready, UniqueFd fd) {
    error_code error;
    if (fd) ready.assign(fd.get(), error);
    if (!fd || error) return false;
    (void)fd.release();
    return true;
}

/// A duplicate, so that Asio closes its own.
UniqueFd copyOf(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

}  // namespace

Watches::Watches(asio::io_context& io, std::string certsDir, Hooks hooks)
    : certsDir_(std::move(certsDir)),
      hooks_(std::move(hooks)),
      treeReady_(io),
      desiredReady_(io),
      configReady_(io),
      mountsChanged_(io) {
    setConfig({});
}

void Watches::setDesired(std::vector<std::string> files) {
    desiredFiles_ = std::move(files);
    if (desired_) desired_->setFiles(desiredFiles_);
}

void Watches::setConfig(std::vector<std::string> files) {
    configFiles_ = std::move(files);
    // A link on the way to it may come to lead elsewhere, which no watch in it tells.
    configFiles_.push_back(certsDir_);
    if (config_) config_->setFiles(configFiles_);
}

void Watches::open() {
    // Before what it is to tell of: a mount in between is told.
    auto mounts = files::openMountTable();
    auto tree = files::TreeWatch::open(certsDir_);
    auto desired = files::FilesWatch::open();
    auto config = files::FilesWatch::open();
    if (!tree || !desired || !config) {
        error_ = "inotify is not available";
        return;
    }
    if (!hear(treeReady_, copyOf(tree->fd())) || !hear(desiredReady_, copyOf(desired->fd())) ||
        !hear(configReady_, copyOf(config->fd()))) {
        close();
        error_ = "no descriptor is left to watch with";
        return;
    }
    error_.clear();
    tree_.emplace(std::move(*tree));
    desired_.emplace(std::move(*desired));
    config_.emplace(std::move(*config));
    desired_->setFiles(desiredFiles_);
    config_->setFiles(configFiles_);
    follow(treeReady_, [this] { hooks_.tree(tree_->drain()); });
    follow(desiredReady_, [this] {
        if (desired_->drain()) hooks_.desired();
    });
    follow(configReady_, [this] {
        if (config_->drain()) hooks_.config();
    });
    if (hear(mountsChanged_, std::move(mounts))) followMounts();
}

void Watches::close() {
    error_code ignored;
    for (auto* ready : {&treeReady_, &desiredReady_, &configReady_, &mountsChanged_})
        ready->close(ignored);
    tree_.reset();
    desired_.reset();
    config_.reset();
}

std::string Watches::limited() const {
    if (!tree_) return error_;
    for (const std::string* limited :
         {&tree_->limited(), &desired_->limited(), &config_->limited()})
        if (!limited->empty()) return *limited;
    return "";
}

void Watches::watchAgain() {
    if (!tree_) {
        open();
        return;
    }
    if (!tree_->limited().empty()) tree_->watchAgain();
    if (!config_->limited().empty()) config_->setFiles(configFiles_);
}

files::TreeWatch::Changes Watches::drainTree() {
    return tree_ ? tree_->drain() : files::TreeWatch::Changes();
}

void Watches::follow(Descriptor& ready, const std::function<void()>& tell) {
    ready.async_wait(Descriptor::wait_read, [this, &ready, tell](const error_code& error) {
        if (error || !tree_) return;
        tell();
        if (tree_) follow(ready, tell);
    });
}

void Watches::followMounts() {
    mountsChanged_.async_wait(Descriptor::wait_error, [this](const error_code& error) {
        if (error || !tree_) return;
        // First: the kernel tells of a change once, and only to who waits (mounts_poll of
        // fs/proc_namespace.c).
        followMounts();
        hooks_.mounts();
    });
}

}  // namespace nodemirror
