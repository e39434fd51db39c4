#include "containerd/containerd_client.hpp"

#include "base/text.hpp"
#include "containerd/rpc_channel.hpp"
#include "containerd_events.pb.h"
#include "containerd_images.pb.h"
#include "containerd_introspection.pb.h"
#include "containerd_version.pb.h"
#include "cri.pb.h"

#include <nlohmann/json.hpp>
#include <sys/socket.h>

namespace nodemirror {

namespace images = containerd::services::images::v1;
namespace introspection = containerd::services::introspection::v1;
namespace cri = runtime::v1;

namespace {

using std::chrono::seconds;

constexpr seconds kShort{10};  // what containerd answers from memory or its own database

constexpr char kManagedLabel[] = "io.cri-containerd.image";
constexpr char kManaged[] = "managed";
constexpr char kPinnedLabel[] = "io.cri-containerd.pinned";
constexpr char kPinned[] = "pinned";

Error failed(std::string doing, std::string object, const RpcStatus& status) {
    std::string reason = shortened(oneLine(status.message), 4000);
    if (status.code == RpcStatus::DeadlineExceeded) reason = "containerd did not answer in time";
    if (status.code == RpcStatus::Unavailable)
        return Error::unreachable(std::move(doing), std::move(object),
                                  "containerd cannot be reached (" + reason + ")");
    return {std::move(doing), std::move(object), std::move(reason)};
}

/// What a call came to.
template <class Response>
struct Reply {
    RpcStatus status;
    Response message;
};

/// The registry's part of CRI's verbose configuration. The rest, which holds passwords, is dropped
/// here and goes nowhere.
Seen<LiveCriConfig> liveConfig(const std::string& text) {
    using Answer = Seen<LiveCriConfig>;
    constexpr size_t kLargest = 1 << 20;
    const auto json =
        text.size() > kLargest ? nlohmann::json() : nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("registry") || !json["registry"].is_object())
        return Answer::unknown("this containerd does not show its registry configuration");
    LiveCriConfig live;
    const auto& registry = json["registry"];
    if (registry.contains("configPath") && registry["configPath"].is_string())
        live.configPath = registry["configPath"].get<std::string>();
    if (json.contains("sandboxImage") && json["sandboxImage"].is_string())
        live.sandboxImage = json["sandboxImage"].get<std::string>();
    return Answer::known(std::move(live));
}

}  // namespace

struct ContainerdClient::Impl {
    Impl(boost::asio::io_context& io, std::string socket) : channel(io, std::move(socket)) {}

    RpcChannel channel;

    /// `method` with its package and service: runtime.v1.ImageService/PullImage.
    template <class Response, class Request>
    Task<Reply<Response>> call(std::string method, Request request,
                               std::chrono::milliseconds timeout = kShort) {
        auto task = channel.call("/" + method, request.SerializeAsString(), timeout);
        const RpcChannel::Reply answer = co_await std::move(task);
        Reply<Response> out;
        out.status = answer.status;
        if (out.status.ok() && !out.message.ParseFromString(answer.message))
            out.status = {RpcStatus::Internal, "the answer to " + method + " cannot be decoded"};
        co_return out;
    }

    Task<Result<std::string>> initError();
    Task<Result<images::Image>> record(std::string name);
    Task<Result<bool>> isUsed(std::string id, std::string name);
    Task<RpcStatus> update(images::Image image, std::vector<std::string> paths);
};

ContainerdClient::ContainerdClient(boost::asio::io_context& context, std::string socket)
    : impl_(std::make_unique<Impl>(context, std::move(socket))) {}

ContainerdClient::~ContainerdClient() = default;

void ContainerdClient::stop() { impl_->channel.stop(); }

Task<Result<std::string>> ContainerdClient::version() {
    namespace api = containerd::services::version::v1;
    auto task = impl_->call<api::VersionResponse>("containerd.services.version.v1.Version/Version",
                                                  api::VersionRequest());
    const auto reply = co_await std::move(task);
    if (!reply.status.ok()) co_return failed("ask containerd for", "its version", reply.status);
    co_return reply.message.version();
}

/// Why CRI is not loaded, in containerd's own words; empty when no plugin of CRI says.
Task<Result<std::string>> ContainerdClient::Impl::initError() {
    introspection::PluginsRequest request;
    request.add_filters("type==io.containerd.grpc.v1,id==cri");
    request.add_filters("type==io.containerd.cri.v1");
    auto task = call<introspection::PluginsResponse>(
        "containerd.services.introspection.v1.Introspection/Plugins", std::move(request));
    const auto reply = co_await std::move(task);
    if (!reply.status.ok()) co_return failed("ask containerd for", "its plugins", reply.status);
    std::string own;
    std::string dependent;
    for (const auto& plugin : reply.message.plugins()) {
        if (plugin.init_err().message().empty()) continue;
        // In 2.x grpc.v1.cri only says that a plugin which it needs is missing.
        (plugin.type() == "io.containerd.cri.v1" ? own : dependent) = plugin.init_err().message();
    }
    if (reply.message.plugins().empty())
        co_return std::string("the CRI plugin is disabled (disabled_plugins in config.toml)");
    co_return shortened(oneLine(own.empty() ? dependent : own), 4000);
}

Task<Result<CriState>> ContainerdClient::criState() {
    cri::StatusRequest request;
    request.set_verbose(true);
    auto task =
        impl_->call<cri::StatusResponse>("runtime.v1.RuntimeService/Status", std::move(request));
    const auto reply = co_await std::move(task);
    CriState out;
    if (reply.status.ok()) {
        out.ready = true;
        const auto& info = reply.message.info();
        const auto found = info.find("config");
        out.live = found == info.end() ? Seen<LiveCriConfig>::unknown("CRI shows no configuration")
                                       : liveConfig(found->second);
        co_return out;
    }
    // CRI that takes up its sandboxes says Unknown in 1.x and Unavailable in 2.x, and so does a
    // socket that nobody listens on; then the plugins cannot be asked either.
    const bool away = reply.status.code == RpcStatus::Unavailable;
    if (!away && reply.status.code != RpcStatus::Unimplemented &&
        reply.status.code != RpcStatus::Unknown)
        co_return failed("ask CRI for", "its status", reply.status);
    auto why = impl_->initError();
    const auto reason = co_await std::move(why);
    if (!reason)
        co_return away ? failed("ask CRI for", "its status", reply.status) : reason.error();
    out.refused = !reason->empty();
    out.error = out.refused ? *reason : printable(reply.status.message);
    out.live = Seen<LiveCriConfig>::unknown("CRI is not loaded");
    co_return out;
}

/// An image record; one that is not there has no name.
Task<Result<images::Image>> ContainerdClient::Impl::record(std::string name) {
    images::GetImageRequest request;
    request.set_name(name);
    auto task = call<images::GetImageResponse>("containerd.services.images.v1.Images/Get",
                                               std::move(request));
    auto reply = co_await std::move(task);
    if (reply.status.code == RpcStatus::NotFound) co_return images::Image();
    if (!reply.status.ok()) co_return failed("look up the image", name, reply.status);
    co_return std::move(*reply.message.mutable_image());
}

namespace {

void readRecord(const images::Image& record, ObservedImage& out) {
    const auto labelled = [&](const char* label, const char* value) {
        const auto found = record.labels().find(label);
        return found != record.labels().end() && found->second == value;
    };
    out.hasRecord = !record.name().empty();
    out.digest = record.target().digest();
    out.pinLabel = labelled(kPinnedLabel, kPinned);
}

cri::ImageStatusRequest askFor(const std::string& image) {
    cri::ImageStatusRequest request;
    request.mutable_image()->set_image(image);
    return request;
}

constexpr char kImageStatus[] = "runtime.v1.ImageService/ImageStatus";

}  // namespace

Task<Result<std::vector<ObservedImage>>> ContainerdClient::images() {
    auto task = impl_->call<images::ListImagesResponse>("containerd.services.images.v1.Images/List",
                                                        images::ListImagesRequest());
    const auto reply = co_await std::move(task);
    if (!reply.status.ok()) co_return failed("list", "containerd's images", reply.status);
    std::vector<ObservedImage> out;
    for (const auto& record : reply.message.images()) {
        ObservedImage image;
        image.name = record.name();
        readRecord(record, image);
        out.push_back(std::move(image));
    }
    co_return std::move(out);
}

Task<Result<ObservedImage>> ContainerdClient::image(std::string name) {
    ObservedImage out;
    out.name = name;
    auto task = impl_->call<cri::ImageStatusResponse>(kImageStatus, askFor(name));
    const auto reply = co_await std::move(task);
    if (!reply.status.ok()) co_return failed("ask CRI for the image", name, reply.status);
    out.id = reply.message.image().id();
    out.resolves = !out.id.empty();
    auto lookUp = impl_->record(name);
    const auto record = co_await std::move(lookUp);
    if (!record) co_return record.error();
    readRecord(*record, out);
    co_return out;
}

Task<Result<void>> ContainerdClient::pull(std::string name, std::chrono::seconds timeout) {
    cri::PullImageRequest request;
    request.mutable_image()->set_image(name);
    auto task = impl_->call<cri::PullImageResponse>("runtime.v1.ImageService/PullImage",
                                                    std::move(request), timeout);
    const auto reply = co_await std::move(task);
    if (!reply.status.ok()) co_return failed("pull", name, reply.status);
    co_return Result<void>();
}

Task<RpcStatus> ContainerdClient::Impl::update(images::Image image,
                                               std::vector<std::string> paths) {
    images::UpdateImageRequest request;
    *request.mutable_image() = std::move(image);
    // Never an empty mask: that would replace every field.
    for (const auto& path : paths) request.mutable_update_mask()->add_paths(path);
    auto task = call<images::UpdateImageResponse>("containerd.services.images.v1.Images/Update",
                                                  std::move(request));
    const auto reply = co_await std::move(task);
    co_return reply.status;
}

Task<Result<void>> ContainerdClient::tag(std::string source, std::string target, bool pinned) {
    auto lookUp = impl_->record(source);
    const auto from = co_await std::move(lookUp);
    if (!from) co_return from.error();
    if (from->name().empty()) co_return Error("tag", target, "there is no image " + source);
    images::Image image;
    image.set_name(target);
    *image.mutable_target() = from->target();
    (*image.mutable_labels())[kManagedLabel] = kManaged;
    if (pinned) (*image.mutable_labels())[kPinnedLabel] = kPinned;
    images::CreateImageRequest request;
    *request.mutable_image() = image;
    auto create = impl_->call<images::CreateImageResponse>(
        "containerd.services.images.v1.Images/Create", std::move(request));
    const auto created = co_await std::move(create);
    RpcStatus status = created.status;
    if (status.code == RpcStatus::AlreadyExists) {
        std::vector<std::string> paths{"target", std::string("labels.") + kManagedLabel};
        if (pinned) paths.push_back(std::string("labels.") + kPinnedLabel);
        auto update = impl_->update(std::move(image), std::move(paths));
        status = co_await std::move(update);
    }
    if (!status.ok()) co_return failed("tag", target, status);
    co_return Result<void>();
}

/// Whether an image of CRI has another name than this one, or a container was made from it. CRI's
/// RemoveImage takes away every name of an image id at once.
Task<Result<bool>> ContainerdClient::Impl::isUsed(std::string id, std::string name) {
    auto ask = call<cri::ImageStatusResponse>(kImageStatus, askFor(id));
    const auto asked = co_await std::move(ask);
    if (!asked.status.ok()) co_return failed("ask CRI for the image", name, asked.status);
    const auto& image = asked.message.image();
    if (image.repo_tags_size() > 0 || image.pinned()) co_return true;
    for (const auto& other : image.repo_digests())
        if (other != name) co_return true;
    auto list = call<cri::ListContainersResponse>("runtime.v1.RuntimeService/ListContainers",
                                                  cri::ListContainersRequest());
    const auto listed = co_await std::move(list);
    if (!listed.status.ok()) co_return failed("list", "CRI's containers", listed.status);
    for (const auto& container : listed.message.containers())
        if (container.image_ref() == id || container.image().image() == id ||
            container.image().image() == name)
            co_return true;
    co_return false;
}

Task<Result<bool>> ContainerdClient::removeAlone(std::string name) {
    auto look = image(name);
    const auto seen = co_await std::move(look);
    if (!seen) co_return seen.error();
    if (!seen->resolves) co_return false;
    auto check = impl_->isUsed(seen->id, name);
    const auto used = co_await std::move(check);
    if (!used) co_return used.error();
    if (*used) co_return false;
    cri::RemoveImageRequest request;
    request.mutable_image()->set_image(name);
    auto task = impl_->call<cri::RemoveImageResponse>("runtime.v1.ImageService/RemoveImage",
                                                      std::move(request));
    const auto reply = co_await std::move(task);
    if (!reply.status.ok()) co_return failed("remove", name, reply.status);
    co_return true;
}

Task<Result<void>> ContainerdClient::pin(std::string name) {
    // The whole record goes along, whatever the mask says: without a target containerd 1.7 and 2.1
    // end with a nil dereference (descFromProto).
    auto lookUp = impl_->record(name);
    auto record = co_await std::move(lookUp);
    if (!record) co_return record.error();
    if (record->name().empty()) co_return Error("pin", name, "there is no such image");
    images::Image image = std::move(*record);
    (*image.mutable_labels())[kPinnedLabel] = kPinned;
    std::vector<std::string> paths{std::string("labels.") + kPinnedLabel};
    auto task = impl_->update(std::move(image), std::move(paths));
    const RpcStatus status = co_await std::move(task);
    if (!status.ok()) co_return failed("pin", name, status);
    co_return Result<void>();
}

/// Whoever called listen(2) on the socket: SO_PEERCRED, unix(7).
int ContainerdClient::processId() {
    const UniqueFd fd = impl_->channel.dial();
    ucred peer{};
    socklen_t size = sizeof peer;
    if (!fd || ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
    return peer.pid;
}

Task<Error> ContainerdClient::watchImages(std::function<void()> changed) {
    containerd::services::events::v1::SubscribeRequest request;
    request.add_filters("namespace==k8s.io,topic~=\"^/images/\"");
    const auto event = [changed](std::string_view) { changed(); };
    auto task = impl_->channel.stream("/containerd.services.events.v1.Events/Subscribe",
                                      request.SerializeAsString(), event);
    const RpcStatus status = co_await std::move(task);
    co_return failed("watch", "containerd's images", status);
}

}  // namespace nodemirror
