// Every launcher here is a process of its own (this program with --launcher), so that
// its status, its errors and its death can be looked at; its ranks are shell scripts or
// this program with --rank. They report through a pipe that all of them inherit.
#include "launch/spawn.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <set>
#include <stdexcept>

#include "launch/listener.h"
#include "launch/process.h"
#include "tests/spawn_roles.h"
#include "tests/test_folder.h"
#include "tests/test_pipe.h"

namespace lockstep::launch {
namespace {

using Lines = std::multiset<std::string>;

class Launcher {
 public:
  // `what`: a shell script, or "--rank ROLE" for main() below.
  // `node`: of that many nodes and one more, the last.
  Launcher(int ranks, const std::string& what, int grace_ms = 600000, int port = 0,
           int node = 0)
      : process_(command(ranks, what, grace_ms, port, node, pipe_.write_end.get())) {
    Fd closed = std::move(pipe_.write_end);
  }

  // The next word of a rank, in the order they came. "" once no process is left that
  // could write: neither launcher nor rank.
  std::string line() {
    std::string text;
    for (char c = pipe_.next(); c != '\0' && c != '\n'; c = pipe_.next()) text += c;
    return text;
  }
  Lines lines(int count) {
    Lines result;
    for (int i = 0; i < count; ++i) result.insert(line());
    return result;
  }
  Process& process() { return process_; }
  int status() { return process_.wait().code; }

 private:
  static Command command(int ranks, const std::string& what, int grace_ms, int port,
                         int node, int pipe) {
    Command command;
    command.argv = {"spawn_test",          "--launcher",
                    std::to_string(ranks), std::to_string(grace_ms),
                    std::to_string(port),  what,
                    std::to_string(node)};
    command.program = "/proc/self/exe";
    command.err = Output::kCapture;
    command.inherit_fds = {pipe};
    // Ranks find the pipe under the launcher's number for it.
    command.extra_env = {{"PIPE", "/dev/fd/" + std::to_string(pipe)}};
    return command;
  }

  TestPipe pipe_;
  Process process_;
};

// Orphans of a launcher become this process's children: so they can be counted and
// waited for, where they would otherwise vanish to process 1.
class SpawnTest : public testing::Test {
 protected:
  void SetUp() override { prctl(PR_SET_CHILD_SUBREAPER, 1); }
  void TearDown() override {
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "an orphan or a zombie is left";
    EXPECT_EQ(errno, ECHILD);
  }
};

TEST_F(SpawnTest, EveryRankGetsItsWorld) {
  Launcher job(3,
               "echo $RANK $LOCAL_RANK $GROUP_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE "
               "$MASTER_ADDR $TORCHELASTIC_USE_AGENT_STORE > $PIPE");
  EXPECT_EQ(job.status(), 0);
  EXPECT_EQ(job.lines(3),
            (Lines{"0 0 0 3 3 127.0.0.1 False", "1 1 0 3 3 127.0.0.1 False",
                   "2 2 0 3 3 127.0.0.1 False"}));
  EXPECT_EQ(job.process().err(), "");
}

TEST_F(SpawnTest, TheFirstFailureEndsTheGroupAndIsItsStatus) {
  Launcher job(3, "[ $RANK = 1 ] && exit 3; echo $$ > $PIPE; exec sleep 1000");
  EXPECT_EQ(job.status(), 3);
  job.lines(2);
  EXPECT_EQ(job.line(), "");
  EXPECT_EQ(job.process().err(),
            "rank 1 exited with status 3; the other ranks were stopped\n");
}

// Ranks of a second machine: numbered on, and no store of theirs.
TEST_F(SpawnTest, AnotherNodesRanksGoOnWhereTheFirstsEnd) {
  const TestFolder folder;
  const std::string told = folder / "told";
  // The second fails once the first has told, for its failure ends the group.
  Launcher job(2,
               "echo $RANK $LOCAL_RANK $GROUP_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE "
               "$MASTER_PORT $LOCKSTEP_STORE_FD > $PIPE; [ $LOCAL_RANK = 0 ] && "
               "exec touch " +
                   told + "; until [ -e " + told + " ]; do sleep 0.01; done; exit 4",
               600000, /*port=*/7, /*node=*/2);
  EXPECT_EQ(job.status(), 4);
  EXPECT_EQ(job.lines(2), (Lines{"4 0 2 6 2 7 -1", "5 1 2 6 2 7 -1"}));
  EXPECT_EQ(job.process().err().rfind("rank 5 exited with status 4", 0), 0u);
}

TEST_F(SpawnTest, ASignalIsNamed) {
  Launcher job(2, "[ $RANK = 0 ] && kill -SEGV $$; exec sleep 1000");
  EXPECT_EQ(job.status(), 128 + SIGSEGV);
  EXPECT_EQ(job.process().err(),
            "rank 0 was killed by SIGSEGV; the other ranks were stopped\n");
}

TEST_F(SpawnTest, AloneNobodyElseIsStopped) {
  Launcher job(1, "exit 9");
  EXPECT_EQ(job.status(), 9);
  EXPECT_EQ(job.process().err(), "rank 0 exited with status 9\n");
}

TEST_F(SpawnTest, ADeafRankIsKilledAfterTheGrace) {
  // Rank 1 fails only when rank 0 no longer hears SIGTERM.
  Launcher job(
      2,
      "if [ $RANK = 0 ]; then trap '' TERM; echo > $PIPE; exec sleep 1000; fi; "
      "read line < $PIPE; exit 5",
      /*grace_ms=*/50);
  EXPECT_EQ(job.status(), 5);
}

TEST_F(SpawnTest, AStoppedRankGoesOnToHearThatItShallEnd) {
  // Rank 1 fails when rank 0 has stopped.
  Launcher job(
      2,
      "if [ $RANK = 0 ]; then trap 'echo heard > $PIPE; exit 1' TERM; "
      "echo $$ > $PIPE; kill -STOP $$; while :; do :; done; fi; "
      "read pid < $PIPE; until grep -q '^State:.T' /proc/$pid/status; do :; done; "
      "exit 5");
  EXPECT_EQ(job.status(), 5);
  EXPECT_EQ(job.line(), "heard");
}

TEST_F(SpawnTest, ARankThatFailsBecauseItWasStoppedIsNotTheFirst) {
  Launcher job(3, "--rank exit-7-when-stopped");
  EXPECT_EQ(job.status(), 4);
  EXPECT_EQ(job.process().err(),
            "rank 2 exited with status 4; the other ranks were stopped\n");
}

TEST_F(SpawnTest, SignalsArePassedOn) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Launcher job(2, "--rank tell-signal");
    EXPECT_EQ(job.lines(2), (Lines{"ready", "ready"}));
    job.process().send_signal(signal);
    EXPECT_EQ(job.status(), 128 + signal);
    EXPECT_EQ(job.lines(2), (Lines{signal_name(signal), signal_name(signal)}));
    EXPECT_EQ(job.process().err(),
              "the ranks were stopped by " + signal_name(signal) + "\n");
  }
}

TEST_F(SpawnTest, ASecondSignalDoesNotWaitForTheGrace) {
  Launcher job(2, "trap '' TERM INT; echo ready > $PIPE; exec sleep 1000");
  job.lines(2);
  job.process().send_signal(SIGTERM);
  // A signal that is still pending swallows a second of its kind, hence another one.
  job.process().send_signal(SIGINT);
  int status = job.status();
  EXPECT_TRUE(status == 128 + SIGTERM || status == 128 + SIGINT) << status;
  EXPECT_EQ(job.line(), "");
}

TEST_F(SpawnTest, KillingTheLauncherLeavesNoOrphan) {
  Launcher job(3, "--rank hang");
  Lines pids = job.lines(3);
  job.process().send_signal(SIGKILL);
  EXPECT_EQ(job.status(), 128 + SIGKILL);
  for (const std::string& pid : pids) {
    int raw = 0;
    ASSERT_EQ(waitpid(std::stoi(pid), &raw, 0), std::stoi(pid));
    EXPECT_TRUE(WIFSIGNALED(raw) && WTERMSIG(raw) == SIGKILL) << raw;
  }
}

TEST_F(SpawnTest, TheListeningSocketIsRankZerosAlone) {
  Launcher job(3, "--rank meet");
  EXPECT_EQ(job.status(), 0) << job.process().err();
  EXPECT_EQ(job.lines(3), (Lines{"0 listens, met 2", "1 has none", "2 has none"}));
}

TEST_F(SpawnTest, AGivenPortIsUsedAndABusyOneRefused) {
  Listener busy;
  int port = busy.port();
  Launcher refused(2, "echo started > $PIPE", 600000, port);
  EXPECT_EQ(refused.status(), 1);
  EXPECT_EQ(refused.process().err(),
            "cannot listen on 127.0.0.1:" + std::to_string(port) +
                ": Address already in use; give another --master-port\n");
  EXPECT_EQ(refused.line(), "");

  busy = Listener();
  Launcher job(1, "echo $MASTER_PORT > $PIPE", 600000, port);
  EXPECT_EQ(job.status(), 0);
  EXPECT_EQ(job.line(), std::to_string(port));
}

TEST_F(SpawnTest, BadRequestsAreRefused) {
  EXPECT_THROW(spawn_ranks(on_one_machine(0), {"true"}), std::invalid_argument);
  SpawnOptions options;
  options.program = "/no/such/program";
  EXPECT_THROW(spawn_ranks(on_one_machine(2), {"x"}, options), std::runtime_error);
}

// --- What the launchers do. ---

int launcher_main(char** argv) {
  // A test run in the background of a shell is deaf to SIGINT; these must not be.
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
  SpawnOptions options;
  options.grace = std::chrono::milliseconds(std::atoi(argv[3]));
  std::string what = argv[5];
  std::vector<std::string> arguments{"rank", "--rank", what.substr(what.find(' ') + 1)};
  if (what.rfind("--rank ", 0) != 0) {
    options.program = "/bin/sh";
    arguments = {"sh", "-c", what};
  }
  try {
    World first = on_one_machine(std::atoi(argv[2]));
    first.master_port = std::atoi(argv[4]);
    first.node_rank = std::atoi(argv[6]);
    first.rank = first.node_rank * first.local_world_size;
    first.world_size += first.rank;
    int status = spawn_ranks(first, arguments, options);
    if (waitpid(-1, nullptr, WNOHANG) != -1) std::cerr << "a rank is left\n";
    return status;
  } catch (const std::runtime_error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

}  // namespace
}  // namespace lockstep::launch

int main(int argc, char** argv) {
  std::string role = argc > 1 ? argv[1] : "";
  if (role == "--launcher") return lockstep::launch::launcher_main(argv);
  if (role == "--rank") return lockstep::launch::rank_main(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
