// Runs that end before their time: a loss that is no number, a rank that throws or is
// killed, a signal to the job. One line says so, nobody survives, and what was good
// stays.
#include <signal.h>

#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "launch/listener.h"
#include "launch/spawn.h"
#include "rows/sample_rows.h"
#include "tests/idx_folder.h"
#include "tests/program_run.h"

namespace lockstep {
namespace {

const std::vector<std::string> kForever = {
    "--model", "linear", "--dataset", "features100", "--device",
    "cpu",     "--gpus", "2",         "--epochs",    "1000000"};

std::vector<std::string> joined(std::vector<std::string> a,
                                const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 3000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// Clock ticks of processor time that a process has used.
long ticks_of(int pid) {
  const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 2)));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  long user = 0, system = 0;
  fields >> user >> system;
  return user + system;
}

// The ranks among the processes of a run, by rank. A launcher has none itself.
std::map<int, int> ranks_of(const ProgramRun& run) {
  std::map<int, int> ranks;
  for (const int pid : run.alive()) {
    const std::string environment =
        std::string(1, '\0') + read_text("/proc/" + std::to_string(pid) + "/environ");
    const size_t at = environment.find(std::string("\0RANK=", 6));
    if (at != std::string::npos) ranks[std::atoi(environment.c_str() + at + 6)] = pid;
  }
  return ranks;
}

// Returns when every rank has been at work for a while: it trains, or is about to.
std::map<int, int> wait_for_ranks(const ProgramRun& run, size_t count) {
  std::map<int, int> ranks;
  EXPECT_TRUE(eventually([&] {
    ranks = ranks_of(run);
    return ranks.size() == count &&
           std::all_of(ranks.begin(), ranks.end(), [](const auto& one) {
             return ticks_of(one.second) > sysconf(_SC_CLK_TCK);
           });
  })) << "the ranks did not come up";
  return ranks;
}

void expect_nobody_left(const ProgramRun& run) {
  EXPECT_TRUE(eventually([&] { return run.alive().empty(); })) << "a process is left";
}

TEST(Stop, ALossThatIsNoNumberNamesStepAndRank) {
  const TestFolder place;
  write_text(place / "metrics", "old\n");
  for (const std::string program : {"single_gpu", "data_parallel", "ddp"}) {
    SCOPED_TRACE(program);
    ProgramRun run(program,
                   {"--model", "linear", "--dataset", "features100", "--device", "cpu",
                    "--gpus", program == "single_gpu" ? "1" : "2", "--lr", "1e38",
                    "--metrics-file", place / "metrics"});
    expect_refusal(run, 1,
                   {program + ": the loss became ", " at step 1 on rank 0", "--lr"});
    EXPECT_EQ(read_text(place / "metrics"), "old\n");
  }
  EXPECT_EQ(place.names(), std::vector<std::string>{"metrics"});
}

TEST(Stop, ARankThatThrowsIsTheOneThatSpeaks) {
  const IdxFolder data;
  const TestFolder place;
  // A launcher of our own, whose rank 1 is given a folder that is not there.
  const std::string rank =
      "folder=" + data.path + "; [ $RANK = 1 ] && folder=" + (place / "none") +
      "; exec " + program_path("ddp") +
      " --model mlp --dataset mnist --device cpu --data-dir $folder" +
      " --metrics-file " + (place / "metrics");
  launch::SpawnOptions options;
  options.program = "/bin/sh";
  options.ranks_say_why = true;
  testing::internal::CaptureStderr();
  const int status =
      launch::spawn_ranks(launch::on_one_machine(2), {"sh", "-c", rank}, options);
  const std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_EQ(status, 1);
  EXPECT_EQ(lines_of(errors).size(), 1u) << errors;
  EXPECT_EQ(errors.rfind("ddp: no folder " + (place / "none"), 0), 0u) << errors;
  EXPECT_EQ(place.names(), std::vector<std::string>{});
}

TEST(Stop, AKilledRankEndsTheJob) {
  for (const int victim : {0, 1}) {
    const TestFolder place;
    ProgramRun run("ddp",
                   joined(kForever, {"--quiet", "--metrics-file", place / "metrics"}));
    kill(wait_for_ranks(run, 2)[victim], SIGKILL);
    expect_refusal(run, 128 + SIGKILL,
                   {"rank " + std::to_string(victim) + " was killed by SIGKILL"});
    EXPECT_EQ(place.names(), std::vector<std::string>{});
  }
}

TEST(Stop, NoRankSurvivesItsLauncher) {
  ProgramRun run("ddp", joined(kForever, {"--quiet"}));
  wait_for_ranks(run, 2);
  run.process().send_signal(SIGKILL);
  EXPECT_EQ(run.status(), 128 + SIGKILL);
  expect_nobody_left(run);
}

TEST(Stop, ASignalEndsAllRanks) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TestFolder place;
    write_text(place / "metrics", "old\n");
    ProgramRun run("ddp",
                   joined(kForever, {"--quiet", "--metrics-file", place / "metrics"}));
    wait_for_ranks(run, 2);
    run.process().send_signal(signal);
    expect_refusal(run, 128 + signal, {"stopped by " + launch::signal_name(signal)});
    EXPECT_EQ(read_text(place / "metrics"), "old\n");
    EXPECT_EQ(place.names(), std::vector<std::string>{"metrics"});
  }
}

TEST(Stop, ASignalEndsBenchAndItsChildren) {
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    SCOPED_TRACE(launch::signal_name(signal));
    const TestFolder place;
    write_text(place / "runs.jsonl", "old\n");
    ProgramRun run("bench",
                   {"--mode", "ddp", "--gpus", "2", "--model", "linear", "--dataset",
                    "features100", "--device", "cpu", "--steps", "100000000", "--out",
                    place / "", "--benchmark_filter=ddp"});
    // The timed run of two ranks never ends by itself; those before it end soon.
    wait_for_ranks(run, 2);
    run.process().send_signal(signal);
    EXPECT_EQ(run.status(), 128 + signal) << run.process().err();
    expect_nobody_left(run);
    EXPECT_EQ(place.names(), std::vector<std::string>{"runs.jsonl"});
    EXPECT_EQ(read_text(place / "runs.jsonl"), "old\n");
    EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
    if (signal == SIGKILL) continue;  // and nobody can speak
    EXPECT_NE(run.process().err().find("bench: stopped by " +
                                       launch::signal_name(signal) + "\n"),
              std::string::npos)
        << run.process().err();
  }
}

TEST(Stop, ReportTakesItsScratchAway) {
  const TestFolder place;
  write_text(place / "runs.jsonl",
             rows::to_json_line(rows::sample_row("single", "mlp", 1, 2.0)) + "\n");
  write_text(place / "index.html", "old\n");
  // Draws for ever, as far as this test goes.
  const std::string python = place / "python";
  write_text(python, "#!/bin/sh\nexec sleep 1000\n");
  std::filesystem::permissions(python, std::filesystem::perms::owner_all);
  ProgramRun run("report", {"--in", place / ""}, {{"LOCKSTEP_PYTHON", python}});
  ASSERT_TRUE(eventually([&] { return run.alive().size() == 2; }));
  // As a terminal does it: to all of them.
  for (const int pid : run.alive()) kill(pid, SIGINT);
  EXPECT_EQ(run.status(), 128 + SIGINT);
  EXPECT_EQ(run.alive(), std::vector<int>{});
  EXPECT_EQ(place.names(),
            (std::vector<std::string>{"index.html", "python", "runs.jsonl"}));
  EXPECT_EQ(read_text(place / "index.html"), "old\n");
}

TEST(Stop, APipeIsWrittenToAndALinkStaysOne) {
  const TestFolder place;
  namespace fs = std::filesystem;
  write_text(place / "real", "old\n");
  fs::create_symlink("real", place / "link");
  ProgramRun run("single_gpu",
                 {"--model", "linear", "--dataset", "features100", "--device", "cpu",
                  "--steps", "2", "--quiet", "--metrics-file", place / "link",
                  "--report-file", "/dev/stdout"});
  EXPECT_EQ(run.status(), 0) << run.process().err();
  EXPECT_TRUE(fs::is_symlink(place / "link"));
  EXPECT_EQ(lines_of(read_text(place / "real")).size(), 2u);
  EXPECT_EQ(run.process().out().rfind("{", 0), 0u) << run.process().out();
}

// Started by hand with different options, each rank ends and says why.
TEST(Ranks, OfDifferentModelsEndAtTheStart) {
  const std::string port = std::to_string(launch::Listener().port());
  const auto rank = [&](const std::string& number, const std::string& model) {
    return std::make_unique<ProgramRun>(
        "ddp", std::vector<std::string>{"--model", model, "--device", "cpu"},
        launch::Environment{{"RANK", number},
                            {"WORLD_SIZE", "2"},
                            {"MASTER_ADDR", "127.0.0.1"},
                            {"MASTER_PORT", port}});
  };
  const auto first = rank("0", "mlp");
  const auto second = rank("1", "mlp-wide");
  for (ProgramRun* run : {first.get(), second.get()}) {
    expect_refusal(*run, 1,
                   {"ddp: rank 1 trains another model than rank 0",
                    "parameter 1.weight: Float [2048, 784]", "--model"});
  }
}

// Whoever reads along (`| head`) may leave: nothing that was measured is lost.
TEST(Output, AClosedPipeCostsNoMeasurement) {
  const TestFolder place;
  const std::string bench =
      program_path("bench") +
      " --mode single --model linear --dataset features100 --gpus 1 --steps 2"
      " --repetitions 1 --out " +
      place / "out";
  ProgramRun run("/bin/sh", {"-c", "(" + bench + "; echo $? >" + place / "status" +
                                       ") 2>" + place / "errors" + " | true"});
  EXPECT_EQ(run.status(), 0);
  EXPECT_EQ(read_text(place / "status"), "1\n");
  EXPECT_NE(read_text(place / "out/results.json"), "");
  EXPECT_NE(read_text(place / "out/index.html"), "");
  EXPECT_EQ(
      lines_of(read_text(place / "errors")).back(),
      "bench: cannot write to standard output; the results are in " + place / "out");
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
}

TEST(Output, AFullDeviceIsAnError) {
  ProgramRun run("/bin/sh", {"-c", program_path("single_gpu") +
                                       " --model linear --dataset features100"
                                       " --device cpu --steps 2 >/dev/full"});
  expect_refusal(run, 1, {"single_gpu: ", "standard output"});
}

// A trace needs one, for Kineto; bench does not.
TEST(Output, WithoutAPlaceForTemporaryFilesTheWayOutIsNamed) {
  const TestFolder place;
  const auto run_there = [&](const std::string& command) {
    return ProgramRun("/bin/sh",
                      {"-c", "TMPDIR=/no/such/folder exec " + program_path(command) +
                                 " --model linear --dataset features100 --steps 2"});
  };
  ProgramRun trace = run_there("single_gpu --trace " + (place / "t.json"));
  expect_refusal(trace, 1, {"single_gpu: --trace", "temporary folder", "TMPDIR"});
  EXPECT_EQ(place.names(), std::vector<std::string>{});
  ProgramRun bench = run_there("bench --mode single --repetitions 1 --no-page --out " +
                               (place / "out"));
  EXPECT_EQ(bench.status(), 0) << bench.process().err();
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
