// The engine: every collective's results are right, and a wrong one is counted.
#include "collectives/engine.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "shm/thread_groups.h"

namespace lockstep::collectives {
namespace {

using shm::GroupPtr;
using shm::on_ranks;

constexpr Rounds kQuick = {.warmup = 1, .iterations = 2, .checks = 2};

std::vector<Collective> all_of(int ranks) {
  std::vector<Collective> all = {memcpy_side_by_side()};
  for (const std::string& name : collective_names()) {
    all.push_back(make_collective(name, "backend", ranks));
  }
  for (const std::string& algorithm : algorithm_names()) {
    all.push_back(all_reduce(ranks, algorithm));
  }
  return all;
}

TEST(Engine, EveryCollectiveIsRightOnAnyNumberOfRanks) {
  for (const int ranks : {1, 2, 3}) {
    on_ranks(ranks, [&](GroupPtr& group) {
      for (const Collective& collective : all_of(ranks)) {
        for (const int64_t bytes : {1, 8, 4000, 40004}) {
          const Figure figure = measure(*group, collective, bytes, kQuick);
          EXPECT_EQ(figure.wrong, 0) << collective.name << " " << collective.algorithm
                                     << " " << bytes << " on " << ranks;
          EXPECT_GT(figure.time_us, 0);
        }
      }
    });
  }
}

TEST(Engine, AWrongResultIsCountedOnEveryRankAndInEveryCheck) {
  on_ranks(2, [](GroupPtr& group) {
    Collective forgets_its_end = all_reduce(2, "backend");
    forgets_its_end.run = [](comm::ProcessGroup& group, const Buffers& buffers) {
      group.all_reduce(buffers.send.narrow(0, 0, buffers.send.numel() - 3)).wait();
    };
    EXPECT_EQ(measure(*group, forgets_its_end, 4000, kQuick).wrong, 2 * 2 * 3);

    Collective wrong_on_one = all_gather(2);
    wrong_on_one.run = [](comm::ProcessGroup& group, const Buffers& buffers) {
      group.all_gather(buffers.recv, buffers.send).wait();
      if (group.rank() == 1) buffers.recv[5] = std::nan("");
    };
    EXPECT_EQ(measure(*group, wrong_on_one, 4000, kQuick).wrong, 2);

    // Whoever does nothing at all does not pass by what an earlier check left.
    Collective nothing = reduce_scatter(2);
    nothing.run = [](comm::ProcessGroup&, const Buffers&) {};
    EXPECT_EQ(measure(*group, nothing, 4000, kQuick).wrong, 2 * 1000);

    Rounds unchecked = kQuick;
    unchecked.checks = 0;
    EXPECT_EQ(measure(*group, nothing, 4000, unchecked).wrong, std::nullopt);
  });
}

TEST(Engine, SizesAndBandwidthsAreThoseOfNcclTests) {
  on_ranks(3, [](GroupPtr& group) {
    const Figure sum = measure(*group, all_reduce(3, "backend"), 1000, kQuick);
    EXPECT_EQ(sum.bytes, 1000);
    EXPECT_EQ(sum.count, 250);
    EXPECT_DOUBLE_EQ(sum.algbw, 1000 / sum.time_us / 1e3);
    EXPECT_DOUBLE_EQ(sum.busbw, sum.algbw * 4 / 3);
    const Figure pieces = measure(*group, all_gather(3), 1000, kQuick);
    EXPECT_EQ(pieces.bytes, 996);  // as many elements of each rank
    EXPECT_EQ(pieces.count, 83);
    EXPECT_DOUBLE_EQ(pieces.busbw, pieces.algbw * 2 / 3);
  });
}

TEST(CountWrong, CountsElementsThatDiffer) {
  const at::Tensor one = torch::tensor({1.F, 2.F, 3.F});
  EXPECT_EQ(count_wrong(one, one), 0);
  EXPECT_EQ(count_wrong(torch::tensor({1.F, 0.F, std::nanf("")}), one), 2);
  EXPECT_EQ(count_wrong(torch::tensor({1.F}), one), 3);
}

}  // namespace
}  // namespace lockstep::collectives
