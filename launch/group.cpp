#include <signal.h>

#include <algorithm>

#include "launch/spawn.h"

namespace lockstep::launch {

using Clock = std::chrono::steady_clock;

void Group::start(const Command& command) {
  processes_.emplace_back(command);
  running_.push_back(static_cast<int>(processes_.size()) - 1);
}

std::vector<pid_t> Group::pids() const {
  std::vector<pid_t> pids;
  for (int process : running_) pids.push_back(processes_[process].pid());
  return pids;
}

void Group::add_to(std::vector<pollfd>& events, const StopSignals& signals) const {
  for (int process : running_)
    events.push_back({processes_[process].pidfd(), POLLIN, 0});
  events.push_back({signals.fd(), POLLIN, 0});
}

int Group::timeout_ms() const {
  if (!kill_at_) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(*kill_at_ - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

void Group::look(const StopSignals& signals) {
  // Signals first: a terminal's ctrl-C hits the ranks too, and is then the cause.
  while (int signal = signals.take()) pass_on(signal);
  collect_the_ended();
  if (kill_at_ && Clock::now() >= *kill_at_) {
    send_all(SIGKILL);
    kill_at_.reset();
  }
}

void Group::end() {
  if (ending_) return;
  ending_ = true;
  send_all(SIGTERM);
  if (!kill_at_) kill_at_ = Clock::now() + grace_;
}

int Group::stopped_by(const StopSignals& signals) {
  // The terminal's signal may have ended a rank a moment before it came to us.
  if (first_ && !passed_on_) passed_on_ = signals.take();
  // A failure of another kind that came before the signal is still the news.
  return !first_ || first_->status.signal == passed_on_ ? passed_on_ : 0;
}

void Group::pass_on(int signal) {
  // Whoever asks twice does not want to wait for the grace.
  send_all(passed_on_ ? SIGKILL : signal);
  if (!passed_on_) passed_on_ = signal;
  ending_ = true;
  if (!kill_at_) kill_at_ = Clock::now() + grace_;
}

void Group::collect_the_ended() {
  std::vector<int> still_running;
  std::optional<Failure> failure;
  for (int process : running_) {
    auto status = processes_[process].wait_for(std::chrono::milliseconds(0));
    if (!status) {
      still_running.push_back(process);
    } else if (status->code != 0 &&
               (!failure || (status->signal != 0 && failure->status.signal == 0))) {
      // Of several that ended between two looks, one killed by a signal is the likely
      // cause: its peers exit by themselves when their connection to it breaks.
      failure = Failure{process, *status};
    }
  }
  running_ = still_running;
  // Failures after the group was told to end are its effect.
  if (!failure || ending_) return;
  first_ = failure;
  stopped_others_ = !running_.empty();
  end();
}

void Group::send_all(int signal) {
  for (int process : running_) {
    // A stopped one would not hear it. Not afterwards: LeakSanitizer stops a process's
    // threads when it exits, and waits for ever where something continues them.
    processes_[process].send_signal(SIGCONT);
    processes_[process].send_signal(signal);
  }
}

}  // namespace lockstep::launch
