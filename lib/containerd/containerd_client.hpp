#pragma once

#include "ports/containerd.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// containerd over gRPC on its unix socket. Everything runs on the io_context.
class ContainerdClient : public Containerd {
  public:
    ContainerdClient(boost::asio::io_context& context, std::string socket);
    ~ContainerdClient() override;
    ContainerdClient(const ContainerdClient&) = delete;
    ContainerdClient& operator=(const ContainerdClient&) = delete;

    Task<Result<std::string>> version() override;
    Task<Result<CriState>> criState() override;
    Task<Result<ObservedImage>> image(std::string name) override;
    Task<Result<void>> pull(std::string name, std::chrono::seconds timeout) override;
    Task<Result<void>> tag(std::string source, std::string target, bool pinned) override;
    Task<Result<bool>> removeAlone(std::string name) override;
    Task<Result<void>> pin(std::string name) override;
    int processId() override;

    /// All image records in namespace k8s.io. `resolves` and `id` are not looked up.
    Task<Result<std::vector<ObservedImage>>> images();

    /// Subscribes to changes of images in namespace k8s.io. `changed` runs on the io_context for
    /// every event; what happened before containerd listens is not replayed, and it does not say
    /// when it does. Gives the reason when the stream ends.
    Task<Error> watchImages(std::function<void()> changed);

    /// Cancels every call that is under way; later calls fail at once.
    void stop();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nodemirror
