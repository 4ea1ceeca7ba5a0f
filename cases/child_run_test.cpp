#include "cases/child_run.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/test_folder.h"

namespace lockstep::cases {
namespace {

// A case's program that takes a while: Python's are started through setpriv.
class SlowPrograms {
 public:
  SlowPrograms() {
    std::ofstream(folder_ / "setpriv") << "#!/bin/sh\nsleep 0.5\n";
    std::filesystem::permissions(folder_ / "setpriv", std::filesystem::perms::all);
    setenv("PATH", (folder_.path().string() + ":" + path_).c_str(), /*replace=*/1);
  }
  ~SlowPrograms() { setenv("PATH", path_.c_str(), /*replace=*/1); }
  SlowPrograms(const SlowPrograms&) = delete;
  SlowPrograms& operator=(const SlowPrograms&) = delete;

 private:
  const TestFolder folder_;
  const std::string path_ = getenv("PATH");
};

// A profiler's signals, say: one every 10 ms, which are handled and mean nothing.
class Alarms {
 public:
  Alarms() {
    struct sigaction nothing = {};
    nothing.sa_handler = [](int) {};
    sigaction(SIGALRM, &nothing, &before_);
    every(10000);
  }
  ~Alarms() {
    every(0);
    sigaction(SIGALRM, &before_, nullptr);
  }
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;

 private:
  static void every(int microseconds) {
    const itimerval timer = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, nullptr);
  }
  struct sigaction before_ = {};
};

TEST(ChildRun, ASignalThatIsHandledIsNoEndOfPatience) {
  Sweep sweep;
  sweep.dataset = "tokens";
  const SlowPrograms programs;
  const Children children(sweep);
  const Alarms alarms;
  EXPECT_NO_THROW(children.dry_run({"single-python", "transformer"}));
}

}  // namespace
}  // namespace lockstep::cases
