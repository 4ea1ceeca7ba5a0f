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

constexpr RankNames kTorchrun = {"RANK",       "WORLD_SIZE",
                                 "LOCAL_RANK", "LOCAL_WORLD_SIZE",
                                 "GROUP_RANK", "unset RANK and WORLD_SIZE"};

// The whole value must be one decimal number: "2x" or " 2" is a typing error, not a 2.
int number(const std::string& name, const std::string& text, int low, int high,
           const std::string& way_out = kTorchrun.way_out) {
  int value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < low || value > high) {
    std::string range = high == std::numeric_limits<int>::max()
                            ? "of at least " + std::to_string(low)
                            : std::to_string(low) + ".." + std::to_string(high);
    refuse(quoted(name, text) + " is not a whole number " + range +
           "; set it right, or " + way_out);
  }
  return value;
}

int number_or(const Environment& environment, const std::string& name, int otherwise,
              int low, int high = std::numeric_limits<int>::max(),
              const std::string& way_out = kTorchrun.way_out) {
  auto text = value_of(environment, name);
  return text ? number(name, *text, low, high, way_out) : otherwise;
}

bool flag(const Environment& environment, const std::string& name) {
  auto text = value_of(environment, name);
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

void read_meeting_place(const Environment& environment, const RankNames& names,
                        bool meets, World& world) {
  auto addr = value_of(environment, "MASTER_ADDR");
  auto port = value_of(environment, "MASTER_PORT");
  const bool several = meets && world.world_size > 1;
  if (several && (!addr || addr->empty() || !port)) {
    refuse(std::string(names.world_size) + "=" + std::to_string(world.world_size) +
           " but " + (port ? "MASTER_ADDR" : "MASTER_PORT") +
           " is not set: the ranks have nowhere to meet; set MASTER_ADDR to rank 0's "
           "machine and MASTER_PORT to a free port on it");
  }
  if (addr && !addr->empty()) world.master_addr = *addr;
  // A rank alone may have no port: it meets nobody.
  if (port) {
    world.master_port =
        number("MASTER_PORT", *port, several ? 1 : 0, 65535, names.way_out);
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
  auto rank = value_of(environment, "RANK");
  auto world_size = value_of(environment, "WORLD_SIZE");
  if (!rank && !world_size) return std::nullopt;
  if (!rank) {
    refuse(quoted("WORLD_SIZE", *world_size) +
           " without RANK; set RANK too, or unset WORLD_SIZE");
  }
  if (!world_size) {
    refuse(quoted("RANK", *rank) +
           " without WORLD_SIZE; set WORLD_SIZE too, or unset RANK");
  }

  World world = ranks_from(environment, kTorchrun, meets);
  world.agent_hosts_store = flag(environment, "TORCHELASTIC_USE_AGENT_STORE");
  world.attempt = number_or(environment, "TORCHELASTIC_RESTART_COUNT", 0, 0);
  world.store_fd = number_or(environment, "LOCKSTEP_STORE_FD", -1, -1);
  world.job = job_of(environment, {"TORCHELASTIC_RUN_ID"});
  return world;
}

World ranks_from(const Environment& environment, const RankNames& names, bool meets) {
  constexpr int kAny = std::numeric_limits<int>::max();
  const auto value = [&](const char* name, int otherwise, int low) {
    return number_or(environment, name, otherwise, low, kAny, names.way_out);
  };
  World world;
  world.world_size = value(names.world_size, 1, 1);
  world.rank = value(names.rank, 0, 0);
  check_below(names.rank, world.rank, names.world_size, world.world_size);

  world.local_world_size = value(names.local_world_size, world.world_size, 1);
  check_below(std::string(names.local_world_size) + "-1", world.local_world_size - 1,
              names.world_size, world.world_size);
  world.local_rank = value(names.local_rank, world.rank % world.local_world_size, 0);
  check_below(names.local_rank, world.local_rank, names.local_world_size,
              world.local_world_size);
  world.node_rank = world.rank / world.local_world_size;
  if (names.node_rank != nullptr) {
    world.node_rank = value(names.node_rank, world.node_rank, 0);
    check_below(names.node_rank, world.node_rank, names.world_size, world.world_size);
  }
  read_meeting_place(environment, names, meets, world);
  return world;
}

std::optional<std::string> value_of(const Environment& environment,
                                    const std::string& name) {
  auto found = environment.find(name);
  if (found == environment.end()) return std::nullopt;
  return found->second;
}

std::string text_at(const Environment& environment, const char* name) {
  return value_of(environment, name).value_or("");
}

std::optional<int64_t> whole(const Environment& environment, const char* name) {
  const std::string text = text_at(environment, name);
  int64_t value = 0;
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string job_of(const Environment& environment,
                   std::initializer_list<const char*> names) {
  std::string job;
  for (const char* name : names) {
    const std::string value = printable(text_at(environment, name));
    if (!value.empty())
      job += (job.empty() ? "" : " ") + std::string(name) + "=" + value;
  }
  return job;
}

std::string printable(const std::string& text) {
  std::string result;
  for (unsigned char c : text)
    result += c < ' ' || c == 0x7f ? '?' : static_cast<char>(c);
  return result;
}

std::string quoted(const std::string& name, const std::string& text) {
  return name + "=\"" + printable(text) + "\"";
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
