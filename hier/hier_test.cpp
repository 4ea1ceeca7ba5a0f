// What hier promises beside right sums (hier_random_test.cpp): ranks are threads here,
// on made-up hosts.
#include "hier/hier.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <barrier>
#include <functional>
#include <latch>
#include <string>
#include <vector>

#include "device/memory_ledger.h"
#include "hier/placement.h"
#include "hier/segments.h"
#include "tests/made_up_hosts.h"

namespace lockstep::hier {
namespace {

using shm::GroupPtr;

// Fractions whose sum depends on the order: hosts add up inside first, in the order of
// ranks, and then hosts in their order. The same bits on all ranks.
TEST(Hier, AllRanksHaveTheSameBitsInTheHostsOrder) {
  for (const HostOfRank& hosts :
       {HostOfRank{"a", "a", "b", "b"}, HostOfRank{"a", "b", "a", "b"},
        HostOfRank{"b", "a", "a", "c", "a", "b"}}) {
    const Placement placement = place(hosts);
    const auto of_rank = [](int rank) {
      return torch::arange(10007, at::kDouble).add(rank + 1).sin().exp();
    };
    at::Tensor expected;
    for (const std::vector<int>& ranks : placement.ranks) {
      at::Tensor of_host;
      for (const int rank : ranks) {
        of_host = of_host.defined() ? of_host + of_rank(rank) : of_rank(rank);
      }
      expected = expected.defined() ? expected + of_host : of_host;
    }
    expected /= static_cast<double>(hosts.size());
    on_hosts(hosts, [&](GroupPtr& group) {
      const at::Tensor tensor = of_rank(group->rank());
      group->all_reduce_mean(tensor).wait();
      EXPECT_TRUE(tensor.equal(expected)) << "rank " << group->rank();
    });
  }
}

TEST(Hier, WhoIsWhereDependsOnNoOrder) {
  const Placement placement = place({"b", "a", "b", "b", "a"});
  EXPECT_EQ(placement.host, (std::vector<int>{0, 1, 0, 0, 1}));
  EXPECT_EQ(placement.local, (std::vector<int>{0, 0, 1, 2, 1}));
  EXPECT_EQ(placement.ranks, (std::vector<std::vector<int>>{{0, 2, 3}, {1, 4}}));
  EXPECT_EQ(placement.lanes(), 2);
  EXPECT_FALSE(this_host().empty());
  EXPECT_EQ(this_host(), this_host());
}

TEST(Hier, SegmentsCoverEachElementOnceAndEvenly) {
  for (const int64_t elements : {0, 1, 63, 1000, 100003}) {
    for (const int lanes : {1, 2, 3}) {
      const Segments segments = share_out(elements, 4, lanes, {0, 1, 2});
      int64_t at = 0;
      for (const Segment& segment : segments) {
        EXPECT_EQ(segment.start, at);
        EXPECT_LE(segment.elements, elements / (3 * lanes) + 32);
        at = segment.end();
      }
      EXPECT_EQ(at, elements);
      EXPECT_LE(merged(segments).size(), static_cast<size_t>(lanes));
    }
  }
}

// What a rank is told, in one line; empty: nothing went wrong.
std::string complaint(const std::function<void()>& work) {
  try {
    work();
  } catch (const comm::CommError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "";
}

TEST(Hier, WhatCannotBeIsRefusedBeforeAnybodyWaits) {
  on_hosts({"a", "b", "a"}, [](GroupPtr& group) {
    const at::Tensor whole = torch::ones({10}, at::kLong);
    EXPECT_NE(complaint([&] { group->all_reduce_mean(whole); }).find("no such mean"),
              std::string::npos);
    const at::Tensor part = torch::ones({4, 4}).narrow(1, 0, 3);
    EXPECT_NE(complaint([&] { group->all_reduce(part); }).find("contiguous()"),
              std::string::npos);
    group->barrier();
  });
}

TEST(Hier, RanksOfAHostThatDisagreeAreTold) {
  on_hosts({"a", "a", "b", "b"}, [](GroupPtr& group) {
    const int64_t elements = group->rank() % 2 == 1 ? 111 : 100;
    const std::string said =
        complaint([&] { group->all_reduce(torch::ones({elements})).wait(); });
    EXPECT_NE(said.find("inside the host of ranks "), std::string::npos) << said;
    EXPECT_NE(said.find("rank 1 comes with"), std::string::npos) << said;
    // Ranks no longer stand at the same: nothing more goes.
    EXPECT_NE(complaint([&] { group->barrier(); }), "");
  });
}

TEST(Hier, ARankThatLeavesFailsTheOthersAndHangsNobody) {
  for (const int leaver : {0, 1, 4}) {
    std::barrier over(5);
    std::latch left(1);
    on_hosts({"a", "b", "a", "b", "b"}, [&](GroupPtr& group) {
      group->barrier();
      const int rank = group->rank();
      // One comes too late, so that what the leaver began cannot end before it goes.
      if (rank == (leaver + 1) % 5) left.wait();
      if (rank == leaver) {
        comm::Work never = group->all_reduce(torch::ones({100000}));
        group.reset();
        left.count_down();
        EXPECT_NE(complaint([&] { never.wait(); }), "");
      } else {
        EXPECT_NE(complaint([&] {
                    group->all_reduce(torch::ones({100000})).wait();
                    group->all_reduce(torch::ones({100000})).wait();
                    group->barrier();
                  }),
                  "");
      }
      group.reset();
      over.arrive_and_wait();
    });
  }
}

TEST(Hier, WorksMayBeDroppedAndMoreMayBeUnderWayThanTheBoardHasPlaces) {
  on_hosts({"a", "b", "a", "b"}, [](GroupPtr& group) {
    std::vector<at::Tensor> tensors;
    for (int i = 0; i < 100; ++i) {
      tensors.push_back(torch::full({1 + 97 * i}, group->rank() + 1.0).mul_(i));
      group->all_reduce(tensors.back());
    }
    group->barrier();  // of later, so those before are done
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(tensors[static_cast<size_t>(i)].eq(10.0 * i).all().item<bool>()) << i;
    }
  });
}

TEST(Hier, BucketsLieInSharedMemoryAndAreChargedToTheirCard) {
  on_hosts({"a", "b", "a", "b"}, [](GroupPtr& group) {
    const device::AccountScope scope({50 + group->rank(), device::Category::buckets});
    const at::Tensor tensor = group->allocate(1000, torch::kDouble);
    EXPECT_EQ(device::card_bytes(50 + group->rank()).live, 8000);
    group->all_reduce(tensor.fill_(1)).wait();
    EXPECT_EQ(device::card_bytes(50 + group->rank()).peak, 8000) << "a second copy";
  });
}

TEST(Hier, IsBusyOnlyWhileSomethingIsUnderWay) {
  on_hosts({"a", "b"}, [](GroupPtr& group) {
    EXPECT_EQ(group->take_busy_ms(), 0.0);
    group->all_reduce(torch::ones({100000})).wait();
    EXPECT_GT(group->take_busy_ms().value(), 0.0);
    group->keep_spans(true);
    group->all_reduce(torch::ones({100000})).wait();
    const auto spans = group->take_spans();
    ASSERT_EQ(spans.size(), 1u);
    EXPECT_STREQ(spans[0].name, "all_reduce");
  });
}

}  // namespace
}  // namespace lockstep::hier
