#include "data/sampler.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>

namespace lockstep::data {
namespace {

using Indices = std::vector<int64_t>;

Indices randperm(int64_t size, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const at::Tensor order = torch::randperm(size, generator, at::kLong);
  return {order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + size};
}

// torch/utils/data/distributed.py, line by line.
Indices python_distributed(int64_t size, int64_t world, int64_t rank, uint64_t seed,
                           bool drop_last) {
  int64_t num_samples = 0;
  if (drop_last && size % world != 0) {
    num_samples = static_cast<int64_t>(
        std::ceil(static_cast<double>(size - world) / static_cast<double>(world)));
  } else {
    num_samples = static_cast<int64_t>(
        std::ceil(static_cast<double>(size) / static_cast<double>(world)));
  }
  const int64_t total = num_samples * world;
  Indices indices = randperm(size, seed);
  if (!drop_last) {
    const int64_t padding = total - size;
    const Indices once = indices;
    for (int64_t i = 0; i < padding; ++i) {
      indices.push_back(once[static_cast<size_t>(i % size)]);
    }
  } else {
    indices.resize(static_cast<size_t>(total));
  }
  Indices mine;
  for (int64_t i = rank; i < total; i += world) {
    mine.push_back(indices[static_cast<size_t>(i)]);
  }
  return mine;
}

Indices of_rank(int64_t size, int world, int rank, uint64_t seed, bool drop_last,
                int64_t epoch = 0) {
  DistributedSampler sampler(size, world, rank, seed, drop_last);
  sampler.set_epoch(epoch);
  const Indices mine = sampler.indices();
  EXPECT_EQ(sampler.size(), static_cast<int64_t>(mine.size()));
  return mine;
}

Indices counted(int64_t size) {
  Indices all(static_cast<size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// Every sample once, dealt out as the padded ones are.
TEST(SamplerTest, UnevenSharesAreTheOrderWithoutPadding) {
  for (const int64_t size : {1, 7, 24, 103}) {
    RandomSampler whole(size, 9);
    whole.set_epoch(2);
    const Indices order = whole.indices();
    for (const int world : {1, 2, 5, 8}) {
      for (int rank = 0; rank < world; ++rank) {
        UnevenSampler sampler(size, world, rank, 9);
        sampler.set_epoch(2);
        Indices mine;
        for (int64_t i = rank; i < size; i += world) {
          mine.push_back(order[static_cast<size_t>(i)]);
        }
        EXPECT_EQ(sampler.indices(), mine);
        EXPECT_EQ(sampler.size(), static_cast<int64_t>(mine.size()));
        EXPECT_EQ(sampler.most(), (size + world - 1) / world);
      }
    }
  }
  EXPECT_THROW(UnevenSampler(7, 2, 2, 9), std::invalid_argument);
}

// Printed by Python's torch 2.11.0.
TEST(SamplerTest, TheOrderIsPythons) {
  EXPECT_EQ(RandomSampler(10, 0).indices(), (Indices{4, 1, 7, 5, 3, 9, 0, 8, 6, 2}));
  EXPECT_EQ(RandomSampler(10, 0).size(), 10);
  EXPECT_EQ(RandomSampler(10, 123456789012345).indices(),
            (Indices{4, 6, 9, 0, 2, 8, 7, 3, 1, 5}));
  RandomSampler second_epoch(13, 4);
  second_epoch.set_epoch(1);
  EXPECT_EQ(second_epoch.indices(),
            (Indices{1, 7, 2, 8, 12, 11, 0, 4, 5, 9, 3, 10, 6}));
}

// DistributedSampler(range(n), world, rank, seed=7) after set_epoch(2), in Python.
TEST(SamplerTest, RanksOfPythonsDistributedSampler) {
  EXPECT_EQ(of_rank(11, 4, 0, 7, false, 2), (Indices{4, 3, 5}));
  EXPECT_EQ(of_rank(11, 4, 3, 7, false, 2), (Indices{8, 1, 4}))
      << "padded by the first";
  EXPECT_EQ(of_rank(11, 4, 3, 7, true, 2), (Indices{8, 1}));
  EXPECT_EQ(of_rank(3, 8, 7, 7, false, 2), (Indices{0})) << "wraps twice";
  EXPECT_EQ(of_rank(3, 8, 2, 7, true, 2), Indices{});
}

TEST(SamplerTest, DistributedAgreesWithPythonsRulesForAllSizes) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const auto size = static_cast<int64_t>(1 + random() % 70);
    const auto world = static_cast<int>(1 + random() % 20);
    const auto rank = static_cast<int>(random() % static_cast<unsigned>(world));
    const uint64_t seed = random();
    const auto epoch = static_cast<int64_t>(random() % 5);
    for (const bool drop_last : {false, true}) {
      ASSERT_EQ(of_rank(size, world, rank, seed, drop_last, epoch),
                python_distributed(size, world, rank,
                                   seed + static_cast<uint64_t>(epoch), drop_last))
          << size << " samples, rank " << rank << " of " << world << ", drop "
          << drop_last;
    }
  }
}

TEST(SamplerTest, RanksTogetherCoverAll) {
  for (const int world : {1, 2, 3, 7}) {
    Indices all;
    for (int rank = 0; rank < world; ++rank) {
      const Indices mine = of_rank(50, world, rank, 0, /*drop_last=*/false);
      EXPECT_EQ(mine.size(), static_cast<size_t>((50 + world - 1) / world));
      all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    EXPECT_EQ(all, counted(50)) << world;
  }
}

TEST(SamplerTest, EveryEpochHasAnOrderOfItsOwn) {
  EXPECT_NE(of_rank(50, 2, 0, 0, false, 0), of_rank(50, 2, 0, 0, false, 1));
  EXPECT_EQ(of_rank(50, 2, 0, 3, false, 1), of_rank(50, 2, 0, 4, false, 0));
}

TEST(SamplerTest, ARankOutsideTheWorldIsRefused) {
  EXPECT_THROW(DistributedSampler(10, 2, 2, 0, false), std::invalid_argument);
  EXPECT_THROW(DistributedSampler(10, 2, -1, 0, false), std::invalid_argument);
}

TEST(SamplerTest, SequentialCountsEachSampleOnce) {
  for (const int64_t size : {0, 1, 5, 64, 101}) {
    EXPECT_EQ(SequentialSampler(size).indices(), counted(size));
    for (const int world : {2, 3, 8}) {
      Indices all;
      for (int rank = 0; rank < world; ++rank) {
        const SequentialSampler sampler(size, world, rank);
        const Indices mine = sampler.indices();
        EXPECT_EQ(sampler.size(), static_cast<int64_t>(mine.size()));
        EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
        all.insert(all.end(), mine.begin(), mine.end());
      }
      std::sort(all.begin(), all.end());
      EXPECT_EQ(all, counted(size)) << "unpadded: " << world << " ranks";
    }
  }
}

TEST(SamplerTest, RanksInTurnTakesTheRanksLocalBatchesOneAfterTheOther) {
  std::mt19937 random(2);
  for (int i = 0; i < 50; ++i) {
    const auto ranks = static_cast<int>(1 + random() % 5);
    const auto local = static_cast<int64_t>(1 + random() % 6);
    const auto size = static_cast<int64_t>(1 + random() % 90);
    const auto epoch = static_cast<int64_t>(random() % 3);
    std::vector<Indices> of_ranks;
    for (int rank = 0; rank < ranks; ++rank) {
      of_ranks.push_back(of_rank(size, ranks, rank, 9, /*drop_last=*/false, epoch));
    }
    Indices expected;
    for (int64_t step = 0; (step + 1) * ranks * local <= size; ++step) {
      for (const Indices& mine : of_ranks) {
        const auto first = mine.begin() + step * local;
        expected.insert(expected.end(), first, first + local);
      }
    }
    RanksInTurnSampler sampler(size, ranks, local, 9);
    sampler.set_epoch(epoch);
    ASSERT_EQ(sampler.size(), static_cast<int64_t>(expected.size()));
    ASSERT_EQ(sampler.indices(), expected)
        << size << " samples, " << ranks << " ranks of " << local;
  }
}

TEST(SamplerOrder, EachEpochsTheFirstOnesOrTheDataSets) {
  for (const int64_t size : {1, 7, 64}) {
    Indices stored(static_cast<size_t>(size));
    std::iota(stored.begin(), stored.end(), 0);
    for (const int64_t epoch : {0, 3}) {
      RandomSampler sampler(size, 5);
      sampler.set_epoch(epoch);
      EXPECT_EQ(sampler.indices(), randperm(size, 5 + static_cast<uint64_t>(epoch)));
      sampler.set_order(Order::first);
      EXPECT_EQ(sampler.indices(), randperm(size, 5));
      sampler.set_order(Order::as_stored);
      EXPECT_EQ(sampler.indices(), stored);
      DistributedSampler second(size, 2, 1, 5, /*drop_last=*/false);
      second.set_order(Order::as_stored);
      const Indices mine = second.indices();
      ASSERT_EQ(std::ssize(mine), (size + 1) / 2);
      for (size_t i = 0; i < mine.size(); ++i) {
        EXPECT_EQ(mine[i], static_cast<int64_t>(2 * i + 1) % size);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::data
