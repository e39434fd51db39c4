#include "survey/node_survey.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "files/file_age.hpp"
#include "hosts_toml/directories.hpp"

#include <sys/statvfs.h>

#include <filesystem>
#include <set>

namespace nodemirror {

namespace {

constexpr char kKubeadmFlags[] = "/var/lib/kubelet/kubeadm-flags.env";
constexpr char kDefaultRoot[] = "/var/lib/containerd";

Seen<DiskUse> diskUse(const std::string& path) {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0)
        return Seen<DiskUse>::unknown(Error::system("look at", path, errno).text());
    DiskUse out;
    out.path = path;
    out.total = uint64_t{status.f_frsize} * status.f_blocks;
    out.available = uint64_t{status.f_frsize} * status.f_bavail;
    out.inodes = status.f_files;
    out.inodesFree = status.f_favail;
    return Seen<DiskUse>::known(std::move(out));
}

/// containerd's root: the top-level `root` of its configuration.
std::string rootOf(const Seen<ContainerdConfig>& config) {
    if (config.isKnown())
        for (const auto& file : config.value().files)
            if (const auto* root = file.root.find("root"); root != nullptr && !root->string.empty())
                return root->string;
    return kDefaultRoot;
}

Seen<std::string> readText(const std::string& path) {
    constexpr size_t kMost = 64 << 10;
    auto text = readWholeFile(path, kMost);
    if (text) return Seen<std::string>::known(std::move(*text));
    return text.error().code() == ENOENT ? Seen<std::string>::absent()
                                         : Seen<std::string>::unknown(text.error().text());
}

}  // namespace

NodeSurvey::NodeSurvey(boost::asio::io_context& io, SurveyOptions options)
    : options_(std::move(options)), containerd_(io, options_.containerdSocket), units_(io) {}

Task<void> NodeSurvey::lookAtContainerd(NodeFacts& facts) {
    auto askVersion = containerd_.version();
    const auto version = co_await std::move(askVersion);
    if (!version) {
        facts.node.version = Seen<ContainerdVersion>::unknown(version.error().text());
        facts.node.cri = Seen<CriState>::unknown(version.error().text());
        facts.images = Seen<std::vector<ObservedImage>>::unknown(version.error().text());
        co_return;
    }
    facts.node.versionText = *version;
    const auto parsed = parseContainerdVersion(*version);
    facts.node.version =
        parsed ? Seen<ContainerdVersion>::known(*parsed)
               : Seen<ContainerdVersion>::unknown("its version is " + inQuotes(*version) +
                                                  ", which cannot be read");
    auto askCri = containerd_.criState();
    auto cri = co_await std::move(askCri);
    facts.node.cri =
        cri ? Seen<CriState>::known(std::move(*cri)) : Seen<CriState>::unknown(cri.error().text());
    auto askImages = containerd_.images();
    auto images = co_await std::move(askImages);
    using Images = Seen<std::vector<ObservedImage>>;
    facts.images =
        images ? Images::known(std::move(*images)) : Images::unknown(images.error().text());
}

Task<void> NodeSurvey::lookAtUnits(NodeFacts& facts) {
    for (const auto& unit : {options_.containerdUnit, options_.kubeletUnit}) {
        auto ask = units_.state(unit);
        auto state = co_await std::move(ask);
        facts.node.units[unit] = state ? Seen<ObservedUnit>::known(std::move(*state))
                                       : Seen<ObservedUnit>::unknown(state.error().text());
    }
    auto ask = units_.environment(options_.containerdUnit);
    const auto environment = co_await std::move(ask);
    facts.proxies = environment ? Seen<ProxySettings>::known(proxySettings(*environment))
                                : Seen<ProxySettings>::unknown(environment.error().text());
}

void NodeSurvey::lookAtRegistries(NodeFacts& facts) const {
    namespace fs = std::filesystem;
    const auto directories = directoriesUnder(options_.certsDir);
    facts.registriesUnknown = directories.why();
    std::set<std::string> names;
    for (const auto& name : directories.value()) {
        const fs::path path = fs::path(options_.certsDir) / name;
        std::error_code failed;
        names.insert(registryOfDirectory(name));
        if (fs::is_directory(path, failed) && fs::is_empty(path, failed))
            facts.emptyDirectories.push_back(name);
    }
    for (const auto& name : names)
        facts.registries.push_back(readChain(options_.certsDir, name, facts.version));
}

Task<Result<NodeFacts>> NodeSurvey::look() {
    NodeFacts facts;
    facts.certsDir = options_.certsDir;
    facts.containerdUnit = options_.containerdUnit;
    facts.kubeletUnit = options_.kubeletUnit;
    facts.now = std::chrono::system_clock::now();
    auto containerd = lookAtContainerd(facts);
    co_await std::move(containerd);
    auto units = lookAtUnits(facts);
    co_await std::move(units);
    if (facts.node.version.isKnown()) facts.version = facts.node.version.value();
    facts.versionAssumed = !facts.node.version.isKnown();
    if (!options_.assumedVersion.empty()) {
        const auto assumed = parseContainerdVersion(options_.assumedVersion);
        if (!assumed)
            co_return Error("judge as", "containerd " + options_.assumedVersion,
                            "that is no version", "write it as 1.6, 1.7.24 or 2.1");
        facts.versionAssumed = facts.versionAssumed || facts.version != *assumed;
        facts.version = *assumed;
    }
    auto config = readContainerdConfig(options_.containerdConfig, facts.version);
    if (config) {
        std::vector<std::string> paths;
        for (const auto& file : config->files) paths.push_back(file.path);
        const auto& unit = facts.node.units[options_.containerdUnit];
        const auto started =
            unit.isKnown() ? unit.value().startOf(containerd_.processId()) : std::nullopt;
        facts.node.runsConfig = files::startedAfter(started, options_.containerdSocket, paths);
        facts.node.config = Seen<ContainerdConfig>::known(std::move(*config));
    } else {
        facts.node.config = Seen<ContainerdConfig>::unknown(config.error().text());
        facts.node.runsConfig = Seen<bool>::unknown(config.error().text());
    }
    facts.configPath = effectiveConfigPath(facts.node, options_.certsDir);
    // Without a containerd to ask, what a start would load is the best that is known.
    using Source = EffectiveConfigPath::Source;
    if (facts.configPath.source == Source::Unknown && facts.node.config.isKnown()) {
        facts.configPath.value = facts.node.config.value().configPath;
        facts.configPath.source = Source::Inferred;
    }
    lookAtRegistries(facts);
    facts.disk = diskUse(rootOf(facts.node.config));
    facts.kubeadmFlags = readText(kKubeadmFlags);
    co_return std::move(facts);
}

}  // namespace nodemirror
