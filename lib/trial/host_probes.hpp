#pragma once

#include "diagnose/node_facts.hpp"
#include "probe/connection.hpp"

#include <boost/asio/io_context.hpp>

namespace nodemirror {

/// Asks every host that the registries of `facts` lead to for its base (GET /v2/), many at once,
/// and notes the answers in it. The upstream of _default has no name and is left out.
Task<void> probeHosts(boost::asio::io_context& io, Resolver& resolver, NodeFacts& facts,
                      Patience patience);

}  // namespace nodemirror
