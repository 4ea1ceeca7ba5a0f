// Horovod's engine on ranks that are threads of this process. For tests alone.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <utility>
#include <vector>

#include "horovod/engine.h"
#include "shm/thread_groups.h"

namespace lockstep::horovod {

// The lines that an engine warned by, of any rank.
class Warnings {
 public:
  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct EngineRanks {
  int size = 2;
  Settings settings{};
  std::string backend = "gloo";
  Warnings warnings{};

  // Calls `work` on each rank; the engine may be reset by it.
  void run(const std::function<void(std::unique_ptr<Engine>&)>& work) {
    const auto store = c10::make_intrusive<c10d::HashStore>();
    shm::on_ranks(
        size,
        [&](shm::GroupPtr& group) {
          const int rank = group->rank();
          auto engine = std::make_unique<Engine>(
              *group,
              std::make_unique<Controller>(*store, rank, size, "127.0.0.1",
                                           shm::kTestTimeout),
              settings, Card(at::kCPU, rank, /*threads=*/1),
              [this](const std::string& line) { warnings.add(line); });
          work(engine);
        },
        backend);
  }
};

}  // namespace lockstep::horovod
