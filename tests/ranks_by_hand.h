// Ranks of `ddp`, or another program, started one by one, without a launcher that would
// end the others when one fails: what each says and does then is its own. For tests
// alone.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/listener.h"
#include "launch/start_line.h"
#include "tests/program_run.h"

namespace lockstep {

class RanksByHand {
 public:
  using Words = std::vector<std::string>;
  // The words that start rank number `rank`, if they are others.
  using Started = std::function<Words(int rank, const Words& command)>;

  static Words as_it_is(int /*rank*/, const Words& command) { return command; }

  // They meet at `master`; at 127.0.0.1 nobody else can take their port.
  RanksByHand(int ranks, const Words& arguments,
              const std::string& master = "127.0.0.1",
              const Started& started = as_it_is, const std::string& program = "ddp") {
    const bool here = master == "127.0.0.1";
    std::optional<launch::Listener> store;
    if (here) store.emplace();
    launch::Command at_start;
    line_.line_up(at_start);
    for (int rank = 0; rank < ranks; ++rank) {
      launch::Environment environment = at_start.extra_env;
      environment["RANK"] = std::to_string(rank);
      environment["WORLD_SIZE"] = std::to_string(ranks);
      environment["MASTER_ADDR"] = master;
      environment["MASTER_PORT"] = std::to_string(here ? store->port() : 29517);
      // Should the test be killed; its threads live as long as their ranks.
      environment["LOCKSTEP_PARENT_PID"] = std::to_string(getpid());
      std::vector<int> inherit = at_start.inherit_fds;
      if (here && rank == 0) {
        environment["LOCKSTEP_STORE_FD"] = std::to_string(store->fd());
        inherit.push_back(store->fd());
      }
      Words command = {program_path(program)};
      command.insert(command.end(), arguments.begin(), arguments.end());
      // Looked up in PATH by env, which becomes it: the process keeps its number.
      runs_.push_back(std::make_unique<ProgramRun>(
          "/usr/bin/env", started(rank, command), environment, inherit));
    }
  }

  // Returns when all are about to take their first step, or one has ended.
  void let_go() {
    std::vector<int> ended;
    for (const auto& run : runs_) ended.push_back(run->process().pidfd());
    line_.let_go(size(), ended);
  }

  int size() const { return static_cast<int>(runs_.size()); }
  ProgramRun& operator[](int rank) { return *runs_[static_cast<size_t>(rank)]; }

 private:
  launch::StartLine line_;
  std::vector<std::unique_ptr<ProgramRun>> runs_;
};

}  // namespace lockstep
