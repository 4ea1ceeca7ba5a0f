// Ranks as threads of one process, each with a process group of its own, for tests and
// for graders of coursework: quick, and the sanitizers see all of them.
#pragma once

#include <ATen/Parallel.h>

#include <barrier>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "comm/gloo.h"
#include "shm/shm.h"

namespace lockstep::shm {

using GroupPtr = std::shared_ptr<comm::ProcessGroup>;

inline constexpr std::chrono::seconds kTestTimeout{30};

// Calls `work` with 0 .. count-1, each on a thread of its own, and rethrows the first
// rank's error after all have ended.
inline void on_threads(int count, const std::function<void(int)>& work) {
  std::vector<std::exception_ptr> errors(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      // Get, then set: in a new thread LibTorch undoes a set that no get came before.
      at::get_num_threads();
      at::set_num_threads(1);
      try {
        work(i);
      } catch (...) {
        errors[static_cast<size_t>(i)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// Every rank a thread with the group that `make` gives it. (The group may be reset by
// the work.) None works before all have theirs: one of gloo's ranks that leaves breaks
// the connections that others still make.
inline void on_groups(int count, const std::function<GroupPtr(int)>& make,
                      const std::function<void(GroupPtr&)>& work) {
  std::barrier all_made(count);
  on_threads(count, [&](int rank) {
    GroupPtr group;
    try {
      group = make(rank);
    } catch (...) {
      all_made.arrive_and_drop();
      throw;
    }
    all_made.arrive_and_wait();
    work(group);
  });
}

inline GroupPtr make_group(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                           int world_size, const std::string& backend) {
  return backend == "shm"
             ? make_shm(store, rank, world_size, kTestTimeout)
             : comm::make_gloo(store, rank, world_size, "127.0.0.1", kTestTimeout);
}

// The same over gloo or shm.
inline void on_ranks(int world_size, const std::function<void(GroupPtr&)>& work,
                     const std::string& backend = "gloo") {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto make = [&](int rank) {
    return make_group(store, rank, world_size, backend);
  };
  on_groups(world_size, make, work);
}

}  // namespace lockstep::shm
