#include "containerd/rpc_connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace nodemirror {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Lists of images are the largest answers.
constexpr size_t kLargestMessage = 16
                                   << 20;  // of containerd's own (defaults.DefaultMaxSendMsgSize)
constexpr size_t kPrefix = 5;              // a flag for compression, then the length in four bytes
constexpr uint32_t kStreamWindow = 1 << 20;
constexpr int32_t kConnectionWindow = 4 << 20;

std::string framed(const std::string& message) {
    std::string out(kPrefix, '\0');
    for (int i = 0; i < 4; ++i)
        out[static_cast<size_t>(i + 1)] =
            static_cast<char>((message.size() >> (24 - 8 * i)) & 255U);
    return out + message;
}

size_t messageSize(std::string_view prefix) {
    size_t out = 0;
    for (size_t i = 1; i < kPrefix; ++i) out = out << 8U | static_cast<unsigned char>(prefix[i]);
    return out;
}

/// The message of a status is percent-encoded.
std::string decoded(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(&text[i + 1], &text[i + 3], value, 16).ptr == &text[i + 3]) {
            out += static_cast<char>(value);
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

nghttp2_nv header(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

/// At most eight digits and a unit.
std::string timeoutHeader(std::chrono::milliseconds timeout) {
    constexpr long long kMost = 99'999'999;
    if (timeout.count() <= kMost) return std::to_string(timeout.count()) + "m";
    return std::to_string(std::min<long long>(timeout.count() / 1000, kMost)) + "S";
}

/// A stream that ended without a status of gRPC (doc/PROTOCOL-HTTP2.md, "Errors").
RpcStatus statusOfReset(const RpcCall& call) {
    if (call.httpStatus != 0 && call.httpStatus != 200)
        return {RpcStatus::Unavailable,
                "the server answered with HTTP status " + std::to_string(call.httpStatus)};
    const std::string words =
        std::string("the stream was closed: ") + nghttp2_http2_strerror(*call.closed);
    switch (*call.closed) {
        case NGHTTP2_CANCEL: return {RpcStatus::Cancelled, words};
        case NGHTTP2_REFUSED_STREAM: return {RpcStatus::Unavailable, words};
        case NGHTTP2_ENHANCE_YOUR_CALM: return {RpcStatus::ResourceExhausted, words};
        default: return {RpcStatus::Internal, words};
    }
}

}  // namespace

/// What nghttp2 calls while it reads and writes: these only take notes, since nothing may be thrown
/// through it.
struct RpcCallbacks {
    static RpcConnection& self(void* data) { return *static_cast<RpcConnection*>(data); }

    static int onHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                        size_t nameSize, const uint8_t* value, size_t valueSize, uint8_t,
                        void* data) noexcept {
        RpcCall* call = self(data).callOf(frame->hd.stream_id);
        if (call == nullptr) return 0;
        const std::string_view key(reinterpret_cast<const char*>(name), nameSize);
        const std::string_view text(reinterpret_cast<const char*>(value), valueSize);
        const auto number = [text] {
            int out = RpcStatus::Unknown;
            std::from_chars(text.data(), text.data() + text.size(), out);
            return out;
        };
        if (key == ":status") call->httpStatus = number();
        if (key == "grpc-status") call->grpcStatus = number();
        if (key == "grpc-message") call->grpcMessage = decoded(text);
        return 0;
    }

    static int onFrame(nghttp2_session*, const nghttp2_frame* frame, void* data) noexcept {
        if (frame->hd.type == NGHTTP2_GOAWAY) self(data).goingAway_ = true;
        return 0;
    }

    static int onData(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes, size_t size,
                      void* data) noexcept {
        RpcCall* call = self(data).callOf(stream);
        if (call == nullptr) return 0;
        call->received.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
    }

    static int onClose(nghttp2_session*, int32_t stream, uint32_t error, void* data) noexcept {
        if (RpcCall* call = self(data).callOf(stream); call != nullptr) call->closed = error;
        return 0;
    }

    static ssize_t readRequest(nghttp2_session*, int32_t stream, uint8_t* buffer, size_t size,
                               uint32_t* flags, nghttp2_data_source*, void* data) noexcept {
        RpcCall* call = self(data).callOf(stream);
        if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        const size_t count = std::min(size, call->request.size() - call->sent);
        std::copy_n(call->request.data() + call->sent, count, buffer);
        call->sent += count;
        if (call->sent == call->request.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(count);
    }

    static nghttp2_session* newSession(RpcConnection* connection) {
        nghttp2_session_callbacks* callbacks = nullptr;
        if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
        nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onData);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onClose);
        nghttp2_session* session = nullptr;
        const int made = nghttp2_session_client_new(&session, callbacks, connection);
        nghttp2_session_callbacks_del(callbacks);
        if (made != 0) throw std::bad_alloc();
        return session;
    }
};

RpcConnection::RpcConnection(asio::io_context& io, UniqueFd socket)
    : socket_(io, asio::local::stream_protocol(), socket.release()),
      session_(RpcCallbacks::newSession(this), nghttp2_session_del) {
    const std::array<nghttp2_settings_entry, 2> settings{
        {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow}}};
    nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

RpcConnection::~RpcConnection() = default;

RpcCall* RpcConnection::callOf(int32_t stream) {
    const auto found = calls_.find(stream);
    return found == calls_.end() ? nullptr : found->second.get();
}

void RpcConnection::start() {
    const auto self = shared_from_this();
    const auto done = [self](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    };
    asio::co_spawn(socket_.get_executor(), readUntilClosed(), done);
}

void RpcConnection::begin(std::shared_ptr<RpcCall> call) {
    call->request = framed(call->request);
    const std::string timeout = timeoutHeader(call->timeout);
    std::vector<nghttp2_nv> headers{header(":method", "POST"),
                                    header(":scheme", "http"),
                                    header(":path", call->path),
                                    header(":authority", "localhost"),
                                    header("te", "trailers"),
                                    header("content-type", "application/grpc"),
                                    header("user-agent", "nodemirrord"),
                                    header("containerd-namespace", "k8s.io")};
    if (call->timeout.count() > 0) headers.push_back(header("grpc-timeout", timeout));
    nghttp2_data_provider provider{};
    provider.read_callback = RpcCallbacks::readRequest;
    call->stream = nghttp2_submit_request(session_.get(), nullptr, headers.data(), headers.size(),
                                          &provider, nullptr);
    if (call->stream < 0) {
        goingAway_ = true;  // the numbers of streams are used up
        finish(*call, {RpcStatus::Unavailable, nghttp2_strerror(call->stream)});
        return;
    }
    calls_[call->stream] = std::move(call);
    flush();
}

void RpcConnection::cancel(const std::shared_ptr<RpcCall>& call) {
    if (closed_ || calls_.erase(call->stream) == 0) return;
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
    flush();
}

void RpcConnection::finish(RpcCall& call, RpcStatus status) {
    call.status = std::move(status);
    call.ended.cancel();
}

void RpcConnection::close(const RpcStatus& status) {
    if (closed_) return;
    closed_ = true;
    error_code ignored;
    socket_.close(ignored);
    const auto calls = std::move(calls_);
    calls_.clear();
    for (const auto& [stream, call] : calls)
        if (!call->status) finish(*call, status);
}

/// Hands on what came for a call: whole messages, and its end.
void RpcConnection::deliver(RpcCall& call) {
    size_t begin = 0;
    const std::string_view received(call.received);
    while (received.size() - begin >= kPrefix) {
        const size_t size = messageSize(received.substr(begin));
        if (received[begin] != 0 || size > kLargestMessage) {
            const bool large = received[begin] == 0;
            call.grpcStatus = large ? RpcStatus::ResourceExhausted : RpcStatus::Internal;
            call.grpcMessage = large ? "the answer is larger than 16 MiB"
                                     : "the answer is compressed, which was not asked for";
            call.closed = NGHTTP2_CANCEL;
            nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call.stream,
                                      NGHTTP2_CANCEL);
            break;
        }
        if (received.size() - begin - kPrefix < size) break;
        if (call.onMessage) call.onMessage(received.substr(begin + kPrefix, size));
        begin += kPrefix + size;
    }
    call.received.erase(0, begin);
    if (!call.closed) return;
    RpcStatus status = statusOfReset(call);
    if (call.grpcStatus) status = {*call.grpcStatus, call.grpcMessage};
    finish(call, std::move(status));
}

void RpcConnection::deliver() {
    const auto calls = calls_;  // what is told may begin further calls
    for (const auto& [stream, call] : calls) {
        if (call->status) continue;
        deliver(*call);
        if (call->status) calls_.erase(stream);
    }
}

asio::awaitable<void> RpcConnection::readUntilClosed() {
    const auto self = shared_from_this();
    std::array<uint8_t, 16 << 10> buffer;
    while (!closed_) {
        error_code error;
        auto read = socket_.async_read_some(asio::buffer(buffer),
                                            asio::redirect_error(asio::use_awaitable, error));
        const size_t size = co_await std::move(read);
        if (closed_) co_return;
        if (error) {
            close({RpcStatus::Unavailable, "the connection was closed: " + error.message()});
            co_return;
        }
        const ssize_t taken = nghttp2_session_mem_recv(session_.get(), buffer.data(), size);
        deliver();
        broken_ = broken_ || taken < 0;
        flush();
        closeWhenOver();
    }
}

/// A session is over once its own farewell is written, which may be later than it was decided.
void RpcConnection::closeWhenOver() {
    if (!broken_ && nghttp2_session_want_read(session_.get()) != 0) return;
    close({RpcStatus::Unavailable,
           goingAway_ ? "the server is going away" : "the server does not speak HTTP/2"});
}

/// Writes what the session has to send.
void RpcConnection::flush() {
    if (writing_ || closed_) return;
    sending_.clear();
    const uint8_t* bytes = nullptr;
    ssize_t size = 0;
    while ((size = nghttp2_session_mem_send(session_.get(), &bytes)) > 0)
        sending_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    if (sending_.empty()) return;
    writing_ = true;
    const auto self = shared_from_this();
    const auto written = [self](const error_code& error, size_t) {
        self->writing_ = false;
        if (error) {
            self->close({RpcStatus::Unavailable, "the connection was closed: " + error.message()});
            return;
        }
        self->flush();
        self->closeWhenOver();
    };
    asio::async_write(socket_, asio::buffer(sending_), written);
}

}  // namespace nodemirror
