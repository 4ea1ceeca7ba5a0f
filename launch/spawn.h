// Starts the ranks of a job on this machine, as torch.multiprocessing.spawn does:
// copies of this very program, each with its World in the environment. The first
// failure ends them all. Not for several machines, and not a restart: who fails stays
// failed.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace lockstep::launch {

struct SpawnOptions {
  std::string program = "/proc/self/exe";  // tests put another in its place
  std::string master_addr = "127.0.0.1";   // the store listens here alone
  int master_port = 0;                     // 0: any free port
  // From the SIGTERM that ends a rank to the SIGKILL for one that is still there.
  std::chrono::milliseconds grace{5000};
  // A rank that exits by itself has told why on standard error, as this project's
  // programs do: a second line about it would only hide the first.
  bool ranks_say_why = false;
};

// Runs `ranks` processes with `argv` (argv[0] included) and waits for all of them.
// Returns 0 where all did; else the status of the rank that failed first, 128+signal if
// a signal killed it, after one line on standard error (see ranks_say_why). A rank
// ended by our own SIGTERM is never the first.
//
// SIGINT, SIGTERM and SIGHUP sent to this process go to the ranks and end the group (a
// second one: at once) with 128+signal. They are blocked here meanwhile, and the ranks
// watch the thread that spawned them: call it from the main thread, before any other is
// started.
//
// Rank 0 alone inherits the listening socket (World::store_fd). The ranks are expected
// to call die_with_parent() first thing. Throws std::runtime_error where the port is
// busy or the program cannot be started; no rank is left then either.
int spawn_ranks(int ranks, const std::vector<std::string>& argv,
                const SpawnOptions& options = {});

}  // namespace lockstep::launch
