// A job's ranks on this machine: started together, and ended together at the first
// failure. spawn_ranks() does it as torch.multiprocessing.spawn does: copies of this
// very program, each with its World in the environment. Not a restart: who fails stays
// failed.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "launch/process.h"
#include "launch/stop_signals.h"
#include "launch/world.h"

namespace lockstep::launch {

// Processes from their start to the last one's end. Whoever waits for them polls what
// add_to() adds, for timeout_ms() at most, and then calls look().
class Group {
 public:
  struct Failure {
    int process = 0;  // in the order of their start
    ExitStatus status;
  };

  // `grace`: from the SIGTERM that ends a process to the SIGKILL for one that is still
  // there.
  explicit Group(std::chrono::milliseconds grace) : grace_(grace) {}

  void start(const Command& command);

  bool running() const { return !running_.empty(); }
  std::vector<pid_t> pids() const;  // of those that are running
  void add_to(std::vector<pollfd>& events, const StopSignals& signals) const;
  int timeout_ms() const;  // -1: nothing is planned
  // Passes on the signals that came (a second one: SIGKILL), collects who ended, ends
  // the others at the first failure, and kills whoever outlasts the grace.
  void look(const StopSignals& signals);
  // As at a failure, which is somebody else's.
  void end();

  // Of several that failed at once the likely cause; no failure is that of a group that
  // was told to end.
  const std::optional<Failure>& first() const { return first_; }
  // Others were still running then.
  bool stopped_others() const { return stopped_others_; }
  // The signal that was passed on, 0: none.
  int passed_on() const { return passed_on_; }
  // The signal that this process was sent, 0: none, where it and not a failure before
  // it is why the group has ended. Once nobody runs.
  int stopped_by(const StopSignals& signals);

 private:
  void pass_on(int signal);
  void collect_the_ended();
  void send_all(int signal);

  std::chrono::milliseconds grace_;
  std::vector<Process> processes_;
  std::vector<int> running_;  // of processes_
  std::optional<Failure> first_;
  bool stopped_others_ = false;
  bool ending_ = false;
  int passed_on_ = 0;
  std::optional<std::chrono::steady_clock::time_point> kill_at_;
};

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
