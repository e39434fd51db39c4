// A small CRI client for the tests: what kubelet would ask containerd, and what it answers.
//   cri_probe status | run-pod | image NAME | pull NAME [SECONDS] | remove NAME   [--socket PATH]
// Exits with 0 when the answer is yes, 1 when it is no.

#include "cri_probe.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

namespace cri = runtime::v1;

namespace {

std::chrono::seconds deadline{60};

struct Client {
    std::unique_ptr<cri::RuntimeService::Stub> runtime;
    std::unique_ptr<cri::ImageService::Stub> images;
};

int answer(const grpc::Status& status, const std::string& text) {
    if (status.ok()) {
        std::cout << text << "\n";
        return 0;
    }
    std::cerr << status.error_message() << "\n";
    return 1;
}

/// One call with a deadline.
template <class Call>
grpc::Status call(Call&& what) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    return what(&context);
}

int runPod(Client& client) {
    cri::RunPodSandboxRequest request;
    auto* config = request.mutable_config();
    const auto stamp = std::chrono::steady_clock::now().time_since_epoch().count();
    config->mutable_metadata()->set_name("probe");
    config->mutable_metadata()->set_namespace_("default");
    config->mutable_metadata()->set_uid(std::to_string(stamp));
    config->set_log_directory("/tmp/probe-logs");
    auto* spaces = config->mutable_linux()->mutable_security_context()->mutable_namespace_options();
    spaces->set_network(cri::NODE);  // the node has no CNI
    cri::RunPodSandboxResponse response;
    const auto started = call([&](grpc::ClientContext* context) {
        return client.runtime->RunPodSandbox(context, request, &response);
    });
    if (!started.ok()) return answer(started, "");
    cri::PodSandboxRequest pod;
    cri::Empty empty;
    pod.set_pod_sandbox_id(response.pod_sandbox_id());
    const auto stopped = call([&](grpc::ClientContext* context) {
        return client.runtime->StopPodSandbox(context, pod, &empty);
    });
    if (!stopped.ok()) return answer(stopped, "");
    const auto removed = call([&](grpc::ClientContext* context) {
        return client.runtime->RemovePodSandbox(context, pod, &empty);
    });
    return answer(removed, "started");
}

int image(Client& client, const std::string& name) {
    cri::ImageRequest request;
    request.mutable_image()->set_image(name);
    cri::ImageStatusResponse response;
    const auto status = call([&](grpc::ClientContext* context) {
        return client.images->ImageStatus(context, request, &response);
    });
    if (status.ok() && response.image().id().empty()) {
        std::cerr << "absent\n";
        return 1;
    }
    std::string text = response.image().id() + (response.image().pinned() ? " pinned" : "");
    for (const auto& tag : response.image().repo_tags()) text += " " + tag;
    return answer(status, text);
}

int pull(Client& client, const std::string& name) {
    cri::ImageRequest request;
    request.mutable_image()->set_image(name);
    cri::PullImageResponse response;
    const auto status = call([&](grpc::ClientContext* context) {
        return client.images->PullImage(context, request, &response);
    });
    return answer(status, response.image_ref());
}

int removeImage(Client& client, const std::string& name) {
    cri::ImageRequest request;
    request.mutable_image()->set_image(name);
    cri::Empty empty;
    const auto status = call([&](grpc::ClientContext* context) {
        return client.images->RemoveImage(context, request, &empty);
    });
    return answer(status, "removed");
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    std::string socket = "/run/containerd/containerd.sock";
    for (size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i] != "--socket") continue;
        socket = words[i + 1];
        words.erase(words.begin() + static_cast<long>(i), words.begin() + static_cast<long>(i) + 2);
        break;
    }
    const auto channel =
        grpc::CreateChannel("unix://" + socket, grpc::InsecureChannelCredentials());
    Client client{cri::RuntimeService::NewStub(channel), cri::ImageService::NewStub(channel)};
    const std::string command = words.empty() ? "" : words[0];
    if (command == "status") {
        cri::StatusResponse response;
        const auto status = call([&](grpc::ClientContext* context) {
            return client.runtime->Status(context, cri::StatusRequest(), &response);
        });
        return answer(status, "ready");
    }
    if (command == "run-pod") return runPod(client);
    if (words.size() == 2 && command == "image") return image(client, words[1]);
    if (words.size() == 3 && command == "pull") {
        deadline = std::chrono::seconds(std::stoi(words[2]));
        words.pop_back();
    }
    if (words.size() == 2 && command == "pull") return pull(client, words[1]);
    if (words.size() == 2 && command == "remove") return removeImage(client, words[1]);
    std::cerr << "usage: cri_probe status | run-pod | image NAME | pull NAME | remove NAME\n";
    return 2;
}
