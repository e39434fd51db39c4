#include "probe/registry_client.hpp"

#include "base/text.hpp"
#include "base/time.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/upstream.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace nodemirror {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostRedirects = 10;
constexpr size_t kLongestShown = 2000;  ///< of a URL
const char kToken[] = "token";
constexpr int kMostResponses = 6;  // retryRequest gives up after as many

bool isRedirect(const Exchange& exchange) {
    static const std::set<int> codes{301, 302, 303, 307, 308};
    return codes.count(exchange.status) > 0 && exchange.headers.count("location") > 0;
}

/// What Go's http.Client does not send to another host than the one it was meant for
/// (shouldCopyHeaderOnRedirect).
bool staysAtHome(const std::string& header) {
    static const std::set<std::string> names{"authorization", "www-authenticate", "cookie",
                                             "cookie2"};
    return names.count(lower(header)) > 0;
}

/// One URL, which may be relative, without what stands before the host of its authority.
std::string withoutUserinfo(std::string url) {
    const size_t slashes = url.find("//");
    if (slashes == std::string::npos) return url;
    const size_t end = std::min(url.find_first_of("/?#", slashes + 2), url.size());
    const size_t at = url.rfind('@', end);
    if (at != std::string::npos && at > slashes && at < end)
        url.erase(slashes + 2, at - slashes - 1);
    return url;
}

/// Go's http.Client: Head "URL": error
std::string doError(const Exchange& exchange) {
    std::string verb = lower(exchange.method);
    if (!verb.empty()) verb[0] = static_cast<char>(std::toupper(verb[0]));
    return verb + " " + inQuotes(exchange.url) + ": " + exchange.error;
}

std::vector<Challenge> challengesOf(const Exchange& exchange) {
    std::vector<Challenge> out;
    const auto header = exchange.headers.find("www-authenticate");
    if (header == exchange.headers.end()) return out;
    for (const auto& line : split(header->second, '\n')) out.push_back(parseChallenge(line));
    // Bearer before Basic, as ParseAuthHeader sorts them.
    std::stable_sort(out.begin(), out.end(), [](const Challenge& a, const Challenge& b) {
        return (a.scheme == "bearer") > (b.scheme == "bearer");
    });
    return out;
}

std::string tokenIn(const std::string& body) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    for (const char* key : {"access_token", "token"})
        if (json.is_object() && json.contains(key) && json[key].is_string())
            if (auto token = json[key].get<std::string>(); !token.empty()) return token;
    return "";
}

}  // namespace

RegistryClient::RegistryClient(boost::asio::io_context& io, Resolver& resolver, ChainHost host,
                               std::string repository, ClientOptions options)
    : io_(io),
      resolver_(resolver),
      host_(std::move(host)),
      repository_(std::move(repository)),
      options_(std::move(options)),
      scheme_(host_, options_.version) {
    if (!options_.contexts) options_.contexts = std::make_shared<TlsContexts>();
    base_.scheme = scheme_.text();
    base_.authority = host_.host;
    options_.patience = patienceWith(host_, options_.patience);
}

HttpUrl RegistryClient::urlOf(const std::string& kind, const std::string& object) const {
    HttpUrl url = base_;
    url.target = cleanPath(host_.path + "/" + repository_ + "/" + kind + "/" + object);
    if (url.target.empty() || url.target.front() != '/') url.target.insert(0, "/");
    if (!isUpstream(host_, options_.registry)) {
        std::vector<std::pair<std::string, std::string>> query{{"ns", options_.registry}};
        url = withQuery(std::move(url), std::move(query));
    }
    return url;
}

Result<std::unique_ptr<Connection>> RegistryClient::connectionTo(const HttpUrl& url) {
    TlsContext tls;
    if (url.scheme == "https") {
        auto made = options_.contexts->get(tlsSettingsOf(host_));
        if (!made) return made.error();
        tls = std::move(*made);
    }
    return std::make_unique<Connection>(io_, resolver_, std::move(tls),
                                        proxyFor(options_.proxies, url));
}

/// One request, over the kept connection where it goes to the host itself.
Task<Exchange> RegistryClient::send(HttpRequest request, std::string purpose) {
    const bool own = request.url.sameOrigin(base_);
    std::unique_ptr<Connection> other;
    if (!own || !connection_) {
        auto made = connectionTo(request.url);
        if (!made) {
            Exchange out = request.unsent(Fault::Tls, made.error().text());
            out.purpose = purpose;
            co_return out;
        }
        (own ? connection_ : other) = std::move(*made);
        if (!own) other->refuseLinkLocal();
    }
    Connection& connection = own ? *connection_ : *other;
    auto task = connection.exchange(std::move(request), options_.patience);
    Exchange out = co_await std::move(task);
    out.purpose = purpose;
    co_return out;
}

/// A request with its redirects, as Go's http.Client follows them. `purpose`: of a request that is
/// no question to the host itself.
Task<Exchange> RegistryClient::follow(HttpRequest request, std::string purpose,
                                      RegistryAnswer* answer) {
    const HttpUrl first = request.url;
    for (int hops = 0;; ++hops) {
        auto task = send(request, purpose);
        Exchange exchange = co_await std::move(task);
        const bool goesOn = exchange.fault == Fault::None && isRedirect(exchange);
        if (goesOn) {
            const auto next = resolveLocation(request.url, exchange.headers["location"]);
            const bool tooLong = Clock::now() - began_ > options_.patience.whole;
            if (next && tooLong) {
                exchange.fault = Fault::Hang;
                exchange.error = "redirected again and again, for longer than it is waited for";
            } else if (!next || hops >= kMostRedirects) {
                exchange.fault = Fault::Protocol;
                exchange.error =
                    next ? "Get " + inQuotes(withoutUserinfo(exchange.headers["location"])) +
                               ": stopped after 10 redirects"
                         : "redirected to something that is no http or https URL";
                if (next && purpose != kToken) exchange.error.insert(0, "failed to do request: ");
            } else {
                // It has done its work: what stays is to be shown.
                exchange.body.clear();
                exchange.url = shortened(std::move(exchange.url), kLongestShown);
                auto& location = exchange.headers["location"];
                location = shortened(std::move(location), kLongestShown);
                answer->exchanges.push_back(std::move(exchange));
                request.url = *next;
                if (purpose.empty()) purpose = "redirect";
                if (!request.url.keepsCredentialsOf(first))
                    std::erase_if(request.headers,
                                  [](const auto& header) { return staysAtHome(header.first); });
                continue;
            }
        }
        answer->exchanges.push_back(exchange);
        co_return exchange;
    }
}

/// GET on the token service (auth.FetchToken), without credentials.
Task<bool> RegistryClient::fetchToken(Challenge challenge, RegistryAnswer* answer) {
    const std::string failed = "failed to authorize: failed to fetch anonymous token: ";
    const auto realm = parseHttpUrl(challenge.parameters["realm"]);
    if (!realm) {
        answer->fault = Fault::Unauthorized;
        answer->error = "no realm specified for token auth challenge";
        co_return false;
    }
    std::set<std::string> scopes{"repository:" + repository_ + ":pull"};
    if (const auto scope = challenge.parameters.find("scope"); scope != challenge.parameters.end())
        for (const auto& part : split(scope->second, ' ')) scopes.insert(part);
    std::vector<std::pair<std::string, std::string>> query;
    for (const auto& scope : scopes) query.emplace_back("scope", scope);
    if (!challenge.parameters["service"].empty())
        query.emplace_back("service", challenge.parameters["service"]);
    HttpRequest request;
    request.url = withQuery(*realm, std::move(query));
    if (options_.version.sendsHeadersToTokenService())
        for (const auto& [name, values] : host_.header)
            for (const auto& value : values) request.headers.emplace_back(name, value);
    auto task = follow(std::move(request), kToken, answer);
    const Exchange exchange = co_await std::move(task);
    if (exchange.fault != Fault::None) {
        answer->fault = exchange.fault;
        answer->error = failed + (exchange.status == 0 ? doError(exchange) : exchange.error);
        co_return false;
    }
    token_ = exchange.status < 400 ? tokenIn(exchange.body) : "";
    if (!token_.empty()) co_return true;
    answer->fault = Fault::Unauthorized;
    answer->error =
        failed + (exchange.status >= 400
                      ? (options_.version.leavesOutTokenUrls()
                             ? "unexpected status: "
                             : "unexpected status from GET request to " + exchange.url + ": ") +
                            statusLine(exchange.status)
                      : "authorization server did not include a token in the response");
    co_return false;
}

/// What authorizer.go's AddResponses makes of a 401. True: ask again.
Task<bool> RegistryClient::authorize(const Exchange& refused, bool repeated,
                                     RegistryAnswer* answer) {
    for (const auto& challenge : challengesOf(refused)) {
        if (challenge.scheme == "bearer") {
            const auto said = challenge.parameters.find("error");
            if (said != challenge.parameters.end() && !said->second.empty()) {
                if (repeated) {
                    answer->fault = Fault::Unauthorized;
                    answer->error =
                        "pull access denied, repository does not exist or may require "
                        "authorization: server message: " +
                        printable(said->second) + ": authorization failed";
                    co_return false;
                }
                token_.clear();
            }
            if (!token_.empty()) co_return false;  // the same token again changes nothing
            auto task = fetchToken(challenge, answer);
            co_return co_await std::move(task);
        }
        if (challenge.scheme == "basic") {
            if (options_.version.tellsStatusOfUnmetChallenges()) co_return false;
            answer->fault = Fault::Unauthorized;
            answer->error =
                "pull access denied, repository does not exist or may require "
                "authorization: authorization failed: no basic auth credentials";
            co_return false;
        }
    }
    co_return false;
}

std::vector<std::pair<std::string, std::string>> RegistryClient::headersFor(const Ask& what) const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [name, values] : host_.header) {
        const std::string key = lower(name);
        if (key == "accept" || (key == "authorization" && !token_.empty())) continue;
        for (const auto& value : values) out.emplace_back(name, value);
    }
    if (!token_.empty()) out.emplace_back("Authorization", "Bearer " + token_);
    if (!what.accept.empty()) out.emplace_back("Accept", what.accept);
    if (!what.range.empty()) out.emplace_back("Range", "bytes=" + what.range);
    out.emplace_back("User-Agent", "containerd/" + options_.version.text());
    return out;
}

/// A request that is not even made: http.NewRequest fails.
void RegistryClient::refuse(const HttpRequest& request, const std::string& why,
                            RegistryAnswer* answer) {
    answer->fault = Fault::Protocol;
    answer->error = "parse " + inQuotes(request.url.text()) + ": " + why;
    answer->exchanges.push_back(request.unsent(answer->fault, answer->error));
}

Task<RegistryAnswer> RegistryClient::ask(Ask what) {
    RegistryAnswer answer;
    began_ = Clock::now();
    for (int responses = 1; responses <= kMostResponses; ++responses) {
        HttpRequest request;
        request.method = what.method;
        request.url = urlOf(what.kind, what.object);
        const auto target = requestTarget(request.url.target);
        if (!target.error.empty()) {
            refuse(request, target.error, &answer);
            co_return answer;
        }
        request.url.target = target.text;
        request.headers = headersFor(what);
        request.readLimit = what.readLimit;
        request.keepLimit = what.keepLimit;
        request.patient = what.patient;
        auto task = follow(std::move(request), "", &answer);
        const Exchange exchange = co_await std::move(task);
        if (scheme_.fallsBackAfter(exchange)) {
            base_.scheme = scheme_.text();
            connection_.reset();
            continue;
        }
        answer.status = exchange.status;
        answer.fault = exchange.fault;
        if (exchange.fault != Fault::None) {
            answer.error = exchange.status == 0 ? "failed to do request: " + doError(exchange)
                                                : exchange.error;
            co_return answer;
        }
        if (exchange.status == 405 && what.method == "HEAD" && what.kind == "manifests") {
            what.method = "GET";
            continue;
        }
        if (exchange.status != 401) co_return answer;
        const bool hadToken = !token_.empty();
        auto again = authorize(exchange, hadToken || responses > 1, &answer);
        if (!co_await std::move(again)) co_return answer;
    }
    co_return answer;
}

}  // namespace nodemirror
