#include "base/read_file.hpp"
#include "base/text.hpp"
#include "cli/doctor.hpp"
#include "cli/findings.hpp"
#include "cli/run.hpp"
#include "diagnose/workload.hpp"
#include "survey/explain.hpp"
#include "trial/this_platform.hpp"

#include <iostream>
#include <iterator>

namespace nodemirror::cli {

namespace asio = boost::asio;

namespace {

constexpr size_t kLargest = 1U << 30;
/// Each image that is waited for is tried once; a cluster in trouble may wait for hundreds.
constexpr size_t kMostExplained = 20;

/// An image that is waited for, with what this node makes of it.
struct ExplainedImage {
    WaitingImage waiting;
    bool works = false;
    std::string summary;
    std::vector<std::string> remedies;
    std::vector<std::string> commands;
};

Result<std::string> readInput(const std::string& file) {
    if (file != "-") return readWholeFile(file, kLargest);
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

std::string nameOf(const WaitingContainer& container) {
    return container.space + "/" + container.pod;
}

void printImage(const ExplainedImage& image, const Output& output) {
    std::cout << paint(output, Colour::Bad, "critical") << "  "
              << paint(output, Colour::Bold, image.waiting.reason) << "  "
              << oneLine(image.waiting.image) << "\n";
    std::vector<std::string> pods;
    constexpr size_t kNamed = 5;
    for (const auto& container : image.waiting.containers)
        if (pods.size() < kNamed) pods.push_back(nameOf(container));
    const size_t more = image.waiting.containers.size() - pods.size();
    std::cout << "    waited for by " << oneLine(join(pods, ", "))
              << (more > 0 ? " and " + std::to_string(more) + " more" : "") << "\n";
    if (!image.waiting.message.empty())
        printProse(output, Colour::Dim, "kubelet: " + image.waiting.message, 4);
    if (!image.summary.empty())
        printProse(output, Colour::None, "from this node: " + image.summary, 4);
    for (const auto& remedy : image.remedies)
        std::cout << "    " << paint(output, Colour::Dim, "remedy: " + remedy) << "\n";
    for (const auto& command : image.commands)
        std::cout << "    would work now: " << oneLine(command) << "\n";
    std::cout << std::flush;
}

Document toDocument(const std::vector<ExplainedImage>& images, const WorkloadReport& report) {
    Document waiting = Document::array();
    for (const auto& image : images) {
        Document pods = Document::array();
        for (const auto& container : image.waiting.containers)
            pods.push_back({{"namespace", container.space},
                            {"pod", container.pod},
                            {"container", container.container},
                            {"workload", container.workload}});
        waiting.push_back({{"image", oneLine(image.waiting.image)},
                           {"reason", image.waiting.reason},
                           {"message", oneLine(image.waiting.message)},
                           {"pods", std::move(pods)},
                           {"verdict", oneLine(image.summary)},
                           {"remedies", image.remedies},
                           {"commands", image.commands}});
    }
    Document out;
    out["images"] = std::move(waiting);
    out["findings"] = cli::toDocument(report.findings);
    return out;
}

Task<ExplainedImage> explainWaiting(asio::io_context& io, Resolver& resolver,
                                    const NodeFacts& facts, WaitingImage waiting,
                                    Patience patience) {
    ExplainedImage out;
    out.waiting = std::move(waiting);
    const auto reference = parseImageReference(out.waiting.image);
    if (!reference) {
        out.summary = reference.error().text();
        out.remedies = {"correct the image's name"};
        co_return out;
    }
    ExplainOptions options;
    options.patience = patience;
    options.platform = thisPlatform();
    auto task = explainImage(io, resolver, facts, *reference, std::move(options));
    const Explanation explanation = co_await std::move(task);
    out.summary = explanation.verdict.summary;
    out.remedies = explanation.verdict.remedies;
    out.works = explanation.verdict.works;
    if (out.works && out.waiting.reason == "ErrImageNeverPull")
        out.remedies = {
            "its imagePullPolicy is Never: set it to IfNotPresent, or bring the image to the "
            "pod's node: crictl pull " +
            out.waiting.image};
    else if (out.works)
        out.remedies = {
            "nothing here: kubelet tries again by itself, after five minutes at most; "
            "delete the pods to have it at once (where the pod is on another node, ask there)"};
    for (const auto& alternative : explanation.alternatives)
        for (auto& command : setImageCommands(out.waiting, alternative))
            out.commands.push_back(std::move(command));
    co_return out;
}

Task<int> examine(asio::io_context& io, SurveyOptions options, WorkloadReport report,
                  Patience patience, Output output) {
    Resolver resolver(io);
    NodeSurvey survey(io, std::move(options));
    auto look = survey.look();
    const auto facts = co_await std::move(look);
    if (!facts) {
        complain(facts.error().text());
        co_return kUsage;
    }
    std::vector<ExplainedImage> images;
    const bool text = output.format == Format::Text;
    const auto tell = [&](ExplainedImage image) {
        // At once: a mirror that hangs may keep the next one waiting for long.
        if (text) printImage(image, output);
        images.push_back(std::move(image));
    };
    for (const auto& waiting : report.images) {
        if (images.size() >= kMostExplained) {
            ExplainedImage untried;
            untried.waiting = waiting;
            // A command only of what is an image's name: whoever made the pod wrote it.
            untried.remedies = {parseImageReference(waiting.image)
                                    ? "nodemirrorctl explain " + waiting.image
                                    : "correct the image's name"};
            tell(std::move(untried));
            continue;
        }
        auto task = explainWaiting(io, resolver, *facts, waiting, patience);
        ExplainedImage explained = co_await std::move(task);
        // A pull that works only takes its time.
        if (explained.waiting.reason == kPulling && explained.works) continue;
        tell(std::move(explained));
    }
    if (text) {
        printFindings(report.findings, output);
        if (images.empty() && report.findings.empty())
            std::cout
                << "No image is waited for, no rollout is stuck, no pod is without a Service: "
                << report.pods << " pods and " << report.deployments
                << " deployments were looked at.\n";
    } else {
        printDocument(output, toDocument(images, report));
    }
    co_return images.empty() && report.findings.empty() ? kFine : kAnswerIsNo;
}

}  // namespace

int doctorWorkload(const DoctorArguments& arguments, const Output& output) {
    const auto patience = patienceFrom(arguments.timeout);
    if (!patience) return kUsage;
    const auto text = readInput(arguments.workload);
    const auto objects = text ? readClusterObjects(*text) : Result<ClusterObjects>(text.error());
    if (!objects) {
        complain(objects.error().text());
        return kUsage;
    }
    if (objects->empty()) {
        complain(
            "read kubectl's JSON: it has no pods, deployments or services; give what kubectl get "
            "deployments,replicasets,pods,services,endpointslices,events -A -o json prints");
        return kUsage;
    }
    return runCommand([&](boost::asio::io_context& io) {
        return examine(io, arguments.survey, examineWorkload(*objects), *patience, output);
    });
}

}  // namespace nodemirror::cli
