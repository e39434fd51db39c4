#include "probe/stream_faults.hpp"

#include "base/text.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>

#include <cstring>

namespace nodemirror {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

void fail(Exchange& out, Fault fault, std::string error) {
    out.fault = fault;
    out.error = shortened(oneLine(error), 1000);
}

bool isTimeout(const error_code& error) { return error == beast::error::timeout; }

bool isGone(const error_code& error) {
    return error == asio::error::eof || error == asio::error::connection_reset ||
           error == asio::error::broken_pipe || error == asio::ssl::error::stream_truncated ||
           error == http::error::end_of_stream || error == asio::error::connection_aborted;
}

void failDial(Exchange& out, const std::string& address, const error_code& error) {
    if (isTimeout(error))
        fail(out, Fault::Unreachable, "dial tcp " + address + ": i/o timeout");
    else if (error == asio::error::connection_refused)
        fail(out, Fault::Refused, "dial tcp " + address + ": connect: connection refused");
    else
        fail(out, Fault::Unreachable,
             "dial tcp " + address + ": connect: " + lower(std::strerror(error.value())));
}

void failRead(Exchange& out, const error_code& error) {
    if (isTimeout(error))
        fail(out, Fault::Hang, "the connection was accepted and no answer came in time");
    else if (error == asio::error::eof || error == http::error::end_of_stream ||
             error == asio::ssl::error::stream_truncated)
        fail(out, Fault::Reset, "EOF");
    else if (isGone(error))
        fail(out, Fault::Reset, "read tcp: read: connection reset by peer");
    else if (error == http::error::partial_message)
        fail(out, Fault::Reset, "unexpected EOF");
    else if (error.category() == asio::error::get_ssl_category())
        fail(out, Fault::Tls, "remote error: tls: " + error.message());
    else
        fail(out, Fault::Protocol, "net/http: malformed HTTP response (" + error.message() + ")");
}

}  // namespace nodemirror
