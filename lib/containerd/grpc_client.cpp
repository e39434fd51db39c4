#include "containerd/grpc_client.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "containerd/grpc_call.hpp"
#include "containerd/image_events.hpp"
#include "containerd_images.grpc.pb.h"
#include "containerd_introspection.grpc.pb.h"
#include "containerd_version.grpc.pb.h"
#include "cri.grpc.pb.h"

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>

namespace nodemirror {

namespace images = containerd::services::images::v1;
namespace introspection = containerd::services::introspection::v1;
namespace cri = runtime::v1;

using VersionApi = containerd::services::version::v1::Version::StubInterface::async_interface;
using ImagesApi = images::Images::StubInterface::async_interface;
using IntrospectionApi = introspection::Introspection::StubInterface::async_interface;
using RuntimeApi = cri::RuntimeService::StubInterface::async_interface;
using CriImagesApi = cri::ImageService::StubInterface::async_interface;

namespace {

using std::chrono::seconds;

constexpr seconds kShort{10};  // what containerd answers from memory or its own database
constexpr int kLargestMessage = 32 << 20;
constexpr std::chrono::milliseconds kMargin{50};

constexpr char kManagedLabel[] = "io.cri-containerd.image";
constexpr char kManaged[] = "managed";
constexpr char kPinnedLabel[] = "io.cri-containerd.pinned";
constexpr char kPinned[] = "pinned";

std::shared_ptr<grpc::Channel> openChannel(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetMaxReceiveMessageSize(kLargestMessage);
    return grpc::CreateCustomChannel("unix://" + socket, grpc::InsecureChannelCredentials(),
                                     arguments);
}

Error failed(std::string doing, std::string object, const grpc::Status& status) {
    std::string reason = printable(status.error_message());
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED)
        reason = "containerd did not answer in time";
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE)
        reason = "containerd cannot be reached (" + reason + ")";
    return {std::move(doing), std::move(object), std::move(reason)};
}

template <class Request, class Response>
auto newCall(std::chrono::system_clock::duration timeout) {
    auto state = std::make_shared<CallState<Request, Response>>();
    state->context.set_deadline(std::chrono::system_clock::now() + timeout);
    state->context.AddMetadata("containerd-namespace", "k8s.io");
    return state;
}

/// The registry's part of CRI's verbose configuration. The rest, which holds passwords, is dropped
/// here and goes nowhere.
Seen<LiveCriConfig> liveConfig(const std::string& text) {
    using Answer = Seen<LiveCriConfig>;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("registry") || !json["registry"].is_object())
        return Answer::unknown("this containerd does not show its registry configuration");
    LiveCriConfig live;
    const auto& registry = json["registry"];
    if (registry.contains("configPath") && registry["configPath"].is_string())
        live.configPath = registry["configPath"].get<std::string>();
    if (registry.contains("mirrors") && registry["mirrors"].is_object())
        for (const auto& [name, value] : registry["mirrors"].items()) live.mirrors.push_back(name);
    if (json.contains("sandboxImage") && json["sandboxImage"].is_string())
        live.sandboxImage = json["sandboxImage"].get<std::string>();
    return Answer::known(std::move(live));
}

}  // namespace

struct GrpcContainerd::Impl {
    Impl(boost::asio::io_context& context, std::string socketPath)
        : io(context),
          socket(std::move(socketPath)),
          channel(openChannel(socket)),
          versionStub(containerd::services::version::v1::Version::NewStub(channel)),
          imagesStub(images::Images::NewStub(channel)),
          introspectionStub(introspection::Introspection::NewStub(channel)),
          runtimeStub(cri::RuntimeService::NewStub(channel)),
          criImagesStub(cri::ImageService::NewStub(channel)) {}

    boost::asio::io_context& io;
    std::string socket;
    CallsUnderWay calls;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<containerd::services::version::v1::Version::Stub> versionStub;
    std::unique_ptr<images::Images::Stub> imagesStub;
    std::unique_ptr<introspection::Introspection::Stub> introspectionStub;
    std::unique_ptr<cri::RuntimeService::Stub> runtimeStub;
    std::unique_ptr<cri::ImageService::Stub> criImagesStub;

    /// One unary call of a stub's method.
    template <class Async, class Request, class Response>
    Task<grpc::Status> call(Async* stub, std::shared_ptr<CallState<Request, Response>> state,
                            void (Async::*method)(grpc::ClientContext*, const Request*, Response*,
                                                  std::function<void(grpc::Status)>)) {
        auto start = [stub, method](grpc::ClientContext* context, const Request* request,
                                    Response* response, std::function<void(grpc::Status)> done) {
            (stub->*method)(context, request, response, std::move(done));
        };
        auto task = unaryCall<Request, Response>(io, calls, state, start);
        grpc::Status status = co_await std::move(task);
        // At the deadline containerd may reset the stream before this side gives up (RST_STREAM,
        // CANCEL): that is the same thing.
        if (!status.ok() && std::chrono::system_clock::now() + kMargin >= state->context.deadline())
            status = grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, status.error_message());
        co_return status;
    }

    Task<Result<std::string>> initError();
    Task<Result<images::Image>> record(std::string name);
    Task<Result<bool>> isUsed(std::string id, std::string name);
    Task<grpc::Status> update(images::Image image, std::vector<std::string> paths);
};

GrpcContainerd::GrpcContainerd(boost::asio::io_context& context, std::string socket)
    : impl_(std::make_unique<Impl>(context, std::move(socket))) {}

GrpcContainerd::~GrpcContainerd() = default;

void GrpcContainerd::stop() { impl_->calls.stop(); }

Task<Result<std::string>> GrpcContainerd::version() {
    auto state =
        newCall<google::protobuf::Empty, containerd::services::version::v1::VersionResponse>(
            kShort);
    auto task = impl_->call<VersionApi>(impl_->versionStub->async(), state, &VersionApi::Version);
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("ask containerd for", "its version", status);
    co_return state->response.version();
}

/// Why CRI is not loaded, in containerd's own words; empty when no plugin of CRI says.
Task<Result<std::string>> GrpcContainerd::Impl::initError() {
    auto state = newCall<introspection::PluginsRequest, introspection::PluginsResponse>(kShort);
    state->request.add_filters("type==io.containerd.grpc.v1,id==cri");
    state->request.add_filters("type==io.containerd.cri.v1");
    auto task =
        call<IntrospectionApi>(introspectionStub->async(), state, &IntrospectionApi::Plugins);
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("ask containerd for", "its plugins", status);
    std::string own;
    std::string dependent;
    for (const auto& plugin : state->response.plugins()) {
        if (plugin.init_err().message().empty()) continue;
        // In 2.x grpc.v1.cri only says that a plugin which it needs is missing.
        (plugin.type() == "io.containerd.cri.v1" ? own : dependent) = plugin.init_err().message();
    }
    if (state->response.plugins().empty())
        co_return std::string("the CRI plugin is disabled (disabled_plugins in config.toml)");
    co_return printable(own.empty() ? dependent : own);
}

Task<Result<CriState>> GrpcContainerd::criState() {
    auto state = newCall<cri::StatusRequest, cri::StatusResponse>(kShort);
    state->request.set_verbose(true);
    auto task = impl_->call<RuntimeApi>(impl_->runtimeStub->async(), state, &RuntimeApi::Status);
    const grpc::Status status = co_await std::move(task);
    CriState out;
    if (status.ok()) {
        out.ready = true;
        const auto& info = state->response.info();
        const auto found = info.find("config");
        out.live = found == info.end() ? Seen<LiveCriConfig>::unknown("CRI shows no configuration")
                                       : liveConfig(found->second);
        co_return out;
    }
    if (status.error_code() != grpc::StatusCode::UNIMPLEMENTED &&
        status.error_code() != grpc::StatusCode::UNKNOWN)
        co_return failed("ask CRI for", "its status", status);
    auto why = impl_->initError();
    const auto reason = co_await std::move(why);
    if (!reason) co_return reason.error();
    out.refused = !reason->empty();
    out.error = out.refused ? *reason : printable(status.error_message());
    out.live = Seen<LiveCriConfig>::unknown("CRI is not loaded");
    co_return out;
}

/// An image record; an Error with the reason "not found" is told apart by its empty name.
Task<Result<images::Image>> GrpcContainerd::Impl::record(std::string name) {
    auto state = newCall<images::GetImageRequest, images::GetImageResponse>(kShort);
    state->request.set_name(name);
    auto task = call<ImagesApi>(imagesStub->async(), state, &ImagesApi::Get);
    const grpc::Status status = co_await std::move(task);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) co_return images::Image();
    if (!status.ok()) co_return failed("look up the image", name, status);
    co_return state->response.image();
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
    out.managedLabel = labelled(kManagedLabel, kManaged);
}

}  // namespace

Task<Result<std::vector<ObservedImage>>> GrpcContainerd::images() {
    auto state = newCall<images::ListImagesRequest, images::ListImagesResponse>(kShort);
    auto task = impl_->call<ImagesApi>(impl_->imagesStub->async(), state, &ImagesApi::List);
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("list", "containerd's images", status);
    std::vector<ObservedImage> out;
    for (const auto& record : state->response.images()) {
        ObservedImage image;
        image.name = record.name();
        readRecord(record, image);
        out.push_back(std::move(image));
    }
    co_return std::move(out);
}

Task<Result<ObservedImage>> GrpcContainerd::image(std::string name) {
    ObservedImage out;
    out.name = name;
    auto state = newCall<cri::ImageStatusRequest, cri::ImageStatusResponse>(kShort);
    state->request.mutable_image()->set_image(name);
    auto task =
        impl_->call<CriImagesApi>(impl_->criImagesStub->async(), state, &CriImagesApi::ImageStatus);
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("ask CRI for the image", name, status);
    out.resolves = state->response.has_image() && !state->response.image().id().empty();
    out.id = state->response.image().id();
    auto lookUp = impl_->record(name);
    const auto record = co_await std::move(lookUp);
    if (!record) co_return record.error();
    readRecord(*record, out);
    co_return out;
}

Task<Result<void>> GrpcContainerd::pull(std::string name, std::chrono::seconds timeout) {
    auto state = newCall<cri::PullImageRequest, cri::PullImageResponse>(timeout);
    state->request.mutable_image()->set_image(name);
    auto task =
        impl_->call<CriImagesApi>(impl_->criImagesStub->async(), state, &CriImagesApi::PullImage);
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("pull", name, status);
    co_return Result<void>();
}

Task<grpc::Status> GrpcContainerd::Impl::update(images::Image image,
                                                std::vector<std::string> paths) {
    auto state = newCall<images::UpdateImageRequest, images::UpdateImageResponse>(kShort);
    *state->request.mutable_image() = std::move(image);
    // Never an empty mask: that would replace every field.
    for (const auto& path : paths) state->request.mutable_update_mask()->add_paths(path);
    auto task = call<ImagesApi>(imagesStub->async(), state, &ImagesApi::Update);
    co_return co_await std::move(task);
}

Task<Result<void>> GrpcContainerd::tag(std::string source, std::string target, bool pinned) {
    auto lookUp = impl_->record(source);
    const auto from = co_await std::move(lookUp);
    if (!from) co_return from.error();
    if (from->name().empty()) co_return Error("tag", target, "there is no image " + source);
    images::Image image;
    image.set_name(target);
    *image.mutable_target() = from->target();
    (*image.mutable_labels())[kManagedLabel] = kManaged;
    if (pinned) (*image.mutable_labels())[kPinnedLabel] = kPinned;
    auto state = newCall<images::CreateImageRequest, images::CreateImageResponse>(kShort);
    *state->request.mutable_image() = image;
    auto create = impl_->call<ImagesApi>(impl_->imagesStub->async(), state, &ImagesApi::Create);
    grpc::Status status = co_await std::move(create);
    if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS) {
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
Task<Result<bool>> GrpcContainerd::Impl::isUsed(std::string id, std::string name) {
    auto ask = newCall<cri::ImageStatusRequest, cri::ImageStatusResponse>(kShort);
    ask->request.mutable_image()->set_image(id);
    auto askTask = call<CriImagesApi>(criImagesStub->async(), ask, &CriImagesApi::ImageStatus);
    const grpc::Status asked = co_await std::move(askTask);
    if (!asked.ok()) co_return failed("ask CRI for the image", name, asked);
    const auto& image = ask->response.image();
    if (image.repo_tags_size() > 0 || image.pinned()) co_return true;
    for (const auto& other : image.repo_digests())
        if (other != name) co_return true;
    auto list = newCall<cri::ListContainersRequest, cri::ListContainersResponse>(kShort);
    auto listTask = call<RuntimeApi>(runtimeStub->async(), list, &RuntimeApi::ListContainers);
    const grpc::Status listed = co_await std::move(listTask);
    if (!listed.ok()) co_return failed("list", "CRI's containers", listed);
    for (const auto& container : list->response.containers())
        if (container.image_ref() == id || container.image().image() == id ||
            container.image().image() == name)
            co_return true;
    co_return false;
}

Task<Result<bool>> GrpcContainerd::removeAlone(std::string name) {
    auto look = image(name);
    const auto seen = co_await std::move(look);
    if (!seen) co_return seen.error();
    if (!seen->resolves) co_return false;
    auto check = impl_->isUsed(seen->id, name);
    const auto used = co_await std::move(check);
    if (!used) co_return used.error();
    if (*used) co_return false;
    auto state = newCall<cri::RemoveImageRequest, cri::RemoveImageResponse>(kShort);
    state->request.mutable_image()->set_image(name);
    auto task =
        impl_->call<CriImagesApi>(impl_->criImagesStub->async(), state, &CriImagesApi::RemoveImage);
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("remove", name, status);
    co_return true;
}

Task<Result<void>> GrpcContainerd::pin(std::string name) {
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
    const grpc::Status status = co_await std::move(task);
    if (!status.ok()) co_return failed("pin", name, status);
    co_return Result<void>();
}

/// Whoever called listen(2) on the socket: SO_PEERCRED, unix(7).
int GrpcContainerd::processId() {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!fd || impl_->socket.size() >= sizeof address.sun_path) return 0;
    impl_->socket.copy(address.sun_path, impl_->socket.size());
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return 0;
    return peer.pid;
}

Task<Error> GrpcContainerd::watchImages(std::function<void()> changed) {
    auto task = streamImageEvents(impl_->io, impl_->calls, impl_->channel, std::move(changed));
    const grpc::Status status = co_await std::move(task);
    co_return failed("watch", "containerd's images", status);
}

}  // namespace nodemirror
