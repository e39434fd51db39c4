#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

/// A registry in plain HTTP on loopback that answers as it is told to, one answer for each
/// connection: the pieces of a text between lines of "====", in which @PORT@ is its own port.
class LyingRegistry {
  public:
    explicit LyingRegistry(boost::asio::io_context& io)
        : acceptor_(io, Tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {}
    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

    void setAnswers(std::string_view input) {
        constexpr std::string_view kNext = "\n====\n";
        constexpr std::string_view kPort = "@PORT@";
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
    /// How many requests came since the answers were set.
    size_t asked() const { return next_; }
    void stop() { acceptor_.close(); }

    boost::asio::awaitable<void> serve() {
        while (true) {
            boost::system::error_code error;
            auto accept = acceptor_.async_accept(
                boost::asio::redirect_error(boost::asio::use_awaitable, error));
            Tcp::socket socket = co_await std::move(accept);
            if (error) co_return;
            char request[8192];
            auto read = socket.async_read_some(
                boost::asio::buffer(request),
                boost::asio::redirect_error(boost::asio::use_awaitable, error));
            (void)co_await std::move(read);
            const std::string& answer = answers_[next_++ % answers_.size()];
            auto write = boost::asio::async_write(
                socket, boost::asio::buffer(answer),
                boost::asio::redirect_error(boost::asio::use_awaitable, error));
            (void)co_await std::move(write);
        }
    }

  private:
    using Tcp = boost::asio::ip::tcp;
    Tcp::acceptor acceptor_;
    std::vector<std::string> answers_;
    size_t next_ = 0;
};

}  // namespace nodemirror
