#pragma once

#include "files/tree_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// Tells of changes to the files that the daemon lives by, and to the table of mounts. The hooks
/// are called on the loop, never from within a call of this, and not after close().
class Watches {
  public:
    struct Hooks {
        std::function<void(const files::TreeWatch::Changes&)> tree;
        std::function<void()> desired;  ///< one of its files changed, or is being written
        std::function<void()> config;   ///< one of containerd's files, or the way to certs.d
        std::function<void()> mounts;   ///< something was mounted or unmounted, anywhere
    };

    Watches(boost::asio::io_context& io, std::string certsDir, Hooks hooks);

    /// The files to watch, from now on or from open().
    void setDesired(std::vector<std::string> files);
    void setConfig(std::vector<std::string> files);

    /// What changed before this is to be looked for by whoever calls.
    void open();
    void close();
    /// Why not everything is watched (fs.inotify.max_user_instances, for one): then nothing may
    /// tell of a change. Empty if everything is.
    std::string limited() const;
    /// What could not be watched for want of resources may be now.
    void watchAgain();

    /// What happened in certs.d and was not told yet.
    files::TreeWatch::Changes drainTree();
    /// Whether something else lies there now, as after a mount or a link that was changed. It is
    /// watched from then on.
    bool treeMoved() { return tree_ && tree_->moved(); }
    bool desiredMoved() { return desired_ && desired_->moved(); }
    bool configMoved() { return config_ && config_->moved(); }

  private:
    using Descriptor = boost::asio::posix::stream_descriptor;
    void follow(Descriptor& ready, const std::function<void()>& tell);
    void followMounts();

    std::string certsDir_;
    Hooks hooks_;
    std::vector<std::string> desiredFiles_;
    std::vector<std::string> configFiles_;
    std::optional<files::TreeWatch> tree_;
    std::optional<files::FilesWatch> desired_;
    std::optional<files::FilesWatch> config_;
    Descriptor treeReady_;
    Descriptor desiredReady_;
    Descriptor configReady_;
    Descriptor mountsChanged_;
    std::string error_;  ///< why nothing is watched
};

}  // namespace nodemirror
