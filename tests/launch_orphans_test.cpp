// Whoever dies by kill -9, the launcher, a rank's guard, a rank: nobody is left of the
// job, though each rank has a child and a grandchild that are deaf to SIGTERM. And
// nobody else is touched.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>

#include "tests/program_run.h"

namespace lockstep {
namespace {

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 1500; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// Two ranks that wait, each with offspring; `more` is what they do then.
class Job {
 public:
  explicit Job(const std::string& more = "wait", int restarts = 0, bool wait = true)
      : run_("launch", {"--standalone", "--nproc-per-node", "2", "--max-restarts",
                        std::to_string(restarts), "sh", "-c",
                        "cd " + folder_.path().string() +
                            "; sh -c 'trap \"\" TERM; setsid sleep 1000 & "
                            "echo $! > old.$RANK.$TORCHELASTIC_RESTART_COUNT; wait' & "
                            "echo $PPID > guard.$RANK; echo $$ > rank.$RANK; " +
                            more}) {
    if (!wait) return;
    // Launcher, and of each rank: guard, shell, child, grandchild.
    up_ = eventually([&] {
      return run_.alive().size() >= 9 && of("rank.0") > 0 && of("rank.1") > 0;
    });
    EXPECT_TRUE(up_) << run_.alive().size() << " processes " << run_.process().err();
  }

  int of(const std::string& who) const {
    return std::atoi(read_text(folder_ / who).c_str());
  }
  ProgramRun& run() { return run_; }
  bool up() const { return up_; }

  void expect_nobody_left() {
    EXPECT_TRUE(eventually([&] { return run_.alive().empty(); }))
        << run_.alive().size() << " processes are left";
  }

 private:
  TestFolder folder_;
  ProgramRun run_;
  bool up_ = false;
};

TEST(LaunchOrphans, KillingTheLauncherLeavesNobody) {
  Job job;
  ASSERT_TRUE(job.up());
  job.run().process().send_signal(SIGKILL);
  EXPECT_EQ(job.run().status(), 128 + SIGKILL);
  job.expect_nobody_left();
}

TEST(LaunchOrphans, NorDoesKillingItWhileTheGuardsAreStopped) {
  Job job;
  ASSERT_TRUE(job.up());
  for (const char* guard : {"guard.0", "guard.1"}) kill(job.of(guard), SIGSTOP);
  job.run().process().send_signal(SIGKILL);
  job.expect_nobody_left();
}

TEST(LaunchOrphans, KillingAGuardLeavesNobody) {
  Job job;
  ASSERT_TRUE(job.up());
  kill(job.of("guard.1"), SIGKILL);
  EXPECT_EQ(job.run().status(), 128 + SIGKILL);
  EXPECT_EQ(job.run().alive(), std::vector<int>{});
}

TEST(LaunchOrphans, KillingARankLeavesNobody) {
  Job job;
  ASSERT_TRUE(job.up());
  kill(job.of("rank.0"), SIGKILL);
  EXPECT_EQ(job.run().status(), 128 + SIGKILL);
  EXPECT_NE(job.run().process().err().find("rank 0 on "), std::string::npos);
  EXPECT_EQ(job.run().alive(), std::vector<int>{});
}

TEST(LaunchOrphans, ARankThatEndsWellLeavesNobody) {
  Job job("sleep 1");
  ASSERT_TRUE(job.up());
  EXPECT_EQ(job.run().status(), 0) << job.run().process().err();
  EXPECT_EQ(job.run().alive(), std::vector<int>{});
}

TEST(LaunchOrphans, NobodyOfOneAttemptSeesTheNext) {
  Job job(
      "[ $TORCHELASTIC_RESTART_COUNT = 0 ] && wait; "
      "for old in 0 1; do kill -0 $(cat old.$old.0) && exit 9; done; exit 0",
      1);
  ASSERT_TRUE(job.up());
  kill(job.of("rank.1"), SIGKILL);
  EXPECT_EQ(job.run().status(), 0) << job.run().process().err();
  EXPECT_EQ(job.run().alive(), std::vector<int>{});
}

// Any process of a job, at any moment of its start, and then the launcher.
TEST(LaunchOrphans, WhoeverIsKilledWhenever) {
  const char* kills = std::getenv("LOCKSTEP_KILLS");
  const char* chosen = std::getenv("LOCKSTEP_KILL_SEED");
  const unsigned seed = chosen == nullptr ? std::random_device()() % 1000000
                                          : static_cast<unsigned>(std::atoi(chosen));
  std::printf("LOCKSTEP_KILL_SEED=%u\n", seed);
  std::mt19937 random(seed);
  const auto draw = [&](size_t below) { return random() % below; };
  for (int i = 0; i < (kills == nullptr ? 8 : std::atoi(kills)); ++i) {
    Job job("wait", /*restarts=*/static_cast<int>(draw(2)), /*wait=*/false);
    std::this_thread::sleep_for(std::chrono::milliseconds(draw(200)));
    const std::vector<int> alive = job.run().alive();
    if (!alive.empty()) kill(alive[draw(alive.size())], SIGKILL);
    // Who killed both at once, launcher and guard, would leave a rank's children.
    job.run().process().wait_for(std::chrono::seconds(1));
    job.run().process().send_signal(SIGKILL);
    job.run().status();
    job.expect_nobody_left();
    ASSERT_FALSE(HasFailure()) << "kill " << i << " of seed " << seed;
  }
}

// Of the same user, group and session, and with a rank's environment.
TEST(LaunchOrphans, NobodyElseIsTouched) {
  launch::Command command;
  command.argv = {"sleep", "1000"};
  command.extra_env = {{"RANK", "0"}, {"LOCKSTEP_LINES_PREFIXED", "1"}};
  launch::Process bystander(command);
  for (const std::string who : {"rank.0", "guard.0", ""}) {
    Job job;
    ASSERT_TRUE(job.up());
    kill(who.empty() ? job.run().process().pid() : job.of(who), SIGKILL);
    EXPECT_EQ(job.run().status(), 128 + SIGKILL);
    job.expect_nobody_left();
  }
  EXPECT_FALSE(bystander.wait_for(std::chrono::milliseconds(0)).has_value());
}

}  // namespace
}  // namespace lockstep
