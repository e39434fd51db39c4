#include "probe/registry_client.hpp"
#include "registry_protocol/api_error.hpp"
#include "registry_protocol/manifest.hpp"
#include "support/lying_registry.hpp"
#include "targets.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace nodemirror::fuzz {

namespace {

namespace asio = boost::asio;
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
            (void)choosePlatform(*document, Platform{"linux", "arm", "v7"});
    }
}

}  // namespace nodemirror::fuzz
