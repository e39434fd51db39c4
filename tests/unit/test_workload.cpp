#include "diagnose/workload.hpp"
#include "support/result_printer.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace nodemirror;

namespace {

using Codes = std::vector<std::string>;

}  // namespace

TEST_CASE("what kubectl prints is read leniently, and JSON strictly") {
    CHECK_FALSE(readClusterObjects(""));
    CHECK_FALSE(readClusterObjects("{"));
    CHECK(readClusterObjects("{\n\"a\": x}").error().reason().find("line 2") != std::string::npos);
    CHECK_FALSE(readClusterObjects("7"));
    for (const char* odd : {"{}", "[]", "{\"items\":[]}", "[1,null,\"x\",[]]", "{\"kind\":7}",
                            "{\"kind\":\"Pod\",\"spec\":{\"containers\":7},\"status\":[]}",
                            "{\"kind\":\"Deployment\",\"spec\":{\"replicas\":1e99}}",
                            "{\"kind\":\"Service\",\"spec\":{\"selector\":[1]}}",
                            "{\"kind\":\"EndpointSlice\",\"endpoints\":{\"x\":1}}",
                            "{\"kind\":\"Event\",\"involvedObject\":3}"}) {
        const auto objects = readClusterObjects(odd);
        REQUIRE(objects);
        const auto report = examineWorkload(*objects);
        CHECK(report.images.empty());
        CHECK(report.findings.empty());
    }
}

TEST_CASE("Services without endpoints and ReplicaSets without a Deployment") {
    const auto objects = readClusterObjects(R"([
      {"kind":"Service","metadata":{"name":"web","namespace":"n"},
       "spec":{"selector":{"app":"web"},"type":"ClusterIP"}},
      {"kind":"Pod","metadata":{"name":"other","namespace":"n","labels":{"app":"other"}},
       "status":{"phase":"Running","podIP":"10.244.1.2"}},
      {"kind":"Pod","metadata":{"name":"sys","namespace":"kube-system"},
       "status":{"phase":"Running","podIP":"10.244.1.3"}},
      {"kind":"Deployment","metadata":{"name":"else","namespace":"n"},"spec":{"replicas":0}},
      {"kind":"ReplicaSet","metadata":{"name":"old","namespace":"n","ownerReferences":
        [{"kind":"Deployment","name":"gone","controller":true}]},"spec":{"replicas":2}}])");
    REQUIRE(objects);
    Codes found;
    for (const auto& finding : examineWorkload(*objects).findings)
        found.push_back(finding.code + " " + finding.subject);
    CHECK(found == Codes{"replicaset-orphaned n/old", "pods-without-service n/pod/other",
                         "service-without-endpoints n/web"});
}

TEST_CASE("what is no name to Kubernetes is no part of a command") {
    for (const std::string odd : {"a;touch${IFS}/x;#", "$(id)", "--kubeconfig=/x", "a b", "a`id`",
                                  "a\nb", "a|b", "a&b", "a>b", "x'y", "-x", "a/../b", "\u00e4"}) {
        CAPTURE(odd);
        auto json = nlohmann::json::parse(R"([
          {"kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"}}},
          {"kind":"Pod","metadata":{"name":"good","ownerReferences":
            [{"kind":"DaemonSet","controller":true}]},
           "spec":{"containers":[{"name":"c","image":"r.test/x:1"}]},
           "status":{"phase":"Running","containerStatuses":
             [{"name":"c","state":{"waiting":{"reason":"ImagePullBackOff"}}}]}},
          {"kind":"Pod","metadata":{},"status":{"phase":"Running"}},
          {"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Running"}},
          {"kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":2},"status":{"conditions":
            [{"type":"Progressing","reason":"ProgressDeadlineExceeded"}]}},
          {"kind":"ReplicaSet","metadata":{"name":"new","annotations":
            {"deployment.kubernetes.io/revision":"2"},"ownerReferences":
            [{"kind":"Deployment","name":"d","controller":true}]}},
          {"kind":"ReplicaSet","metadata":{"name":"old","annotations":{},"ownerReferences":
            [{"kind":"Deployment","name":"d","controller":true}]},"status":{"readyReplicas":1}}])");
        json[1]["metadata"]["ownerReferences"][0]["name"] = odd;
        json[2]["metadata"]["name"] = odd;
        json[3]["metadata"]["namespace"] = odd;
        json[6]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = odd;
        json[1]["spec"]["initContainers"] = {{{"name", odd}, {"image", "r.test/y:1"}}};
        const auto objects = readClusterObjects(json.dump());
        REQUIRE(objects);
        const auto report = examineWorkload(*objects);
        Codes found;
        for (const auto& finding : report.findings) {
            found.push_back(finding.code);
            CHECK_THAT(finding.remedy, !Catch::Contains(odd));
        }
        CHECK(found == Codes{"rollout-stuck", "pods-without-service", "service-without-endpoints"});
        REQUIRE(report.images.size() == 1);
        CHECK(setImageCommands(report.images[0], "r.test/x:2") ==
              std::vector<std::string>{"kubectl -n default set image pod/good c=r.test/x:2"});
    }
}

TEST_CASE("commands are those that kubectl takes") {
    const auto pod = [](const std::string& owner, const std::string& phase) {
        return R"({"kind":"Pod","metadata":{"name":"p","namespace":"n","ownerReferences":)" +
               (owner.empty() ? "[]"
                              : R"([{"kind":")" + owner + R"(","name":"o","controller":true}])") +
               R"(},"spec":{"containers":[{"name":"c","image":"r.test/x:1"}]},"status":{"phase":")" +
               phase + R"(","podIP":"10.0.0.1","containerStatuses":[{"name":"c",)" +
               R"("state":{"waiting":{"reason":"ImagePullBackOff"}}}]}})";
    };
    const std::string service =
        R"(,{"kind":"Service","metadata":{"name":"s","namespace":"other"},"spec":{}})";
    const auto report = [&](const std::string& owner, const std::string& phase) {
        const auto objects = readClusterObjects("[" + pod(owner, phase) + service + "]");
        REQUIRE(objects);
        return examineWorkload(*objects);
    };
    const std::map<std::string, std::string> images{
        {"", "kubectl -n n set image pod/p c=r.test/x:2"},
        {"StatefulSet", "kubectl -n n set image statefulset/o c=r.test/x:2"},
        {"Job", "kubectl -n n delete job/o, then create it again with c=r.test/x:2"},
        {"Node",
         "on the node of pod p, in its manifest below /etc/kubernetes/manifests: c=r.test/x:2"}};
    for (const auto& [owner, wanted] : images) {
        CAPTURE(owner);
        const auto found = report(owner, "Pending");
        REQUIRE(found.images.size() == 1);
        CHECK(setImageCommands(found.images[0], "r.test/x:2") == std::vector{wanted});
    }
    CHECK(report("DaemonSet", "Running").findings.empty());
    const auto set = report("StatefulSet", "Running").findings;
    REQUIRE(set.size() == 1);
    CHECK_THAT(set[0].remedy, Catch::Contains("kubectl -n n get statefulset/o -o jsonpath") &&
                                  !Catch::Contains("expose"));
    CHECK_THAT(report("ReplicaSet", "Running").findings.at(0).remedy,
               Catch::Contains("kubectl -n n expose replicaset/o --port=PORT"));
}

TEST_CASE("what kubelet says of one pod's image is not told of another's") {
    const auto event = [](const std::string& pod, const std::string& image) {
        return R"({"kind":"Event","involvedObject":{"kind":"Pod","namespace":"default","name":")" +
               pod + R"("},"reason":"Failed","message":"Failed to pull image \")" + image +
               R"(\": of )" + pod + R"("})";
    };
    const auto pod = [](const std::string& name) {
        return R"({"kind":"Pod","metadata":{"name":")" + name + R"(","namespace":"default"},)" +
               R"("spec":{"containers":[{"name":"c","image":"nginx:1"}]},"status":{"containerStatuses":)" +
               R"([{"name":"c","state":{"waiting":{"reason":"ImagePullBackOff","message":"Back-off"}}}]}})";
    };
    const auto messageWith = [&](const std::string& events) {
        const auto objects = readClusterObjects("[" + pod("a") + "," + events + "]");
        REQUIRE(objects);
        const auto report = examineWorkload(*objects);
        REQUIRE(report.images.size() == 1);
        return report.images[0].message;
    };
    CHECK_THAT(messageWith(event("a", "nginx:1")), Catch::Contains("of a"));
    CHECK(messageWith(event("a", "evil.example/nginx:1")) == "Back-off");
    CHECK(messageWith(event("a", "nginx:1.25")) == "Back-off");
    CHECK(messageWith(event("b", "nginx:1")) == "Back-off");
}
