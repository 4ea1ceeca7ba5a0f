#include "launch/spawn.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "launch/listener.h"
#include "launch/process.h"
#include "launch/stop_signals.h"

namespace lockstep::launch {
namespace {

using Clock = std::chrono::steady_clock;

struct Failure {
  int process = 0;  // counted from this machine's first
  ExitStatus status;
};

// The ranks from their start to the last one's end.
class Group {
 public:
  Group(const SpawnOptions& options, int first_rank)
      : grace_(options.grace),
        ranks_say_why_(options.ranks_say_why),
        speaker_(options.speaker),
        first_rank_(first_rank) {}

  void start(const Command& command) {
    ranks_.emplace_back(command);
    running_.push_back(static_cast<int>(ranks_.size()) - 1);
  }

  int wait(const StopSignals& signals) {
    while (!running_.empty()) {
      sleep_until_something_happens(signals);
      // Signals first: a terminal's ctrl-C hits the ranks too, and is then the cause.
      while (int signal = signals.take()) pass_on(signal);
      collect_the_ended();
      if (kill_at_ && Clock::now() >= *kill_at_) {
        send_all(SIGKILL);
        kill_at_.reset();
      }
    }
    // The terminal's signal may have ended a rank a moment before it came to us.
    if (first_ && !passed_on_) passed_on_ = signals.take();
    return report();
  }

 private:
  void sleep_until_something_happens(const StopSignals& signals) {
    std::vector<pollfd> events;
    for (int rank : running_) events.push_back({ranks_[rank].pidfd(), POLLIN, 0});
    events.push_back({signals.fd(), POLLIN, 0});
    int timeout_ms = -1;
    if (kill_at_) {
      auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*kill_at_ - Clock::now());
      timeout_ms = static_cast<int>(std::max<int64_t>(0, left.count()));
    }
    poll(events.data(), events.size(), timeout_ms);
  }

  void pass_on(int signal) {
    // Whoever asks twice does not want to wait for the grace.
    send_all(passed_on_ ? SIGKILL : signal);
    if (!passed_on_) passed_on_ = signal;
    if (!kill_at_) kill_at_ = Clock::now() + grace_;
  }

  void collect_the_ended() {
    std::vector<int> still_running;
    std::optional<Failure> failure;
    for (int rank : running_) {
      auto status = ranks_[rank].wait_for(std::chrono::milliseconds(0));
      if (!status) {
        still_running.push_back(rank);
      } else if (status->code != 0 &&
                 (!failure || (status->signal != 0 && failure->status.signal == 0))) {
        // Of several that ended between two looks, one killed by a signal is the likely
        // cause: its peers exit by themselves when their connection to it breaks.
        failure = Failure{rank, *status};
      }
    }
    running_ = still_running;
    // Failures after the group was told to end are its effect.
    if (!failure || first_ || passed_on_) return;
    first_ = failure;
    stopped_others_ = !running_.empty();
    send_all(SIGTERM);
    kill_at_ = Clock::now() + grace_;
  }

  void send_all(int signal) {
    for (int rank : running_) {
      ranks_[rank].send_signal(signal);
      ranks_[rank].send_signal(SIGCONT);  // a stopped one would not hear it
    }
  }

  // One write, so that it is one line among those of the ranks.
  int report() const {
    // A failure of another kind that came before the signal is still the news.
    if (passed_on_ && (!first_ || first_->status.signal == passed_on_)) {
      std::cerr << speaker_ + "the ranks were stopped by " + signal_name(passed_on_) +
                       "\n";
      return 128 + passed_on_;
    }
    if (!first_) return 0;
    if (ranks_say_why_ && first_->status.signal == 0) return first_->status.code;
    std::cerr << speaker_ + "rank " + std::to_string(first_rank_ + first_->process) +
                     " " + describe(first_->status) +
                     (stopped_others_ ? "; the other ranks were stopped\n" : "\n");
    return first_->status.code;
  }

  std::chrono::milliseconds grace_;
  bool ranks_say_why_;
  std::string speaker_;
  int first_rank_;
  std::vector<Process> ranks_;
  std::vector<int> running_;  // of ranks_
  std::optional<Failure> first_;
  bool stopped_others_ = false;
  int passed_on_ = 0;  // the signal that this process was sent
  std::optional<Clock::time_point> kill_at_;
};

}  // namespace

int spawn_ranks(const World& first, const std::vector<std::string>& argv,
                const SpawnOptions& options) {
  const int ranks = first.local_world_size;
  if (ranks < 1) {
    throw std::invalid_argument("cannot start " + std::to_string(ranks) +
                                " ranks; give at least 1");
  }
  StopSignals signals;
  Group group(options, first.rank);
  {
    // Closed here once rank 0 has it: were it open, the other ranks could still connect
    // to a dead rank 0 and wait for its answer.
    std::optional<Listener> listener;
    if (first.rank == 0 && first.store_file.empty()) {
      listener.emplace(first.master_addr, first.master_port);
    }
    for (int local_rank = 0; local_rank < ranks; ++local_rank) {
      World world = first;
      world.local_rank = local_rank;
      world.rank = first.rank + local_rank;
      Command command;
      if (listener.has_value()) world.master_port = listener->port();
      if (listener.has_value() && local_rank == 0) {
        world.store_fd = listener->fd();
        command.inherit_fds = {listener->fd()};
      }
      command.argv = argv;
      command.program = options.program;
      command.extra_env = to_environment(world);
      command.dies_with_parent = true;
      group.start(command);
    }
  }
  return group.wait(signals);
}

}  // namespace lockstep::launch
