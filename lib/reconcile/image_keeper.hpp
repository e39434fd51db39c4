#pragma once

#include "plan/image_plan.hpp"
#include "plan/reason.hpp"
#include "ports/containerd.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Keeps image names present and pinned. A pull may take minutes: each runs on its own, so that
/// nothing waits for it, and `changed` is called when it ended. Pause images are pulled at once,
/// others two at a time.
class ImageKeeper {
  public:
    ImageKeeper(boost::asio::io_context& io, Containerd& containerd, std::function<void()> changed)
        : io_(io), containerd_(containerd), changed_(std::move(changed)) {}

    /// Starts what the plan asks for, as far as it is due, not under way, and its turn.
    Task<void> apply(ImagePlan plan);

    /// Tries what failed again at the next apply.
    void forgetFailures();
    bool busy() const { return underWay_ > 0; }
    /// When an image that was missing at the last apply is to be tried again; the epoch when none
    /// is.
    SteadyTime due() const;
    /// Why a name is not there; empty when that is not known.
    std::string error(const std::string& name) const;
    /// From which name a pause image last came.
    const std::string& lastSource() const { return lastSource_; }
    /// How many names were brought back.
    size_t ensured() const { return ensured_; }

  private:
    struct Attempt {
        bool underWay = false;
        int failures = 0;
        SteadyTime retryAt;
        std::string error;
        SteadyTime broughtAt;  ///< the epoch: not from here
        int removals = 0;      ///< soon after it was brought, one after the other
    };
    bool wasRemovedSoon(const RequiredImage& image, Attempt& attempt, SteadyTime now);
    void spawn(const RequiredImage& image);
    void finished(const RequiredImage& image, const Result<std::string>& source);
    Task<Result<std::string>> ensure(RequiredImage image);
    Task<Result<void>> checkDigest(std::string name, std::string source);
    Task<Result<void>> bring(RequiredImage image, std::string source);
    Task<bool> resolves(std::string name);

    boost::asio::io_context& io_;
    Containerd& containerd_;
    std::function<void()> changed_;
    std::map<std::string, Attempt> attempts_;
    std::map<std::string, bool> missing_;  ///< of the last plan; true: a pause image
    std::string lastSource_;
    size_t ensured_ = 0;
    int underWay_ = 0;
    int pulls_ = 0;  ///< of those, what is no pause image
};

}  // namespace nodemirror
