#pragma once

#include "base/time.hpp"
#include "observed/node.hpp"

#include <deque>
#include <string>
#include <vector>

namespace nodemirror {

/// Tells healing from fighting. A file that somebody keeps changing is contested: after a few heals
/// in a short time the next ones wait, each longer than the last up to a minute, so that the
/// daemon never fights at full speed and never gives up.
class Contest {
  public:
    /// Whether a drift that is seen now may be healed now.
    bool mayHeal(SteadyTime now) const { return now >= notBefore_; }
    /// A heal was done.
    void healed(SteadyTime now);
    /// The file was looked at and found in place.
    void foundInPlace(SteadyTime now);
    bool contested() const { return contested_; }
    /// No heal counts any more: the next would be the first.
    bool quiet(SteadyTime now) const;
    /// When to look again; the epoch when there is no need to.
    SteadyTime due() const { return contested_ ? due_ : SteadyTime(); }

  private:
    std::deque<SteadyTime> heals_;
    bool contested_ = false;
    int level_ = 0;
    SteadyTime notBefore_;
    SteadyTime due_;
    SteadyTime calmAt_;
};

/// Who may be fighting: the processes whose command line names certs.d or something in it, but for
/// this one (`self`), its client and containerd. Of their arguments only the program is told, for
/// the rest may hold secrets. Empty when there is none.
std::string possibleWriters(const std::vector<ObservedProcess>& processes,
                            const std::string& certsDir, int self);

}  // namespace nodemirror
