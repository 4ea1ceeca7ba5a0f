// Ranks as threads of one process that say they are on hosts of those names: hier's
// groups without a network. For tests alone.
#pragma once

#include <functional>
#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "hier/hier.h"
#include "shm/thread_groups.h"

namespace lockstep::hier {

using HostOfRank = std::vector<std::string>;

inline void on_hosts(const HostOfRank& hosts,
                     const std::function<void(shm::GroupPtr&)>& work) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto ranks = static_cast<int>(hosts.size());
  shm::on_threads(ranks, [&](int rank) {
    HierOptions options;
    options.interface_address = "127.0.0.1";
    options.timeout = shm::kTestTimeout;
    options.host = hosts[static_cast<size_t>(rank)];
    shm::GroupPtr group = make_hier(store, rank, ranks, options);
    work(group);
  });
}

}  // namespace lockstep::hier
