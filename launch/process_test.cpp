#include "launch/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

#include "tests/test_pipe.h"

namespace lockstep::launch {
namespace {

using std::chrono::milliseconds;

Command shell(const std::string& script) {
  Command command;
  command.argv = {"sh", "-c", script};
  command.out = Output::kCapture;
  command.err = Output::kCapture;
  return command;
}

bool exists(pid_t pid) { return kill(pid, 0) == 0; }

void expect_no_children() {
  siginfo_t info{};
  EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(ProcessTest, ExitStatusesAreThoseOfAShell) {
  for (int code : {0, 1, 2, 77, 255}) {
    Process child(shell("exit " + std::to_string(code)));
    ExitStatus status = child.wait();
    EXPECT_EQ(status.code, code);
    EXPECT_EQ(status.signal, 0);
    EXPECT_EQ(child.wait().code, code) << "asking again gives the same";
  }
  ExitStatus killed = Process(shell("kill -SEGV $$")).wait();
  EXPECT_EQ(killed.code, 128 + SIGSEGV);
  EXPECT_EQ(killed.signal, SIGSEGV);
  expect_no_children();
}

TEST(ProcessTest, StatusesAreDescribedByName) {
  EXPECT_EQ(describe({3, 0}), "exited with status 3");
  EXPECT_EQ(describe({137, SIGKILL}), "was killed by SIGKILL");
  EXPECT_EQ(signal_name(SIGTERM), "SIGTERM");
  EXPECT_EQ(signal_name(40), "signal 40");
}

TEST(ProcessTest, CapturesWhatIsWrittenHoweverMuch) {
  // More than a pipe holds: nobody reads before the end.
  Process child(shell("head -c 300000 /dev/zero | tr '\\0' x; echo oops >&2"));
  EXPECT_EQ(child.wait().code, 0);
  EXPECT_EQ(child.out(), std::string(300000, 'x'));
  EXPECT_EQ(child.err(), "oops\n");
}

TEST(ProcessTest, EnvironmentIsAddedToOurs) {
  Command command = shell("echo $LOCKSTEP_A:$PATH:${LOCKSTEP_PARENT_PID-none}");
  command.extra_env = {{"LOCKSTEP_A", "one two=3"}};
  Process child(command);
  child.wait();
  EXPECT_EQ(child.out(), std::string("one two=3:") + std::getenv("PATH") + ":none\n");

  command.dies_with_parent = true;
  Process ours(command);
  ours.wait();
  EXPECT_NE(ours.out().find(":" + std::to_string(getpid()) + "\n"), std::string::npos);
}

TEST(ProcessTest, TheProgramMayDifferFromArgvZero) {
  Command command;
  command.argv = {"another-name", "-c", "echo $0 $1", "a b", "c"};
  command.program = "/bin/sh";
  command.out = Output::kCapture;
  Process child(command);
  EXPECT_EQ(child.wait().code, 0);
  EXPECT_EQ(child.out(), "a b c\n");
}

TEST(ProcessTest, AMissingProgramIsNamed) {
  Command command;
  command.argv = {"/no/such/program"};
  try {
    Process child(command);
    FAIL() << "started";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "cannot start /no/such/program: No such file or directory");
  }
  EXPECT_THROW(Process(Command{}), std::invalid_argument);
  expect_no_children();
}

TEST(ProcessTest, OnlyNamedDescriptorsAreInherited) {
  TestPipe named, unnamed;
  const std::string script =
      "test -e /proc/self/fd/" + std::to_string(named.write_end.get()) +
      " && echo named; test -e /proc/self/fd/" +
      std::to_string(unnamed.write_end.get()) + " && echo unnamed; true";
  Command command = shell(script);
  command.inherit_fds = {named.write_end.get()};
  Process child(command);
  child.wait();
  EXPECT_EQ(child.out(), "named\n");
  EXPECT_TRUE(fcntl(named.write_end.get(), F_GETFD) & FD_CLOEXEC)
      << "ours stays close-on-exec: the next child must not get it";
}

TEST(ProcessTest, NoChildHoldsAnothersCapturedOutput) {
  Process first(shell("exec sleep 1000"));
  Process second(shell("ls -l /proc/self/fd | grep -c lockstep-output"));
  second.wait();
  EXPECT_EQ(second.out(), "1\n")
      << "ls has its standard error alone: grep has the rest";
}

TEST(ProcessTest, WaitForGivesUpOnARunningChild) {
  TestPipe input;
  Command command =
      shell("read line < /dev/fd/" + std::to_string(input.read_end.get()) + "; exit 4");
  command.inherit_fds = {input.read_end.get()};
  Process child(command);
  EXPECT_FALSE(child.wait_for(milliseconds(0)));
  EXPECT_FALSE(child.wait_for(milliseconds(20)));
  ASSERT_EQ(write(input.write_end.get(), "\n", 1), 1);
  auto status = child.wait_for(std::chrono::minutes(2));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 4);
}

TEST(ProcessTest, StopAsksThenKills) {
  Process polite(shell("exec sleep 1000"));
  EXPECT_EQ(polite.stop(std::chrono::minutes(2)).signal, SIGTERM);

  TestPipe ready;
  Command command = shell("trap '' TERM; echo r > /dev/fd/" +
                          std::to_string(ready.write_end.get()) + "; exec sleep 1000");
  command.inherit_fds = {ready.write_end.get()};
  Process deaf(command);
  ASSERT_EQ(ready.next(), 'r');
  EXPECT_EQ(deaf.stop(milliseconds(50)).signal, SIGKILL);
  expect_no_children();
}

TEST(ProcessTest, TheDestructorKillsAndReaps) {
  pid_t pid = 0;
  {
    Process child(shell("exec sleep 1000"));
    pid = child.pid();
    Process moved = std::move(child);
    EXPECT_EQ(moved.pid(), pid);
    EXPECT_TRUE(exists(pid));
  }
  EXPECT_FALSE(exists(pid));
  expect_no_children();
}

TEST(ProcessTest, SignalsAfterTheEndGoNowhere) {
  Process child(shell("exit 0"));
  child.wait();
  child.send_signal(SIGKILL);
  EXPECT_EQ(child.wait().code, 0);
}

TEST(ProcessTest, AChildStartsWithNoSignalBlocked) {
  sigset_t term, before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, &before);
  Process child(shell("exec sleep 1000"));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(child.stop(std::chrono::minutes(2)).signal, SIGTERM);
}

// Runs main() below: die_with_parent(), then a word.
Command dying() {
  Command command;
  command.argv = {"process_test", "--dies"};
  command.program = "/proc/self/exe";
  command.out = Output::kCapture;
  return command;
}

TEST(ProcessTest, AChildOfALivingParentGoesOn) {
  Command command = dying();
  command.dies_with_parent = true;
  Process child(command);
  EXPECT_EQ(child.wait().code, 0);
  EXPECT_EQ(child.out(), "alive, parent's name not left behind\n");
}

TEST(ProcessTest, AChildOfADeadParentEndsAtOnce) {
  // Process 1 stands for a parent that is no longer ours.
  Command command = dying();
  command.extra_env = {{"LOCKSTEP_PARENT_PID", "1"}};
  Process child(command);
  EXPECT_EQ(child.wait().code, 128 + SIGKILL);
  EXPECT_EQ(child.out(), "");
}

}  // namespace
}  // namespace lockstep::launch

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--dies") {
    lockstep::launch::die_with_parent();
    std::cout << "alive, parent's name "
              << (std::getenv("LOCKSTEP_PARENT_PID") ? "" : "not ") << "left behind\n";
    return 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
