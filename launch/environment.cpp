#include "launch/environment.h"

#include <unistd.h>

#include <charconv>
#include <limits>
#include <stdexcept>

namespace lockstep::launch {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw std::invalid_argument(message);
}

// NAME="value", on one line whatever the value holds.
std::string quoted(const std::string& name, const std::string& text) {
  std::string result = name + "=\"";
  for (unsigned char c : text)
    result += c < ' ' || c == 0x7f ? '?' : static_cast<char>(c);
  return result + "\"";
}

std::optional<std::string> find(const Environment& environment,
                                const std::string& name) {
  auto found = environment.find(name);
  if (found == environment.end()) return std::nullopt;
  return found->second;
}

// The whole value must be one decimal number: "2x" or " 2" is a typing error, not a 2.
int number(const std::string& name, const std::string& text, int low, int high) {
  int value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < low || value > high) {
    std::string range = high == std::numeric_limits<int>::max()
                            ? "of at least " + std::to_string(low)
                            : std::to_string(low) + ".." + std::to_string(high);
    refuse(quoted(name, text) + " is not a whole number " + range +
           "; set it right, or unset RANK and WORLD_SIZE");
  }
  return value;
}

int number_or(const Environment& environment, const std::string& name, int otherwise,
              int low, int high = std::numeric_limits<int>::max()) {
  auto text = find(environment, name);
  return text ? number(name, *text, low, high) : otherwise;
}

bool flag(const Environment& environment, const std::string& name) {
  auto text = find(environment, name);
  if (!text || text->empty() || *text == "False" || *text == "false" || *text == "0") {
    return false;
  }
  if (*text == "True" || *text == "true" || *text == "1") return true;
  refuse(quoted(name, *text) + " is neither True nor False; unset it");
}

void check_below(const std::string& name, int value, const std::string& bound_name,
                 int bound) {
  if (value < bound) return;
  refuse(name + "=" + std::to_string(value) + " is not below " + bound_name + "=" +
         std::to_string(bound) + "; ranks count from 0 to " +
         std::to_string(bound - 1));
}

void read_meeting_place(const Environment& environment, bool meets, World& world) {
  auto addr = find(environment, "MASTER_ADDR");
  auto port = find(environment, "MASTER_PORT");
  const bool several = meets && world.world_size > 1;
  if (several && (!addr || addr->empty() || !port)) {
    refuse("WORLD_SIZE=" + std::to_string(world.world_size) + " but " +
           (port ? "MASTER_ADDR" : "MASTER_PORT") +
           " is not set: the ranks have nowhere to meet; set MASTER_ADDR to rank 0's "
           "machine and MASTER_PORT to a free port on it");
  }
  if (addr && !addr->empty()) world.master_addr = *addr;
  // A rank alone may have no port: it meets nobody.
  if (port) {
    world.master_port = number("MASTER_PORT", *port, several ? 1 : 0, 65535);
  }
}

}  // namespace

Environment current_environment() {
  Environment result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::string text = *entry;
    auto equals = text.find('=');
    if (equals == std::string::npos) continue;
    result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

std::optional<World> world_from(const Environment& environment, bool meets) {
  auto rank = find(environment, "RANK");
  auto world_size = find(environment, "WORLD_SIZE");
  if (!rank && !world_size) return std::nullopt;
  if (!rank) {
    refuse(quoted("WORLD_SIZE", *world_size) +
           " without RANK; set RANK too, or unset WORLD_SIZE");
  }
  if (!world_size) {
    refuse(quoted("RANK", *rank) +
           " without WORLD_SIZE; set WORLD_SIZE too, or unset RANK");
  }

  World world;
  const int any = std::numeric_limits<int>::max();
  world.world_size = number("WORLD_SIZE", *world_size, 1, any);
  world.rank = number("RANK", *rank, 0, any);
  check_below("RANK", world.rank, "WORLD_SIZE", world.world_size);

  world.local_world_size =
      number_or(environment, "LOCAL_WORLD_SIZE", world.world_size, 1);
  check_below("LOCAL_WORLD_SIZE-1", world.local_world_size - 1, "WORLD_SIZE",
              world.world_size);
  world.local_rank =
      number_or(environment, "LOCAL_RANK", world.rank % world.local_world_size, 0);
  check_below("LOCAL_RANK", world.local_rank, "LOCAL_WORLD_SIZE",
              world.local_world_size);
  world.node_rank =
      number_or(environment, "GROUP_RANK", world.rank / world.local_world_size, 0);
  check_below("GROUP_RANK", world.node_rank, "WORLD_SIZE", world.world_size);

  read_meeting_place(environment, meets, world);
  world.agent_hosts_store = flag(environment, "TORCHELASTIC_USE_AGENT_STORE");
  world.attempt = number_or(environment, "TORCHELASTIC_RESTART_COUNT", 0, 0);
  world.store_fd = number_or(environment, "LOCKSTEP_STORE_FD", -1, -1);
  return world;
}

int master_port(const Environment& environment) {
  return number_or(environment, "MASTER_PORT", 0, 0, 65535);
}

Environment to_environment(const World& world) {
  return {
      {"RANK", std::to_string(world.rank)},
      {"LOCAL_RANK", std::to_string(world.local_rank)},
      {"GROUP_RANK", std::to_string(world.node_rank)},
      {"WORLD_SIZE", std::to_string(world.world_size)},
      {"LOCAL_WORLD_SIZE", std::to_string(world.local_world_size)},
      {"MASTER_ADDR", world.master_addr},
      {"MASTER_PORT", std::to_string(world.master_port)},
      {"TORCHELASTIC_USE_AGENT_STORE", world.agent_hosts_store ? "True" : "False"},
      {"TORCHELASTIC_RESTART_COUNT", std::to_string(world.attempt)},
      {"LOCKSTEP_STORE_FD", std::to_string(world.store_fd)},
  };
}

}  // namespace lockstep::launch
