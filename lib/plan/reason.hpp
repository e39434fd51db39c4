#pragma once

#include "base/text.hpp"
#include "base/time.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

inline constexpr size_t kLongestMessage = 4000;  ///< bytes

/// What comes from outside may be of any length and on any number of lines: here it is brought to
/// one line of a sensible length, before anybody tells it on.
inline Reason makeReason(Reason::Weight weight, std::string code, std::string subject,
                         std::string message, std::string remedy) {
    Reason out;
    out.weight = weight;
    out.code = std::move(code);
    out.subject = oneLine(subject);
    out.message = shortened(oneLine(message), kLongestMessage);
    out.remedy = shortened(oneLine(remedy), kLongestMessage);
    return out;
}

inline bool hasReason(const std::vector<Reason>& reasons, std::string_view code) {
    return std::any_of(reasons.begin(), reasons.end(),
                       [code](const Reason& reason) { return reason.code == code; });
}

}  // namespace nodemirror
