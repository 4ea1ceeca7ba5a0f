// Processes that begin their work at the same moment: each says that it stands ready,
// and whoever started them lets all go once all do. For programs that share nothing
// else; ranks have their process group's barrier.
#pragma once

#include <vector>

#include "launch/fd.h"
#include "launch/process.h"

namespace lockstep::launch {

class StartLine {
 public:
  // Throws std::runtime_error where there are no more descriptors.
  StartLine();

  // The command's process will stand at this line.
  void line_up(Command& command) const;

  // Returns when so many stand ready, or when one of `or_until` becomes readable (a
  // process that ended before it was ready, a signal); then lets all go. Once.
  void let_go(int processes, const std::vector<int>& or_until);

 private:
  Fd ready_, say_ready_, go_, say_go_;
};

// In the process, where its work begins: waits at the line that the environment names,
// once; returns at once where it names none. Whoever started it having gone, it goes.
void stand_at_start_line();

}  // namespace lockstep::launch
