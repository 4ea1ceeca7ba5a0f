// Stands between the launcher and one rank, and leaves nobody behind whoever dies:
//
//   launch_rank LAUNCHER_PID FD PROGRAM [arguments...]
//
// starts the program, writes its process number to FD, passes signals on, and ends as
// the program did, once all that came of it has ended, too. The launcher being killed,
// it kills them; being killed itself, the program dies with it (PDEATHSIG) and the
// launcher inherits and ends the rest.
//
// A program of its own, without LibTorch: ranks may be any program, a Python script
// with processes of its own for instance, and it costs a millisecond.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "agent/descendants.h"
#include "launch/fd.h"

namespace {

using lockstep::launch::Fd;

// Python's multiprocessing has a process that tidies up after the last one.
constexpr std::chrono::milliseconds kTimeToTidyUp{500};

Fd pidfd(pid_t pid) { return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

[[noreturn]] void become(pid_t guard, char** command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != guard) _exit(128 + SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(command[0], command);
  std::fprintf(stderr, "cannot start %s: %s\n", command[0], std::strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

// A terminal's ctrl-C reaches the rank as well, and so does the launcher's word of it:
// the rank is to hear it once.
void pass_on(const Fd& signals, pid_t rank, uint32_t& from_terminal) {
  signalfd_siginfo info{};
  while (read(signals.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_code == SI_KERNEL) {
      from_terminal = info.ssi_signo;
    } else if (std::exchange(from_terminal, 0) != info.ssi_signo) {
      kill(rank, SIGCONT);  // first, as in launch/group.cpp
      kill(rank, static_cast<int>(info.ssi_signo));
    }
  }
}

int end_as(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  const int signal_number = WTERMSIG(status);
  const rlimit no_second_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_second_core);
  signal(signal_number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  raise(signal_number);
  return 128 + signal_number;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("launch_rank: is started by launch, and by nobody else\n", stderr);
    return 2;
  }
  const pid_t launcher = std::atoi(argv[1]);
  const Fd told(std::atoi(argv[2]));
  fcntl(told.get(), F_SETFD, FD_CLOEXEC);
  lockstep::agent::adopt_orphans();
  // Were this process stopped, it would not see that the launcher has gone.
  prctl(PR_SET_PDEATHSIG, SIGCONT);
  const Fd launcher_end = pidfd(launcher);
  if (getppid() != launcher) return 128 + SIGKILL;

  sigset_t passed_on;
  sigemptyset(&passed_on);
  for (int each : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    sigaddset(&passed_on, each);
  }
  sigprocmask(SIG_BLOCK, &passed_on, nullptr);
  const Fd signals(signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK));

  const pid_t guard = getpid();
  const pid_t rank = fork();
  if (rank == 0) become(guard, argv + 3);
  if (rank < 0) {
    std::fprintf(stderr, "cannot start %s: %s\n", argv[3], std::strerror(errno));
    return 126;
  }
  const Fd rank_end = pidfd(rank);
  if (write(told.get(), &rank, sizeof(rank)) < 0) std::perror("launch_rank");

  uint32_t from_terminal = 0;
  std::array<pollfd, 3> events = {pollfd{signals.get(), POLLIN, 0},
                                  {rank_end.get(), POLLIN, 0},
                                  {launcher_end.get(), POLLIN, 0}};
  while (true) {
    poll(events.data(), events.size(), /*timeout=*/-1);
    if (events[2].revents != 0) {
      lockstep::agent::end_descendants(std::chrono::milliseconds(0));
      return 128 + SIGKILL;
    }
    pass_on(signals, rank, from_terminal);
    int status = 0;
    if (waitpid(rank, &status, WNOHANG) == rank) {
      lockstep::agent::end_descendants(kTimeToTidyUp);
      return end_as(status);
    }
  }
}
