#pragma once

#include "observed/exchange.hpp"

#include <boost/system/error_code.hpp>

#include <string>

namespace nodemirror {

/// Errors of streams as faults of an exchange, in the words of Go's net and net/http, which
/// containerd repeats.

void fail(Exchange& out, Fault fault, std::string error);
/// A dial to `address` (host:port) that failed.
void failDial(Exchange& out, const std::string& address, const boost::system::error_code& error);
/// An answer whose head could not be read.
void failRead(Exchange& out, const boost::system::error_code& error);

bool isTimeout(const boost::system::error_code& error);
/// The peer has ended the connection.
bool isGone(const boost::system::error_code& error);

}  // namespace nodemirror
