#pragma once

#include <string>

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
};

}  // namespace nodemirror
