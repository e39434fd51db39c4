#pragma once

#include "base/unique_fd.hpp"

#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace nodemirror {

/// What a server does with a call.
struct RpcScript {
    std::string body;  ///< messages with their prefixes
    std::string status = "0";
    std::string message;
    bool trailersOnly = false;
    bool answers = true;  ///< false: takes the call and is silent
    uint32_t reset = 0;   ///< resets the stream with this error instead
    bool goAway = false;  ///< says so before it answers
    bool closes = false;  ///< closes the connection instead
    std::string raw;      ///< written to a new connection, which is then left open
};

inline std::string rpcMessage(const std::string& bytes, char compressed = 0) {
    std::string out(5, compressed);
    for (size_t i = 1; i < 5; ++i)
        out[i] = static_cast<char>((bytes.size() >> (8 * (4 - i))) & 255U);
    return out + bytes;
}

/// A gRPC server on a unix socket that does as it is told, one connection after another, in a
/// thread of its own.
class RpcServer {
  public:
    RpcServer(const std::string& path, RpcScript script) : script_(std::move(script)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener_.get(), 8) != 0)
            throw std::runtime_error("cannot listen on " + path);
        thread_ = std::thread([this] { serve(); });
    }
    ~RpcServer() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
        for (auto& other : connections_) other.join();
    }

    std::atomic<int> accepted = 0;

  private:
    struct Connection {
        RpcServer* server;
        std::map<int32_t, size_t> sent;
    };

    void serve() {
        while (true) {
            const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            ++accepted;
            connections_.emplace_back([this, fd] { speak(UniqueFd(fd)); });
        }
    }

    static nghttp2_nv header(const std::string& name, const std::string& value) {
        const auto bytes = [](const std::string& text) {
            return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
        };
        return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
    }

    static ssize_t body(nghttp2_session* session, int32_t stream, uint8_t* buffer, size_t size,
                        uint32_t* flags, nghttp2_data_source*, void* data) {
        auto* connection = static_cast<Connection*>(data);
        const RpcScript& script = connection->server->script_;
        size_t& sent = connection->sent[stream];
        // In small pieces, so that messages come in several frames.
        const size_t count = std::min({size, script.body.size() - sent, size_t{1000}});
        script.body.copy(reinterpret_cast<char*>(buffer), count, sent);
        sent += count;
        if (sent == script.body.size()) {
            *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
            const std::string keys[] = {"grpc-status", "grpc-message"};
            const nghttp2_nv trailers[] = {header(keys[0], script.status),
                                           header(keys[1], script.message)};
            nghttp2_submit_trailer(session, stream, trailers, 2);
        }
        return static_cast<ssize_t>(count);
    }

    static int onFrame(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
        const bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
                           (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS);
        const RpcScript& script = static_cast<Connection*>(data)->server->script_;
        const int32_t stream = frame->hd.stream_id;
        if (!whole || !script.answers) return 0;
        if (script.closes) return NGHTTP2_ERR_CALLBACK_FAILURE;
        if (script.goAway)
            nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR, nullptr, 0);
        if (script.reset != 0)
            return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, script.reset);
        const std::string keys[] = {":status", "content-type", "grpc-status", "grpc-message"};
        const std::string ok = "200";
        const std::string type = "application/grpc";
        std::vector<nghttp2_nv> headers{header(keys[0], ok), header(keys[1], type)};
        if (script.trailersOnly) {
            headers.push_back(header(keys[2], script.status));
            headers.push_back(header(keys[3], script.message));
            return nghttp2_submit_response(session, stream, headers.data(), headers.size(),
                                           nullptr);
        }
        nghttp2_data_provider provider{};
        provider.read_callback = body;
        return nghttp2_submit_response(session, stream, headers.data(), headers.size(), &provider);
    }

    static ssize_t send(nghttp2_session*, const uint8_t* bytes, size_t size, int, void* data) {
        const ssize_t sent =
            ::send(static_cast<Connection*>(data)->server->current_, bytes, size, MSG_NOSIGNAL);
        return sent < 0 ? ssize_t{NGHTTP2_ERR_CALLBACK_FAILURE} : sent;
    }

    void speak(UniqueFd fd) {
        if (!script_.raw.empty()) (void)!::write(fd.get(), script_.raw.data(), script_.raw.size());
        current_ = fd.get();
        Connection connection{this, {}};
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame);
        nghttp2_session_callbacks_set_send_callback(callbacks, send);
        nghttp2_session* session = nullptr;
        nghttp2_session_server_new(&session, callbacks, &connection);
        nghttp2_session_callbacks_del(callbacks);
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
        uint8_t buffer[4096];
        ssize_t size = 0;
        while ((size = ::read(fd.get(), buffer, sizeof buffer)) > 0) {
            if (!script_.raw.empty()) continue;
            if (nghttp2_session_mem_recv(session, buffer, static_cast<size_t>(size)) < 0) break;
            if (nghttp2_session_send(session) != 0) break;
        }
        nghttp2_session_del(session);
    }

    RpcScript script_;
    UniqueFd listener_;
    thread_local static inline int current_ = -1;
    std::thread thread_;
    std::vector<std::thread> connections_;
};

}  // namespace nodemirror
