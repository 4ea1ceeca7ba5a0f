// One child process: started, waited for, ended, reaped. Always by posix_spawn of a
// program, never by fork: a forked child that uses LibTorch hangs in OpenMP. No shell
// in between.
//
// Not here: a group of ranks and what one's failure means for the others (spawn.h).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "launch/environment.h"
#include "launch/fd.h"

namespace lockstep::launch {

enum class Output {
  kInherit,
  kCapture,  // kept in memory; read with Process::out() and err()
};

struct Command {
  std::vector<std::string>
      argv{};               // argv[0] is looked up in PATH unless it has a slash
  std::string program{};    // run this file instead of argv[0]; empty: argv[0]
  Environment extra_env{};  // over this process's own
  // Keep their numbers in the child. Everything this project opens is close-on-exec, so
  // a child gets these, its standard streams, and what the user's shell handed down.
  std::vector<int> inherit_fds{};
  Output out = Output::kInherit;
  Output err = Output::kInherit;
  // These become its standard streams, where they are not -1.
  int out_fd = -1;
  int err_fd = -1;
  // The child calls die_with_parent(): set LOCKSTEP_PARENT_PID for it. Only for
  // programs of ours run directly: one behind a shell would take the shell for a
  // stranger and leave.
  bool dies_with_parent = false;
};

struct ExitStatus {
  int code = 0;    // as shells tell it: 0..255, or 128 + signal
  int signal = 0;  // the signal that ended it; 0: it exited by itself
};

// "exited with status 3", "was killed by SIGKILL".
std::string describe(const ExitStatus& status);
// "SIGTERM"; "signal 40" for those without a name.
std::string signal_name(int signal);

class Process {
 public:
  // The child starts with no signal blocked. Call it from the main thread where the
  // child dies with its parent, see die_with_parent(). Throws std::runtime_error, one
  // line, where the program cannot be started.
  explicit Process(const Command& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  // A child still running is killed (SIGKILL); no zombie is left either way.
  ~Process();

  pid_t pid() const { return pid_; }
  // Becomes readable, for poll(), when the child has ended.
  int pidfd() const { return pidfd_.get(); }

  ExitStatus wait();
  // nullopt: still running when the time was over. Zero only looks.
  std::optional<ExitStatus> wait_for(std::chrono::milliseconds timeout);
  // Does nothing once the child was waited for: its number may be another's by then.
  void send_signal(int signal);
  // SIGTERM, and SIGKILL for a child that is still there after the grace.
  ExitStatus stop(std::chrono::milliseconds grace);

  // What the child wrote so far, where captured.
  std::string out() const;
  std::string err() const;

 private:
  bool reap(int flags);

  pid_t pid_ = -1;
  std::optional<ExitStatus> status_;
  Fd pidfd_, out_, err_;
};

// First thing in main(): from here on a kill -9 of the parent that started this process
// with dies_with_parent kills it as well, and if the parent is gone already it ends at
// once. Does nothing in a process that nobody started so. Takes LOCKSTEP_PARENT_PID out
// of the environment: it names this process's parent, not its children's. The kernel
// watches the parent *thread* that spawned us: spawn from the main thread.
void die_with_parent();

// Before main() opens anything: a standard stream that was closed (`program >&-`) stays
// one that cannot be written, and what is opened later does not get its number, and
// with it the lines that are meant for the stream.
void hold_standard_streams();

}  // namespace lockstep::launch
