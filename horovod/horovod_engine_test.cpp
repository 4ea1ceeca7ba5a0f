// The engine on ranks that are threads: right sums whatever the order of submission,
// errors that all ranks have, ranks that join.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>

#include "horovod/engine.h"
#include "tests/engines.h"
#include "tests/error_of.h"

namespace lockstep::horovod {
namespace {

using std::chrono::milliseconds;

at::Tensor filled(double value, int64_t elements = 3,
                  at::ScalarType type = at::kFloat) {
  return at::full({elements}, value, type);
}

// One step's tensors, the same on all ranks but for their values.
struct Tensors {
  explicit Tensors(unsigned seed) {
    std::mt19937 random(seed);
    const size_t count = 100 + random() % 150;
    for (size_t i = 0; i < count; ++i) {
      shapes.push_back(
          i % 7 == 0 ? std::vector<int64_t>{1 + static_cast<int64_t>(random() % 9), 4}
                     : std::vector<int64_t>{static_cast<int64_t>(random() % 50)});
      types.push_back(random() % 3 == 0 ? at::kDouble : at::kFloat);
      ops.push_back(random() % 2 == 0 ? ReduceOp::sum : ReduceOp::average);
    }
  }
  std::vector<std::vector<int64_t>> shapes;
  std::vector<at::ScalarType> types;
  std::vector<ReduceOp> ops;
};

// Whole numbers, so that sums are exact in any order and type.
at::Tensor values(const Tensors& all, size_t i, unsigned seed, int rank) {
  const auto begin = static_cast<int64_t>(seed * 31 + i * 7 + rank * 1009) % 5000;
  int64_t elements = 1;
  for (const int64_t size : all.shapes[i]) elements *= size;
  const at::Tensor line = at::arange(begin, begin + elements, all.types[i]);
  // Of every fifth, the ranks' numbers do not lie in the order of its dimensions.
  if (all.shapes[i].size() == 2 && i % 5 == 0) {
    return line.view({all.shapes[i][1], all.shapes[i][0]}).t();
  }
  return line.view(all.shapes[i]);
}

std::vector<size_t> shuffled(size_t count, std::mt19937& random) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// What is wrong after one step of a seed; empty: nothing.
std::string step(Engine& engine, unsigned seed) {
  const Tensors all(seed / 4);  // four steps with the same: by number from the second
  std::mt19937 random(seed * 64 + static_cast<unsigned>(engine.rank()));
  std::vector<at::Tensor> tensors(all.shapes.size());
  std::vector<Handle> handles(all.shapes.size());
  for (const size_t i : shuffled(tensors.size(), random)) {
    tensors[i] = values(all, i, seed, engine.rank());
    handles[i] = engine.allreduce(tensors[i], "t" + std::to_string(i), all.ops[i]);
    if (random() % 40 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    }
  }
  for (const size_t i : shuffled(tensors.size(), random)) handles[i].wait();
  for (size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor sum = at::zeros(all.shapes[i], at::kDouble);
    for (int rank = 0; rank < engine.size(); ++rank) {
      sum += values(all, i, seed, rank).to(at::kDouble);
    }
    if (all.ops[i] == ReduceOp::average) sum /= engine.size();
    const double bar = all.ops[i] == ReduceOp::sum ? 0 : 1e-6 * 10000;
    if (sum.numel() > 0 &&
        (tensors[i].to(at::kDouble) - sum).abs().max().item<double>() > bar) {
      return "seed " + std::to_string(seed) + ", rank " +
             std::to_string(engine.rank()) + ", tensor " + std::to_string(i) +
             " is not the ranks' sum";
    }
  }
  return "";
}

// Two hundred seeds over the cases below.
struct Case {
  std::string name;
  int size;
  int64_t threshold;
  std::string backend;
  unsigned seeds;
};
class AnyOrder : public testing::TestWithParam<Case> {};

TEST_P(AnyOrder, GivesTheSumsOfAllRanks) {
  const Case& one = GetParam();
  EngineRanks ranks;
  ranks.size = one.size;
  ranks.backend = one.backend;
  ranks.settings.fusion_threshold = one.threshold;
  ranks.settings.cycle_time = milliseconds(one.size % 2);
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    int64_t tensors = 0;
    for (unsigned seed = 0; seed < one.seeds; ++seed) {
      ASSERT_EQ(step(*engine, seed), "");
      tensors += std::ssize(Tensors(seed / 4).shapes);
    }
    engine->shutdown();
    const Counts counts = engine->counts();
    EXPECT_EQ(counts.tensors, tensors);
    EXPECT_GT(counts.by_number, 0);
    if (one.threshold == 0) {
      EXPECT_EQ(counts.most_tensors, 1);
      EXPECT_EQ(counts.collectives, tensors);
    } else {
      EXPECT_GT(counts.most_tensors, 10);
      EXPECT_LT(counts.collectives, tensors / 4);
    }
    if (engine->rank() == 0) {
      std::printf(
          "%s: %ld tensors in %ld cycles, by %ld collectives, at most %ld at "
          "once, %ld by number\n",
          one.name.c_str(), counts.tensors, counts.cycles, counts.collectives,
          counts.most_tensors, counts.by_number);
    }
  });
}

constexpr int64_t kAll = int64_t{128} << 20;
INSTANTIATE_TEST_SUITE_P(Cases, AnyOrder,
                         testing::Values(Case{"TwoRanks", 2, kAll, "gloo", 40},
                                         Case{"ThreeRanks", 3, kAll, "gloo", 20},
                                         Case{"FourRanks", 4, kAll, "gloo", 12},
                                         Case{"SmallBuffer", 3, 3000, "shm", 28},
                                         Case{"NoFusion", 2, 0, "shm", 20},
                                         Case{"ThreeOverShm", 3, kAll, "shm", 44},
                                         Case{"FourOverShm", 4, kAll, "shm", 36}),
                         [](const auto& info) { return info.param.name; });

TEST(Engine, BroadcastsTheRootsValues) {
  EngineRanks ranks;
  ranks.size = 3;
  ranks.run([](std::unique_ptr<Engine>& engine) {
    at::Tensor a = filled(engine->rank()), b = filled(10 + engine->rank(), 2);
    const at::Tensor whole = at::full({2}, engine->rank(), at::kLong);
    Handle first = engine->broadcast(a, "a", 2);
    Handle second = engine->broadcast(b, "b", 0);
    Handle third = engine->broadcast(whole, "whole", 2);
    second.wait();
    first.wait();
    third.wait();
    EXPECT_TRUE(at::equal(a, filled(2)));
    EXPECT_TRUE(at::equal(b, filled(10, 2)));
    EXPECT_TRUE(at::equal(whole, at::full({2}, 2, at::kLong)));
    engine->shutdown();
  });
}

// The same words on all ranks; and afterwards the engine goes on.
TEST(Engine, FailsOneTensorOnAllRanks) {
  EngineRanks ranks;
  ranks.size = 3;
  std::mutex mutex;
  std::vector<std::string> errors;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    const int rank = engine->rank();
    at::Tensor good = filled(1);
    Handle fine = engine->allreduce(good, "good", ReduceOp::sum);
    Handle odd = engine->allreduce(filled(1, rank == 1 ? 4 : 3), "odd", ReduceOp::sum);
    const std::string error = error_of([&] { odd.wait(); });
    fine.wait();
    EXPECT_TRUE(at::equal(good, filled(3)));
    at::Tensor again = filled(2, 3);
    engine->allreduce(again, "odd", ReduceOp::sum).wait();
    EXPECT_TRUE(at::equal(again, filled(6)));
    engine->shutdown();
    const std::lock_guard lock(mutex);
    errors.push_back(error);
  });
  ASSERT_EQ(errors.size(), 3U);
  for (const std::string& error : errors) {
    EXPECT_EQ(error,
              "tensor odd: shape [3] on ranks 0, 2, [4] on rank 1; all ranks must "
              "submit the same");
  }
}

TEST(Engine, FailsATensorThatIsSubmittedTwiceOnAllRanks) {
  EngineRanks ranks;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    std::vector<Handle> handles;
    if (engine->rank() == 1) {
      handles.push_back(engine->allreduce(filled(1), "a", ReduceOp::sum));
      handles.push_back(engine->allreduce(filled(1), "a", ReduceOp::sum));
      // What comes behind them has been heard when this is through.
      engine->allreduce(filled(1), "behind", ReduceOp::sum).wait();
    } else {
      engine->allreduce(filled(1), "behind", ReduceOp::sum).wait();
      handles.push_back(engine->allreduce(filled(1), "a", ReduceOp::sum));
    }
    for (Handle& handle : handles) {
      const std::string error = error_of([&] { handle.wait(); });
      EXPECT_EQ(error.rfind("tensor a: rank 1 submitted it 2 times", 0), 0U) << error;
    }
    engine->shutdown();
  });
}

TEST(Engine, RefusesWhatCannotBeReduced) {
  EngineRanks ranks;
  ranks.size = 1;
  ranks.run([](std::unique_ptr<Engine>& engine) {
    EXPECT_EQ(error_of([&] {
                engine->allreduce(at::ones({2}, at::kLong), "a", ReduceOp::average);
              }),
              "tensor a: an average of type Long would be rounded; try sum");
    EXPECT_EQ(error_of([&] { engine->allreduce(filled(1), "", ReduceOp::sum); }),
              "a tensor is submitted by name");
    engine->shutdown();
    EXPECT_EQ(error_of([&] { engine->allreduce(filled(1), "a", ReduceOp::sum); }),
              "Horovod has been shut down; submit before shutdown()");
    engine->shutdown();  // nothing is left to do
  });
}

// Rank r has r + 1 steps' data.
TEST(Engine, CountsAJoinedRankAsZeros) {
  EngineRanks ranks;
  ranks.size = 3;
  std::atomic<int> sum_of_last = 0;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    const int rank = engine->rank();
    for (int i = 0; i <= rank; ++i) {
      at::Tensor sum = filled(1), mean = filled(3, 2, at::kDouble);
      Handle one = engine->allreduce(sum, "a", ReduceOp::sum);
      Handle other =
          engine->allreduce(mean, "b" + std::to_string(i), ReduceOp::average);
      one.wait();
      other.wait();
      EXPECT_TRUE(at::equal(sum, filled(3 - i))) << sum;
      EXPECT_TRUE(at::equal(mean, filled(3 - i, 2, at::kDouble))) << mean;
    }
    sum_of_last += engine->join();
    at::Tensor after = filled(1);
    engine->allreduce(after, "a", ReduceOp::sum).wait();
    EXPECT_TRUE(at::equal(after, filled(3)));
    engine->shutdown();
  });
  EXPECT_EQ(sum_of_last, 6) << "rank 2, on all three";
}

}  // namespace
}  // namespace lockstep::horovod
