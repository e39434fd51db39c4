#include "diagnose/chain_choice.hpp"
#include "diagnose/doctor.hpp"
#include "diagnose/pull_verdict.hpp"
#include "finding_samples.hpp"
#include "health/host_health.hpp"
#include "support/result_printer.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

/// A node on which nothing is wrong.
NodeFacts wellNode() {
    NodeFacts facts;
    facts.certsDir = "/etc/containerd/certs.d";
    facts.containerdUnit = "containerd.service";
    facts.kubeletUnit = "kubelet.service";
    facts.version = k21;
    facts.node.version = Seen<ContainerdVersion>::known(k21);
    CriState cri;
    cri.ready = true;
    facts.node.cri = Seen<CriState>::known(cri);
    ContainerdConfig config;
    config.path = "/etc/containerd/config.toml";
    config.configPath = facts.certsDir;
    config.sandboxImage = "registry.k8s.io/pause:3.10";
    facts.node.config = Seen<ContainerdConfig>::known(config);
    facts.node.runsConfig = Seen<bool>::known(true);
    facts.configPath.value = facts.certsDir;
    facts.configPath.source = EffectiveConfigPath::Source::Inferred;
    ObservedImage pause;
    pause.name = "registry.k8s.io/pause:3.10";
    pause.pinLabel = true;
    facts.images = Seen<std::vector<ObservedImage>>::known({pause});
    ObservedUnit unit;
    unit.activeState = "active";
    facts.node.units["kubelet.service"] = Seen<ObservedUnit>::known(unit);
    facts.proxies = Seen<ProxySettings>::known({});
    DiskUse disk;
    disk.path = "/var/lib/containerd";
    disk.total = 1000;
    disk.available = 500;
    disk.inodes = 1000;
    disk.inodesFree = 500;
    facts.disk = Seen<DiskUse>::known(disk);
    facts.now = std::chrono::system_clock::from_time_t(1700000000);
    return facts;
}

ContainerdConfig& config(NodeFacts& facts) { return facts.node.config.value(); }

std::vector<std::string> codes(const NodeFacts& facts) {
    std::vector<std::string> out;
    for (const auto& finding : examineNode(facts)) {
        out.push_back(finding.code);
        CHECK_FALSE(finding.evidence.empty());
        CHECK_FALSE(finding.remedy.empty());
        CHECK_FALSE(finding.subject.empty());
    }
    return out;
}

using Codes = std::vector<std::string>;

/// Docker Hub's pulls go to one mirror, which is given back.
ChainHost withOneMirror(NodeFacts& facts) {
    ChainHost mirror;
    mirror.scheme = "https";
    mirror.host = "m.example";
    mirror.path = "/v2";
    ChainReading reading;
    reading.registry = reading.directory = "docker.io";
    reading.hosts = {mirror};
    facts.registries = {reading};
    return mirror;
}

}  // namespace

TEST_CASE("doctor finds nothing on a node that is well") { CHECK(codes(wellNode()) == Codes{}); }

TEST_CASE("doctor finds each trap of the configuration") {
    NodeFacts facts = wellNode();
    config(facts).configPath = "/etc/containerd/certs.d:/etc/docker/certs.d";
    CHECK(codes(facts) == Codes{"config-path-list"});
    facts.version = ContainerdVersion{1, 7, 24};
    CHECK(codes(facts) == Codes{});
    config(facts).configPath = "";
    CHECK(codes(facts) == Codes{"config-path-unset"});
    config(facts).configPath = "/elsewhere";
    CHECK(codes(facts) == Codes{"config-path-elsewhere"});

    facts = wellNode();
    LegacyMirror mirror;
    mirror.registry = "docker.io";
    config(facts).mirrors.push_back(mirror);
    CHECK(codes(facts) == Codes{"legacy-mirrors"});
    CHECK(examineNode(facts).front().severity == Finding::Severity::Critical);

    facts = wellNode();
    facts.node.runsConfig = Seen<bool>::known(false);
    CHECK(codes(facts) == Codes{"config-not-loaded"});
    CHECK_THAT(examineNode(facts).front().remedy, Catch::StartsWith("systemctl restart"));
    // A restart is no remedy where CRI would not come back.
    config(facts).mirrors.push_back(mirror);
    CHECK_THAT(examineNode(facts).front().remedy, Catch::StartsWith("do not restart it yet"));
    config(facts).mirrors.clear();
    facts.node.runsConfig = Seen<bool>::unknown("no process");
    {
        // Nor where the running one reads certs.d, and the file does not say so any more.
        NodeFacts lost = wellNode();
        lost.configPath.source = EffectiveConfigPath::Source::Live;
        lost.configPath.effective = true;
        lost.node.runsConfig = Seen<bool>::known(false);
        config(lost).configPath.clear();
        CHECK(codes(lost) == Codes{"config-not-loaded", "config-path-unset"});
        for (const auto& finding : examineNode(lost)) {
            if (finding.code == "config-not-loaded")
                CHECK_THAT(finding.remedy, Catch::StartsWith("do not restart it yet"));
            else
                CHECK_THAT(finding.evidence, Catch::Contains("at its next start"));
        }
    }
    CHECK(codes(facts) == Codes{});
    {
        // Nor where it was started after the file, and has other settings.
        NodeFacts other = wellNode();
        other.configPath.source = EffectiveConfigPath::Source::Live;
        other.configPath.value = "/elsewhere";
        other.node.runsConfig = Seen<bool>::known(true);
        CHECK(codes(other) == Codes{"config-not-used"});
        CHECK_THAT(examineNode(other).front().remedy, Catch::Contains("--containerd-config"));
    }

    facts = wellNode();
    facts.node.cri.value().ready = false;
    facts.node.cri.value().refused = true;
    facts.node.cri.value().error = "invalid plugin config";
    CHECK(codes(facts) == Codes{"cri-not-loaded"});
    config(facts).criDisabled = true;
    CHECK(codes(facts) == Codes{"cri-disabled"});
}

TEST_CASE("doctor finds each trap of certs.d") {
    NodeFacts facts = wellNode();
    ChainReading reading;
    reading.registry = reading.directory = "docker.io";
    reading.error = "unable to read CA cert";
    facts.registries = {reading};
    CHECK(codes(facts) == Codes{"registry-broken"});
    reading.error.clear();
    reading.ignored = "hosts.toml cannot be used";
    facts.registries = {reading};
    CHECK(codes(facts) == Codes{"hosts-file-dropped"});
    reading.ignored.clear();
    reading.others = "/etc/containerd/certs.d/docker.io belongs to uid 1000";
    facts.registries = {reading};
    CHECK(codes(facts) == Codes{"others-write"});
    reading.others.clear();
    for (const char* code : {"tls-on-http", "host-leads-nowhere", "docker-io-server"}) {
        Warning warning;
        warning.code = code;
        warning.text = "text";
        reading.warnings = {warning};
        facts.registries = {reading};
        CHECK(codes(facts) == Codes{code});
    }
    reading.warnings.clear();
    reading.registry = reading.directory = "_default";
    facts.registries = {reading};
    facts.emptyDirectories = {"quay.io"};
    CHECK(codes(facts) == Codes{"empty-directory"});
    facts = wellNode();
    facts.registriesUnknown = "cannot list it: Permission denied";
    CHECK(codes(facts) == Codes{"certs-dir-unreadable"});
}

TEST_CASE("doctor names the table that containerd reads in the file that is there") {
    NodeFacts facts = wellNode();
    facts.version = ContainerdVersion{2, 1, 0};
    config(facts).configPath = "";
    config(facts).files.resize(1);
    for (const auto& [version, table] : std::map<int, std::string>{
             {2, "io.containerd.grpc.v1.cri"}, {3, "io.containerd.cri.v1.images"}}) {
        config(facts).files[0].declared = version;
        config(facts).files[0].registryPlugin = table;
        const auto findings = examineNode(facts);
        REQUIRE(findings.size() == 1);
        CHECK_THAT(findings[0].remedy, Catch::Contains(table));
    }
}

TEST_CASE("doctor finds hosts that do not answer, proxies in the way and clocks that differ") {
    NodeFacts facts = wellNode();
    const ChainHost chainHost = withOneMirror(facts);
    facts.answers[probeKey(chainHost)] = host("m.example", 0, Fault::Hang, "hang").head;
    CHECK(codes(facts) == Codes{"no-host-answers", "mirror-hangs"});
    facts.answers[probeKey(chainHost)] = host("m.example", 503).head;
    CHECK(codes(facts) == Codes{"no-host-answers", "mirror-down"});
    facts.proxies.value().https = "http://proxy:3128";
    facts.answers[probeKey(chainHost)].exchanges.back().proxy = "proxy:3128";
    // A status comes through the tunnel from the mirror itself.
    CHECK(codes(facts) == Codes{"no-host-answers", "mirror-down"});
    facts.answers[probeKey(chainHost)] =
        host("m.example", 0, Fault::Proxy, "proxyconnect: refused").head;
    facts.answers[probeKey(chainHost)].exchanges.back().proxy = "proxy:3128";
    CHECK(codes(facts) == Codes{"proxy-in-the-way"});

    facts.answers[probeKey(chainHost)] = host("m.example", 200).head;
    auto& headers = facts.answers[probeKey(chainHost)].exchanges.back().headers;
    headers["date"] = "Tue, 14 Nov 2023 22:13:20 GMT";
    CHECK(codes(facts) == Codes{});
    headers["date"] = "Tue, 14 Nov 2023 21:13:20 GMT";
    CHECK(codes(facts) == Codes{"clock-skew"});
    CHECK(examineNode(facts).front().evidence.find("3600 s ahead") != std::string::npos);
}

TEST_CASE("doctor tells of each host what was asked in its own way") {
    NodeFacts facts = wellNode();
    const ChainHost plain = withOneMirror(facts);
    ChainHost withHeader = plain;
    withHeader.header["Authorization"] = {"Basic x"};
    facts.registries.resize(2);
    facts.registries[1].registry = facts.registries[1].directory = "zz.corp";
    facts.registries[1].hosts = {withHeader};
    facts.answers[probeKey(plain)] = host("m.example", 503).head;
    facts.answers[probeKey(withHeader)] = host("m.example", 200).head;
    REQUIRE(codes(facts) == Codes{"no-host-answers", "mirror-down"});
    CHECK(examineNode(facts).front().subject == "docker.io");
}

TEST_CASE("a proxy that cannot be gone through from here says nothing of the hosts behind it") {
    NodeFacts facts = wellNode();
    const ChainHost chainHost = withOneMirror(facts);
    facts.proxies.value().https = "socks5://proxy:1080";
    const HostFinding behind = host("m.example", 0, Fault::ProxyUnknown, "only http");
    facts.answers[probeKey(chainHost)] = behind.head;
    CHECK(codes(facts) == Codes{"proxy-unknown"});
    HostHealth health;
    CHECK_FALSE(health.observe(judgeProbe(behind.head.last(), "/v2"), SteadyTime(), WallTime()));
    CHECK(health.state() == HostHealth::State::Unknown);
    // What was seen before it was known which way containerd goes is forgotten.
    const HostFinding direct = host("m.example", 0, Fault::Dns, "no such host");
    CHECK(health.observe(judgeProbe(direct.head.last(), "/v2"), SteadyTime(), WallTime()));
    REQUIRE(health.down());
    CHECK(health.observe(judgeProbe(behind.head.last(), "/v2"), SteadyTime(), WallTime()));
    CHECK_FALSE(health.down());
    CHECK(health.state() == HostHealth::State::Unknown);

    ImageFindings findings;
    findings.reference = *parseImageReference("docker.io/library/x:1");
    findings.hosts = {behind};
    const PullVerdict verdict = judgePull(findings, k17);
    CHECK(verdict.errorClass == "proxy-unknown");
    CHECK_THAT(verdict.summary, Catch::Contains("cannot be told"));
    CHECK(verdict.kubeletError.empty());
    // Nor what is behind it, where containerd comes to it before another that hangs.
    findings.hosts.push_back(host("h.example", 0, Fault::Hang, "hang"));
    CHECK(judgePull(findings, k17).errorClass == "proxy-unknown");
    std::swap(findings.hosts[0], findings.hosts[1]);
    CHECK(judgePull(findings, k17).errorClass == "hang");
}

TEST_CASE("without config_path CRI's own tables are what counts") {
    NodeFacts facts = wellNode();
    facts.version = k17;
    facts.configPath.value = "";
    auto& config = facts.node.config.value();
    config.configPath = "";
    LegacyMirror mirror;
    mirror.registry = "docker.io";
    mirror.endpoints = {"mirror.example:5000", "localhost:5000", "https://m/x/"};
    config.mirrors = {mirror};
    LegacyHost legacy;
    legacy.host = "mirror.example:5000";
    legacy.ca = "/ca.pem";
    legacy.cert = "/cert.pem";
    legacy.key = "/key.pem";
    LegacyHost upstream;
    upstream.host = "registry-1.docker.io";
    upstream.skipVerify = true;
    config.hosts = {legacy, upstream};
    config.tlsHosts = {{legacy.host, ""}, {upstream.host, ""}};
    const Chain chain = chooseChain(facts, "docker.io").reading.hosts;
    REQUIRE(chain.size() == 4);
    CHECK(chain[0].url() == "https://mirror.example:5000/v2");
    CHECK(chain[0].ca == std::vector<std::string>{"/ca.pem"});
    CHECK(chain[0].client == std::vector<std::vector<std::string>>{{"/cert.pem", "/key.pem"}});
    CHECK(chain[1].url() == "http://localhost:5000/v2");
    CHECK(chain[2].url() == "https://m/x/");
    CHECK(chain[3].skipVerify == true);
    // The registry itself is not asked twice.
    mirror.registry = "quay.io";
    mirror.endpoints = {"https://m.example", "https://quay.io"};
    config.mirrors = {mirror};
    CHECK(chooseChain(facts, "quay.io").reading.hosts.size() == 2);
}

TEST_CASE("doctor finds what is wrong with pause image, kubelet and disk") {
    NodeFacts facts = wellNode();
    facts.images.value().front().pinLabel = false;
    CHECK(codes(facts) == Codes{"sandbox-image-unpinned"});
    facts.images.value().front().name = "registry.k8s.io/pause:3.9";
    CHECK(codes(facts) == Codes{"sandbox-image-absent"});
    CHECK(examineNode(facts).front().remedy.find("tag registry.k8s.io/pause:3.9") !=
          std::string::npos);
    // Whoever may make a pod can bring an image of that name.
    facts.images.value().front().name = "docker.io/evil/pause:1";
    REQUIRE(codes(facts) == Codes{"sandbox-image-absent"});
    CHECK(examineNode(facts).front().remedy.find("evil") == std::string::npos);
    facts = wellNode();
    facts.kubeadmFlags = Seen<std::string>::known(
        "KUBELET_KUBEADM_ARGS=\"--pod-infra-container-image=registry.k8s.io/pause:3.9\"\n");
    CHECK(codes(facts) == Codes{"sandbox-image-other"});
    facts = wellNode();
    facts.node.units["kubelet.service"].value().activeState = "failed";
    CHECK(codes(facts) == Codes{"kubelet-down"});
    facts = wellNode();
    facts.disk.value().available = 100;
    CHECK(codes(facts) == Codes{"disk-pressure"});
    CHECK(examineNode(facts).front().severity == Finding::Severity::Warning);
    facts.disk.value().available = 10;
    CHECK(examineNode(facts).front().severity == Finding::Severity::Critical);
}
