#include "launch/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace lockstep::launch {
namespace {

constexpr char kParentPid[] = "LOCKSTEP_PARENT_PID";

[[noreturn]] void refuse(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

struct SpawnActions {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  SpawnActions() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    // A launcher blocks signals to wait for them; its children must not start deaf.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
  }

  // A descriptor duplicated onto itself loses its close-on-exec flag, in the child
  // alone.
  void pass(int fd, int as) { posix_spawn_file_actions_adddup2(&files, fd, as); }
};

// A file in memory, not a pipe: a child never blocks on it, whoever reads, whenever.
Fd capture_file() {
  Fd file(memfd_create("lockstep-output", MFD_CLOEXEC));
  if (file.get() < 0) refuse("cannot capture a child's output", errno);
  return file;
}

std::string contents(int fd) {
  std::string text;
  char buffer[4096];
  while (fd >= 0) {
    ssize_t n = pread(fd, buffer, sizeof(buffer), static_cast<off_t>(text.size()));
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

// Pointers into `strings`, ended by a null, as exec wants them.
std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment_of(const Command& command) {
  Environment environment = current_environment();
  for (const auto& entry : command.extra_env) environment[entry.first] = entry.second;
  if (command.dies_with_parent) environment[kParentPid] = std::to_string(getpid());
  std::vector<std::string> lines;
  for (const auto& entry : environment) {
    lines.push_back(entry.first + "=" + entry.second);
  }
  return lines;
}

}  // namespace

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  if (name == nullptr) return "signal " + std::to_string(signal);
  return std::string("SIG") + name;
}

std::string describe(const ExitStatus& status) {
  if (status.signal != 0) return "was killed by " + signal_name(status.signal);
  return "exited with status " + std::to_string(status.code);
}

Process::Process(const Command& command) {
  if (command.argv.empty()) throw std::invalid_argument("a command without a program");
  SpawnActions actions;
  if (command.out == Output::kCapture) {
    out_ = capture_file();
    actions.pass(out_.get(), STDOUT_FILENO);
  }
  if (command.err == Output::kCapture) {
    err_ = capture_file();
    actions.pass(err_.get(), STDERR_FILENO);
  }
  if (command.out_fd >= 0) actions.pass(command.out_fd, STDOUT_FILENO);
  if (command.err_fd >= 0) actions.pass(command.err_fd, STDERR_FILENO);
  for (int fd : command.inherit_fds) actions.pass(fd, fd);

  std::vector<std::string> arguments = command.argv;
  std::vector<std::string> environment = environment_of(command);
  const std::string& program =
      command.program.empty() ? command.argv[0] : command.program;
  int error = posix_spawnp(&pid_, program.c_str(), &actions.files, &actions.attributes,
                           pointers(arguments).data(), pointers(environment).data());
  if (error != 0) {
    pid_ = -1;
    refuse("cannot start " + program, error);
  }
  pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (pidfd_.get() < 0) {
    int why = errno;
    // No destructor runs for an object whose constructor throws.
    kill(pid_, SIGKILL);
    reap(0);
    refuse("cannot watch process " + std::to_string(pid_), why);
  }
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      pidfd_(std::move(other.pidfd_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)) {}

Process::~Process() {
  if (pid_ < 0 || status_) return;
  kill(pid_, SIGKILL);
  int raw = 0;
  while (waitpid(pid_, &raw, 0) < 0 && errno == EINTR) {
  }
}

// True when the status is known. Only here is the child reaped, so until then its
// number is its own.
bool Process::reap(int flags) {
  if (status_) return true;
  int raw = 0;
  pid_t got = 0;
  do {
    got = waitpid(pid_, &raw, flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) refuse("cannot wait for process " + std::to_string(pid_), errno);
  if (got == 0) return false;
  status_ = ExitStatus{};
  if (WIFSIGNALED(raw)) {
    status_->signal = WTERMSIG(raw);
    status_->code = 128 + status_->signal;
  } else {
    status_->code = WEXITSTATUS(raw);
  }
  return true;
}

ExitStatus Process::wait() {
  reap(0);
  return *status_;
}

std::optional<ExitStatus> Process::wait_for(std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  while (!reap(WNOHANG)) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd ended{pidfd_.get(), POLLIN, 0};
    poll(&ended, 1, static_cast<int>(left.count()));
  }
  return status_;
}

void Process::send_signal(int signal) {
  if (pid_ > 0 && !status_) kill(pid_, signal);
}

ExitStatus Process::stop(std::chrono::milliseconds grace) {
  send_signal(SIGTERM);
  if (!wait_for(grace)) send_signal(SIGKILL);
  return wait();
}

std::string Process::out() const { return contents(out_.get()); }
std::string Process::err() const { return contents(err_.get()); }

void die_with_parent() {
  const char* named = std::getenv(kParentPid);
  if (named == nullptr) return;
  std::string parent = named;
  unsetenv(kParentPid);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before prctl: then no signal will ever come.
  if (parent != std::to_string(getppid())) _exit(128 + SIGKILL);
}

void hold_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is what open() gives. For children, too.
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) _exit(1);
  }
}

}  // namespace lockstep::launch
