#include "comm/process_group.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <barrier>
#include <chrono>
#include <vector>

#include "shm/thread_groups.h"

namespace lockstep::comm {

using shm::GroupPtr;
using shm::on_ranks;
namespace {

// Different on every rank, whole numbers: their sums are exact in any order.
at::Tensor of_rank(int rank, int64_t size, at::ScalarType type) {
  return torch::arange(size).remainder(97).add(1000 * rank + 1).to(type);
}

using BackendAndRanks = std::tuple<std::string, int>;

class WorldTest : public testing::TestWithParam<BackendAndRanks> {
 protected:
  const std::string& backend() const { return std::get<0>(GetParam()); }
  int world() const { return std::get<1>(GetParam()); }
  void on_ranks(const std::function<void(GroupPtr&)>& work) const {
    shm::on_ranks(world(), work, backend());
  }
};

TEST_P(WorldTest, RanksKnowTheirPlace) {
  std::vector<int> seen(static_cast<size_t>(world()));
  on_ranks([&](GroupPtr& group) {
    EXPECT_EQ(group->size(), world());
    EXPECT_EQ(group->backend_name(), backend());
    seen.at(static_cast<size_t>(group->rank())) = 1;
  });
  EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(world()), 1));
}

TEST_P(WorldTest, AllReduceSumsInPlace) {
  on_ranks([&](GroupPtr& group) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      for (const int64_t size : {1, 2, 3, 7, 63, 1025, 50003}) {
        const at::Tensor tensor = of_rank(group->rank(), size, type);
        const void* where = tensor.data_ptr();
        group->all_reduce(tensor).wait();
        at::Tensor expected = torch::zeros({size}, type);
        for (int rank = 0; rank < world(); ++rank)
          expected += of_rank(rank, size, type);
        EXPECT_TRUE(tensor.equal(expected)) << size << " of " << type;
        EXPECT_EQ(tensor.data_ptr(), where);
      }
    }
  });
}

TEST_P(WorldTest, AllReducesMayBeUnderWaySideBySide) {
  on_ranks([&](GroupPtr& group) {
    std::vector<at::Tensor> tensors;
    std::vector<Work> works;
    for (int64_t i = 0; i < 10; ++i) {
      tensors.push_back(
          torch::full({1 + 37 * i}, static_cast<double>(group->rank() + i)));
      works.push_back(group->all_reduce(tensors.back()));
    }
    for (int64_t i = 9; i >= 0; --i) {  // waited for in another order
      works[static_cast<size_t>(i)].wait();
      const double sum = static_cast<double>(world() * (world() - 1) / 2 + world() * i);
      EXPECT_TRUE(tensors[static_cast<size_t>(i)].eq(sum).all().item<bool>()) << i;
    }
  });
}

TEST_P(WorldTest, AllReduceMeanDividesByTheNumberOfRanks) {
  on_ranks([&](GroupPtr& group) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      // Multiples of the world()'s size, so that the mean is exact.
      const at::Tensor tensor = of_rank(group->rank(), 1025, type).mul_(world());
      group->all_reduce_mean(tensor).wait();
      at::Tensor expected = torch::zeros({1025}, type);
      for (int rank = 0; rank < world(); ++rank) expected += of_rank(rank, 1025, type);
      EXPECT_TRUE(tensor.equal(expected)) << type;
    }
  });
}

TEST_P(WorldTest, ReduceGivesTheSumToTheRoot) {
  on_ranks([&](GroupPtr& group) {
    for (int root = 0; root < world(); ++root) {
      const at::Tensor tensor = of_rank(group->rank(), 1001, at::kFloat);
      group->reduce(tensor, root).wait();
      if (group->rank() != root) continue;
      at::Tensor expected = torch::zeros({1001});
      for (int rank = 0; rank < world(); ++rank)
        expected += of_rank(rank, 1001, at::kFloat);
      EXPECT_TRUE(tensor.equal(expected)) << root;
    }
  });
}

TEST_P(WorldTest, ReduceScatterThenAllGatherIsAllReduce) {
  on_ranks([&](GroupPtr& group) {
    const int64_t piece = 333;
    const at::Tensor input = of_rank(group->rank(), piece * world(), at::kFloat);
    at::Tensor expected = torch::zeros({piece * world()});
    for (int rank = 0; rank < world(); ++rank)
      expected += of_rank(rank, piece * world(), at::kFloat);
    const at::Tensor mine = torch::empty({piece});
    group->reduce_scatter(mine, input).wait();
    EXPECT_TRUE(mine.equal(expected.narrow(0, group->rank() * piece, piece)));
    const at::Tensor all = torch::empty({piece * world()});
    group->all_gather(all, mine).wait();
    EXPECT_TRUE(all.equal(expected));
  });
}

TEST_P(WorldTest, MessagesGoRoundTheRingInOrder) {
  // A rank sends itself nothing; shared memory has no messages.
  if (world() == 1 || backend() == "shm") return;
  on_ranks([&](GroupPtr& group) {
    const int next = (group->rank() + 1) % world();
    const int before = (group->rank() + world() - 1) % world();
    for (int64_t size : {1, 100, 70001}) {
      const at::Tensor mine = of_rank(group->rank(), size, at::kFloat);
      const at::Tensor theirs = torch::empty({size});
      Work sent = group->send(mine, next);
      group->recv(theirs, before).wait();
      sent.wait();
      EXPECT_TRUE(theirs.equal(of_rank(before, size, at::kFloat))) << size;
    }
  });
}

TEST_P(WorldTest, BarrierHoldsUntilAllHaveCome) {
  std::atomic<int> came = 0;
  on_ranks([&](GroupPtr& group) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5 * group->rank()));
    ++came;
    group->barrier();
    EXPECT_EQ(came, world());
  });
}

TEST_P(WorldTest, AllocatedMemoryIsOfTheTypeAndSize) {
  on_ranks([&](GroupPtr& group) {
    const at::Tensor tensor = group->allocate(77, torch::kDouble);
    EXPECT_EQ(tensor.sizes(), at::IntArrayRef({77}));
    EXPECT_EQ(tensor.scalar_type(), at::kDouble);
    tensor.fill_(group->rank());
    group->all_reduce(tensor).wait();
    const int ranks = world();
    EXPECT_TRUE(tensor.eq(ranks * (ranks - 1) / 2).all().item<bool>());
  });
}

std::vector<at::Tensor> mixed(int seed) {
  at::Generator random = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
  const auto rand = [&](at::IntArrayRef shape) { return torch::rand(shape, random); };
  return {rand({5, 3}),
          rand({7}).to(at::kDouble),
          torch::full({}, static_cast<int64_t>(seed), at::kLong),
          rand({4, 6}).t(),  // not contiguous
          rand({2, 3, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast),
          rand({6, 4}).narrow(1, 1, 2),
          rand({1}).to(at::kDouble)};
}

TEST_P(WorldTest, BroadcastGivesEveryRankTheRoots) {
  on_ranks([&](GroupPtr& group) {
    for (int root = 0; root < group->size(); ++root) {
      const std::vector<at::Tensor> expected = mixed(root);
      const std::vector<at::Tensor> tensors = mixed(group->rank());
      tensors[0].requires_grad_();  // a parameter: filled without autograd noticing
      group->broadcast(tensors, root);
      for (size_t i = 0; i < tensors.size(); ++i) {
        EXPECT_TRUE(tensors[i].equal(expected[i])) << i << " from " << root;
        EXPECT_EQ(tensors[i].strides(), expected[i].strides()) << i;
      }
    }
    group->broadcast({});
  });
}

TEST_P(WorldTest, AllGatherOfTextsOfAnyLength) {
  const auto text_of = [](int rank) {
    return rank % 3 == 1 ? std::string()
                         : std::string(static_cast<size_t>(7 * rank), 'x') +
                               "\n\xC3\xA4" + std::to_string(rank);
  };
  on_ranks([&](GroupPtr& group) {
    const auto texts = group->all_gather(text_of(group->rank()));
    ASSERT_EQ(texts.size(), static_cast<size_t>(group->size()));
    for (int rank = 0; rank < group->size(); ++rank) {
      EXPECT_EQ(texts[static_cast<size_t>(rank)], text_of(rank));
    }
    for (const std::string& text : group->all_gather("")) EXPECT_EQ(text, "");
    std::string zeros("a\0b", 3);
    for (const std::string& text : group->all_gather(zeros)) EXPECT_EQ(text, zeros);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, WorldTest,
                         testing::Combine(testing::Values("gloo", "shm"),
                                          testing::Values(1, 2, 3, 8)));

TEST(ProcessGroupTest, BusyOnlyWhileSomethingIsUnderWay) {
  on_ranks(2, [](GroupPtr& group) {
    EXPECT_EQ(group->take_busy_ms(), 0.0);
    group->all_gather("reports are not counted");
    EXPECT_EQ(group->take_busy_ms(), 0.0);

    const auto start = std::chrono::steady_clock::now();
    std::vector<at::Tensor> tensors;
    std::vector<Work> works;
    for (int i = 0; i < 8; ++i) {
      tensors.push_back(torch::ones({100000}));
      works.push_back(group->all_reduce(tensors.back()));
    }
    for (Work& work : works) work.wait();
    const double busy = group->take_busy_ms().value();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    EXPECT_GT(busy, 0.0);
    EXPECT_LE(busy, elapsed.count()) << "eight at once count once";

    group->broadcast({torch::ones({100})});
    EXPECT_GT(group->take_busy_ms(), 0.0);
  });
}

TEST(ProcessGroupTest, WhatTheBackendRefusesAtOnceIsACommErrorAndNotBusy) {
  on_ranks(2, [](GroupPtr& group) {
    const at::Tensor nowhere = torch::ones({3}, torch::kMeta);
    EXPECT_THROW(group->all_reduce(nowhere), CommError);
    group->take_busy_ms();
    EXPECT_EQ(group->take_busy_ms(), 0.0);
  });
}

TEST(ProcessGroupTest, AnEmptyWorkIsDone) {
  Work nothing;
  nothing.wait();
}

}  // namespace
}  // namespace lockstep::comm
