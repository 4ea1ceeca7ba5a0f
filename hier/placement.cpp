#include "hier/placement.h"

#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace lockstep::hier {
namespace {

std::string key_of(int rank) { return "hier/host_of/" + std::to_string(rank); }

}  // namespace

int Placement::lanes() const {
  size_t fewest = ranks.front().size();
  for (const std::vector<int>& of_host : ranks) {
    fewest = std::min(fewest, of_host.size());
  }
  return static_cast<int>(fewest);
}

Placement place(const std::vector<std::string>& host_of_rank) {
  Placement placement;
  std::vector<std::string> names;
  for (size_t rank = 0; rank < host_of_rank.size(); ++rank) {
    const auto found = std::find(names.begin(), names.end(), host_of_rank[rank]);
    const auto host = static_cast<size_t>(found - names.begin());
    if (found == names.end()) {
      names.push_back(host_of_rank[rank]);
      placement.ranks.emplace_back();
    }
    placement.host.push_back(static_cast<int>(host));
    placement.local.push_back(static_cast<int>(placement.ranks[host].size()));
    placement.ranks[host].push_back(static_cast<int>(rank));
  }
  return placement;
}

std::string this_host() {
  utsname names{};
  uname(&names);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  std::error_code none;
  const auto network = std::filesystem::read_symlink("/proc/self/ns/net", none);
  return std::string(names.nodename) + " " + boot + " " + network.string();
}

Placement agree(c10d::Store& store, int rank, int world_size, const std::string& host,
                std::chrono::milliseconds timeout) {
  store.set(key_of(rank), std::vector<uint8_t>(host.begin(), host.end()));
  std::vector<std::string> host_of_rank;
  for (int other = 0; other < world_size; ++other) {
    try {
      store.wait({key_of(other)}, timeout);
    } catch (const std::exception&) {
      throw std::runtime_error("hier: rank " + std::to_string(other) +
                               " did not say in " +
                               std::to_string(timeout.count() / 1000) +
                               " s on which host it is; is it of another --backend?");
    }
    const std::vector<uint8_t> said = store.get(key_of(other));
    host_of_rank.emplace_back(said.begin(), said.end());
  }
  return place(host_of_rank);
}

}  // namespace lockstep::hier
