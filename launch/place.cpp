#include "launch/place.h"

#include <algorithm>
#include <stdexcept>

#include "host/this_host.h"
#include "launch/init_method.h"
#include "launch/launcher.h"

namespace lockstep::launch {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw std::invalid_argument(message);
}

void check_agrees(const std::optional<int>& option, const char* option_name,
                  int variable, const char* variable_name) {
  if (!option.has_value() || *option == variable) return;
  refuse(std::string(option_name) + " " + std::to_string(*option) + " but " +
         variable_name + "=" + std::to_string(variable) +
         " in the environment; leave one of them out");
}

void check_below(const char* name, int value, const char* bound_name, int bound) {
  if (value >= 0 && value < bound) return;
  refuse(std::string(name) + " " + std::to_string(value) + ": must be 0 to " +
         std::to_string(bound - 1) + ", below " + bound_name + " " +
         std::to_string(bound));
}

World of_one_rank(const PlaceOptions& options) {
  if (!options.rank.has_value()) {
    refuse("--world-size " + std::to_string(*options.world_size) +
           " without --rank; give both, or --nodes and --node-rank");
  }
  if (!options.world_size.has_value()) {
    refuse("--rank " + std::to_string(*options.rank) +
           " without --world-size; give both, or --nodes and --node-rank");
  }
  World world;
  world.world_size = *options.world_size;
  if (world.world_size < 1) {
    refuse("--world-size " + std::to_string(world.world_size) + ": must be 1 or more");
  }
  world.rank = *options.rank;
  check_below("--rank", world.rank, "--world-size", world.world_size);
  // Ranks fill one node after the other.
  world.local_world_size = std::min(options.ranks_per_node, world.world_size);
  world.local_rank = world.rank % world.local_world_size;
  world.node_rank = world.rank / world.local_world_size;
  return world;
}

World of_first_rank(const PlaceOptions& options) {
  // The bound keeps the number of ranks far from overflow.
  if (options.nodes < 1 || options.nodes > 100000) {
    refuse("--nodes " + std::to_string(options.nodes) + ": must be 1 to 100000");
  }
  check_below("--node-rank", options.node_rank, "--nodes", options.nodes);
  World world;
  world.local_world_size = options.ranks_per_node;
  world.world_size = options.nodes * options.ranks_per_node;
  world.node_rank = options.node_rank;
  world.rank = options.node_rank * options.ranks_per_node;
  return world;
}

void read_env_method(const PlaceOptions& options, const Environment& environment,
                     World& world) {
  const auto addr = environment.find("MASTER_ADDR");
  if (options.master_addr.has_value()) {
    world.master_addr = *options.master_addr;
  } else if (addr != environment.end() && !addr->second.empty()) {
    world.master_addr = addr->second;
  }
  world.master_port =
      options.master_port.has_value() ? *options.master_port : master_port(environment);
}

// The tutorials' mistake: each node waits for all others on its own loopback. Who means
// several nodes of one machine says so by tcp:// or file://.
void check_others_reach(const World& world, const PlaceOptions& options,
                        const std::vector<std::string>& own_addresses) {
  if (options.nodes == 1 || !host::is_loopback(world.master_addr)) return;
  const std::string told = options.master_addr.has_value() ? "--master-addr " : "";
  std::string own;
  for (const std::string& address : own_addresses) {
    own += (own.empty() ? "" : " or ") + address;
  }
  const std::string nodes = std::to_string(options.nodes);
  const int port = world.master_port == 0 ? 29500 : world.master_port;
  refuse("--nodes " + nodes + " would meet at " + told + world.master_addr +
         ", which is each machine by itself; give all of them --master-addr with node "
         "0's address" +
         (own.empty()            ? ""
          : world.node_rank == 0 ? ", here " + own
                                 : ", not this one's (" + own + ")") +
         "; for " + nodes +
         " nodes of one machine --init-method tcp://127.0.0.1:" + std::to_string(port));
}

// A launcher that says itself where ranks meet is not for our options to overrule;
// where we only guess, they know better.
Environment with_master(const PlaceOptions& options, Launcher launcher,
                        Environment environment) {
  if (launcher == Launcher::slurm || launcher == Launcher::mpi) {
    if (options.master_addr) environment["MASTER_ADDR"] = *options.master_addr;
    if (options.master_port.value_or(0) > 0) {
      environment["MASTER_PORT"] = std::to_string(*options.master_port);
    }
  }
  return environment;
}

}  // namespace

Place place_of(const PlaceOptions& options, const Environment& environment,
               const std::vector<std::string>& own_addresses) {
  Place place;
  World& world = place.world;
  const InitMethod method = parse_init_method(options.init_method);
  const Launcher launcher = launcher_of(options.launcher, environment);
  const std::optional<Launched> launched =
      launched_by(launcher, with_master(options, launcher, environment),
                  /*meets=*/method.kind == InitMethod::Kind::env);
  if (launched.has_value()) {
    world = launched->world;
    place.starts_ranks = launched->starts_ranks;
    check_agrees(options.rank, "--rank", world.rank, "RANK");
    check_agrees(options.world_size, "--world-size", world.world_size, "WORLD_SIZE");
  } else if (options.rank.has_value() || options.world_size.has_value()) {
    world = of_one_rank(options);
  } else {
    world = of_first_rank(options);
    place.starts_ranks = true;
  }

  switch (method.kind) {
    case InitMethod::Kind::env:
      // See with_master().
      if (!launched.has_value()) read_env_method(options, environment, world);
      if (!launched.has_value() && place.starts_ranks) {
        check_others_reach(world, options, own_addresses);
      }
      break;
    case InitMethod::Kind::tcp:
      world.master_addr = method.host;
      world.master_port = method.port;
      world.agent_hosts_store = false;
      break;
    case InitMethod::Kind::file:
      world.store_file = method.path;
      return place;
  }
  const bool others_must_know =
      !place.starts_ranks || world.world_size > world.local_world_size;
  if (world.world_size > 1 && world.master_port == 0 && others_must_know) {
    refuse(std::to_string(world.world_size) +
           " ranks meet at a port that all of them know; give --master-port, or "
           "--init-method tcp://HOST:PORT");
  }
  return place;
}

std::string drawing(const World& first) {
  constexpr int kAtEachEnd = 4;  // machines, and ranks of a machine, that are drawn
  const auto left_out = [](int i, int all) {
    return i >= kAtEachEnd && i < all - kAtEachEnd;
  };
  const int ranks = first.local_world_size;
  const int nodes = first.world_size / ranks;
  std::string text = "world size " + std::to_string(first.world_size) + " = " +
                     std::to_string(nodes) + " nodes x " + std::to_string(ranks) +
                     " ranks; they meet ";
  if (!first.store_file.empty()) {
    text += "in the file " + first.store_file;
  } else {
    text +=
        "at " + first.master_addr + ":" +
        (first.master_port == 0 ? "any free port" : std::to_string(first.master_port)) +
        ", where rank 0 hosts the store";
  }
  text += "\n";
  for (int node = 0; node < nodes; ++node) {
    if (left_out(node, nodes)) {
      if (node == kAtEachEnd) text += "  ...\n";
      if (node != first.node_rank) continue;
    }
    text += node == first.node_rank ? "* node " : "  node ";
    text += std::to_string(node) + ":";
    for (int local_rank = 0; local_rank < ranks; ++local_rank) {
      if (left_out(local_rank, ranks)) {
        if (local_rank == kAtEachEnd) text += "  ...";
        continue;
      }
      text += "  rank " + std::to_string(node * ranks + local_rank) + " (local rank " +
              std::to_string(local_rank) + ")";
    }
    text += "\n";
  }
  return text + "* started here\n";
}

}  // namespace lockstep::launch
