#include "cases/child_run.h"

#include <poll.h>
#include <signal.h>

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "cases/bound.h"
#include "cases/machine.h"
#include "files/memory_file.h"
#include "launch/start_line.h"

namespace lockstep::cases {
namespace {

// A run that takes longer has hung: the main job's take seconds.
constexpr std::chrono::minutes kPatience{30};
// Longer than the grace that a launcher in turn gives its ranks.
constexpr std::chrono::seconds kGrace{10};

// The program's one line, without its name. What others say beside it (torchrun, about
// a rank that failed) is not it.
std::string said(const std::string& text, const std::string& speaker) {
  std::istringstream lines(text);
  std::string first;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(speaker + ": ", 0) == 0) return line.substr(speaker.size() + 2);
    if (first.empty()) first = line;
  }
  return first;
}

}  // namespace

Stopped::Stopped(int signal)
    : std::runtime_error("stopped by " + launch::signal_name(signal)),
      status_(128 + signal) {}

launch::ExitStatus Children::wait(launch::Process& process) const {
  using Clock = std::chrono::steady_clock;
  using std::chrono::milliseconds;
  const auto deadline = Clock::now() + kPatience;
  // Again where poll() ends with nothing: a signal came that is no wish to stop.
  for (auto left = milliseconds(kPatience); left.count() > 0;
       left = std::chrono::ceil<milliseconds>(deadline - Clock::now())) {
    pollfd events[] = {{process.pidfd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}};
    poll(events, 2, static_cast<int>(left.count()));
    // First, as a terminal's ctrl-C ends the child as well.
    if (const int signal = signals_.take()) {
      process.send_signal(signal);
      if (!process.wait_for(kGrace)) process.send_signal(SIGKILL);
      process.wait();
      throw Stopped(signal);
    }
    if (const auto status = process.wait_for(milliseconds(0))) return *status;
  }
  process.stop(kGrace);
  throw std::runtime_error("no end after 30 minutes; stopped");
}

void Children::finish(const std::string& what, launch::Process& process,
                      const std::string& speaker) const {
  const launch::ExitStatus status = wait(process);
  if (status.code == 0) return;
  std::string why = said(process.err(), speaker);
  if (why.empty()) why = what + " " + launch::describe(status);
  if (status.code == 2) throw std::invalid_argument(why);
  throw std::runtime_error(why);
}

TrainReport Children::run(const Case& one, const RunPlan& plan) const {
  if (!one.ddp.link.empty() && !plan.reference) {
    return training::report_from_json(
        run_on_hosts(one.name(), speaker_of(one, plan),
                     command_of(one, sweep_, plan, {}), "--report-file", one.cards,
                     plan.swift_links ? "" : one.ddp.link, one.ddp.ranks_per_host));
  }
  const int processes = one.mode == "bound" && !plan.reference ? one.cards : 1;
  const std::vector<TrainReport> reports = run_at_once(one, plan, processes);
  return processes > 1 ? side_by_side(reports, cores()) : reports.front();
}

std::vector<TrainReport> Children::run_at_once(const Case& one, const RunPlan& plan,
                                               int processes) const {
  launch::StartLine line;
  std::vector<files::MemoryFile> written;
  std::vector<launch::Process> running;
  std::vector<int> ends = {signals_.fd()};
  for (int i = 0; i < processes; ++i) {
    written.emplace_back();
    launch::Command each =
        command_of(one, sweep_, plan, {"--report-file", written.back().path()});
    if (processes > 1) line.line_up(each);
    running.emplace_back(each);
    ends.push_back(running.back().pidfd());
  }
  if (processes > 1) line.let_go(processes, ends);
  std::vector<TrainReport> reports;
  for (int i = 0; i < processes; ++i) {
    finish(one.name(), running[static_cast<size_t>(i)], speaker_of(one, plan));
    reports.push_back(
        training::report_from_json(written[static_cast<size_t>(i)].text()));
  }
  return reports;
}

void Children::dry_run(const Case& one) const {
  launch::Command command = command_of(one, sweep_, {}, {"--dry-run"});
  // What goes with several hosts need not go with this one alone.
  if (!one.ddp.link.empty()) {
    command.extra_env.merge(place_of(0, one.cards, one.ddp.ranks_per_host));
  }
  launch::Process process(command);
  finish(one.name(), process, speaker_of(one, {}));
}

int Children::report(const std::string& folder) const {
  launch::Command command;
  command.argv = {program("report"), "--in", folder, "--out", folder};
  launch::Process process(command);
  return wait(process).code;
}

}  // namespace lockstep::cases
