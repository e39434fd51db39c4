#include "probe/registry_client.hpp"
#include "registry_protocol/api_error.hpp"
#include "registry_protocol/manifest.hpp"
#include "targets.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <vector>

namespace nodemirror::fuzz {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::string_view kNext = "\n====\n";
constexpr std::string_view kPort = "@PORT@";

/// A registry whose answers are the pieces of the input, one for each request.
class LyingRegistry {
  public:
    explicit LyingRegistry(asio::io_context& io)
        : acceptor_(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

    void setAnswers(std::string_view input) {
        answers_.clear();
        next_ = 0;
        for (size_t at = 0; at <= input.size();) {
            const size_t end = std::min(input.find(kNext, at), input.size());
            std::string piece(input.substr(at, end - at));
            for (size_t mark; (mark = piece.find(kPort)) != std::string::npos;)
                piece.replace(mark, kPort.size(), port());
            answers_.push_back(std::move(piece));
            at = end + kNext.size();
        }
    }

    Task<void> serve() {
        while (true) {
            error_code error;
            auto accept = acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
            tcp::socket socket = co_await std::move(accept);
            if (error) co_return;
            char request[8192];
            auto read = socket.async_read_some(asio::buffer(request),
                                               asio::redirect_error(asio::use_awaitable, error));
            (void)co_await std::move(read);
            const std::string& answer = answers_[next_++ % answers_.size()];
            auto write = asio::async_write(socket, asio::buffer(answer),
                                           asio::redirect_error(asio::use_awaitable, error));
            (void)co_await std::move(write);
        }
    }

  private:
    tcp::acceptor acceptor_;
    std::vector<std::string> answers_;
    size_t next_ = 0;
};

ClientOptions optionsFor(const ContainerdVersion& version) {
    ClientOptions options;
    options.registry = "docker.io";
    options.version = version;
    options.patience.connect = options.patience.handshake = std::chrono::milliseconds(200);
    options.patience.answer = options.patience.body = std::chrono::milliseconds(200);
    return options;
}

RegistryAnswer ask(asio::io_context& io, Resolver& resolver, const std::string& port,
                   const ContainerdVersion& version, const std::string& kind) {
    ChainHost host;
    host.scheme = "http";
    host.host = "127.0.0.1:" + port;
    host.path = "/v2";
    RegistryClient client(io, resolver, host, "library/nginx", optionsFor(version));
    RegistryClient::Ask what;
    what.kind = kind;
    what.object = "latest";
    RegistryAnswer out;
    bool done = false;
    const auto take = [&](std::exception_ptr failure, RegistryAnswer answer) {
        expect(!failure, "a client throws nothing");
        out = std::move(answer);
        done = true;
    };
    asio::co_spawn(io, client.ask(what), take);
    while (!done) io.run_one();
    expect(!out.exchanges.empty(), "an answer has exchanges");
    expect(out.exchanges.size() < 80, "redirects and tokens are bounded");
    for (const auto& exchange : out.exchanges)
        expect(exchange.body.size() <= what.keepLimit, "bodies are bounded");
    return out;
}

}  // namespace

/// Whatever a registry answers, a client ends with an answer or a fault.
void registryAnswers(std::string_view input) {
    static asio::io_context io;
    static Resolver resolver(io);
    static LyingRegistry registry(io);
    static const bool serving = [] {
        asio::co_spawn(io, registry.serve(), asio::detached);
        return true;
    }();
    (void)serving;
    for (const ContainerdVersion version :
         {ContainerdVersion{1, 6, 20}, ContainerdVersion{2, 1, 9}}) {
        registry.setAnswers(input);
        const RegistryAnswer answer = ask(io, resolver, registry.port(), version, "manifests");
        const std::string& body = answer.last().body;
        (void)parseApiError(body);
        if (const auto document = parseImageDocument(body); document && document->isIndex)
            (void)choosePlatform(*document, thisPlatform());
    }
}

}  // namespace nodemirror::fuzz
