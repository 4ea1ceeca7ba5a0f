// Ends whatever descends from this process. As the "child subreaper" of prctl(2) it
// inherits the children of every descendant that dies, so nobody gets away, and none
// that is somebody else's is ever signalled.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <vector>

namespace lockstep::agent {

// From here on orphans below this process become its children.
void adopt_orphans();

// Returns when this process has no child any more, nor they. They may end by themselves
// first, for so long; then it is SIGKILL. Reaps every child: call it once those that
// are waited for elsewhere have ended.
void end_descendants(std::chrono::milliseconds patience);

// SIGKILL at once for those that do not descend from one of `guards`, children of this
// process; once. Reaps nobody.
void end_unguarded(const std::vector<pid_t>& guards);

}  // namespace lockstep::agent
