#pragma once

namespace nodemirror {

/// Gives back what the daemon used and does not need while nothing happens: free heap, and the
/// mappings of code and constants, most of which only the start, a parse or a first TLS handshake
/// touches. What is needed again is found in the page cache (a minor fault for 64 KiB).
void giveBackIdleMemory();

}  // namespace nodemirror
