#pragma once

#include "desired/desired.hpp"
#include "hosts_toml/render.hpp"
#include "mirrors/throttle.hpp"
#include "plan/reason.hpp"
#include "state/state_dir.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// What canary pulls have shown of the registries' chains, kept over restarts: the text that last
/// passed, and the change that failed and is not to be tried again for an hour.
class ProofBook {
  public:
    ProofBook(boost::asio::io_context& io, StateDir state);
    void load();
    /// What was learnt is on the disk before this returns. Otherwise it is in a moment, that of
    /// many registries at once; a crash before it costs another pull.
    void flush();

    /// Forgets registries that have no canary any more.
    void keepOnly(const Desired& desired);
    /// The text that last passed; null where none has.
    const ProofRecord* lastGood(const std::string& registry) const;
    /// `text` passed, for the declared one of that digest.
    void accept(const std::string& registry, const std::string& sha256, const RenderedHosts& text);
    void reject(const std::string& registry, const std::string& sha256,
                const std::string& evidence);
    /// A rejection of another change than the one that is declared now is over.
    void forgetOtherRejection(const std::string& registry, const std::string& declared);
    /// Whether the change failed where the chain before it did not, however long ago.
    bool wasRejected(const std::string& registry, const std::string& sha256) const;
    /// Whether any change of it was.
    bool hasRejection(const std::string& registry) const;
    /// Whether that was within the hour.
    bool isRejected(const std::string& registry, const std::string& sha256) const;
    /// How long until a rejected change is to be tried again, at most `longest`; those whose hour
    /// is over are being tried.
    Duration untilRetry(Duration longest) const;
    /// The changes that were taken back, for people.
    std::vector<Reason> reasons(const Desired& desired) const;

  private:
    void save();

    StateDir state_;
    Proofs proofs_;
    bool unsaved_ = false;
    Throttle saving_;
    boost::asio::steady_timer retry_;  ///< of a save that failed
};

}  // namespace nodemirror
