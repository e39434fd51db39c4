#include "status/status.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace nodemirror;

namespace {

/// As after a pass that found everything as desired.
Status sound() {
    Status status;
    status.desired.valid = true;
    status.desired.inForce = true;
    status.nodeView.ofDesired = true;
    RegistryView view;
    view.name = "docker.io";
    view.directory = "docker.io";
    view.fallback = Fallback::Upstream;
    view.state = RegistryState::InSync;
    status.registries.push_back(view);
    return status;
}

Phase phaseOf(Status status, const TreeState& tree = {}) {
    judge(status, tree);
    return status.phase;
}

std::vector<std::string> codesOf(Status status, const TreeState& tree = {}) {
    judge(status, tree);
    std::vector<std::string> out;
    for (const auto& reason : status.reasons) out.push_back(reason.code);
    return out;
}

std::string remedyOf(Status status) {
    judge(status, {});
    return status.reasons.empty() ? "" : status.reasons.front().remedy;
}

using Codes = std::vector<std::string>;

}  // namespace

TEST_CASE("the phase follows from the gravest reason") {
    Status status = sound();
    CHECK(phaseOf(status) == Phase::Ready);
    SECTION("a note changes nothing") {
        status.nodeView.reasons.push_back(makeReason(Reason::Weight::Note, "N", "", "", ""));
        CHECK(phaseOf(status) == Phase::Ready);
    }
    SECTION("the gravest comes first") {
        using Weight = Reason::Weight;
        for (const auto weight : {Weight::Note, Weight::Degraded, Weight::Blocked})
            status.nodeView.reasons.push_back(
                makeReason(weight, std::to_string(static_cast<int>(weight)), "", "", ""));
        CHECK(codesOf(status) == Codes{"2", "1", "0"});
        CHECK(phaseOf(status) == Phase::Blocked);
    }
    SECTION("before the first pass it is starting, unless it is blocked") {
        status.nodeView.ofDesired = false;
        CHECK(phaseOf(status) == Phase::Starting);
        status.registries[0].state = RegistryState::Invalid;
        CHECK(phaseOf(status) == Phase::Blocked);
    }
}

TEST_CASE("a desired state that is not valid") {
    Status status = sound();
    status.desired.valid = false;
    status.desired.problems = {{3, 1, "mirors", "unknown key"}};
    CHECK(codesOf(status) == Codes{"DesiredInvalid"});
    CHECK(phaseOf(status) == Phase::Degraded);  // the last good one is in force
    status.desired.inForce = false;
    CHECK(phaseOf(status) == Phase::Blocked);
    CHECK_THAT(remedyOf(status), Catch::StartsWith("nodemirrorctl validate"));
    // To validate it tells nothing where the file itself is the matter.
    status.desired.problems = {{0, 0, "a.io", "cannot be rendered"}};
    CHECK_THAT(remedyOf(status), Catch::StartsWith("nodemirrorctl validate"));
    status.desired.problems = {{0, 0, "", "cannot read it"}};
    CHECK_THAT(remedyOf(status), Catch::Contains("readable file of root's"));
}

TEST_CASE("a copy that a later start could not fall back to is told") {
    Status status = sound();
    status.desired.notKept = Error::system("write", "", ENOSPC).at("/var/lib/x/last-good.json");
    CHECK(codesOf(status) == Codes{"StateNotWritable"});
    CHECK_THAT(remedyOf(status), Catch::Contains("make room on the file system of /var/lib/x"));
    CHECK(phaseOf(status) == Phase::Degraded);
}

TEST_CASE("what cannot be written is told with what would mend it") {
    const Error full = Error::system("write", ".temporary", ENOSPC).at("/var/lib/x/manifest.json");
    CHECK(full.brief() == "cannot write /var/lib/x/manifest.json: No space left on device");
    CHECK_THAT(full.remedy(), Catch::Contains("make room on the file system of /var/lib/x"));
    CHECK_THAT(Error::system("create", "x", EPERM).at("/a").remedy(), Catch::Contains("lsattr"));
    CHECK_THAT(Error::system("create", "x", EROFS).at("/a").remedy(), Catch::Contains("findmnt"));
    CHECK_THAT(Error::system("create", "x", EROFS).of("y").at("/a").remedy(),
               Catch::Contains("findmnt -T /a"));
    CHECK(Error::system("create", "x", EEXIST).at("/a").remedy().empty());
    CHECK(Error("write", "x", "why", "do that").at("/a").remedy() == "do that");
    Status status = sound();
    status.registries[0].state = RegistryState::Drifted;
    status.registries[0].problem = full.brief();
    status.registries[0].remedy = full.remedy();
    CHECK(codesOf(status) == Codes{"RegistryDrifted"});
    CHECK_THAT(remedyOf(status), Catch::StartsWith("make room"));
}

TEST_CASE("registries and the tree that they are in") {
    Status status = sound();
    auto& registry = status.registries[0];
    const auto with = [&](RegistryState state) {
        registry.state = state;
        return codesOf(status);
    };
    CHECK(with(RegistryState::Drifted) == Codes{"RegistryDrifted"});
    CHECK(with(RegistryState::Contested) == Codes{"RegistryContested"});
    CHECK(with(RegistryState::Invalid) == Codes{"RegistryInvalid"});
    CHECK(with(RegistryState::Unmanaged).empty());
    registry.fallback.reset();  // a file of somebody else's: worth knowing, and theirs
    CHECK(with(RegistryState::Invalid) == Codes{"UnmanagedInvalid"});
    CHECK(phaseOf(status) == Phase::Ready);
    TreeState tree;
    tree.unwatched = "no watches are left";
    CHECK(phaseOf(sound(), tree) == Phase::Degraded);
    tree.problem = Error("use", "/etc/containerd/certs.d", "it is a file");
    CHECK(codesOf(sound(), tree) == Codes{"CertsDirUnusable", "WatchesExhausted"});
    CHECK(phaseOf(sound(), tree) == Phase::Blocked);
}

TEST_CASE("what could not be looked at is null in the document, and not false") {
    Status status = sound();
    RequiredImage image;
    image.name = "registry.k8s.io/pause:3.8";
    image.pause = true;
    status.nodeView.required.push_back(image);
    judge(status, {});
    const Document document = toDocument(status);
    CHECK(document["phase"] == "Ready");
    CHECK(document["pause"]["required"][0]["present"].is_null());
    CHECK(document["containerd"]["reachable"].is_null());
}
