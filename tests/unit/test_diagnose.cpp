#include "diagnose/chain_choice.hpp"
#include "diagnose/pull_verdict.hpp"
#include "diagnose/pull_words.hpp"
#include "finding_samples.hpp"
#include "support/result_printer.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

ImageReference reference() { return *parseImageReference("docker.io/library/x:1"); }

}  // namespace

TEST_CASE("hosts are fallen through as containerd does") {
    const auto refused = host("a", 0, Fault::Refused, "refused");
    const auto missing = host("b", 404);
    const auto broken = host("c", 500);
    const auto good = host("d", 200);
    const auto hung = host("e", 0, Fault::Hang, "hang");
    CHECK(resolveAmong({refused, missing, broken, good}, reference(), k17).winner == 3U);
    CHECK(resolveAmong({good, hung}, reference(), k17).winner == 0U);
    const auto stuck = resolveAmong({refused, hung, good}, reference(), k17);
    CHECK(stuck.endless);
    CHECK(stuck.failingAt == 1U);
    // Whose error is told: the first that is no 404 in 1.x, the gravest in 2.x.
    // A digest that is none ends it, whoever comes behind.
    HostFinding lying = good;
    lying.invalidDigest = "\"x\" in header not a valid digest: invalid checksum digest format";
    const auto ended = resolveAmong({refused, lying, good}, reference(), k21);
    CHECK_FALSE(ended.winner);
    CHECK(ended.failingAt == 1U);
    CHECK(ended.error == lying.invalidDigest);
    CHECK(hostClass(lying) == "invalid-digest");
    CHECK_THAT(remedyFor(lying, reference()), Catch::Contains("Docker-Content-Digest"));
    CHECK(ended.ends);
    CHECK_FALSE(resolveAmong({missing, refused}, reference(), k21).ends);
    CHECK(resolveAmong({missing, refused, broken}, reference(), k17).failingAt == 1U);
    CHECK(resolveAmong({missing, refused, broken}, reference(), k21).failingAt == 2U);
    CHECK(resolveAmong({refused, missing}, reference(), k21).failingAt == 1U);
    CHECK(resolveAmong({missing, missing}, reference(), k17).error ==
          "docker.io/library/x:1: not found");
    auto unable = good;
    unable.resolves = false;
    CHECK(resolveAmong({unable}, reference(), k17).error == "no resolve hosts: not found");
}

TEST_CASE("what cannot be read here is told of no host that containerd does not come to") {
    HostFinding unread = host("a", 200);
    unread.get = host("a", 0, Fault::Unparsed, "bad Transfer-Encoding").head;
    HostFinding lying = host("b", 200);
    lying.invalidDigest = "\"x\" in header not a valid digest: invalid checksum digest format";
    ImageFindings findings;
    findings.reference = reference();
    findings.hosts = {unread, lying};
    PullVerdict verdict = judgePull(findings, k17);
    CHECK(verdict.errorClass == faultName(Fault::Unparsed));
    CHECK_THAT(verdict.summary, Catch::Contains("cannot be told: a answers in a form"));
    // Nor does a GET that fails behind a HEAD that does not count as fine.
    unread.get = host("a", 503).head;
    findings.hosts = {unread, lying};
    verdict = judgePull(findings, k17);
    CHECK(verdict.errorClass == "server-error");
    CHECK_THAT(verdict.summary, Catch::Contains("a has an error of its own (503)"));
    findings.hosts = {lying, unread};
    verdict = judgePull(findings, k17);
    CHECK(verdict.errorClass == "invalid-digest");
}

TEST_CASE("a verdict names the class, the host and a remedy") {
    ImageFindings findings;
    findings.reference = reference();
    findings.hosts = {host("m.example", 0, Fault::Unauthorized,
                           "pull access denied, repository does not exist or may require "
                           "authorization: server message: insufficient_scope: authorization "
                           "failed")};
    const auto denied = judgePull(findings, k17);
    CHECK_FALSE(denied.works);
    CHECK(denied.errorClass == "denied");
    CHECK(denied.summary.find("does not exist on this mirror, or is not public") !=
          std::string::npos);
    CHECK(denied.kubeletError.find("insufficient_scope") != std::string::npos);
    REQUIRE_FALSE(denied.remedies.empty());
    findings.hosts = {host("m.example", 200)};
    findings.winner = 0;
    CHECK(judgePull(findings, k17).works);
    findings.layersLeft = 7;
    const auto slow = judgePull(findings, k17);
    CHECK(slow.works);
    CHECK_THAT(slow.summary, Catch::Contains("as far as it was looked at"));
    REQUIRE(slow.notes.size() == 1);
    CHECK_THAT(slow.notes[0], Catch::Contains("last 7 layers"));
    findings.chain.error = "unable to load CA cert";
    CHECK(judgePull(findings, k17).errorClass == "configuration");
}
