// Random sequences of collectives over shared memory, of random sizes and types, by
// ranks that come at random moments, against values computed by hand on whole numbers.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "shm/random_update.h"
#include "shm/thread_groups.h"
#include "tests/random_walk.h"

namespace lockstep::shm {
namespace {

constexpr int kMostRanks = 8;
constexpr int kCollectives = 12;  // a seed
constexpr int kMostUpdated = 31;  // tensors at once

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16,
                                     at::kByte,  at::kShort,  at::kInt,  at::kLong};

// All ranks draw the same.
struct Plan {
  int ranks;
  std::mt19937 random;

  explicit Plan(int seed) : ranks(0), random(static_cast<unsigned>(seed)) {
    ranks = draw(1, kMostRanks);
  }
  int draw(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  }
  int64_t elements() {
    switch (draw(0, 5)) {
      case 0:
        return 0;
      case 1:
        return 1;
      case 2:
        return draw(2, 100);
      case 3:
        return 2 * draw(50, 2000) + 1;
      case 4:
        return draw(4000, 9000);
      default:
        return draw(17000, 40000);  // over 64 KiB of most types
    }
  }
  at::ScalarType type() {
    return kTypes[draw(0, static_cast<int>(std::size(kTypes)) - 1)];
  }
};

// One rank's way through a plan.
class Walk final : RandomWalk {
 public:
  Walk(comm::ProcessGroup& group, int seed) : RandomWalk(group, seed), plan_(seed) {}

  void go() {
    for (number_ = 0; number_ < kCollectives; ++number_) {
      delay(200);
      step(plan_.draw(0, 10));
      // At a moment of its own, each rank waits for what it started.
      if (moments_() % 3 == 0) wait_for_all();
    }
    wait_for_all();
    for (const auto& update : updates_) update->expect_equal_on_all_ranks(0);
  }

 private:
  void step(int kind) {
    const int64_t elements = plan_.elements();
    const at::ScalarType type = plan_.type();
    const int root = plan_.draw(0, group_.size() - 1);
    const int n = group_.size();
    if (kind <= 1) {
      const at::Tensor tensor = mine(elements, type);
      started(group_.all_reduce(tensor), tensor, sum(elements, type), "all_reduce");
    } else if (kind == 2) {
      mean(elements, plan_.draw(1, 40));
    } else if (kind == 3) {
      const at::Tensor tensor = mine(elements, type);
      comm::Work work = group_.reduce(tensor, root);
      const bool has_it = group_.rank() == root;
      started(std::move(work), tensor, has_it ? sum(elements, type) : at::Tensor(),
              "reduce");
    } else if (kind == 4) {
      const at::Tensor output = place(torch::empty({elements}, type));
      const at::Tensor input = mine(elements * n, type);
      started(group_.reduce_scatter(output, input), output,
              sum(elements * n, type).narrow(0, group_.rank() * elements, elements),
              "reduce_scatter");
      inputs_.push_back(input);
    } else if (kind == 5) {
      const at::Tensor output = place(torch::empty({elements * n}, type));
      const at::Tensor input = mine(elements, type);
      std::vector<at::Tensor> all;
      for (int r = 0; r < n; ++r) all.push_back(numbers(r, number_, elements, type));
      started(group_.all_gather(output, input), output, at::cat(all), "all_gather");
      inputs_.push_back(input);
    } else if (kind == 6) {
      const at::Tensor tensor = mine(elements, type);
      group_.broadcast({tensor}, root);
      EXPECT_TRUE(tensor.equal(numbers(root, number_, elements, type))) << "broadcast";
    } else if (kind == 7) {
      group_.barrier();
    } else if (kind == 8) {
      update();
    } else if (kind == 9 && !updates_.empty()) {
      step_again(*updates_[static_cast<size_t>(
          plan_.draw(0, static_cast<int>(updates_.size()) - 1))]);
    } else {
      gather_texts();
    }
  }

  // Of several tensors at once; multiples of the number of ranks, so the mean is exact.
  void mean(int64_t elements, int count) {
    const int n = group_.size();
    std::vector<at::Tensor> tensors;
    for (int i = 0; i < count; ++i) {
      tensors.push_back(
          place(numbers(group_.rank(), number_ + i, elements + i, at::kFloat) * n));
    }
    group_.all_reduce_mean(tensors).wait();
    for (int i = 0; i < count; ++i) {
      at::Tensor expected = torch::zeros({elements + i});
      for (int r = 0; r < n; ++r)
        expected += numbers(r, number_ + i, elements + i, at::kFloat);
      const at::Tensor error = tensors[static_cast<size_t>(i)].sub(expected).abs();
      EXPECT_TRUE(error.le(1e-4).all().item<bool>()) << "mean, tensor " << i;
    }
  }

  void update() {
    RandomUpdate::Sizes sizes(
        static_cast<size_t>(plan_.draw(1, plan_.draw(0, 3) == 0 ? kMostUpdated : 4)));
    for (int64_t& size : sizes) size = plan_.elements();
    const at::ScalarType type = plan_.draw(0, 1) == 0 ? at::kFloat : at::kDouble;
    const bool momentum = plan_.draw(0, 1) == 0;
    updates_.push_back(std::make_unique<RandomUpdate>(
        group_, sizes, type, momentum,
        [this](const at::Tensor& values) { return place(values); }));
    step_again(*updates_.back());
  }

  void step_again(RandomUpdate& update) {
    wait_for_all();  // for its last step, if that is under way
    under_way_.push_back({update.start(), [&update] { update.check(); }});
  }

  Plan plan_;
  std::vector<std::unique_ptr<RandomUpdate>> updates_;
};

TEST(ShmRandom, CollectivesGiveWhatIsComputedByHand) {
  const char* fewer = std::getenv("LOCKSTEP_SEEDS");
  const int seeds = fewer ? std::stoi(fewer) : 200;
  ASSERT_GT(seeds, 0);
  for (int seed = 0; seed < seeds; ++seed) {
    const int ranks = Plan(seed).ranks;
    on_ranks(
        ranks,
        [&](GroupPtr& group) {
          SCOPED_TRACE("seed " + std::to_string(seed) + ", rank " +
                       std::to_string(group->rank()) + " of " + std::to_string(ranks));
          Walk(*group, seed).go();
        },
        "shm");
    if (HasFailure()) return;  // the seed that shows it is enough
  }
}

}  // namespace
}  // namespace lockstep::shm
