// `launch` on one machine, as a user meets it: lines, failures, signals, restarts,
// logs. Its ranks are shell scripts. Who dies and whom he leaves is
// launch_orphans_test's, several hosts are launch_hosts_test's.
#include <fcntl.h>
#include <signal.h>

#include <set>
#include <thread>

#include "host/this_host.h"
#include "launch/listener.h"
#include "tests/program_run.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

Words with(Words options, const std::string& script) {
  return std::move(options) + Words{"sh", "-c", script};
}

const Words kTwo = {"--standalone", "--nproc-per-node", "2"};

std::string prefix(int rank) {
  return "[rank " + std::to_string(rank) + " " + host::short_name() + "] ";
}

std::multiset<std::string> sorted(const std::string& text) {
  const auto lines = lines_of(text);
  return {lines.begin(), lines.end()};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Launch, RanksGetTorchrunsEnvironmentAndOnePrefix) {
  ProgramRun run("launch",
                 with({"--nproc_per_node=2", "--master-port=0", "--max_restarts=3",
                       "--rdzv_id=job7"},
                      "echo $RANK $LOCAL_RANK $GROUP_RANK $ROLE_RANK $WORLD_SIZE "
                      "$LOCAL_WORLD_SIZE $GROUP_WORLD_SIZE $ROLE_WORLD_SIZE "
                      "$MASTER_ADDR $TORCHELASTIC_USE_AGENT_STORE "
                      "$TORCHELASTIC_RESTART_COUNT $TORCHELASTIC_MAX_RESTARTS "
                      "$TORCHELASTIC_RUN_ID $OMP_NUM_THREADS "
                      "$LOCKSTEP_LINES_PREFIXED; echo error $RANK >&2"),
                 {{"OMP_NUM_THREADS", "5"}});
  EXPECT_EQ(run.status(), 0);
  EXPECT_EQ(sorted(run.process().out()),
            (std::multiset<std::string>{
                prefix(0) + "0 0 0 0 2 2 1 2 127.0.0.1 True 0 3 job7 5 1",
                prefix(1) + "1 1 0 1 2 2 1 2 127.0.0.1 True 0 3 job7 5 1"}));
  EXPECT_EQ(sorted(run.process().err()),
            (std::multiset<std::string>{prefix(0) + "error 0", prefix(1) + "error 1"}));
}

TEST(Launch, SeveralRanksGetAThreadEachUnlessTold) {
  for (const std::string ranks : {"1", "2"}) {
    ProgramRun run("/usr/bin/env", Words{"-u", "OMP_NUM_THREADS"} +
                                       with({program_path("launch"), "--standalone",
                                             "--nproc-per-node", ranks},
                                            "echo \"<$OMP_NUM_THREADS>\""));
    EXPECT_EQ(run.status(), 0);
    EXPECT_EQ(has(run.process().out(), "<1>"), ranks == "2") << run.process().out();
  }
}

TEST(Launch, LinesOfSeveralRanksStayWholeAndNoneIsLost) {
  // In one pipe, both streams of both ranks, read late and slowly.
  const TestFolder folder;
  write_text(folder / "rank",
             "i=0; line=$(printf %3000s $RANK); while [ $i -lt 500 ]; do i=$((i+1)); "
             "echo \"<$RANK $i $line>\"; echo \"<$RANK $i>\" >&2; done; "
             "printf unfinished");
  ProgramRun run("/bin/sh", {"-c", "{ " + program_path("launch") +
                                       " --standalone --nproc-per-node 2 sh " +
                                       folder / "rank" + " 2>&1; echo $? > " +
                                       folder / "status" + "; } | { sleep 1; cat; }"});
  EXPECT_EQ(run.status(), 0);
  EXPECT_EQ(read_text(folder / "status"), "0\n");
  size_t lines = 0, unfinished = 0;
  for (const std::string& line : lines_of(run.process().out())) {
    ++lines;
    const bool first = line.rfind(prefix(0), 0) == 0;
    ASSERT_TRUE(first || line.rfind(prefix(1), 0) == 0) << line;
    const std::string said = line.substr(prefix(0).size());
    if (said == "unfinished") {
      ++unfinished;
    } else {
      ASSERT_EQ(said.rfind(first ? "<0 " : "<1 ", 0), 0u) << line;
      ASSERT_EQ(said.find('>'), said.size() - 1) << line;
    }
  }
  EXPECT_EQ(lines, 2002u);
  EXPECT_EQ(unfinished, 2u);
}

TEST(Launch, AReaderThatLeavesCostsNoTraining) {
  const TestFolder folder;
  ProgramRun run("/bin/sh",
                 {"-c", "(" + program_path("launch") +
                            " --standalone sh -c 'sleep 0.2; yes | head -100000; "
                            "echo done > " +
                            folder / "trained" + "'; echo $? > " + folder / "status" +
                            ") 2> " + folder / "errors" + " | true"});
  EXPECT_EQ(run.status(), 0);
  EXPECT_EQ(read_text(folder / "trained"), "done\n");
  EXPECT_EQ(read_text(folder / "status"), "1\n");
  EXPECT_EQ(read_text(folder / "errors"), "launch: cannot write to standard output\n");
}

// The pipe stays full, and one signal is enough all the same.
TEST(Launch, AStoppedJobDoesNotWaitForAReader) {
  const TestFolder folder;
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const launch::Fd unread(ends[0]);
  launch::Command command;
  command.argv = {program_path("launch"), "--standalone", "sh", "-c",
                  "yes & sleep 1; : > " + folder / "full" + "; wait"};
  command.out_fd = ends[1];
  launch::Process process(command);
  close(ends[1]);
  while (folder.names().empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  process.send_signal(SIGTERM);
  const auto status = process.wait_for(std::chrono::seconds(60));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 128 + SIGTERM);
}

TEST(Launch, TheFirstFailureEndsTheGroupAndIsTheSummary) {
  ProgramRun run(
      "launch",
      with({"--standalone", "--nproc-per-node", "3"},
           "[ $RANK = 1 ] || exec sleep 1000; i=0; while [ $i -lt 14 ]; do "
           "i=$((i+1)); echo line $i >&2; done; printf 'bell\\a' >&2; exit 7"));
  EXPECT_EQ(run.status(), 7);
  const auto lines = lines_of(run.process().err());
  ASSERT_EQ(lines.size(), 15u + 1 + 10) << run.process().err();
  EXPECT_EQ(lines[15].rfind("launch: rank 1 on " + host::short_name() + " (pid ", 0),
            0u);
  EXPECT_TRUE(has(lines[15], ") exited with status 7 ")) << lines[15];
  EXPECT_TRUE(has(lines[15], " s after its start; its last lines:")) << lines[15];
  EXPECT_EQ(lines[16], "  line 6");
  EXPECT_EQ(lines[25], "  bell?");
  EXPECT_EQ(run.alive(), std::vector<int>{});
}

TEST(Launch, ASignalsDeathIsNamedWithTheRanksOwnNumber) {
  const TestFolder folder;
  ProgramRun run("launch", with(kTwo, "[ $RANK = 1 ] || exec sleep 1000; echo $$ > " +
                                          folder / "pid" + "; kill -KILL $$"));
  expect_refusal(run, 128 + SIGKILL, {"launch: rank 1 on ", " was killed by SIGKILL "});
  const std::string pid = read_text(folder / "pid");
  EXPECT_TRUE(has(run.process().err(), "(pid " + pid.substr(0, pid.size() - 1) + ")"))
      << run.process().err() << pid;
}

TEST(Launch, SignalsAreThePrograms) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string name = launch::signal_name(signal);
    const TestFolder folder;
    ProgramRun run("launch", with(kTwo, "trap 'echo got; exit 3' " + name.substr(3) +
                                            "; touch " + folder / "$RANK" +
                                            "; while true; do sleep 0.01; done"));
    while (folder.names().size() < 2) {
      ASSERT_FALSE(run.process().wait_for(std::chrono::milliseconds(10)).has_value());
    }
    run.process().send_signal(signal);
    expect_refusal(run, 128 + signal, {"launch: the ranks were stopped by " + name});
    EXPECT_EQ(sorted(run.process().out()),
              (std::multiset<std::string>{prefix(0) + "got", prefix(1) + "got"}));
  }
}

TEST(Launch, RestartsAreCountedAndEndInSuccess) {
  const std::string fails_twice =
      "echo $TORCHELASTIC_RESTART_COUNT; [ $RANK$TORCHELASTIC_RESTART_COUNT = 12 ] && "
      "exit 0; [ $RANK = 0 ] && [ $TORCHELASTIC_RESTART_COUNT = 2 ] && exit 0; "
      "[ $RANK = 1 ] && exit 5; exec sleep 1000";
  ProgramRun run("launch",
                 with({"--standalone", "--nproc-per-node", "2", "--max-restarts", "3"},
                      fails_twice));
  EXPECT_EQ(run.status(), 0);
  const auto lines = lines_of(run.process().err());
  ASSERT_EQ(lines.size(), 2u) << run.process().err();
  EXPECT_TRUE(has(lines[0], "launch: rank 1 on ")) << lines[0];
  EXPECT_TRUE(has(lines[0], "exited with status 5")) << lines[0];
  EXPECT_TRUE(has(lines[0], "; starting all ranks again (restart 1 of 3)")) << lines[0];
  EXPECT_TRUE(has(lines[1], "(restart 2 of 3)")) << lines[1];
  EXPECT_TRUE(has(run.process().out(), prefix(0) + "2\n")) << run.process().out();

  ProgramRun one("launch",
                 with({"--standalone", "--nproc-per-node", "2", "--max-restarts", "1"},
                      fails_twice));
  EXPECT_EQ(one.status(), 5);
  EXPECT_EQ(lines_of(one.process().err()).size(), 2u) << one.process().err();
}

TEST(Launch, LogsKeepWhatEachRankWroteAsItWas) {
  const TestFolder folder;
  const std::string script = "printf 'out %s\\r.' $RANK; echo error $RANK >&2";
  ProgramRun run("launch",
                 with({"--standalone", "--nproc-per-node", "2", "--log-dir",
                       folder / "logs", "--tee", "3", "--redirects", "0:0,1:1"},
                      script));
  EXPECT_EQ(run.status(), 0) << run.process().err();
  for (const std::string rank : {"0", "1"}) {
    const std::string at = folder / "logs/attempt_0/rank_" + rank;
    EXPECT_EQ(read_text(at + "/stdout.log"), "out " + rank + "\r.");
    EXPECT_EQ(read_text(at + "/stderr.log"), "error " + rank + "\n");
  }
  EXPECT_TRUE(has(run.process().err(), prefix(1) + "error 1"));
  ProgramRun redirected("launch",
                        with({"--standalone", "--log-dir", folder / "more", "-r", "3"},
                             "echo out; echo last >&2; exit 3"));
  EXPECT_EQ(redirected.status(), 3);
  EXPECT_EQ(redirected.process().out(), "");
  EXPECT_EQ(lines_of(redirected.process().err()).size(), 2u)
      << "the summary alone: " << redirected.process().err();
  ProgramRun nowhere("launch", with({"--standalone", "--log-dir", "/proc/none"}, ":"));
  expect_refusal(nowhere, 1, {"--log-dir: cannot write /proc/none/attempt_0"});
}

TEST(Launch, AClosedStreamIsNoOtherFile) {
  const TestFolder folder;
  const auto status_with = [&](const std::string& program, const std::string& closed) {
    ProgramRun run("/bin/sh", {"-c", program + closed + " 2> " + folder / "errors"});
    return run.status();
  };
  const std::string launch = program_path("launch") + " --standalone ";
  EXPECT_EQ(status_with(launch + "cat", " <&-"), 0);
  EXPECT_EQ(read_text(folder / "errors"), "");
  for (const std::string closed : {" >&-", " <&- >&-"}) {
    EXPECT_EQ(status_with(launch + "echo hi", closed), 1);
    EXPECT_EQ(read_text(folder / "errors"),
              "launch: cannot write to standard output\n");
    EXPECT_EQ(status_with(program_path("ddp") + " --gpus 2 --steps 2", closed), 1);
    EXPECT_EQ(read_text(folder / "errors"),
              "ddp: cannot write the summary to standard output\n");
  }
  ProgramRun silent("/bin/sh", {"-c", launch + "sh -c 'exit 3' <&- >&- 2>&-"});
  EXPECT_EQ(silent.status(), 3);
}

TEST(Launch, WhatCannotBeIsOneLine) {
  const launch::Listener taken;
  const TestFolder folder;
  const auto refused = [](int status, const Words& arguments, const Words& words) {
    ProgramRun run("launch", arguments);
    expect_refusal(run, status, words);
  };
  refused(2, {}, {"launch: no program to start; see --help"});
  refused(2, {"--nproc-per-node", "x", "true"}, {"launch: --nproc-per-node x"});
  refused(2, {"no-such-program"}, {"launch: no program no-such-program"});
  write_text(folder / "train.py", "print()\n");
  refused(2, {folder / "train.py"}, {"launch: no program ", "train.py", "python3"});
  ProgramRun copied("/bin/sh", {"-c", "cd " + folder.path().string() + "; exec " +
                                          program_path("launch") + " train.py"});
  expect_refusal(copied, 2, {"launch: no program train.py: ", "python3 train.py"});
  refused(2, {"--nnodes", "2", "--node-rank", "0", "true"},
          {"launch: --nnodes 2 cannot meet at 127.0.0.1", "--master-addr"});
  refused(1, {"--master-port", std::to_string(taken.port()), "true"},
          {"launch: cannot listen on 127.0.0.1:", "give another --master-port"});
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  // A test run in the background of a shell is deaf to SIGINT, and so would its
  // programs be.
  signal(SIGINT, SIG_DFL);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
