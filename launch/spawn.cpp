#include "launch/spawn.h"

#include <poll.h>

#include <iostream>
#include <stdexcept>

#include "launch/listener.h"

namespace lockstep::launch {
namespace {

// One write, so that it is one line among those of the ranks.
void say(const SpawnOptions& options, const std::string& what) {
  std::cerr << options.speaker + what + "\n";
}

int wait_for(Group& group, int first_rank, const StopSignals& signals,
             const SpawnOptions& options) {
  while (group.running()) {
    std::vector<pollfd> events;
    group.add_to(events, signals);
    poll(events.data(), events.size(), group.timeout_ms());
    group.look(signals);
  }
  if (const int signal = group.stopped_by(signals)) {
    say(options, "the ranks were stopped by " + signal_name(signal));
    return 128 + signal;
  }
  if (!group.first()) return 0;
  const auto& [process, status] = *group.first();
  if (options.ranks_say_why && status.signal == 0) return status.code;
  say(options, "rank " + std::to_string(first_rank + process) + " " + describe(status) +
                   (group.stopped_others() ? "; the other ranks were stopped" : ""));
  return status.code;
}

}  // namespace

int spawn_ranks(const World& first, const std::vector<std::string>& argv,
                const SpawnOptions& options) {
  const int ranks = first.local_world_size;
  if (ranks < 1) {
    throw std::invalid_argument("cannot start " + std::to_string(ranks) +
                                " ranks; give at least 1");
  }
  StopSignals signals;
  Group group(options.grace);
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
  return wait_for(group, first.rank, signals, options);
}

}  // namespace lockstep::launch
