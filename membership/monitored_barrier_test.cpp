#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/error_of.h"
#include "tests/watched_threads.h"

namespace lockstep::membership {
namespace {

using std::chrono::milliseconds;

TEST(MonitoredBarrier, NamesOnAllMembersWhoDidNotCome) {
  for (const int missing : {0, 1, 3}) {
    Job job{.count = 4};
    const std::string expected = "monitored_barrier: waited 0.3 s for rank " +
                                 std::to_string(missing) + " of 4; came: ";
    std::atomic<int> failed = 0;
    job.run({0, 1, 2, 3}, [&](int index, WatchPtr& watch) {
      watch->monitored_barrier(kLong);
      if (index == missing) {
        while (failed < 3) std::this_thread::yield();
        // Who comes late is told at once.
      }
      const std::string words = error_of([&] {
        watch->monitored_barrier(index == missing ? milliseconds(kLong)
                                                  : milliseconds(300));
      });
      expect_words(words, {expected});
      ++failed;
      EXPECT_EQ(watch->lost(), "");
      watch->monitored_barrier(kLong);  // the next one is another
    });
  }
}

TEST(MonitoredBarrier, EndsWhenAMemberIsLost) {
  Job job{.count = 3};
  job.run({0, 1, 2}, [&](int index, WatchPtr& watch) {
    if (index == 2) return watch->ends_badly();
    expect_words(error_of([&] { watch->monitored_barrier(kLong); }),
                 {"monitored_barrier failed, rank 2 (pid ", "has gone"});
  });
}

}  // namespace
}  // namespace lockstep::membership
