#include "desired/parse.hpp"
#include "desired/url.hpp"
#include "pem_samples.hpp"
#include "support/result_printer.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace nodemirror;

namespace {

Result<std::string> sampleFile(const std::string& path) {
    static const std::map<std::string, std::string> files{{"/ca.pem", samples::kCertificate},
                                                          {"/c.pem", samples::kCertificate},
                                                          {"/c.key", samples::kKey},
                                                          {"/other.key", samples::kOtherKey},
                                                          {"/junk.pem", "this is no PEM\n"},
                                                          {"/token", "Bearer abc\n"},
                                                          {"/two-lines", "Bearer abc\nmore\n"},
                                                          {"/latin1", "Bearer \xe9\n"},
                                                          {"/empty", "\n"}};
    const auto found = files.find(path);
    if (found == files.end()) return Error::system("read", path, ENOENT);
    return found->second;
}

ParsedDesired parse(const std::string& yaml) { return parseDesired(yaml, sampleFile); }

std::string withMirror(const std::string& lines) {
    return "apiVersion: nodemirrord/v1\nregistries:\n  docker.io:\n    mirrors:\n" + lines;
}

}  // namespace

TEST_CASE("the whole schema is read") {
    const auto parsed = parse(R"(apiVersion: nodemirrord/v1
registries:
  docker.io:
    fallback: upstream
    server: https://registry-1.docker.io
    mirrors:
      - url: https://docker.m.daocloud.io/
        capabilities: [resolve, pull]
      - url: https://registry.example:5000
        repositoryPrefix: dockerhub
        ca: [/ca.pem]
        client: {cert: /c.pem, key: /c.key}
        skipVerify: false
        overridePath: false
        headers: {X-Tenant: [blue]}
        headerFiles: {Authorization: /token}
        dialTimeout: 2s
  "[::1]:5000":
    fallback: none
    mirrors: [{url: "http://127.0.0.1:5001"}]
  _default:
    mirrors: [{url: https://mirror.example}]
pause:
  sources: [registry.aliyuncs.com/google_containers/pause:3.10]
  aliases: [k8s.gcr.io/pause:3.10]
  pin: false
images: [nginx:1.25.3]
health: {order: health, interval: 1m, timeout: 500ms}
containerd: {configPath: check}
services:
  containerd: {unit: k3s.service, restart: never}
  kubelet: {unit: kubelet.service, restart: auto}
  budget: {restarts: 5, per: 2h}
unmanaged: prune
)");
    REQUIRE(parsed.problems.empty());
    REQUIRE(parsed.desired);
    const Desired& desired = *parsed.desired;
    REQUIRE(desired.registries.size() == 3);
    const Registry& hub = desired.registries[0];
    CHECK(hub.server->text() == "https://registry-1.docker.io");
    REQUIRE(hub.mirrors.size() == 2);
    CHECK(hub.mirrors[0].url.text() == "https://docker.m.daocloud.io");
    CHECK(hub.mirrors[0].capabilities == std::vector<std::string>{"pull", "resolve"});
    CHECK(hub.mirrors[1].url.host == "registry.example:5000");
    CHECK(hub.mirrors[1].headers.at("Authorization").front().reveal() == "Bearer abc");
    CHECK(hub.mirrors[1].headers.at("X-Tenant").front().reveal() == "blue");
    CHECK(hub.mirrors[1].dialTimeout == "2s");
    CHECK(desired.registries[1].fallback == Fallback::None);
    CHECK(desired.images == std::vector<std::string>{"docker.io/library/nginx:1.25.3"});
    CHECK_FALSE(desired.pause->pin);
    CHECK(desired.health.order == Health::Order::Health);
    CHECK(desired.configPath == ConfigPathPolicy::Check);
    CHECK(desired.containerd.unit == "k3s.service");
    CHECK_FALSE(desired.containerd.restart);
    CHECK(desired.budget.restarts == 5);
    CHECK(desired.budget.per == std::chrono::hours(2));
    CHECK(desired.unmanaged == UnmanagedPolicy::Prune);
}

TEST_CASE("each mistake is told with its place, its key and what would be right") {
    struct Case {
        std::string yaml;
        int line, column;
        std::string key, told;
    };
    const std::string mirror = "      - url: https://m.example\n        ";
    const std::vector<Case> cases{
        {"registries: {}\n", 1, 1, "", "apiVersion: nodemirrord/v1"},
        {"apiVersion: v2\n", 1, 13, "apiVersion", "nodemirrord/v1"},
        {"apiVersion: nodemirrord/v1\nregistry: {}\n", 2, 1, "registry",
         "did you mean \"registries\"?"},
        {"apiVersion: nodemirrord/v1\nimages: []\nimages: []\n", 3, 1, "images", "written twice"},
        {"apiVersion: nodemirrord/v1\npause:\n", 2, 1, "pause", "has no value"},
        {"apiVersion: nodemirrord/v1\nimages: nginx\n", 2, 9, "images", "must be a list"},
        {"apiVersion: nodemirrord/v1\nimages: [UPPER]\n", 2, 10, "images[0]", "lower-case"},
        {withMirror("      - url: docker.m.daocloud.io\n"), 5, 14,
         "registries.\"docker.io\".mirrors[0].url", "has no scheme; write https://"},
        {withMirror("      - url: https://user:pw@m.example\n"), 5, 14,
         "registries.\"docker.io\".mirrors[0].url", "headerFiles"},
        {withMirror("      - url: https://m.example?x=1\n"), 5, 14,
         "registries.\"docker.io\".mirrors[0].url", "query"},
        {withMirror("      - url: https://m.example:99999\n"), 5, 14,
         "registries.\"docker.io\".mirrors[0].url", "valid host"},
        {withMirror("      - capabilities: [pull]\n"), 5, 9, "registries.\"docker.io\".mirrors[0]",
         "needs a url"},
        {withMirror(mirror + "capabilities: [pull, resolv]\n"), 6, 30,
         "registries.\"docker.io\".mirrors[0].capabilities[1]", "pull or resolve or push"},
        {withMirror(mirror + "capabilities: []\n"), 6, 23,
         "registries.\"docker.io\".mirrors[0].capabilities", "empty"},
        {withMirror(mirror + "ca: [/nope.pem]\n"), 6, 14,
         "registries.\"docker.io\".mirrors[0].ca[0]", "No such file"},
        {withMirror(mirror + "ca: [/junk.pem]\n"), 6, 14,
         "registries.\"docker.io\".mirrors[0].ca[0]", "no PEM certificate"},
        {withMirror(mirror + "client: {cert: /c.pem, key: /other.key}\n"), 6, 17,
         "registries.\"docker.io\".mirrors[0].client", "does not belong"},
        {withMirror(mirror + "client: {cert: /c.pem}\n"), 6, 17,
         "registries.\"docker.io\".mirrors[0].client", "key is missing"},
        {withMirror(mirror + "skipVerify: \"yes\"\n"), 6, 21,
         "registries.\"docker.io\".mirrors[0].skipVerify", "true or false"},
        {withMirror(mirror + "dialTimeout: 2\n"), 6, 22,
         "registries.\"docker.io\".mirrors[0].dialTimeout", "with its unit"},
        {withMirror(mirror + "dialTimeout: 8761h\n"), 6, 22,
         "registries.\"docker.io\".mirrors[0].dialTimeout", "at most 8760h"},
        {withMirror(mirror + "headerFiles: {Authorization: /two-lines}\n"), 6, 38,
         "registries.\"docker.io\".mirrors[0].headerFiles.Authorization", "one line of UTF-8"},
        {withMirror(mirror + "headerFiles: {Authorization: /latin1}\n"), 6, 38,
         "registries.\"docker.io\".mirrors[0].headerFiles.Authorization", "one line of UTF-8"},
        {withMirror(mirror + "repositoryPrefix: /x/\n"), 6, 27,
         "registries.\"docker.io\".mirrors[0].repositoryPrefix", "repository path"},
        {withMirror("      - url: http://m.example\n        skipVerify: true\n"), 6, 21,
         "registries.\"docker.io\".mirrors[0].skipVerify", "http://"},
        {withMirror("      - url: https://m.example\n      - url: https://m.example/\n"), 6, 9,
         "registries.\"docker.io\".mirrors[1]", "listed twice"},
        // hosts.toml would have one table twice: the second spells out what the prefix means.
        {withMirror("      - {url: https://m.example, repositoryPrefix: x}\n"
                    "      - {url: https://m.example/v2/x, overridePath: true}\n"),
         6, 9, "registries.\"docker.io\".mirrors[1]", "listed twice"},
        {withMirror("      - url: https://m.example\n        headers: {A: [" +
                    [] {
                        std::string values;
                        for (int i = 0; i < 5; ++i)
                            values += (i > 0 ? ", " : "") + std::string(30'000, 'v');
                        return values;
                    }() +
                    "]}\n"),
         4, 5, "registries.\"docker.io\"", "128 KiB"},
        {withMirror("      - url: https://[:::]\n"), 5, 14,
         "registries.\"docker.io\".mirrors[0].url", "valid host"},
        {"apiVersion: nodemirrord/v1\nregistries:\n  https://docker.io:\n    server: "
         "https://x.example\n",
         4, 5, "registries.\"https://docker.io\"", "without a scheme"},
        {"apiVersion: nodemirrord/v1\nregistries:\n  docker.io:\n    server: https://docker.io\n",
         4, 13, "registries.\"docker.io\".server", "registry-1.docker.io"},
        {"apiVersion: nodemirrord/v1\nregistries:\n  docker.io:\n    fallback: none\n", 4, 5,
         "registries.\"docker.io\"", "add a mirror"},
        {"apiVersion: nodemirrord/v1\nservices: {budget: {restarts: -1}}\n", 2, 31,
         "services.budget.restarts", "whole number"},
        {"apiVersion: nodemirrord/v1\nhealth: {timeout: 2m}\n", 2, 9, "health", "longer"},
    };
    for (const auto& each : cases) {
        CAPTURE(each.yaml);
        const auto parsed = parse(each.yaml);
        CHECK_FALSE(parsed.desired);
        REQUIRE(parsed.problems.size() == 1);
        const Problem& problem = parsed.problems.front();
        CHECK(problem.line == each.line);
        CHECK(problem.column == each.column);
        CHECK(problem.key == each.key);
        CHECK_THAT(problem.message, Catch::Contains(each.told));
        CHECK_THAT(problem.message, !Catch::Contains("pw@"));
    }
}

TEST_CASE("a token where its file's name belongs is not repeated") {
    for (const std::string value : {"Bearer abc123", "/abc123"}) {
        const auto parsed =
            parse(withMirror("      - url: https://m.example\n        headerFiles: {"
                             "Authorization: '" +
                             value + "'}\n"));
        REQUIRE(parsed.problems.size() == 1);
        CHECK_THAT(parsed.problems[0].message, !Catch::Contains("abc123"));
    }
}

TEST_CASE("what became part of a key is not repeated") {
    for (const char* text : {
             "apiVersion: nodemirrord/v1\nregistries: {a.io: {mirrors: [{url: https://m.example, "
             "headers: {Authorization Bearer abc123: x}}]}}\n",
             "root:$y$j9T$abc123:19000:0:99999:7:::\n",
             "root:$y$j9T$abc123:19000:0\n? {a: b}\n: c\n",
             "? root $6$abc123\n: x\n",
             "apiVersion: nodemirrord/v1\ntoken abc123: 1\ntoken abc123: 2\n",
         }) {
        const auto parsed = parse(text);
        REQUIRE_FALSE(parsed.problems.empty());
        for (const auto& problem : parsed.problems) {
            CHECK_THAT(problem.message, !Catch::Contains("abc123"));
            CHECK_THAT(problem.key, !Catch::Contains("abc123"));
        }
    }
}

TEST_CASE("all mistakes are told at once, in the order of the file") {
    const auto parsed = parse(withMirror("      - url: m.example\n        skipVerfy: true\n") +
                              "unmanaged: keeep\nfoo: 1\n");
    std::vector<int> lines;
    for (const auto& problem : parsed.problems) lines.push_back(problem.line);
    CHECK(lines == std::vector<int>{5, 6, 7, 8});
}

TEST_CASE("odd YAML is an error and nothing worse") {
    for (const std::string yaml :
         {"", "---\n", "a: [", "\t", "- 1\n", "42\n", "a: &x [*x]\n", "? [a]\n: b\n",
          "--- {}\n--- {}\n", "apiVersion: nodemirrord/v1\nregistries: &a {docker.io: *a}\n"}) {
        CAPTURE(yaml);
        const auto parsed = parse(yaml);
        CHECK_FALSE(parsed.desired);
        CHECK_FALSE(parsed.problems.empty());
    }
    const auto deep = parse(std::string(100000, '['));
    REQUIRE(deep.problems.size() == 1);
    CHECK(deep.problems[0].message == "is nested deeper than any desired state");
}

TEST_CASE("a desired state that would fill the memory is an error and nothing worse") {
    std::string many = "x:\n";
    for (int i = 0; i < 2'100'000; ++i) many += "- 1\n";
    const auto values = parse(many);
    REQUIRE(values.problems.size() == 1);
    CHECK(values.problems[0].message == "more values than a desired state may have");
    // Lists of aliases in lists of aliases: 10^9 files to read.
    std::string lists = "apiVersion: nodemirrord/v1\nimages: &c [";
    for (int i = 0; i < 1000; ++i) lists += "/ca.pem,";
    lists += "]\npause: &m [";
    for (int i = 0; i < 1000; ++i) lists += "{url: https://m.example, ca: *c},";
    lists += "]\nregistries:\n";
    for (int i = 0; i < 1000; ++i) lists += "  r" + std::to_string(i) + ".example: {mirrors: *m}\n";
    // One map with many words, under many names.
    std::string words = "mirrors: [&a {";
    for (int i = 0; i < 50'000; ++i) words += "url: x,";
    words += "url: x},";
    for (int i = 0; i < 100'000; ++i) words += "*a,";
    CHECK_FALSE(
        parse("apiVersion: nodemirrord/v1\nregistries: {docker.io: {" + words + "]}}\n").desired);
    size_t reads = 0;
    const auto count = [&](const std::string& path) {
        ++reads;
        return sampleFile(path);
    };
    const auto aliases = parseDesired(lists, count);
    CHECK_FALSE(aliases.desired);
    CHECK(reads == 1);
    std::string mirrors;
    for (int i = 0; i < 501; ++i)
        mirrors += "      - url: https://m" + std::to_string(i) + ".example\n";
    REQUIRE(parse(withMirror(mirrors)).problems.size() == 1);
    CHECK_THAT(parse(withMirror(mirrors)).problems[0].message, Catch::Contains("500 mirrors"));
    std::string keys = "apiVersion: nodemirrord/v1\n";
    for (int i = 0; i < 100'000; ++i) keys += "a" + std::to_string(i) + ": 1\n";
    const auto unknown = parse(keys);
    CHECK(unknown.problems.size() <= 1001);
}

TEST_CASE("a line that is indented with a tab") {
    const auto message = [](const std::string& rest) {
        const auto parsed = parse("apiVersion: nodemirrord/v1\nregistries:\n" + rest);
        REQUIRE(parsed.problems.size() == 1);
        return parsed.problems[0].message;
    };
    const auto tells = Catch::Contains("indented with a tab");
    CHECK_THAT(message("\tdocker.io:\n\t\tmirrors: []\n"), tells);
    CHECK_THAT(message("  docker.io:\n  \tmirrors: []\n"), tells);
    CHECK_THAT(message("  docker.io:\n    mirrors: [}\n"), !tells);
    CHECK_THAT(message("  docker.io: a:\tb: c\n"), !tells);
}

TEST_CASE("a bracket that is left open costs no more than its text") {
    const auto repeated = [](const std::string& text) {
        std::string out;
        for (int i = 0; i < 1'300'000; ++i) out += text;
        return out;
    };
    for (const std::string part : {"[", "{", "a,\n", "\"\"", "? a ", "' #' ", "\"\\\"\" "}) {
        CAPTURE(part);
        const auto parsed = parse("apiVersion: nodemirrord/v1\nx:\n  - [a, " + repeated(part));
        REQUIRE(parsed.problems.size() == 1);
        CHECK_THAT(parsed.problems[0].message, Catch::Contains("between this bracket and its end"));
        CHECK(parsed.problems[0].line == 3);
        CHECK(parsed.problems[0].column == 5);
    }
    // One in a comment opens nothing, nor one in quotes; and words in quotes are one each.
    const auto quoted =
        parse("apiVersion: nodemirrord/v1\nx: ['[[', " + repeated("\"a, ['\",") + "]\n");
    CHECK_THAT(quoted.problems.at(0).message, Catch::Contains("between this bracket"));
    std::string json = "{\"apiVersion\": \"nodemirrord/v1\", \"registries\": {";
    for (int i = 0; i < 10'000; ++i) {
        json += (i > 0 ? ",\"r" : "\"r") + std::to_string(i) + ".example\": {\"mirrors\": [";
        for (int m = 0; m < 4; ++m)
            json += (m > 0 ? ",{\"url\": \"https://m" : "{\"url\": \"https://m") +
                    std::to_string(m) + ".example\", \"repositoryPrefix\": \"[x" + "\"}";
        json += "]}";
    }
    const auto brackets = parse(json + "}}");
    REQUIRE_FALSE(brackets.problems.empty());
    CHECK_THAT(brackets.problems[0].message, !Catch::Contains("bracket"));
    const auto comment = parse("apiVersion: nodemirrord/v1\n# [1\nx:\n" + repeated("- 1\n"));
    REQUIRE_FALSE(comment.problems.empty());
    CHECK_THAT(comment.problems[0].message, !Catch::Contains("bracket"));
}

TEST_CASE("names of units") {
    const auto problems = [](const std::string& unit) {
        return parse("apiVersion: nodemirrord/v1\nservices: {kubelet: {unit: " + unit + "}}\n")
            .problems;
    };
    for (const char* good : {"kubelet.service", "k3s@node-1.service", "\"a\\\\x2db:c_d.service\""})
        CHECK(problems(good).empty());
    for (const char* bad :
         {"kubelet", "../x.service", "\"a\\nb.service\"", "\"a\\e[2J.service\"", "a b.service"})
        CHECK(problems(bad).size() == 1);
}

TEST_CASE("names of registries") {
    for (const std::string good : {"docker.io", "localhost", "registry.example:5000", "_default",
                                   "127.0.0.1:5000", "[::1]:5000", "Registry.Example"})
        CHECK(registryNameProblem(good).empty());
    for (const std::string bad : {"https://docker.io", "docker.io/library", "*.example", "a b", "",
                                  "docker.io:0", "index.docker.io", "..", "registry.example_5000_",
                                  "harbor", "my_registry:5000", "registry.example."})
        CHECK_FALSE(registryNameProblem(bad).empty());
}
