#include "comm/lost_peer.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "comm/gloo.h"
#include "shm/thread_groups.h"
#include "tests/error_of.h"

namespace lockstep::comm {
namespace {

using shm::GroupPtr;
using std::chrono::milliseconds;

constexpr std::chrono::hours kTooLong{1};

// Knows what the test tells it.
class ToldWatch final : public PeerWatch {
 public:
  std::string lost(milliseconds /*patience*/) const override {
    return knows ? "rank 1 (pid 7 on nodeb) has gone, last step 17" : "";
  }
  Clock::time_point speaks_at() const override { return Clock::now(); }
  void at_step(int64_t taken) override { step = taken; }
  void ends_badly() override { badly = true; }
  void monitored_barrier(milliseconds /*timeout*/) override {}

  std::atomic<bool> knows = false;
  std::atomic<bool> badly = false;
  std::atomic<int64_t> step = -1;
};

// Two ranks, `backend` between them, a watch with each.
void on_watched_ranks(
    const std::string& backend,
    const std::function<void(GroupPtr&, ToldWatch& watch, std::barrier<>&)>& work) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::barrier both(2);
  shm::on_threads(2, [&](int rank) {
    const auto watch = std::make_shared<ToldWatch>();
    GroupPtr group = backend == "gloo"
                         ? make_gloo(store, rank, 2, "127.0.0.1", kTooLong, watch)
                         : shm::make_shm(store, rank, 2, kTooLong, {}, watch);
    const at::Tensor tensor = at::ones({10});
    group->all_reduce(tensor).wait();
    both.arrive_and_wait();
    work(group, *watch, both);
  });
}

class LostPeer : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Backends, LostPeer, testing::Values("gloo", "shm"));

TEST_P(LostPeer, IsNamedByTheCollectiveThatFailed) {
  on_watched_ranks(GetParam(), [](GroupPtr& group, ToldWatch& watch, auto& both) {
    const int rank = group->rank();
    if (rank == 1) group.reset();
    both.arrive_and_wait();
    if (rank == 1) return;
    watch.knows = true;
    try {
      group->all_reduce(at::ones({10})).wait();
      ADD_FAILURE() << "summed with nobody";
    } catch (const CommError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.rfind("rank 0: all_reduce of 40 bytes failed, rank 1 (pid 7 on "
                              "nodeb) has gone, last step 17: ",
                              0),
                0u)
          << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      EXPECT_EQ(error.watch().get(), &watch);
    }
    EXPECT_TRUE(watch.badly);
  });
}

// Its connections hold, and it says nothing: only the watch knows. Neither the wait nor
// the group's end lasts until the time-out.
TEST_P(LostPeer, ThatIsSilentEndsTheWaitAndTheGroup) {
  on_watched_ranks(GetParam(), [](GroupPtr& group, ToldWatch& watch, auto& both) {
    if (group->rank() == 0) {
      auto work = group->all_reduce(at::ones({10}));
      std::thread news([&] {
        std::this_thread::sleep_for(milliseconds(300));
        watch.knows = true;
      });
      const std::string error = error_of([&] { work.wait(); });
      EXPECT_EQ(error.rfind("rank 0: all_reduce of 40 bytes failed, rank 1 (pid 7", 0),
                0u)
          << error;
      EXPECT_NE(error.find("given up"), std::string::npos) << error;
      news.join();
      group.reset();
    }
    both.arrive_and_wait();
  });
}

TEST_P(LostPeer, NobodyIsWhileAllAreOnlySlow) {
  on_watched_ranks(GetParam(), [](GroupPtr& group, ToldWatch& watch, auto& both) {
    const at::Tensor tensor = at::ones({10});
    if (group->rank() == 1) std::this_thread::sleep_for(milliseconds(700));
    group->all_reduce(tensor).wait();
    EXPECT_EQ(tensor[0].item<float>(), 2);
    group->at_step(3);
    EXPECT_EQ(watch.step, 3);
    EXPECT_FALSE(watch.badly);
    both.arrive_and_wait();
  });
}

TEST(LostPeerTest, WithoutAWatchItIsProbablyGone) {
  std::barrier both(2);
  shm::on_ranks(2, [&](GroupPtr& group) {
    const at::Tensor tensor = at::ones({10});
    group->all_reduce(tensor).wait();
    both.arrive_and_wait();
    if (group->rank() == 1) group.reset();
    both.arrive_and_wait();
    if (!group) return;
    const std::string error = error_of([&] { group->all_reduce(tensor).wait(); });
    EXPECT_EQ(error.rfind("rank 0: all_reduce of 40 bytes failed, a peer has probably "
                          "gone: ",
                          0),
              0u)
        << error;
    EXPECT_THROW(group->broadcast({tensor}, /*root=*/1), CommError);
    EXPECT_THROW(group->all_gather("anybody?"), CommError);
  });
}

}  // namespace
}  // namespace lockstep::comm
