// Programs of collectives on ranks that are threads, each with a group and the same one
// checked. For the tests of fingerprint/ alone.
#pragma once

#include <torch/types.h>

#include <random>
#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "fingerprint/checked.h"
#include "shm/thread_groups.h"
#include "tests/error_of.h"

namespace lockstep::fingerprint {

using shm::GroupPtr;
using std::chrono::milliseconds;

inline constexpr const char* kKinds[] = {"all_reduce", "mean",           "reduce",
                                         "all_gather", "reduce_scatter", "broadcast",
                                         "barrier"};

struct Call {
  std::string kind;
  int64_t elements = 1;
  at::ScalarType type = at::kFloat;
  int root = 0;
};
using Program = std::vector<Call>;

// No two calls of it are alike.
inline Program random_program(std::minstd_rand& random, int ranks, int calls) {
  Program program;
  for (int i = 0; i < calls; ++i) {
    program.push_back({kKinds[random() % std::size(kKinds)],
                       static_cast<int64_t>(5 + 7 * i + random() % 7),
                       random() % 2 == 0 ? at::kFloat : at::kDouble,
                       static_cast<int>(random() % static_cast<unsigned>(ranks))});
    // Barriers are.
    if (i > 0 && program[i - 1].kind == "barrier") program[i].kind = "all_reduce";
  }
  return program;
}

// Started; `result` holds what the rank has of it after the wait.
inline comm::Work start(comm::ProcessGroup& group, const Call& call,
                        at::Tensor& result) {
  const auto options = at::TensorOptions(call.type);
  const int ranks = group.size();
  const double seed = group.rank() + 1.25;
  result = torch::arange(call.elements, options) * seed;
  if (call.kind == "all_reduce") return group.all_reduce(result);
  if (call.kind == "mean") return group.all_reduce_mean(result);
  if (call.kind == "reduce") {
    const at::Tensor sum = result;
    if (group.rank() != call.root) result = torch::zeros({1});  // scratch elsewhere
    return group.reduce(sum, call.root);
  }
  if (call.kind == "all_gather") {
    const at::Tensor mine = result;
    result = torch::empty({ranks * call.elements}, options);
    return group.all_gather(result, mine);
  }
  if (call.kind == "reduce_scatter") {
    const at::Tensor all = torch::arange(ranks * call.elements, options) * seed;
    return group.reduce_scatter(result, all);
  }
  if (call.kind == "broadcast") {
    group.broadcast({result}, call.root);
  } else {
    group.barrier();
  }
  return {};
}

// Every rank a thread with its group and the same group checked, in `patience`.
inline void on_checked_ranks(
    int ranks, const std::string& backend, milliseconds patience,
    const std::function<void(GroupPtr& plain, GroupPtr& checked)>& work) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto other = c10::make_intrusive<c10d::HashStore>();
  shm::on_threads(ranks, [&](int rank) {
    GroupPtr plain = shm::make_group(store, rank, ranks, backend);
    GroupPtr wrapped =
        checked(*shm::make_group(other, rank, ranks, backend), other, patience);
    plain->barrier();  // nobody leaves while another one still connects
    work(plain, wrapped);
  });
}

// What each rank's program says: "none" where it came to its end.
inline std::vector<std::string> complaints(const std::vector<Program>& of_ranks,
                                           const std::string& backend,
                                           milliseconds patience) {
  std::vector<std::string> says(of_ranks.size());
  on_checked_ranks(static_cast<int>(of_ranks.size()), backend, patience,
                   [&](GroupPtr&, GroupPtr& group) {
                     const auto rank = static_cast<size_t>(group->rank());
                     says[rank] = error_of([&] {
                       for (const Call& call : of_ranks[rank]) {
                         at::Tensor result;
                         start(*group, call, result).wait();
                       }
                     });
                   });
  return says;
}

}  // namespace lockstep::fingerprint
