// Random sequences of collectives by ranks (threads here) that lie on made-up hosts in
// any order, by ranks that come at random moments, against values computed by hand on
// whole numbers.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <random>
#include <string>
#include <vector>

#include "tests/made_up_hosts.h"
#include "tests/random_walk.h"

namespace lockstep::hier {
namespace {

using shm::GroupPtr;

constexpr int kSeeds = 24;
constexpr int kCollectives = 14;  // a seed

constexpr at::ScalarType kTypes[] = {at::kFloat,    at::kDouble, at::kHalf,
                                     at::kBFloat16, at::kByte,   at::kChar,
                                     at::kShort,    at::kInt,    at::kLong};

// All ranks draw the same.
struct Plan {
  std::mt19937 random;
  HostOfRank hosts;

  explicit Plan(int seed) : random(static_cast<unsigned>(seed)) {
    hosts.resize(static_cast<size_t>(draw(1, 8)));
    const int most = draw(1, 4);
    for (std::string& host : hosts) host = std::string(1, 'a' + draw(1, most));
  }
  int draw(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  }
  int64_t elements() {
    switch (draw(0, 4)) {
      case 0:
        return draw(0, 1);
      case 1:
        return draw(2, 100);
      case 2:
        return 2 * draw(50, 2000) + 1;
      case 3:
        return draw(4000, 9000);
      default:
        return draw(17000, 40000);
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
      delay(300);
      step(plan_.draw(0, 9));
      // At a moment of its own, each rank waits for what it started.
      if (moments_() % 3 == 0) wait_for_all();
    }
    wait_for_all();
  }

 private:
  void step(int kind) {
    const int64_t elements = plan_.elements();
    const at::ScalarType type = plan_.type();
    const int n = group_.size();
    const int root = plan_.draw(0, n - 1);
    if (kind <= 1) {
      const at::Tensor tensor = mine(elements, type);
      started(group_.all_reduce(tensor), tensor, sum(elements, type), "all_reduce");
    } else if (kind == 2) {
      // Multiples of the number of ranks, so the mean is exact.
      const at::ScalarType real = plan_.draw(0, 1) == 0 ? at::kFloat : at::kDouble;
      const at::Tensor tensor = mine(elements, real).mul_(n);
      started(group_.all_reduce_mean(tensor), tensor, sum(elements, real), "mean");
    } else if (kind == 3) {
      const at::Tensor tensor = mine(elements, type);
      const bool has_it = group_.rank() == root;
      comm::Work work = group_.reduce(tensor, root);
      started(std::move(work), tensor, has_it ? sum(elements, type) : at::Tensor(),
              "reduce");
    } else if (kind == 4) {
      const at::Tensor output = place(torch::empty({elements}, type));
      const at::Tensor input = mine(elements * n, type);
      const at::Tensor before = input.clone();
      started(group_.reduce_scatter(output, input), output,
              sum(elements * n, type).narrow(0, group_.rank() * elements, elements),
              "reduce_scatter");
      under_way_.back().work.wait();
      EXPECT_TRUE(input.equal(before)) << "reduce_scatter changed its input";
    } else if (kind == 5) {
      const at::Tensor output = place(torch::empty({elements * n}, type));
      std::vector<at::Tensor> all;
      for (int r = 0; r < n; ++r) all.push_back(numbers(r, number_, elements, type));
      started(group_.all_gather(output, mine(elements, type)), output, at::cat(all),
              "all_gather");
    } else if (kind == 6) {
      const at::Tensor tensor = mine(elements, type);
      group_.broadcast({tensor}, root);
      EXPECT_TRUE(tensor.equal(numbers(root, number_, elements, type))) << "broadcast";
    } else if (kind == 7) {
      group_.barrier();
    } else if (kind == 8) {
      round_the_ring(elements, type);
    } else {
      gather_texts();
    }
  }

  // A message while collectives are under way.
  void round_the_ring(int64_t elements, at::ScalarType type) {
    const int n = group_.size();
    if (n == 1) return;
    const int before = (group_.rank() + n - 1) % n;
    const at::Tensor here = mine(elements, type);
    const at::Tensor there = torch::empty({elements}, type);
    comm::Work sent = group_.send(here, (group_.rank() + 1) % n);
    group_.recv(there, before).wait();
    sent.wait();
    EXPECT_TRUE(there.equal(numbers(before, number_, elements, type))) << "message";
  }

  Plan plan_;
};

TEST(HierRandom, CollectivesGiveWhatIsComputedByHand) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    const HostOfRank hosts = Plan(seed).hosts;
    std::string where;
    for (const std::string& host : hosts) where += host;
    on_hosts(hosts, [&](GroupPtr& group) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", rank " +
                   std::to_string(group->rank()) + " of hosts " + where);
      EXPECT_EQ(group->backend_name(), "hier");
      Walk(*group, seed).go();
    });
    if (HasFailure()) return;  // the seed that shows it is enough
  }
}

}  // namespace
}  // namespace lockstep::hier
