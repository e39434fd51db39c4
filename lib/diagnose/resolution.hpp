#pragma once

#include "containerd_config/version.hpp"
#include "observed/image_findings.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// What containerd makes of the hosts' answers when it resolves a reference.
struct Resolution {
    std::optional<size_t> winner;     ///< the first host that resolves it
    std::optional<size_t> failingAt;  ///< the host whose failure is told, where there is no winner
    bool ends = false;                ///< containerd asks no host behind that one
    bool endless = false;             ///< it waits for that one without an end
    std::string error;                ///< containerd's words
};

/// dockerResolver.Resolve: hosts in order; a host that fails, lacks the image or answers with an
/// error gives way to the next; one that never answers holds everything up, and one that tells a
/// digest that is none ends it. Which host's error is told differs: the first one that is no 404
/// in 1.x, the gravest in 2.x.
Resolution resolveAmong(const std::vector<HostFinding>& hosts, const ImageReference& reference,
                        const ContainerdVersion& version);

/// A stable word for what an answer comes to: a fault's name, or denied, unauthorized, forbidden,
/// not-found, rate-limited, server-error, status; "" for an answer that is fine.
std::string answerClass(const RegistryAnswer& answer, const ApiError& apiError);
/// The same for a host: too-large besides, for a manifest that containerd does not take, and
/// invalid-digest, for a Docker-Content-Digest at which it ends.
std::string hostClass(const HostFinding& finding);

/// What a host is judged by: HEAD's answer, or that of a GET that fails behind a HEAD that does
/// not.
const RegistryAnswer& decidingAnswer(const HostFinding& finding);
/// The answer of a host, HEAD's or GET's, that could not be asked for or read from here; null where
/// there is none.
const RegistryAnswer* untoldAnswer(const HostFinding& finding);

/// Whether containerd would wait for this answer without an end.
bool isEndless(const RegistryAnswer& answer);

/// The largest manifest that containerd takes (images.MaxManifestSize).
inline constexpr uint64_t kLargestManifest = 4 << 20;

}  // namespace nodemirror
