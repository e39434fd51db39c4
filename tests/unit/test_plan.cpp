#include "base/digest.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "plan/budget.hpp"
#include "plan/contest.hpp"
#include "plan/image_plan.hpp"
#include "plan/look_pace.hpp"
#include "plan/node_reasons.hpp"
#include "plan/registry_plan.hpp"
#include "reference/image_reference.hpp"
#include "support/result_printer.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Type = ObservedEntry::Type;

namespace {

IntendedHosts intended(const std::string& text = "wanted\n", bool secret = false) {
    IntendedHosts out;
    out.registry = "docker.io";
    out.directory = "docker.io";
    out.rendered.text = text;
    out.rendered.secret = secret;
    out.sha256 = sha256Hex(text);
    return out;
}

ObservedRegistry place(const std::string& content, mode_t mode = 0644) {
    ObservedRegistry out;
    out.directory.type = Type::Directory;
    out.directory.mode = 0755;
    out.hosts.type = Type::File;
    out.hosts.content = content;
    out.hosts.sha256 = sha256Hex(content);
    out.hosts.mode = mode;
    return out;
}

Ownership owning(const std::string& content) {
    Ownership out;
    out.directory = "docker.io";
    out.digests = {sha256Hex(content)};
    return out;
}

Seen<ObservedRegistry> known(ObservedRegistry value) {
    return Seen<ObservedRegistry>::known(std::move(value));
}

}  // namespace

TEST_CASE("a declared registry that is in place needs nothing") {
    const Ownership owned = owning("wanted\n");
    CHECK_FALSE(planDeclared(intended(), &owned, known(place("wanted\n")), 0));
}

TEST_CASE("what could not be looked at leads to nothing at all") {
    const Ownership owned = owning("wanted\n");
    const auto unknown = Seen<ObservedRegistry>::unknown("I/O error");
    CHECK_FALSE(planDeclared(intended(), &owned, unknown, 0));
    CHECK_FALSE(planDeclared(intended(), nullptr, unknown, 0));
    CHECK_FALSE(planUndeclared("docker.io", &owned, unknown, UnmanagedPolicy::Keep));
    CHECK_FALSE(planUndeclared("docker.io", nullptr, unknown, UnmanagedPolicy::Prune));
}

TEST_CASE("each kind of drift is written over and named") {
    ObservedRegistry gone;
    ObservedRegistry noFile;
    noFile.directory.type = Type::Directory;
    noFile.directory.mode = 0755;
    ObservedRegistry open = place("wanted\n");
    open.directory.mode = 0777;
    ObservedRegistry huge = place("");
    huge.hosts.tooLarge = true;
    ObservedRegistry link = place("");
    link.hosts = ObservedEntry();
    link.hosts.type = Type::Symlink;
    link.hosts.target = "/etc/passwd";
    ObservedRegistry directoryLink;
    directoryLink.directory.type = Type::Symlink;
    directoryLink.directory.target = "/evil";
    ObservedRegistry foreign = place("wanted\n");
    foreign.hosts.uid = 1000;
    const std::vector<std::pair<ObservedRegistry, std::string>> cases{
        {gone, "the directory was deleted"},
        {noFile, "hosts.toml was deleted"},
        {place("other\n"), "edited"},
        {place(""), "truncated"},
        {place("wanted\n", 0600), "mode of hosts.toml was changed to 0600"},
        {foreign, "uid 1000"},
        {open, "mode of the directory was changed to 0777"},
        {huge, "edited"},
        {link, "symbolic link to \"/etc/passwd\""},
        {directoryLink, "directory was replaced by a symbolic link to \"/evil\""},
    };
    const Ownership owned = owning("wanted\n");
    for (const auto& [observed, told] : cases) {
        CAPTURE(told);
        const auto action = planDeclared(intended(), &owned, known(observed), 0);
        REQUIRE(action);
        const auto& write = std::get<WriteHosts>(*action);
        CHECK(write.drifted);
        CHECK_THAT(write.reason, Catch::Contains(told));
        // Once it is applied there is nothing left to do.
        CHECK_FALSE(planDeclared(intended(), &owned, known(place("wanted\n")), 0));
    }
}

TEST_CASE("taking over, changing and giving back") {
    SECTION("a file that was there is kept first") {
        const auto action = planDeclared(intended(), nullptr, known(place("mine\n")), 0);
        REQUIRE(action);
        CHECK_THAT(std::get<WriteHosts>(*action).reason, Catch::Contains("that is there is kept"));
        CHECK_FALSE(std::get<WriteHosts>(*action).drifted);
    }
    SECTION("even when it says the same already") {
        const auto action = planDeclared(intended(), nullptr, known(place("wanted\n")), 0);
        REQUIRE(action);
        CHECK_THAT(std::get<WriteHosts>(*action).reason, Catch::Contains("that is there is kept"));
    }
    SECTION("a changed desire is no drift") {
        const Ownership owned = owning("older\n");
        const auto action = planDeclared(intended(), &owned, known(place("older\n")), 0);
        REQUIRE(action);
        CHECK_FALSE(std::get<WriteHosts>(*action).drifted);
    }
    SECTION("our own file is given back") {
        const Ownership owned = owning("wanted\n");
        const auto action =
            planUndeclared("docker.io", &owned, known(place("wanted\n")), UnmanagedPolicy::Keep);
        REQUIRE(action);
        CHECK_FALSE(std::get<ReleaseHosts>(*action).leaveFile);
    }
    SECTION("somebody else's file stays") {
        const Ownership owned = owning("wanted\n");
        const auto action =
            planUndeclared("docker.io", &owned, known(place("theirs\n")), UnmanagedPolicy::Keep);
        REQUIRE(action);
        CHECK(std::get<ReleaseHosts>(*action).leaveFile);
    }
    SECTION("undeclared and unowned") {
        const auto seen = known(place("theirs\n"));
        CHECK_FALSE(planUndeclared("quay.io", nullptr, seen, UnmanagedPolicy::Keep));
        const auto action = planUndeclared("quay.io", nullptr, seen, UnmanagedPolicy::Prune);
        REQUIRE(action);
        CHECK(std::holds_alternative<PruneHosts>(*action));
        ObservedRegistry empty;
        empty.directory.type = Type::Directory;
        CHECK_FALSE(planUndeclared("quay.io", nullptr, known(empty), UnmanagedPolicy::Prune));
    }
}

TEST_CASE("kubelet is restarted for the last pause image that comes back") {
    std::vector<RequiredImage> required(3);
    required[0].name = "pause:1";
    required[1].name = "pause:2";
    required[0].pause = required[1].pause = true;
    required[0].sandbox = required[1].sandbox = true;
    required[2].name = "other";
    required[2].pause = true;  // an alias
    ObservedNode node;
    const auto set = [&](const std::string& name, bool resolves) {
        ObservedImage image;
        image.resolves = resolves;
        node.images[name] = Seen<ObservedImage>::known(image);
    };
    PauseAbsence absence;
    SteadyTime now{std::chrono::hours(1)};
    std::map<std::string, std::string> errors;
    const auto follow = [&](const std::vector<RequiredImage>& images) {
        return absence.follow(images, node, errors, now);
    };
    CHECK(follow(required).empty());  // nothing is known yet
    CHECK_FALSE(absence.any());
    set("pause:1", false);
    set("pause:2", false);
    set("other", false);
    CHECK(follow(required).empty());
    CHECK(absence.any());
    CHECK(reasonsOfImages(required, node, {{"pause:2", "it is forbidden"}}).size() == 3);
    CHECK(reasonsOfImages(required, node, {{"pause:2", "it is forbidden"}})[1].message ==
          "it is forbidden");
    set("other", true);
    set("pause:1", true);
    CHECK(follow(required).empty());
    // What cannot be looked at is missing still.
    node.images["pause:2"] = Seen<ObservedImage>::unknown("CRI is not ready");
    CHECK(follow(required).empty());
    CHECK(absence.any());
    CHECK(reasonsOfImages(required, node, {}).empty());
    // Where CRI answers, and not of an image, that is no silence.
    CriState ready;
    ready.ready = true;
    node.cri = Seen<CriState>::known(ready);
    CHECK(reasonsOfImages(required, node, {}).front().code == "ImageUnknown");
    CHECK_THAT(reasonsOfImages(required, node, {}).front().message,
               Catch::Contains("CRI is not ready"));
    set("pause:2", true);
    CHECK(follow(required) == "pause:2");
    CHECK_FALSE(absence.any());
    CHECK(follow(required).empty());
    // A name that nobody asks for any more is not waited for.
    set("pause:1", false);
    CHECK(follow(required).empty());
    CHECK(follow({required[1]}).empty());
    CHECK_FALSE(absence.any());
    // One came back while the other, which nobody waits for in the end, was missing.
    errors["pause:1"] = "it is forbidden";
    CHECK(follow(required).empty());
    set("pause:1", true);
    set("pause:2", false);
    CHECK(follow(required).empty());
    CHECK(follow({required[0]}) == "pause:1");
    // One that was there and is back at the first try within seconds has kept no pod.
    errors.clear();
    set("pause:2", true);
    CHECK(follow(required).empty());
    set("pause:1", false);
    CHECK(follow(required).empty());
    now += std::chrono::seconds(9);
    set("pause:1", true);
    CHECK(follow(required).empty());
    CHECK_FALSE(absence.any());
    set("pause:1", false);
    CHECK(follow(required).empty());
    now += std::chrono::seconds(10);
    CHECK(follow(required).empty());
    set("pause:1", true);
    CHECK(follow(required) == "pause:1");
}

TEST_CASE("CRI that waits, that is refused, and that cannot be asked") {
    CriState state;
    const auto reason = [&] {
        return reasonOfCri(Seen<CriState>::known(state), "containerd.service", "/etc/c.toml");
    };
    CHECK(reason()->code == "CriNotReady");
    state.refused = true;
    state.error = "invalid plugin config";
    CHECK(reason()->code == "CriNotLoaded");
    CHECK(reason()->weight == Reason::Weight::Blocked);
    CHECK_THAT(reason()->message, Catch::Contains("invalid plugin config"));
    state.ready = true;
    CHECK_FALSE(reason());
    const auto unknown = reasonOfCri(Seen<CriState>::unknown("no answer"), "c", "f");
    CHECK(unknown->message == "no answer");
    CHECK(unknown->weight == Reason::Weight::Degraded);
}

TEST_CASE("the budget counts what was asked for within its period") {
    Budget budget;
    budget.restarts = 2;
    budget.per = hours(1);
    const WallTime now = WallTime(hours(1000));
    CHECK(budgetLeft(budget, {}, now) == 2);
    CHECK(budgetLeft(budget, {now - minutes(30)}, now) == 1);
    CHECK(budgetLeft(budget, {now - hours(2), now - minutes(1), now}, now) == 0);
    CHECK(budgetFreeAt(budget, {now - minutes(50), now - minutes(10)}, now) == now + minutes(10));
    CHECK(budgetFreeAt(budget, {now - minutes(50)}, now) == now);
    CHECK(budgetFreeAt(budget, {now - minutes(50)}, now, 2) == now + minutes(10));
    CHECK(budgetFreeAt(budget, {now - minutes(50), now - minutes(10)}, now, 2) ==
          now + minutes(50));
    CHECK(budgetFreeAt(budget, {}, now, 2) == now);
    CHECK(budgetFreeAt(budget, {}, now, 3) == WallTime::max());
    SECTION("a clock that was set back neither frees it nor locks it for long") {
        CHECK(budgetLeft(budget, {now + hours(24), now + hours(25)}, now) == 0);
        CHECK(budgetFreeAt(budget, {now + hours(24), now + hours(25)}, now) == now + hours(1));
    }
    SECTION("none at all") {
        budget.restarts = 0;
        CHECK(budgetLeft(budget, {}, now) == 0);
        CHECK(budgetFreeAt(budget, {}, now) == WallTime::max());
    }
}

TEST_CASE("a fight is slowed down, never given up, and ends") {
    Contest contest;
    SteadyTime now{hours(1)};
    int heals = 0;
    // Somebody puts it back at once, for ten minutes.
    for (const SteadyTime end = now + minutes(10); now < end;
         now += std::chrono::milliseconds(10)) {
        if (!contest.mayHeal(now)) continue;
        contest.healed(now);
        ++heals;
    }
    CHECK(contest.contested());
    CHECK(heals > 10);
    CHECK(heals < 30);
    const SteadyTime due = contest.due();
    CHECK(due > now - seconds(1));
    CHECK(due <= now + minutes(1));
    contest.healed(due);
    now = due + minutes(1);
    contest.foundInPlace(now);
    CHECK(contest.contested());
    contest.foundInPlace(now + minutes(2));
    CHECK_FALSE(contest.contested());
    CHECK(contest.mayHeal(now + minutes(2)));
}

TEST_CASE("heals far apart are no fight") {
    Contest contest;
    for (int i = 0; i < 100; ++i) {
        const SteadyTime now{hours(1) + i * seconds(30)};
        REQUIRE(contest.mayHeal(now));
        contest.healed(now);
    }
    CHECK_FALSE(contest.contested());
}

TEST_CASE("which images must be there, and what is done for them") {
    Desired desired;
    desired.pause = Pause();
    desired.pause->aliases = {"k8s.gcr.io/pause:3.10"};
    desired.pause->sources = {"mirror.example/pause:3.10"};
    desired.images = {"docker.io/library/app:1"};
    const auto required = requiredImages(desired, "registry.k8s.io/pause:3.10");
    REQUIRE(required.size() == 3);
    CHECK(required[0].pause);
    CHECK(required[0].sources == desired.pause->sources);
    CHECK_FALSE(required[2].pause);

    ObservedNode node;
    const auto see = [&](size_t i, bool resolves, bool pinned) {
        ObservedImage image;
        image.name = required[i].name;
        image.resolves = resolves;
        image.hasRecord = resolves;
        image.pinLabel = pinned;
        node.images[required[i].name] = Seen<ObservedImage>::known(image);
    };
    SECTION("nothing is known: nothing is done") {
        const auto plan = planImages(required, node);
        CHECK(plan.missing.empty());
        CHECK(plan.pins.empty());
        node.images[required[0].name] = Seen<ObservedImage>::unknown("containerd is down");
        CHECK(planImages(required, node).missing.empty());
    }
    SECTION("missing ones are brought, unpinned ones pinned") {
        see(0, true, false);
        see(1, false, false);
        see(2, true, false);
        const auto plan = planImages(required, node);
        REQUIRE(plan.missing.size() == 1);
        CHECK(plan.missing[0].image.name == "k8s.gcr.io/pause:3.10");
        REQUIRE(plan.pins.size() == 1);
        CHECK(plan.pins[0].name == "registry.k8s.io/pause:3.10");
        for (size_t i = 0; i < 3; ++i) see(i, true, true);
        CHECK(planImages(required, node).missing.empty());
        CHECK(planImages(required, node).pins.empty());
    }
}

TEST_CASE("image references are normalised as CRI does") {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"nginx", "docker.io/library/nginx:latest"},
        {"library/nginx:1", "docker.io/library/nginx:1"},
        {"index.docker.io/nginx", "docker.io/library/nginx:latest"},
        {"localhost/x", "localhost/x:latest"},
        {"host:5000/a/b:t", "host:5000/a/b:t"},
        {"[::1]:5000/a", "[::1]:5000/a:latest"},
        {"k8s.gcr.io/pause:3.10", "k8s.gcr.io/pause:3.10"},
    };
    for (const auto& [text, normal] : cases) {
        const auto reference = parseImageReference(text);
        REQUIRE(reference);
        CHECK(reference->text() == normal);
    }
    const std::string digest = "sha256:" + std::string(64, 'a');
    CHECK(parseImageReference("x:1@" + digest)->text() == "docker.io/library/x@" + digest);
    for (const std::string bad :
         {"", "UPPER", "a//b", "a:", "a@sha256:1", "a b", "http://x/y", "a@",
          "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"})
        CHECK_FALSE(parseImageReference(bad));
}

TEST_CASE("what others change all the time is looked at now and then") {
    using std::chrono::seconds;
    const SteadyTime start{std::chrono::hours(1)};
    LookPace pace;
    for (int i = 0; i < 5; ++i) {
        REQUIRE(pace.mayLook(start + seconds(i)));
        pace.looked(start + seconds(i));
    }
    CHECK(pace.due() == SteadyTime());
    CHECK_FALSE(pace.mayLook(start + seconds(5)));
    CHECK(pace.due() == start + seconds(10));
    CHECK(pace.mayLook(start + seconds(10)));
    CHECK(pace.due() == SteadyTime());
    pace.looked(start + seconds(10));
    CHECK(pace.mayLook(start + seconds(11)));
}
