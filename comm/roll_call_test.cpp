#include "comm/roll_call.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "launch/listener.h"
#include "shm/thread_groups.h"

namespace lockstep::comm {

using shm::kTestTimeout;
using shm::on_threads;
namespace {

// What each of these ranks of a job of `world_size` is told.
std::vector<std::string> told(const std::vector<int>& ranks, Meeting meeting,
                              const std::function<void(const Meeting&)>& come) {
  std::vector<std::string> words(ranks.size());
  on_threads(static_cast<int>(ranks.size()), [&](int i) {
    Meeting mine = meeting;
    mine.rank = ranks[static_cast<size_t>(i)];
    if (mine.rank != 0) mine.listen_fd = -1;
    try {
      come(mine);
      words[static_cast<size_t>(i)] = "all came";
    } catch (const std::runtime_error& error) {
      words[static_cast<size_t>(i)] = error.what();
    }
  });
  return words;
}

using Words = std::vector<std::string>;

Meeting meeting_of(int world_size) {
  Meeting meeting;
  meeting.world_size = world_size;
  meeting.port = 29500;
  meeting.timeout = kTestTimeout;
  return meeting;
}

TEST(RollCall, WhoDidNotComeInTimeIsNamedOnEveryRank) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Meeting meeting = meeting_of(5);
  meeting.timeout = std::chrono::seconds(1);
  const Words words =
      told({0, 1, 3}, meeting, [&](const Meeting& mine) { await_all(*store, mine); });
  const std::string expected =
      "waited 1 s for rank 2, 4 of 5 at 127.0.0.1:29500; came: 0, 1, 3";
  EXPECT_EQ(words, Words(3, expected));
}

// The store is rank 0's, which ends after the others, whoever was the first to give up.
TEST(RollCall, AtRankZerosPortAsWell) {
  for (const int impatient : {0, 3}) {
    launch::Listener listener;
    Meeting meeting;
    meeting.world_size = 4;
    meeting.port = listener.port();
    meeting.listen_fd = listener.release();
    const Words words = told({0, 1, 3}, meeting, [&](const Meeting& mine) {
      Meeting with_patience = mine;
      with_patience.timeout =
          mine.rank == impatient ? std::chrono::seconds(1) : kTestTimeout;
      meet(with_patience);
    });
    EXPECT_EQ(words, Words(3, "waited 1 s for rank 2 of 4 at 127.0.0.1:" +
                                  std::to_string(meeting.port) + "; came: 0, 1, 3"))
        << "rank " << impatient;
  }
}

TEST(RollCall, WhoCameAndDiedIsNamedLongBeforeTheTimeOut) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Meeting meeting = meeting_of(4);
  meeting.timeout = std::chrono::hours(1);
  meeting.silence = std::chrono::seconds(2);
  store->add("came/1", 1);  // and not again
  const Words words =
      told({0, 3}, meeting, [&](const Meeting& mine) { await_all(*store, mine); });
  EXPECT_EQ(words, Words(2,
                         "rank 1 came and has gone; waited in vain for rank 2 of 4 at "
                         "127.0.0.1:29500; came: 0, 1, 3"));
}

// Not only the one who is missing: that would not say whose mistake it is.
TEST(RollCall, TwoThatWereToldOneRankAreNamedAtOnce) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const Meeting meeting = meeting_of(3);
  const Words words =
      told({0, 1, 1}, meeting, [&](const Meeting& mine) { await_all(*store, mine); });
  EXPECT_EQ(
      words[0].rfind("two processes came as rank 1 of 3 to 127.0.0.1:29500: pid ", 0),
      0u)
      << words[0];
  EXPECT_NE(words[0].find("; start each with a rank of its own"), std::string::npos);
  EXPECT_EQ(words, Words(3, words[0]));
}

void expect_beginning(const std::string& text, const std::string& beginning) {
  EXPECT_EQ(text.rfind(beginning, 0), 0u) << "no \"" << beginning << "\": " << text;
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\": " << text;
}

TEST(RollCall, DifferentWorldSizesAreToldToAllThatCame) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const Meeting meeting = meeting_of(4);
  const Words words = told({0, 1, 2}, meeting, [&](const Meeting& mine) {
    Meeting one = mine;
    if (mine.rank == 2) {
      // When the others wait.
      while (!store->check({"came/0", "came/1", "world_size"}))
        std::this_thread::yield();
      one.world_size = 3;
    }
    await_all(*store, one);
  });
  expect_part(words[0], " was told a world size of 4 and rank 2 (pid ");
  expect_part(words[0], ") one of 3, at 127.0.0.1:29500; came: 0, 1, 2; start all");
  EXPECT_EQ(words, Words(3, words[0]));
}

TEST(RollCall, DifferentTermsAreToldToAll) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const Meeting meeting = meeting_of(3);
  const Words words = told({0, 1, 2}, meeting, [&](const Meeting& mine) {
    Meeting one = mine;
    one.terms = "--backend gloo";
    if (mine.rank == 2) {
      while (!store->check({"came/0", "came/1"})) std::this_thread::yield();
      one.terms = "--backend shm";
    }
    await_all(*store, one);
  });
  expect_part(words[0], " was started with --backend gloo and rank 2 (pid ");
  expect_part(
      words[0],
      ") with --backend shm, at 127.0.0.1:29500; start all ranks with the same");
  EXPECT_EQ(words, Words(3, words[0]));
}

// The job that meets there goes on; who is of another one is told.
TEST(RollCall, RanksOfAnotherJobAreRefused) {
  for (const bool hosted : {true, false}) {
    const auto store = c10::make_intrusive<c10d::HashStore>();
    Meeting meeting = meeting_of(2);
    meeting.host_store = hosted;
    meeting.job = "SLURM_JOB_ID=17";
    const Words words = told({0, 1, 1}, meeting, [&](const Meeting& mine) {
      static std::atomic<int> strangers = 0;
      Meeting one = mine;
      if (mine.rank == 1 && strangers++ % 2 == 0) {
        // Of rank 0's store the first, and waits for its word. Elsewhere the first to
        // come says whose place it is.
        while (!hosted && !store->check({"job"})) std::this_thread::yield();
        one.job = "SLURM_JOB_ID=18";
      } else if (hosted) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      await_all(*store, one);
    });
    const bool first_is_stranger = words[1] != "all came";
    const std::string& refused = words[first_is_stranger ? 1 : 2];
    EXPECT_EQ(words[0], "all came");
    EXPECT_EQ(words[first_is_stranger ? 2 : 1], "all came");
    expect_beginning(refused,
                     "at 127.0.0.1:29500 the job SLURM_JOB_ID=17 meets, so rank ");
    expect_part(refused, " says, and rank 1 (pid ");
    expect_part(refused, ") is of the job SLURM_JOB_ID=18; give each job a place");
  }
}

TEST(RollCall, AJobWithoutANameMeetsAnybody) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Meeting meeting;
  meeting.world_size = 3;
  meeting.timeout = kTestTimeout;
  const Words words = told({0, 1, 2}, meeting, [&](const Meeting& mine) {
    Meeting one = mine;
    if (mine.rank == 1) one.job = "SLURM_JOB_ID=17";
    await_all(*store, one);
  });
  EXPECT_EQ(words, Words(3, "all came"));
}

TEST(RollCall, WhoComesWhenAllHaveMetIsRefused) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Meeting meeting = meeting_of(2);
  const auto come = [&](const Meeting& mine) { await_all(*store, mine); };
  EXPECT_EQ(told({0, 1}, meeting, come), Words(2, "all came"));
  meeting.world_size = 4;
  const std::string late = told({3}, meeting, come).front();
  expect_beginning(late,
                   "all ranks have met already at 127.0.0.1:29500, and rank 3 (pid ");
  expect_part(late, ") of 4 comes afterwards; is another job there?");
}

TEST(RollCall, WhoIsOnlySlowIsWaitedFor) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Meeting meeting;
  meeting.world_size = 3;
  meeting.timeout = kTestTimeout;
  meeting.silence = std::chrono::seconds(2);
  const Words words = told({0, 1, 2}, meeting, [&](const Meeting& mine) {
    // Longer than anybody may be silent once there.
    if (mine.rank == 2) std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    await_all(*store, mine);
  });
  EXPECT_EQ(words, Words(3, "all came"));
}

TEST(RollCall, WhoComesAfterTheOthersGaveUpIsToldSo) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Meeting meeting;
  meeting.world_size = 2;
  meeting.timeout = std::chrono::seconds(1);
  meeting.port = 29500;
  const auto come = [&](const Meeting& mine) { await_all(*store, mine); };
  const Words first = told({0}, meeting, come);
  EXPECT_EQ(first, Words{"waited 1 s for rank 1 of 2 at 127.0.0.1:29500; came: 0"});
  EXPECT_EQ(told({1}, meeting, come), first);
}

TEST(RollCall, RankZeroThatTakesTheStoreWithItIsNamed) {
  launch::Listener listener;
  Meeting meeting;
  meeting.world_size = 3;
  meeting.port = listener.port();
  meeting.listen_fd = listener.release();
  meeting.timeout = std::chrono::milliseconds(300);
  // Rank 0 hosts a store for somebody else and leaves.
  Meeting host = meeting;
  host.world_size = 1;
  host.attempt = 1;
  auto store = meet(host);
  std::thread leaver([&] {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    store.reset();
  });
  meeting.timeout = kTestTimeout;
  const Words words = told({1}, meeting, [&](const Meeting& mine) { meet(mine); });
  leaver.join();
  const std::string beginning =
      "the store at 127.0.0.1:" + std::to_string(meeting.port) +
      " went before all 3 ranks had come; has rank 0 gone? (";
  EXPECT_EQ(words.front().rfind(beginning, 0), 0u) << words.front();
  EXPECT_EQ(words.front().find('\n'), std::string::npos) << words.front();
}

}  // namespace
}  // namespace lockstep::comm
