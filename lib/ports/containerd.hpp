#pragma once

#include "base/result.hpp"
#include "observed/node.hpp"
#include "ports/task.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace nodemirror {

/// What the daemon asks of containerd. Every call has a deadline of its own and ends when the
/// client is stopped.
class Containerd {
  public:
    virtual ~Containerd() = default;

    /// The version as containerd says it ("1.6.20~ds1").
    virtual Task<Result<std::string>> version() = 0;
    /// Whether CRI is loaded, and if not, containerd's own reason. An Error: it cannot be asked.
    virtual Task<Result<CriState>> criState() = 0;
    virtual Task<Result<ObservedImage>> image(std::string name) = 0;
    /// Pulls by CRI, as kubelet does, through whatever hosts containerd is configured with.
    virtual Task<Result<void>> pull(std::string name, std::chrono::seconds timeout) = 0;
    /// Gives an image that has the record `source` the further name `target`, with the labels of
    /// CRI's own images, pinned or not. Never removes a name, not even for an instant.
    virtual Task<Result<void>> tag(std::string source, std::string target, bool pinned) = 0;
    /// Removes an image unless something else refers to it: another name, or a container. Says
    /// whether it was removed; an image that is not there is none.
    virtual Task<Result<bool>> removeAlone(std::string name) = 0;
    /// Sets the pin label on an image record.
    virtual Task<Result<void>> pin(std::string name) = 0;
    /// The process id of the containerd that listens on the socket; 0 when it cannot be known.
    virtual int processId() = 0;
};

}  // namespace nodemirror
