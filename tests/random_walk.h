// What random sequences of collectives have in common, whatever group they are of:
// whole numbers whose sums are known, in memory of any kind, and works that are waited
// for in any order. For tests alone.
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "comm/process_group.h"

namespace lockstep {

// Below 10: the sums of eight ranks are exact in every type.
inline at::Tensor numbers(int rank, int collective, int64_t elements,
                          at::ScalarType type) {
  return torch::arange(elements).add(3 * rank + 5 * collective).remainder(10).to(type);
}

// One rank's way through what all ranks do alike, at moments of its own.
class RandomWalk {
 protected:
  struct UnderWay {
    comm::Work work;
    std::function<void()> check;
  };

  RandomWalk(comm::ProcessGroup& group, int seed)
      : group_(group), moments_(static_cast<unsigned>(7919 * seed + group.rank())) {}

  void delay(unsigned most_us) {
    if (moments_() % 2 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(moments_() % most_us));
    }
  }

  // Anywhere: in the shared memory or not, whatever the other ranks do.
  at::Tensor place(const at::Tensor& values) {
    if (moments_() % 2 == 0) return values;
    const at::Tensor shared = group_.allocate(values.numel(), values.options());
    return shared.copy_(values);
  }
  at::Tensor mine(int64_t elements, at::ScalarType type) {
    return place(numbers(group_.rank(), number_, elements, type));
  }
  at::Tensor sum(int64_t elements, at::ScalarType type) const {
    at::Tensor result = torch::zeros({elements}, at::kDouble);
    for (int r = 0; r < group_.size(); ++r)
      result += numbers(r, number_, elements, at::kDouble);
    return result.to(type);
  }

  void gather_texts() {
    const auto texts =
        group_.all_gather(std::string(static_cast<size_t>(group_.rank()), 'x'));
    for (int r = 0; r < group_.size(); ++r) {
      EXPECT_EQ(texts.at(static_cast<size_t>(r)).size(), static_cast<size_t>(r));
    }
  }

  // `expected` undefined: the tensor is scratch afterwards.
  void started(comm::Work work, const at::Tensor& result, const at::Tensor& expected,
               const std::string& what) {
    under_way_.push_back({std::move(work), [=] {
                            if (!expected.defined()) return;
                            EXPECT_TRUE(result.equal(expected))
                                << what << " of " << result.numel() << " "
                                << c10::toString(result.scalar_type());
                          }});
  }

  void wait_for_all() {
    std::shuffle(under_way_.begin(), under_way_.end(), moments_);
    for (UnderWay& one : under_way_) {
      one.work.wait();
      one.check();
    }
    under_way_.clear();
    inputs_.clear();
  }

  comm::ProcessGroup& group_;
  std::mt19937 moments_;  // this rank's own
  int number_ = 0;        // of the collective
  std::vector<UnderWay> under_way_;
  std::vector<at::Tensor> inputs_;  // that collectives under way still read
};

}  // namespace lockstep
