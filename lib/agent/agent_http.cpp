#include "agent/agent.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

namespace nodemirror {

namespace {

using http::Answer;
using std::chrono::seconds;

/// How long POST /v1/reconcile waits for pulls before it answers with what there is.
constexpr seconds kReconcileWait{120};

std::string dump(const Document& document) {
    return document.dump(-1, ' ', true, Document::error_handler_t::replace) + "\n";
}

Answer text(unsigned status, std::string body) {
    Answer answer;
    answer.status = status;
    answer.type = "text/plain; charset=utf-8";
    answer.body = std::make_shared<const std::string>(std::move(body));
    return answer;
}

Answer json(const Document& document) {
    Answer answer;
    answer.body = std::make_shared<const std::string>(dump(document));
    return answer;
}

}  // namespace

http::Answer Agent::statusAnswer() {
    // Rendered once for every change, however many ask; for probes that change nothing but what was
    // measured, every two seconds at most.
    constexpr seconds kMeasured{2};
    const SteadyTime now = std::chrono::steady_clock::now();
    if (probedSince_ && now - statusAt_ >= kMeasured) statusBody_.reset();
    if (!statusBody_) {
        statusBody_ = std::make_shared<const std::string>(dump(toDocument(status())));
        statusAt_ = now;
        probedSince_ = false;
    }
    Answer answer;
    answer.body = statusBody_;
    return answer;
}

Task<http::Answer> Agent::reconcileNow() {
    spdlog::info("event=reconcile-asked");
    (void)takeDesired();
    const SteadyTime end = std::chrono::steady_clock::now() + kReconcileWait;
    const size_t before = registries_.changes();
    (void)reconcileEverything();
    while (registries_.areWaiting() && std::chrono::steady_clock::now() < end) {
        auto turn = boost::asio::post(io_, boost::asio::use_awaitable);
        co_await std::move(turn);
        (void)registries_.reconcileDue(now());
    }
    node_.retryImages();
    auto settle = node_.settle(end);
    co_await std::move(settle);
    Document out;
    out["changed"] = registries_.changes() - before;
    out["status"] = toDocument(status());
    co_return json(out);
}

Task<http::Answer> Agent::plan() {
    auto task = planned();
    const Document document = co_await std::move(task);
    co_return json(document);
}

Task<http::Answer> Agent::handle(http::Request request) {
    // Drift goes first: however many ask, it waits for one answer at most.
    reconcileSome(watches_.drainTree());
    const std::string path = request.target.substr(0, request.target.find('?'));
    const bool get = request.method == "GET";
    if (path == "/v1/reconcile") {
        if (request.method != "POST")
            co_return http::problem(405, "Method Not Allowed", "use POST for " + path);
        if (request.peer != 0) co_return http::problem(403, "Forbidden", "only root may reconcile");
        auto task = reconcileNow();
        co_return co_await std::move(task);
    }
    const bool known = path == "/v1/status" || path == "/v1/plan" || path == "/healthz" ||
                       path == "/readyz" || path == "/metrics";
    if (!known)
        co_return http::problem(404, "Not Found",
                                "there is no " + path +
                                    "; there are /v1/status, /v1/plan, /v1/reconcile, /healthz, "
                                    "/readyz and /metrics");
    if (!get) co_return http::problem(405, "Method Not Allowed", "use GET for " + path);
    if (path == "/v1/status") co_return statusAnswer();
    if (path == "/healthz") co_return text(200, "ok\n");
    if (path == "/v1/plan") {
        auto task = plan();
        co_return co_await std::move(task);
    }
    const Status current = status();
    if (path == "/metrics") {
        Answer answer = text(200, metricsText(current));
        answer.type = "text/plain; version=0.0.4; charset=utf-8";
        co_return answer;
    }
    if (current.phase == Phase::Ready) co_return text(200, "ready\n");
    const std::string why = current.reasons.empty() ? "" : current.reasons.front().message;
    co_return http::problem(503, phaseName(current.phase), why);
}

}  // namespace nodemirror
