#pragma once

#include "desired/parse.hpp"
#include "state/state_dir.hpp"
#include "views/desired_view.hpp"

#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// The desired-state file. A bad or missing file never takes away what is in force: the last good
/// state stays, across restarts too, by its copy in the state directory.
class DesiredSource {
  public:
    DesiredSource(std::string path, StateDir state);

    /// Reads the file again, and keeps a copy of a good one for the next start if `keep`. True when
    /// another state is in force now.
    bool reload(bool keep);

    /// Whether something could not be read, or kept, for want of resources: then no event will tell
    /// that it can be.
    bool worthRetrying() const { return worthRetrying_; }

    /// Null while there has never been a good state.
    const std::shared_ptr<const Desired>& current() const { return current_; }
    const DesiredView& view() const { return view_; }
    /// The file and those that it names, to be watched.
    std::vector<std::string> files() const;

  private:
    bool useLastGood();
    void keepCopy(const LastGood& lastGood);
    void noteProblems(std::vector<Problem> problems);

    StateDir state_;
    std::string fileBytes_;  ///< with the contents of the files it names: what was last parsed
    std::vector<std::string> referenced_;
    bool worthRetrying_ = false;
    std::shared_ptr<const Desired> current_;
    DesiredView view_;
};

}  // namespace nodemirror
