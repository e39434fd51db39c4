#include "base/diff.hpp"
#include "base/text.hpp"
#include "base/time.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;
using std::chrono::seconds;

TEST_CASE("durations as Go reads and prints them") {
    const std::vector<std::pair<std::string, std::string>> good{{"2s", "2s"},
                                                                {"1h30m", "1h30m0s"},
                                                                {"1.5s", "1.5s"},
                                                                {"0", "0s"},
                                                                {".5s", "500ms"},
                                                                {"-1s", "-1s"},
                                                                {"100us", "100\u00b5s"},
                                                                {"1ns", "1ns"},
                                                                {"1m1s1ms", "1m1.001s"},
                                                                {"+5s", "5s"}};
    for (const auto& [text, printed] : good) {
        CAPTURE(text);
        const auto duration = parseGoDuration(text);
        REQUIRE(duration);
        CHECK(formatGoDuration(*duration) == printed);
    }
    for (const std::string bad : {"", "2", "s", "1d", " 1s", "1s ", "1e3s", "00", "-", "9999999h"})
        CHECK_FALSE(parseGoDuration(bad));
    CHECK(rfc3339(WallTime(seconds(1700000000) + std::chrono::milliseconds(42))) ==
          "2023-11-14T22:13:20.042Z");
}

TEST_CASE("pauses double, and have an end") {
    CHECK(backoff(seconds(2), 0, seconds(64)) == seconds(2));
    CHECK(backoff(seconds(2), 3, seconds(64)) == seconds(16));
    CHECK(backoff(seconds(15), 5, seconds(300)) == seconds(300));
    CHECK(backoff(seconds(1), 1'000'000, std::chrono::hours(24)) == std::chrono::hours(24));
}

TEST_CASE("a unified diff") {
    CHECK(unifiedDiff("a", "x\n", "b", "x\n").empty());
    CHECK(unifiedDiff("/dev/null", "", "b", "x\ny\n") ==
          "--- /dev/null\n+++ b\n@@ -0,0 +1,2 @@\n+x\n+y\n");
    CHECK(unifiedDiff("a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "b", "1\n2\n3\n4\nX\n6\n7\n8\n9\n") ==
          "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
}

TEST_CASE("text for terminals and logs") {
    CHECK(printable("a\x1b[31mb\nc") == "a?[31mb\nc");
    // C1 controls, a line separator and a mark that reverses what follows; but no letters.
    CHECK(printable("a\xc2\x9b"
                    "31m\xe2\x80\xa8z\xe2\x80\xaez\xe2\x81\xa6é…") == "a?31m?z?z?é…");
    CHECK(oneLine("denied\n    remedy: curl evil\t|sh") == "denied     remedy: curl evil |sh");
    CHECK(inQuotes("a\n\xc2\x9b\"b") == "\"a\\n?\\\"b\"");
    CHECK(quotedScalar("\xc2\x9b\x1b\xe2\x80\xae\x7f \xe4\xb8\xad\"\\\xe9") ==
          "\"\\u009b\\u001b\\u202e\\u007f \xe4\xb8\xad\\\"\\\\\xe9\"");
    CHECK(inQuotes("a\"b\n\x01") == "\"a\\\"b\\n\\x01\"");
    // What is no UTF-8: a lone byte, an overlong form, a surrogate, a character cut short.
    CHECK(printable("caf\xe9 \xc0\xaf \xed\xa0\x80 \xe2\x82") == "caf? ?? ??? ??");
    CHECK(printable("\xf0\x9f\x90\xb3 \xf4\x90\x80\x80") == "\xf0\x9f\x90\xb3 ????");
    CHECK(inQuotes("caf\xe9") == "\"caf\\xe9\"");
    CHECK(withoutCredentials("see https://u:p@h/x and http://h2/y") ==
          "see https://<redacted>@h/x and http://h2/y");
    CHECK(withoutQueries(
              "Head \"https://h/x?X-Amz-Signature=s&y\": EOF (http://h2/y?ns=docker.io)") ==
          "Head \"https://h/x?<redacted>\": EOF (http://h2/y?ns=docker.io)");
    CHECK(withoutQueries("why? https://h/v2?ns=a&sig=s: status, https://h?") ==
          "why? https://h/v2?<redacted>: status, https://h?<redacted>");
    CHECK(shortened("abc", 3) == "abc");
    CHECK(shortened("aéb", 2) == "a…");
    CHECK(nearest("mirors", {"mirrors", "server"}) == "mirrors");
    CHECK(nearest("zzz", {"mirrors", "server"}).empty());
}
