// Of a checked group: who does not come, comes late or is lost is named; and what else
// such a group does.
#include <gtest/gtest.h>

#include "tests/collective_programs.h"

namespace lockstep::fingerprint {
namespace {

constexpr milliseconds kSoon{300};

class Absent : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Backends, Absent, testing::Values("gloo", "shm"));

// As where a rank's program ends before the others'.
TEST_P(Absent, WhoDoesNotComeIsNamedAfterTheTimeOut) {
  const Program right(3, Call{"all_reduce", 10});
  std::vector<Program> programs(4, right);
  programs[2].pop_back();
  const auto says = complaints(programs, GetParam(), kSoon);
  const std::string words =
      "the ranks' collective 3: waited 0.3 s for rank 2; ranks 0, 1, 3 call all_reduce "
      "of [10] Float, sum";
  EXPECT_EQ(says, (std::vector<std::string>{words, words, "none", words}));
}

TEST_P(Absent, WhoComesAloneSaysSo) {
  std::vector<Program> programs(3, Program(2, Call{"all_reduce", 10}));
  programs[1].push_back({"broadcast", 3, at::kDouble, 1});
  const auto says = complaints(programs, GetParam(), kSoon);
  EXPECT_EQ(says, (std::vector<std::string>{
                      "none",
                      "the ranks' collective 3: waited 0.3 s for ranks 0, 2; rank 1 "
                      "calls broadcast of [3] Double from root 1",
                      "none"}));
}

TEST_P(Absent, WhoCallsNothingAtAllPerhapsDoesNotCheck) {
  const auto says = complaints({{}, {{"barrier"}}}, GetParam(), kSoon);
  EXPECT_EQ(
      says[1],
      "the ranks' collective 1: waited 0.3 s for rank 0; rank 1 calls barrier; is "
      "--debug detail given to all ranks?");
}

TEST(CheckedGroup, TheAbsentAndTheWrongAreBothNamed) {
  const auto says = complaints(
      {{{"barrier"}, {"mean", 4}}, {{"barrier"}, {"mean", 5}}, {{"barrier"}}}, "gloo",
      kSoon);
  EXPECT_EQ(
      says[0],
      "the ranks' collective 2: waited 0.3 s for rank 2; rank 0 calls all_reduce of "
      "[4] Float, mean, rank 1 calls all_reduce of [5] Float, mean; they differ in "
      "the sizes");
  EXPECT_EQ(says[1], says[0]);
}

TEST(CheckedGroup, WhoComesTooLateIsToldSo) {
  on_checked_ranks(3, "gloo", kSoon, [](GroupPtr& plain, GroupPtr& group) {
    group->barrier();
    std::string says = "none";
    if (group->rank() != 1) says = error_of([&] { group->barrier(); });
    plain->barrier();  // the others have given up
    if (group->rank() == 1) says = error_of([&] { group->barrier(); });
    EXPECT_EQ(says,
              "the ranks' collective 2: waited 0.3 s for rank 1; ranks 0, 2 call "
              "barrier");
  });
}

// An optimizer's step in the same pass, and memory to add up in.
TEST(CheckedGroup, WorksInPlaceWhereTheOtherDoes) {
  on_checked_ranks(2, "shm", shm::kTestTimeout, [](GroupPtr& plain, GroupPtr& group) {
    for (const GroupPtr& one : {plain, group}) {
      const double mine = one->rank() + 1;
      const at::Tensor gradient = one->allocate(1001, at::kFloat).fill_(mine);
      const at::Tensor parameter = one->allocate(1001, at::kFloat).fill_(10);
      EXPECT_EQ(one->shard_elements({parameter}), plain->shard_elements({parameter}));
      comm::ShardedUpdate update;
      update.gradients = {gradient};
      update.parameters = {parameter};
      update.step = [](void* mean, void* parameters, void*, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          static_cast<float*>(parameters)[i] -= static_cast<float*>(mean)[i];
        }
      };
      one->update_shards(update).wait();
      EXPECT_TRUE(parameter.eq(8.5).all().item<bool>());
      one->all_reduce_mean({gradient, parameter}).wait();
      EXPECT_TRUE(gradient.eq(1.5).all().item<bool>());
    }
    const at::Tensor gradient = torch::ones({2 + group->rank()});
    const std::string says = error_of([&] {
      comm::ShardedUpdate update;
      update.gradients = update.parameters = {gradient};
      group->update_shards(update).wait();
    });
    EXPECT_NE(says.find("rank 1 calls update of [3] Float, mean"), std::string::npos)
        << says;
  });
}

TEST(CheckedGroup, MessagesAreNotLookedAt) {
  on_checked_ranks(3, "gloo", kSoon, [](GroupPtr&, GroupPtr& group) {
    at::Tensor tensor = torch::full({4}, group->rank());
    if (group->rank() == 0) group->send(tensor, 2).wait();
    if (group->rank() == 2) group->recv(tensor, 0).wait();
    EXPECT_EQ(tensor[3].item<int>(), group->rank() == 2 ? 0 : group->rank());
    group->barrier();
  });
}

class LostRankOne final : public comm::PeerWatch {
 public:
  std::string lost(milliseconds) const override { return "rank 1 (pid 7) has gone"; }
  Clock::time_point speaks_at() const override { return Clock::now(); }
  void at_step(int64_t) override {}
  void ends_badly() override {}
  void monitored_barrier(milliseconds) override {}
};

// Long before the time-out.
TEST(CheckedGroup, WhoIsLostIsNamedByTheWatch) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  shm::on_threads(2, [&](int rank) {
    const auto watch = std::make_shared<LostRankOne>();
    const GroupPtr group =
        checked(*shm::make_shm(store, rank, 2, shm::kTestTimeout, {}, watch), store,
                std::chrono::hours(1));
    if (rank == 1) return;
    try {
      group->all_reduce(torch::ones({10})).wait();
      ADD_FAILURE() << "summed with nobody";
    } catch (const comm::CommError& error) {
      EXPECT_STREQ(error.what(),
                   "rank 0: all_reduce of 40 bytes could not start, rank 1 (pid 7) has "
                   "gone: given up");
    }
  });
}

}  // namespace
}  // namespace lockstep::fingerprint
