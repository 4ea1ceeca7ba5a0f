// A grader whose checks come out in every way there is, whatever the solution says: the
// test's (run_test.cpp).
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

#include "grading/grader.h"

int main(int argc, char** argv) {
  using namespace lockstep::grading;
  const Misconception usual{"usual", "what most believe", "3_ddp.md#explain"};
  const Misconception other{"other", "what some believe", "3_ddp.md#predict"};
  Lab lab{99, "trial", "Trial", {}};
  const auto check = [&](const std::string& id, std::function<void(uint64_t)> look) {
    lab.checks.push_back(
        {id, "it comes out so", 1, usual, std::move(look), 1, std::chrono::seconds(1)});
  };
  check("passes", [](uint64_t) { std::puts("said by the solution"); });
  check("refused", [&](uint64_t) { throw Refused(other, "saw 3, not 4\nand more"); });
  check("throws", [](uint64_t) { throw std::logic_error("not written yet"); });
  check("throws_a_number", [](uint64_t) { throw 5; });
  check("crashes", [](uint64_t) { raise(SIGSEGV); });
  check("exits", [](uint64_t) { _exit(0); });
  check("hangs", [](uint64_t) {
    while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
  });
  // What it has forked is still there when it dies, and holds all its pipes.
  check("leaves", [](uint64_t) {
    std::fflush(stdout);
    const pid_t left = fork();
    if (left == 0) {
      setsid();
      while (true) pause();
    }
    std::printf("left %d\n", left);
    std::fflush(stdout);
    raise(SIGSEGV);
  });
  check("prints", [](uint64_t) {
    while (true) std::puts("and so on");
  });
  check("seeds", [&, seen = uint64_t{0}](uint64_t seed) mutable {
    if (seed == seen) throw Refused(other, "the same seed twice");
    seen = seed;
  });
  lab.checks.back().runs = 5;
  check("garbles", [](uint64_t) {
    for (int fd = 3; fd < 30; ++fd) (void)!write(fd, "hello\n", 6);
  });
  const auto hang = lab.checks[6].look;
  check("hangs_again", hang);
  check("comes_too_late", [](uint64_t) {});
  return run_grader(lab, argc, argv);
}
