// Shell scripts that stand at a line as our programs do.
#include "launch/start_line.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>
#include <vector>

#include "tests/test_pipe.h"

namespace lockstep::launch {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong{20000};

// Says that it is ready when `before` has ended, waits to be let go, and says so.
Command runner(const StartLine& line, const std::string& before) {
  Command command;
  command.argv = {"sh", "-c",
                  before + "; IFS=, read ready go <<EOF\n$LOCKSTEP_START_LINE\nEOF\n" +
                      "printf r >&$ready; read nothing <&$go; echo went"};
  command.out = Output::kCapture;
  line.line_up(command);
  return command;
}

TEST(StartLineTest, NobodyGoesBeforeAllAreReady) {
  StartLine line;
  TestPipe gate;
  Command late = runner(line, "read word <&" + std::to_string(gate.read_end.get()));
  late.inherit_fds.push_back(gate.read_end.get());
  Process first(runner(line, ":")), last(late);
  auto let_go = std::async(std::launch::async, [&] {
    line.let_go(2, {first.pidfd(), last.pidfd()});
  });
  // The first has had its time to run off.
  EXPECT_EQ(first.wait_for(milliseconds(200)), std::nullopt);
  EXPECT_EQ(let_go.wait_for(milliseconds(0)), std::future_status::timeout);
  ASSERT_EQ(write(gate.write_end.get(), "go\n", 3), 3);
  let_go.get();
  for (Process* process : {&first, &last}) {
    ASSERT_TRUE(process->wait_for(kLong).has_value());
    EXPECT_EQ(process->out(), "went\n");
  }
}

TEST(StartLineTest, OneThatEndsEarlyHoldsNobodyUp) {
  StartLine line;
  Process first(runner(line, ":")), broken(runner(line, "exit 3"));
  line.let_go(2, {first.pidfd(), broken.pidfd()});
  EXPECT_EQ(broken.wait().code, 3);
  ASSERT_TRUE(first.wait_for(kLong).has_value());
  EXPECT_EQ(first.out(), "went\n");
}

// A debugger's, a profiler's.
TEST(StartLineTest, ASignalLetsNobodyGo) {
  struct sigaction interrupts {};
  interrupts.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGUSR1, &interrupts, &before), 0);
  StartLine line;
  TestPipe gate;
  Command late =
      runner(line, "read word <&" + std::to_string(gate.read_end.get()) + "; exit 3");
  late.inherit_fds.push_back(gate.read_end.get());
  Process first(runner(line, ":")), broken(late);
  std::promise<void> gone;
  std::thread waits([&] {
    line.let_go(2, {first.pidfd(), broken.pidfd()});
    gone.set_value();
  });
  auto over = gone.get_future();
  // The first is ready by then, or the test shows nothing.
  EXPECT_EQ(over.wait_for(milliseconds(200)), std::future_status::timeout);
  pthread_kill(waits.native_handle(), SIGUSR1);
  EXPECT_EQ(over.wait_for(milliseconds(100)), std::future_status::timeout);
  ASSERT_EQ(write(gate.write_end.get(), "go\n", 3), 3);
  EXPECT_EQ(over.wait_for(kLong), std::future_status::ready);
  waits.join();
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(StartLineTest, WhereThereIsNoLineNobodyWaits) {
  unsetenv("LOCKSTEP_START_LINE");
  stand_at_start_line();
}

TEST(StartLineTest, StandingAtItIsReadinessAndOnce) {
  StartLine line;
  Command command;
  line.line_up(command);
  const auto [name, value] = *command.extra_env.begin();
  setenv(name.c_str(), value.c_str(), /*overwrite=*/1);
  auto let_go = std::async(std::launch::async, [&] { line.let_go(1, {}); });
  stand_at_start_line();  // closes the descriptors that a process would have inherited
  let_go.get();
  EXPECT_EQ(std::getenv(name.c_str()), nullptr);
  stand_at_start_line();
}

}  // namespace
}  // namespace lockstep::launch
