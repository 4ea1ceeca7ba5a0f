// Known times, real results, and what never ends elsewhere is told at once.
#include "simulator/simulation.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <optional>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "tests/error_of.h"

namespace lockstep::simulator {
namespace {

// A host a card; a message of b bytes takes 1 ms and b microseconds.
predict::Cluster slow_link() {
  predict::Cluster cluster;
  cluster.cards_per_host = 1;
  cluster.between = {1e-3, 1e6};
  return cluster;
}

at::Tensor filled(int64_t elements, double value) {
  return at::full({elements}, value, at::kFloat);
}

std::string ended_by(int ranks, const std::function<void(Rank&)>& work) {
  Simulation simulation(ranks, slow_link());
  return error_of([&] { simulation.run(work); });
}

TEST(Simulation, HidesAnAllReduceBehindASecondOfWork) {
  Simulation simulation(2, slow_link());
  const double alone_s = predict::all_reduce_s(slow_link(), 2, 400000);
  ASSERT_DOUBLE_EQ(alone_s, 2 * (1e-3 + 0.2));
  simulation.run([&](Rank& rank) {
    rank.compute("before", 0.25);
    const at::Tensor tensor = filled(100000, rank.rank() + 1);
    comm::Work work = rank.group().all_reduce(tensor);
    EXPECT_DOUBLE_EQ(rank.now_s(), 0.25);
    EXPECT_EQ(tensor[0].item<float>(), rank.rank() + 1) << "nothing has come yet";
    rank.compute("beside", rank.rank() == 0 ? 1 : 0.1);
    work.wait();
    EXPECT_EQ(tensor[99999].item<float>(), 3);
    EXPECT_DOUBLE_EQ(rank.now_s(), 0.25 + (rank.rank() == 0 ? 1 : alone_s));
  });
  EXPECT_DOUBLE_EQ(simulation.seconds(), 1.25);
  const std::vector<Span> spans = simulation.spans();
  ASSERT_EQ(spans.size(), 6u);
  const Span& moved = spans.at(3);  // begins with rank 0's work beside it
  EXPECT_EQ(moved.name, "all_reduce");
  EXPECT_EQ(moved.lane, Span::Lane::communication);
  EXPECT_DOUBLE_EQ(moved.launched_s, 0.25);
  EXPECT_DOUBLE_EQ(moved.end_s - moved.begin_s, alone_s);
  EXPECT_EQ(moved.bytes, 400000);
  EXPECT_EQ(moved.elements, 100000);
  EXPECT_EQ(moved.type, "Float");
}

TEST(Simulation, CollectivesBeginWithTheLastRankAndInLine) {
  Simulation simulation(3, slow_link());
  simulation.run([&](Rank& rank) {
    rank.compute("before", 0.1 * rank.rank());
    const at::Tensor first = filled(3000, 1), second = filled(3000, 1);
    comm::Work one = rank.group().all_reduce(first);
    comm::Work two = rank.group().all_reduce_mean(second);
    two.wait();
    EXPECT_EQ(first[0].item<float>(), 3) << "it came before";
    EXPECT_EQ(second[0].item<float>(), 1);
    const double each_s = 4 * (1e-3 + 4e-3);
    EXPECT_DOUBLE_EQ(rank.now_s(), 0.2 + 2 * each_s);
    one.wait();
  });
}

TEST(Simulation, EveryCollectiveBringsWhatItShould) {
  Simulation simulation(3, slow_link());
  simulation.run([](Rank& rank) {
    comm::ProcessGroup& group = rank.group();
    const int own = rank.rank();
    const at::Tensor whole = at::arange(6, at::kDouble) + 10 * own;
    at::Tensor piece = at::zeros({2}, at::kDouble);
    group.reduce_scatter(piece, whole).wait();
    EXPECT_TRUE(at::equal(piece, 30 + 3.0 * (at::arange(2, at::kDouble) + 2 * own)));
    at::Tensor gathered = at::zeros({6}, at::kDouble);
    group.all_gather(gathered, piece).wait();
    EXPECT_TRUE(at::equal(gathered, 30 + 3.0 * at::arange(6, at::kDouble)));
    const at::Tensor sum = at::full({5}, own + 1, at::kLong);
    group.reduce(sum, 2).wait();
    EXPECT_EQ(sum[4].item<int64_t>(), own == 2 ? 6 : own + 1);
    const at::Tensor small = filled(3, own), large = at::full({2, 2}, own, at::kDouble);
    group.broadcast({small, large}, 1);
    EXPECT_EQ(small[2].item<float>(), 1);
    EXPECT_EQ(large[1][1].item<double>(), 1);
    EXPECT_EQ(group.all_gather("rank " + std::to_string(own)),
              (std::vector<std::string>{"rank 0", "rank 1", "rank 2"}));
    const at::Tensor message = filled(250, own);
    if (own == 0) group.send(message, 1).wait();
    if (own == 1) group.recv(message, 0).wait();
    EXPECT_EQ(message[249].item<float>(), own == 2 ? 2 : 0);
    rank.compute("something", own);
    group.barrier();
    EXPECT_GT(rank.now_s(), 2);
  });
}

TEST(Simulation, ACardSendsOneMessageAfterTheOtherAndReceivesSo) {
  Simulation simulation(3, slow_link());
  simulation.run([](Rank& rank) {  // 2 ms each
    comm::ProcessGroup& group = rank.group();
    const at::Tensor tensor = filled(250, rank.rank()), other = filled(250, -1);
    const int next = (rank.rank() + 1) % 3, last = (rank.rank() + 2) % 3;
    comm::Work sent = group.send(tensor, next);
    group.recv(other, last).wait();
    sent.wait();
    EXPECT_EQ(other[7].item<float>(), last);
    EXPECT_DOUBLE_EQ(rank.now_s(), 2e-3) << "a ring: all of them at once";
    if (rank.rank() != 0) return group.send(tensor, 0).wait();
    comm::Work one = group.recv(other, 2), two = group.recv(tensor, 1);
    one.wait();
    two.wait();
    EXPECT_DOUBLE_EQ(rank.now_s(), 6e-3) << "a star: one after the other";
  });
}

TEST(Simulation, WhatChangesUnderWayIsLost) {
  Simulation simulation(2, slow_link());
  simulation.run([](Rank& rank) {
    const at::Tensor tensor = filled(10, 1);
    comm::Work work = rank.group().all_reduce(tensor);
    tensor.add_(100);
    rank.compute("a moment", 1e-4);
    EXPECT_EQ(tensor[0].item<float>(), 101);
    work.wait();
    EXPECT_EQ(tensor[0].item<float>(), 2);
  });
}

TEST(Simulation, AWorkThatIsLookedAtEnds) {
  Simulation simulation(2, slow_link());
  simulation.run([](Rank& rank) {
    std::vector<at::Tensor> tensors = {filled(250, 1)};
    const auto work = rank.group().backend()->allreduce(tensors);
    EXPECT_FALSE(work->isCompleted());
    while (!work->isCompleted()) continue;
    EXPECT_NEAR(rank.now_s(), 2 * (1e-3 + 5e-4), 2e-6);
    EXPECT_EQ(tensors[0][0].item<float>(), 2);
  });
}

TEST(Simulation, ADeadlockIsToldAtOnceRankByRank) {
  EXPECT_EQ(ended_by(3,
                     [](Rank& rank) {
                       const at::Tensor tensor = filled(20, 1);
                       for (int i = 0; i < (rank.rank() == 2 ? 2 : 3); ++i) {
                         rank.group().all_reduce(tensor).wait();
                       }
                     }),
            "deadlock: rank 2 ended; rank 0 and 1 wait for all_reduce number 3 of 80 "
            "bytes");
  EXPECT_EQ(ended_by(2,
                     [](Rank& rank) {
                       const at::Tensor tensor = filled(20, 1);
                       rank.group().send(tensor, 1 - rank.rank()).wait();
                       rank.group().recv(tensor, 1 - rank.rank()).wait();
                     }),
            "deadlock: rank 0 waits for rank 1 to receive 80 bytes; rank 1 waits for "
            "rank 0 to receive 80 bytes");
  EXPECT_EQ(ended_by(64,
                     [](Rank& rank) {
                       const at::Tensor tensor = filled(20, 1);
                       if (rank.rank() > 0) rank.group().recv(tensor, 0).wait();
                     }),
            "deadlock: rank 0 ended; rank 1 to 63 wait for 80 bytes from rank 0");
}

TEST(Simulation, WhatDoesNotMatchIsNamed) {
  EXPECT_EQ(ended_by(2,
                     [](Rank& rank) {
                       rank.group().barrier();
                       rank.group().all_reduce(filled(20 + rank.rank(), 1)).wait();
                     }),
            "mismatch: collective number 2: rank 0 launched all_reduce of 20 Float, "
            "rank 1 launched all_reduce of 21 Float");
  const std::string mean = ended_by(2, [](Rank& rank) {
    const at::Tensor tensor = filled(20, 1);
    (rank.rank() ? rank.group().all_reduce_mean(tensor)
                 : rank.group().all_reduce(tensor))
        .wait();
  });
  EXPECT_NE(mean.find("all_reduce of 20 Float (mean)"), std::string::npos) << mean;
  EXPECT_EQ(ended_by(2,
                     [](Rank& rank) {
                       if (rank.rank() == 0) rank.group().send(filled(9, 1), 1).wait();
                       if (rank.rank() == 1) rank.group().recv(filled(8, 1), 0).wait();
                     }),
            "mismatch: rank 0 sends 9 Float to rank 1, which receives 8 Float");
  EXPECT_EQ(ended_by(3,
                     [](Rank& rank) {
                       if (rank.rank() == 1) rank.group().all_reduce(filled(5, 1));
                     }),
            "mismatch: rank 1 launched number 1, all_reduce of 5 Float; rank 0 and 2 "
            "ended without it");
}

TEST(Simulation, TheFirstErrorEndsTheOthersAndStays) {
  const auto work = [](Rank& rank) {
    rank.compute("until it breaks", 1);
    if (rank.rank() == 1) throw std::out_of_range("rank 1 breaks");
    try {
      rank.group().barrier();
    } catch (const std::exception&) {  // of those who do not care
    }
    rank.group().barrier();
  };
  Simulation simulation(3, slow_link());
  EXPECT_THROW(simulation.run(work), std::out_of_range);
  simulation.run([](Rank& rank) { rank.group().barrier(); });
  EXPECT_GT(simulation.seconds(), 1) << "and it can go on";
  EXPECT_THROW(Simulation(65, slow_link()), std::invalid_argument);
}

struct WaitsAtItsEnd {
  comm::Work work;
  ~WaitsAtItsEnd() { work.wait(); }
};

TEST(Simulation, ADestructorThatWaitsDoesNotHideTheError) {
  EXPECT_EQ(ended_by(2,
                     [](Rank& rank) {
                       if (rank.rank() == 0) return;
                       const at::Tensor tensor = filled(5, 1);
                       const WaitsAtItsEnd waits{rank.group().all_reduce(tensor)};
                       throw std::out_of_range("rank 1 breaks");
                     }),
            "rank 1 breaks");
}

std::vector<Span> spans_of(int ranks, uint64_t seed) {
  Simulation simulation(ranks, slow_link(), seed);
  simulation.run([](Rank& rank) {
    for (int i = 0; i < 20; ++i) {
      rank.compute("work", 1e-3 * ((rank.rank() * 7 + i) % 5));
      rank.group().all_reduce(filled(100 + i, 1)).wait();
    }
  });
  return simulation.spans();
}

TEST(Simulation, TwoRunsOfOneSeedAreEqualToTheBitUpTo64Ranks) {
  for (const int ranks : {3, 64}) {
    const std::vector<Span> one = spans_of(ranks, 5), other = spans_of(ranks, 5);
    ASSERT_EQ(one.size(), 40u * ranks);
    ASSERT_EQ(one.size(), other.size());
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i].rank, other[i].rank);
      EXPECT_EQ(one[i].name, other[i].name);
      EXPECT_EQ(one[i].begin_s, other[i].begin_s);
      EXPECT_EQ(one[i].end_s, other[i].end_s);
      EXPECT_EQ(one[i].launched_s, other[i].launched_s);
    }
  }
}

TEST(Simulation, TheSeedDrawsWhoGoesFirst) {
  const auto order = [](uint64_t seed) {
    std::vector<int> ranks;
    Simulation(8, slow_link(), seed).run([&](Rank& rank) {
      ranks.push_back(rank.rank());
    });
    return ranks;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

}  // namespace
}  // namespace lockstep::simulator
