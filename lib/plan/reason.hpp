#pragma once

#include "base/time.hpp"

#include <optional>
#include <string>
#include <utility>

namespace nodemirror {

/// Something that a person should know about the node.
struct Reason {
    enum class Weight {
        Note,      ///< worth knowing; the node is as desired all the same
        Degraded,  ///< something is not as desired, and the daemon goes on trying
        Blocked,   ///< a person has to act
    };
    Weight weight = Weight::Degraded;
    std::string code;     ///< stable, for scripts: CriNotLoaded, LegacyMirrors, …
    std::string subject;  ///< the registry, image, unit or file
    std::string message;
    std::string remedy;
    /// When time alone may have mended it, where that is known.
    std::optional<WallTime> until;
};

inline Reason makeReason(Reason::Weight weight, std::string code, std::string subject,
                         std::string message, std::string remedy) {
    Reason out;
    out.weight = weight;
    out.code = std::move(code);
    out.subject = std::move(subject);
    out.message = std::move(message);
    out.remedy = std::move(remedy);
    return out;
}

}  // namespace nodemirror
