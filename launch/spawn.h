// Starts a job's ranks on this machine, as torch.multiprocessing.spawn does: copies of
// this very program, each with its World in the environment. The first failure ends all
// of this machine's. Not a restart: who fails stays failed.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "launch/world.h"

namespace lockstep::launch {

struct SpawnOptions {
  std::string program = "/proc/self/exe";  // tests put another in its place
  // From the SIGTERM that ends a rank to the SIGKILL for one that is still there.
  std::chrono::milliseconds grace{5000};
  // A rank that exits by itself has told why on standard error, as this project's
  // programs do: a second line about it would only hide the first.
  bool ranks_say_why = false;
  // Who says that a rank failed, "ddp: "; stands before the line.
  std::string speaker;
};

// Runs first.local_world_size processes, ranks first.rank and up, with `argv` (argv[0]
// included) and waits for all of them. Returns 0 where all did; else the status of the
// rank that failed first, 128+signal if a signal killed it, after one line on standard
// error (see ranks_say_why). A rank ended by our own SIGTERM is never the first.
//
// SIGINT, SIGTERM and SIGHUP sent to this process go to the ranks and end the group (a
// second one: at once) with 128+signal. They are blocked here meanwhile, and the ranks
// watch the thread that spawned them: call it from the main thread, before any other is
// started.
//
// Where rank 0 is among them the store's socket is opened here, at master_addr alone
// and, for master_port 0, at any free port; rank 0 alone inherits it (World::store_fd).
// The ranks are expected to call die_with_parent() first thing. Throws
// std::runtime_error where the port is busy or the program cannot be started; no rank
// is left then either.
int spawn_ranks(const World& first, const std::vector<std::string>& argv,
                const SpawnOptions& options = {});

}  // namespace lockstep::launch
