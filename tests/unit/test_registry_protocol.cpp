#include "registry_protocol/api_error.hpp"
#include "registry_protocol/challenge.hpp"
#include "registry_protocol/http_url.hpp"
#include "registry_protocol/manifest.hpp"
#include "registry_protocol/proxy.hpp"
#include "support/result_printer.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

TEST_CASE("challenges are read as containerd reads them") {
    const auto challenge = parseChallenge(
        "Bearer realm=\"https://auth.example/token\",service=\"a \\\"b\\\"\", "
        "scope=\"repository:x:pull\",error=\"insufficient_scope\"");
    CHECK(challenge.scheme == "bearer");
    CHECK(challenge.parameters.at("realm") == "https://auth.example/token");
    CHECK(challenge.parameters.at("service") == "a \"b\"");
    CHECK(challenge.parameters.at("error") == "insufficient_scope");
    CHECK(parseChallenge("BASIC realm=x").parameters.at("realm") == "x");
    CHECK(parseChallenge("").scheme.empty());
    CHECK(parseChallenge("Bearer realm=\"never closed").parameters.at("realm").empty());
    CHECK_FALSE(usableChallenge(parseChallenge("Bearer realm=\"file:///etc/passwd\"")));
    CHECK_FALSE(usableChallenge(parseChallenge("Negotiate")));
}

TEST_CASE("URLs and redirects") {
    const auto url = parseHttpUrl("https://user:secret@Host.example:5000/a/b?c=d#e");
    REQUIRE(url);
    CHECK(url->text() == "https://Host.example:5000/a/b?c=d");
    CHECK(url->hostName() == "Host.example");
    CHECK(url->port() == "5000");
    CHECK(parseHttpUrl("http://[::1]:80")->hostName() == "::1");
    CHECK(parseHttpUrl("http://[::1]")->port() == "80");
    for (const char* text : {"file:///etc/passwd", "https://", "gopher://x", "x", "http://a b/",
                             "http://a:bc/", "http://a:123456/", ""})
        CHECK_FALSE(parseHttpUrl(text));
    const auto to = [&](const char* location) {
        const auto next = resolveLocation(*url, location);
        return next ? next->text() : "nowhere";
    };
    CHECK(to("/x?y") == "https://Host.example:5000/x?y");
    CHECK(to("x") == "https://Host.example:5000/a/x");
    CHECK(to("?q") == "https://Host.example:5000/a/b?q");
    CHECK(to("//other/x") == "https://other/x");
    CHECK(to("http://other:81/x#f") == "http://other:81/x");
    CHECK(to("/a file?x y") == "https://Host.example:5000/a file?x y");  // escaped when it is sent
    CHECK(to("https://o ther/") == "nowhere");
    CHECK(to("/a\tb") == "nowhere");
    CHECK(to("file:///etc/shadow") == "nowhere");
    CHECK(to("javascript:alert(1)") == "nowhere");
    CHECK(to("") == "nowhere");
    CHECK(withQuery(*parseHttpUrl("http://a/b"), {{"ns", "r:5000"}, {"a", "x y"}}).text() ==
          "http://a/b?a=x+y&ns=r%3A5000");
    CHECK(requestTarget("/v2/a b/\xc3\xa4\"?x=%zz").text == "/v2/a%20b/%C3%A4%22?x=%zz");
    for (const char* lines : {"/x HTTP/1.1\r\nHost: a\r\n\r\nPOST /", "/a\tb", "/a\x7f"})
        CHECK(requestTarget(lines).error == "net/url: invalid control character in URL");
    CHECK(requestTarget("/a%zz/b").error == "invalid URL escape \"%zz\"");
    CHECK(requestTarget("/a%4").error == "invalid URL escape \"%4\"");
    CHECK(requestTarget("/a%4a").text == "/a%4a");
    CHECK(parseHttpUrl("http://a")->sameOrigin(*parseHttpUrl("http://A:80/x")));
    CHECK_FALSE(parseHttpUrl("http://a")->sameOrigin(*parseHttpUrl("https://a")));
    const HttpUrl first = *parseHttpUrl("https://r.example:5000/v2/");
    for (const char* kept :
         {"https://r.example/x", "https://R.example:9000/", "https://s3.r.example"})
        CHECK(parseHttpUrl(kept)->keepsCredentialsOf(first));
    for (const char* dropped : {"http://r.example:5000/", "https://example", "https://or.example",
                                "https://r.example.evil", "https://[fe80::1%25.r.example]/"})
        if (const auto other = parseHttpUrl(dropped)) CHECK_FALSE(other->keepsCredentialsOf(first));
}

TEST_CASE("proxies are chosen as Go chooses them") {
    const auto settings = proxySettings(
        {"HTTPS_PROXY=http://proxy:3128", "http_proxy=plain:80",
         "NO_PROXY=.internal, example.com,10.0.0.0/8,192.168.1.1,[2001:db8::1],host.test:5000"});
    const auto proxy = [&](const char* url) { return proxyFor(settings, *parseHttpUrl(url)); };
    CHECK(proxy("https://registry-1.docker.io/") == "http://proxy:3128");
    CHECK(proxy("http://registry-1.docker.io/") == "http://plain:80");
    for (const char* url :
         {"https://a.internal/", "https://example.com/", "https://sub.Example.com/",
          "https://10.1.2.3/", "https://192.168.1.1/", "https://host.test:5000/",
          "https://localhost/", "https://127.0.0.5/", "https://[::1]/"})
        CHECK(proxy(url).empty());
    for (const char* url : {"https://internal/", "https://notexample.com/", "https://11.1.2.3/",
                            "https://host.test/", "https://192.168.1.10/"})
        CHECK_FALSE(proxy(url).empty());
    CHECK(proxyFor(proxySettings({"HTTPS_PROXY=p", "NO_PROXY=*"}), *parseHttpUrl("https://a/"))
              .empty());
    CHECK_FALSE(proxySettings({}).any());
    CHECK(proxyAuthorization("http://proxy:3128").empty());
    CHECK(proxyAuthorization("http://proxy:3128/a@b").empty());
    CHECK(proxyAuthorization("http://user:p%40ss@proxy:3128") == "Basic dXNlcjpwQHNz");
    CHECK(proxyAuthorization("http://100%:x@proxy") == "Basic MTAwJTp4");
}

TEST_CASE("manifests, indexes and errors of registries") {
    const std::string digest = "sha256:" + std::string(64, 'a');
    const auto item = [&](const std::string& platform) {
        return "{\"mediaType\":\"m\",\"size\":3,\"digest\":\"" + digest + "\"" + platform + "}";
    };
    const auto manifest = parseImageDocument("{\"config\":" + item("") + ",\"layers\":[" +
                                             item("") + "," + item("") + "]}");
    REQUIRE(manifest);
    CHECK_FALSE(manifest->isIndex);
    CHECK(manifest->layers.size() == 2);
    CHECK(manifest->config.size == 3);
    const auto platform = [](const char* architecture, const char* variant) {
        return std::string(",\"platform\":{\"os\":\"linux\",\"architecture\":\"") + architecture +
               "\",\"variant\":\"" + variant + "\"}";
    };
    const auto index =
        parseImageDocument("{\"manifests\":[" + item(platform("amd64", "")) + "," +
                           item(platform("arm", "v6")) + "," + item(platform("arm", "v7")) + "]}");
    REQUIRE(index);
    CHECK(choosePlatform(*index, {"linux", "amd64", ""}) == &index->manifests[0]);
    CHECK(choosePlatform(*index, {"linux", "arm", "v7"}) == &index->manifests[2]);
    CHECK(choosePlatform(*index, {"linux", "arm", "v5"}) == nullptr);
    CHECK(choosePlatform(*index, {"linux", "s390x", ""}) == nullptr);
    // What a machine runs besides its own, and what names no platform.
    CHECK(choosePlatform(*index, {"linux", "arm64", "v8"}) == &index->manifests[2]);
    const auto others = parseImageDocument("{\"manifests\":[" + item(platform("amd64", "v2")) +
                                           "," + item(platform("386", "")) + "," + item("") + "," +
                                           item(platform("arm64", "v8")) + "]}");
    REQUIRE(others);
    CHECK(choosePlatform(*others, {"linux", "amd64", ""}) == &others->manifests[1]);
    CHECK(choosePlatform(*others, {"linux", "arm64", ""}) == &others->manifests[3]);
    CHECK(choosePlatform(*others, {"linux", "s390x", ""}) == &others->manifests[2]);
    for (const char* text : {"", "[]", "{}", "{\"config\":{},\"layers\":[]}", "<html>",
                             "{\"config\":{\"digest\":\"sha256:../../x\"},\"layers\":[]}"})
        CHECK_FALSE(parseImageDocument(text));
    CHECK(
        parseApiError("{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\u001b[31m\"}]}").code ==
        "DENIED");
    CHECK(parseApiError("{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[31m\"}]}").message ==
          "?[31m");
    for (const char* text : {"", "{}", "{\"errors\":[]}", "{\"errors\":[1]}", "{\"errors\":{}}"})
        CHECK(parseApiError(text).code.empty());
}

TEST_CASE("a manifest is of some size and depth, and no more") {
    const auto why = [](const std::string& text) {
        return parseImageDocument(text).error().reason();
    };
    CHECK_THAT(why(std::string(4 << 20, '[')), Catch::Contains("deeper ones"));
    std::string many = "{\"manifests\":[0";
    while (many.size() < (2 << 20)) many += ",0";
    while (many.size() < (4 << 20)) many += ",{}";
    CHECK_THAT(why(many + "]}"), Catch::Contains("more values"));
    CHECK_THAT(why("{\"manifests\":[0"), Catch::Contains("no JSON object"));
}

TEST_CASE("what go-digest says of a digest") {
    const std::string hex(64, 'a');
    CHECK(digestProblem("sha256:" + hex).empty());
    CHECK(digestProblem("sha512:" + hex + hex).empty());
    const std::string format = "invalid checksum digest format";
    for (const std::string& none :
         {std::string(), hex, ":" + hex, std::string("sha256:"), "sha256:" + std::string(64, 'A'),
          "sha256:" + hex.substr(1) + "\n", "../../../../admin/purge?all=1:" + hex})
        CHECK(digestProblem(none) == format);
    CHECK(digestProblem("sha256:" + hex + "a") == "invalid checksum digest length");
    CHECK(digestProblem("md5:" + hex) == "unsupported digest algorithm");
    CHECK(digestProblem("x:" + std::string(1 << 20, 'a')) == format);
}
