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

namespace {

/// Go's net/http takes lines that end in LF alone, a status without words, a length beside chunks,
/// folded headers. What begins as no HTTP it refuses too.
bool mayBeReadElsewhere(const error_code& error) {
    for (const auto code :
         {http::error::bad_line_ending, http::error::bad_reason, http::error::bad_status,
          http::error::bad_transfer_encoding, http::error::bad_obs_fold, http::error::bad_field,
          http::error::bad_value, http::error::bad_content_length})
        if (error == code) return true;
    return false;
}

}  // namespace

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
    else if (mayBeReadElsewhere(error))
        fail(out, Fault::Unparsed, error.message());
    else
        fail(out, Fault::Protocol, "net/http: malformed HTTP response (" + error.message() + ")");
}

}  // namespace nodemirror
