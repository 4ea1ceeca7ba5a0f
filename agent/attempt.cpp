#include "agent/attempt.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "agent/descendants.h"
#include "agent/rank_output.h"
#include "host/this_host.h"
#include "launch/environment.h"
#include "launch/process.h"
#include "launch/spawn.h"

namespace lockstep::agent {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kGrace{5};

// Last to go: by then the ranks' guards have ended and what they left is ours.
struct NobodyLeft {
  ~NobodyLeft() { end_descendants(std::chrono::milliseconds(0)); }
};

launch::Environment environment_of(const Options& options, const World& world,
                                   int nodes) {
  launch::Environment environment = launch::to_environment(world);
  environment["GROUP_WORLD_SIZE"] = std::to_string(nodes);
  environment["ROLE_NAME"] = "default";
  environment["ROLE_RANK"] = environment["RANK"];
  environment["ROLE_WORLD_SIZE"] = environment["WORLD_SIZE"];
  environment["TORCHELASTIC_MAX_RESTARTS"] = std::to_string(options.max_restarts);
  environment["TORCHELASTIC_RUN_ID"] = options.run_id;
  environment["LOCKSTEP_LINES_PREFIXED"] = "1";
  // As torchrun: several ranks, each with a thread for every core, would be slow.
  const launch::Environment own = launch::current_environment();
  if (world.local_world_size > 1 && own.count("OMP_NUM_THREADS") == 0) {
    environment["OMP_NUM_THREADS"] = "1";
  }
  return environment;
}

Destination destination_of(const Options& options, const World& world) {
  const auto local_rank = static_cast<size_t>(world.local_rank);
  Destination to;
  to.prefix = "[rank " + std::to_string(world.rank) + " " + host::short_name() + "] ";
  to.folder = options.log_dir + "/attempt_" + std::to_string(world.attempt) + "/rank_" +
              std::to_string(world.rank);
  to.to_file = options.to_file[local_rank];
  to.to_console = options.to_console[local_rank];
  return to;
}

// A rank, behind its guard (guard.cpp).
struct Rank {
  Rank(const Options& options, const World& world)
      : number(world.rank), output(destination_of(options, world)) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
      throw std::runtime_error(std::string("no pipe for a rank's number: ") +
                               std::strerror(errno));
    }
    told_pid = launch::Fd(ends[0]);
    tell_pid = launch::Fd(ends[1]);
  }

  // 0: it was not started.
  pid_t pid() const {
    pid_t pid = 0;
    return read(told_pid.get(), &pid, sizeof(pid)) == sizeof(pid) ? pid : 0;
  }

  int number;
  RankOutput output;
  launch::Fd told_pid, tell_pid;
  Clock::time_point start = Clock::now();
};

std::string guard_path() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "launch_rank";
}

class Attempt {
 public:
  Attempt(const Options& options, const Others& others, Console& console,
          const launch::StopSignals& signals)
      : options_(options), others_(others), console_(console), signals_(signals) {}

  void start(const World& world, int nodes) {
    Rank& rank = ranks_.emplace_back(options_, world);
    launch::Command command;
    command.argv = {"launch_rank", std::to_string(getpid()),
                    std::to_string(rank.tell_pid.get())};
    command.argv.insert(command.argv.end(), options_.command.begin(),
                        options_.command.end());
    command.program = guard_path();
    command.extra_env = environment_of(options_, world, nodes);
    command.inherit_fds = {rank.tell_pid.get()};
    command.out_fd = rank.output.write_end(kOut);
    command.err_fd = rank.output.write_end(kErr);
    group_.start(command);
    rank.output.close_write_ends();
    launch::Fd closed = std::move(rank.tell_pid);
  }

  Outcome wait() {
    while (group_.running()) {
      sleep_until_something_happens(group_.timeout_ms());
      const size_t guards = group_.pids().size();
      group_.look(signals_);
      // A guard that was killed has left its rank's offspring to us.
      if (group_.pids().size() < guards) end_unguarded(group_.pids());
      look_at_failures();
    }
    // Who is left holds the pipes open.
    end_descendants(std::chrono::milliseconds(0));
    // All that was written is there; a pipe that stays open and empty was given away.
    // Whoever stopped the job does not wait for a reader that reads no more.
    const auto enough = Clock::now() + kGrace;
    while (any_open() && signals_.take() == 0) {
      if (group_.passed_on() != 0 && Clock::now() > enough) break;
      const bool any = sleep_until_something_happens(/*timeout_ms=*/200);
      if (!any && !console_.full(kOut) && !console_.full(kErr)) break;
    }
    return outcome();
  }

 private:
  bool sleep_until_something_happens(int timeout_ms) {
    pass_lines_on();
    std::vector<pollfd> events;
    group_.add_to(events, signals_);
    if (others_.fd >= 0 && !elsewhere_) events.push_back({others_.fd, POLLIN, 0});
    for (const Rank& rank : ranks_) rank.output.add_to(events, console_);
    console_.add_to(events);
    const bool any = poll(events.data(), events.size(), timeout_ms) != 0;
    pass_lines_on();
    return any;
  }

  void pass_lines_on() {
    for (Rank& rank : ranks_) rank.output.read_some(console_);
    console_.write_some();
  }

  bool any_open() const {
    for (const Rank& rank : ranks_) {
      if (rank.output.open()) return true;
    }
    return false;
  }

  void look_at_failures() {
    if (told_ || elsewhere_) return;
    if (group_.first()) {
      told_ = true;
      const auto& [process, status] = *group_.first();
      const Rank& rank = ranks_[static_cast<size_t>(process)];
      const std::chrono::duration<double> lived = Clock::now() - rank.start;
      std::array<char, 32> seconds{};
      std::snprintf(seconds.data(), seconds.size(), "%.1f", lived.count());
      what_ = "rank " + std::to_string(rank.number) + " on " + host::short_name() +
              " (pid " + std::to_string(rank.pid()) + ") " + describe(status) + " " +
              seconds.data() + " s after its start";
      others_.fail(what_, status.code, /*is_final=*/false);
    } else if (const int signal = group_.passed_on()) {
      told_ = true;
      others_.fail("the ranks were stopped by " + launch::signal_name(signal),
                   128 + signal, /*is_final=*/true);
    } else if (others_.fd >= 0) {
      pollfd event{others_.fd, POLLIN, 0};
      if (poll(&event, 1, /*timeout=*/0) <= 0) return;
      elsewhere_ = true;
      group_.end();
    }
  }

  Outcome outcome() {
    Outcome outcome;
    if (const int signal = group_.stopped_by(signals_)) {
      outcome.end = Outcome::End::stopped;
      outcome.status = 128 + signal;
      outcome.what = "the ranks were stopped by " + launch::signal_name(signal);
    } else if (group_.first()) {
      const auto& [process, status] = *group_.first();
      outcome.end = Outcome::End::failed;
      outcome.status = status.code;
      outcome.what = what_;
      outcome.last_lines = ranks_[static_cast<size_t>(process)].output.last_errors();
    } else if (elsewhere_) {
      outcome.end = Outcome::End::elsewhere;
    }
    for (const Rank& rank : ranks_) {
      if (!rank.output.trouble().empty()) {
        console_.put(kErr, "launch: " + rank.output.trouble() + "\n");
      }
    }
    return outcome;
  }

  const Options& options_;
  const Others& others_;
  Console& console_;
  const launch::StopSignals& signals_;
  NobodyLeft nobody_left_;
  launch::Group group_{kGrace};
  std::deque<Rank> ranks_;
  std::string what_;
  bool told_ = false;       // the others, of an end here
  bool elsewhere_ = false;  // an end there
};

}  // namespace

void check_program(const std::string& program) {
  const auto can_run = [](const std::string& path) {
    return access(path.c_str(), X_OK) == 0 && !std::filesystem::is_directory(path);
  };
  const bool is_path = program.find('/') != std::string::npos;
  if (is_path && can_run(program)) return;
  const bool there = access(program.c_str(), F_OK) == 0;
  if (is_path && !there) {
    throw std::invalid_argument("no program " + program + ": " + std::strerror(ENOENT));
  }
  const char* path = std::getenv("PATH");
  std::string folders = path == nullptr ? "" : path;
  for (size_t begin = 0; begin <= folders.size() && !is_path;) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    if (can_run(folders.substr(begin, end - begin) + "/" + program)) return;
    begin = end + 1;
  }
  // torchrun's users give it the script alone.
  if (there && !can_run(program)) {
    throw std::invalid_argument("no program " + program +
                                ": is there, but cannot be run; a script may need its "
                                "interpreter before it: python3 " +
                                program);
  }
  throw std::invalid_argument("no program " + program +
                              " in any folder of PATH; give its path, ./" + program);
}

Outcome run_attempt(const Options& options, const World& first, int nodes,
                    const Others& others, Console& console,
                    const launch::StopSignals& signals) {
  Attempt attempt(options, others, console, signals);
  for (int local_rank = 0; local_rank < first.local_world_size; ++local_rank) {
    World world = first;
    world.local_rank = local_rank;
    world.rank = first.rank + local_rank;
    attempt.start(world, nodes);
  }
  return attempt.wait();
}

}  // namespace lockstep::agent
