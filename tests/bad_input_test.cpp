// What cannot be asked for, from every program: one line that names the value and a way
// out, status 2 for usage and 1 for the rest, no process and no file left. (What goes
// wrong later, while ranks run: stop_test.cpp.)
#include <unistd.h>

#include "launch/listener.h"
#include "tests/program_in_copy.h"
#include "tests/program_run.h"
#include "tests/refused_input.h"

namespace lockstep {
namespace {

// Enough to be quick where the input turns out to be good after all.
const std::vector<std::string> kSmall = {
    "--model", "linear", "--dataset", "features100", "--device", "cpu", "--steps", "2"};

// Another launcher (torchrun) starts every rank itself: rank 0's line is enough.
TEST(BadInputTest, UnderALauncherTheFirstRankSpeaks) {
  const std::vector<std::string> arguments = {"--lrr", "0.1"};
  const auto place = [](int rank) {
    return launch::Environment{{"RANK", std::to_string(rank)},
                               {"WORLD_SIZE", "2"},
                               {"MASTER_ADDR", "127.0.0.1"},
                               {"MASTER_PORT", "1"}};
  };
  ProgramRun second("ddp", arguments, place(1)), first("ddp", arguments, place(0));
  expect_refusal(first, 2, {"ddp: ", "--lrr"});
  // As launchers do once a rank failed; rank 1 has waited for it.
  second.process().stop(std::chrono::seconds(1));
  EXPECT_EQ(second.process().err(), "");

  // Known before the ranks meet: nobody waits for rank 1 here.
  ProgramRun unwritable("ddp", joined(kSmall, {"--metrics-file", "/no/such/folder/m"}),
                        place(0));
  expect_refusal(unwritable, 1, {"ddp: ", "--metrics-file", "/no/such/folder/m"});
}

void refuse_all(const std::string& program, const std::vector<std::string>& small,
                const std::vector<BadInput>& table) {
  for (const BadInput& bad : table) {
    // What is said twice is refused by the parser: the bad value takes the small one's
    // place.
    std::vector<std::string> arguments;
    for (size_t i = 0; i + 1 < small.size(); i += 2) {
      if (std::count(bad.arguments.begin(), bad.arguments.end(), small[i]) > 0)
        continue;
      arguments.insert(arguments.end(), {small[i], small[i + 1]});
    }
    const BadInput whole = {joined(arguments, bad.arguments), bad.status, bad.words};
    const bool in_copy = !bad.by_executable && program != "bench";
    in_copy ? refuse_in_copy(program, whole) : refuse(program, whole);
  }
}

const std::vector<BadInput>& of_every_training() {
  static const std::vector<BadInput> table = {
      {{"--lrr", "0.1"}, 2, {"--lrr", "--help"}, true},
      {{"extra"}, 2, {"extra", "--help"}},
      {{"--model", "mpl"}, 2, {"model 'mpl'", "did you mean 'mlp'?", "resnet18"}},
      {{"--dataset", "fashin"}, 2, {"'fashin'", "did you mean 'fashion-mnist'?"}},
      {{"--model", "mlp"}, 2, {"--model mlp", "--dataset features100", "try"}, true},
      {{"--device", "tpu"}, 2, {"--device", "tpu", "cpu"}},
      {{"--precision", "fp17"}, 2, {"--precision", "fp17", "fp64"}},
      {{"--gpus", "0"}, 2, {"--gpus 0", "1 to 64"}},
      {{"--gpus", "-1"}, 2, {"--gpus -1", "1 to 64"}},
      {{"--gpus", "1000"}, 2, {"--gpus 1000", "1 to 64"}},
      {{"--gpus", "two"}, 2, {"--gpus", "two"}},
      {{"--batch-size", "0"}, 2, {"--batch-size 0", "1 to"}},
      {{"--batch-size", "-5"}, 2, {"--batch-size -5", "1 to"}},
      {{"--batch-size", "9223372036854775807"},
       2,
       {"--batch-size 9223372036854775807"}},
      {{"--global-batch-size", "0"}, 2, {"--global-batch-size 0", "try"}},
      {{"--steps", "0"}, 2, {"--steps 0", "1 or more"}},
      {{"--epochs", "0"}, 2, {"--epochs 0", "1 or more"}},
      {{"--lr", "nan"}, 2, {"--lr nan", "0 or more"}},
      {{"--lr", "-0.1"}, 2, {"--lr -0.1", "0 or more"}},
      {{"--lr", "inf"}, 2, {"--lr inf", "0 or more"}},
      {{"--lr", "fast"}, 2, {"--lr", "fast"}},
      {{"--momentum", "-1"}, 2, {"--momentum -1", "0 or more"}},
      {{"--num-workers", "65"}, 2, {"--num-workers 65", "0 to 64"}},
      {{"--threads-per-card", "-1"}, 2, {"--threads-per-card -1"}},
      {{"--batch-size", "100000", "--drop-last"},
       1,
       {"100000", "smaller", "--drop-last"},
       true},
      {{"--card-memory", "2e-5"},
       1,
       {"cpu card 0: out of memory: 25.00 KiB more"},
       true},
  };
  return table;
}

TEST(BadInput, OfTheTrainingPrograms) {
  for (const std::string& program : kTraining) {
    refuse_all(program, kSmall, of_every_training());
  }
}

TEST(BadInput, OfOneProgram) {
  refuse_all("single_gpu", kSmall,
             {{{"--gpus", "2"}, 2, {"--gpus 2", "data_parallel or ddp"}},
              {{"--sampler", "randm"}, 2, {"'randm'", "did you mean 'random'?"}},
              {{"--accumulate", "0"}, 2, {"--accumulate 0", "1 or more"}}});
  refuse_all(
      "data_parallel", kSmall,
      {{{"--global-batch-size", "65", "--gpus", "2"}, 2, {"65", "2 cards", "try 64"}},
       {{"--dp-reduce", "nccl"}, 2, {"--dp-reduce nccl", "try --dp-reduce tree"}},
       {{"--dp-reduce", "tre"}, 2, {"--dp-reduce", "tre"}},
       {{"--device-ids", "1,0,1"}, 2, {"--device-ids names card 1 twice"}},
       {{"--device-ids", "1,0", "--gpus", "3"}, 2, {"--gpus 3 and 2 --device-ids"}},
       {{"--device-ids", "64"}, 2, {"--device-ids", "64"}},
       {{"--output-device", "2", "--gpus", "2"}, 2, {"--output-device 2 is none"}},
       {{"--dp-steps", "libtorch"}, 2, {"--dp-steps libtorch", "try --device cuda"}},
       {{"--primary-share", "0"}, 2, {"--primary-share 0", "more than 0"}},
       {{"--primary-share", "nan"}, 2, {"--primary-share nan", "at most 1"}}});
  refuse_all(
      "ddp", kSmall,
      {{{"--reducer", "bucket"}, 2, {"'bucket'", "did you mean 'bucketed'?"}, true},
       {{"--backend", "glo"}, 2, {"'glo'", "did you mean 'gloo'?"}},
       {{"--backend", "nccl"}, 2, {"--backend nccl", "--device cpu", "--backend gloo"}},
       {{"--bucket-cap-mb", "-1"}, 2, {"--bucket-cap-mb -1", "0 or more"}},
       {{"--timeout", "0"}, 2, {"--timeout 0", "1 to 1000000 seconds"}},
       {{"--master-port", "70000"}, 2, {"--master-port", "70000", "65535"}},
       {{"--master-addr", "192.0.2.1"}, 1, {"192.0.2.1", "--master-addr"}}});
}

TEST(BadInput, ABusyPort) {
  const launch::Listener busy;
  const std::string port = std::to_string(busy.port());
  refuse("ddp", {joined(kSmall, {"--gpus", "2", "--master-port", port}),
                 1,
                 {"127.0.0.1:" + port, "already in use", "--master-port"}});
}

TEST(BadInput, AGivenPortServes) {
  int port = 0;
  { port = launch::Listener().port(); }
  ProgramRun run("ddp",
                 joined(kSmall, {"--gpus", "2", "--quiet", "--master-port",
                                 std::to_string(port), "--master-addr", "localhost"}));
  EXPECT_EQ(run.status(), 0) << run.process().err();
}

TEST(BadInput, OfBench) {
  const TestFolder place;
  const std::string out = place / "out";
  const std::vector<std::string> small = {
      "--model",  "linear", "--dataset",     "features100", "--device", "cpu",
      "--mode",   "ddp",    "--gpus",        "2",           "--steps",  "2",
      "--warmup", "0",      "--repetitions", "1",           "--out",    out};
  refuse_all(
      "bench", small,
      {{{"--modes", "dp"}, 2, {"--modes", "--help"}},
       {{"--mode", "sngle"}, 2, {"mode 'sngle'", "did you mean 'single'?"}},
       {{"--model", "linear,mpl"}, 2, {"model 'mpl'", "did you mean 'mlp'?"}},
       {{"--model", "mlp"}, 2, {"--model mlp", "--dataset features100"}},
       {{"--dataset", "fashin"}, 2, {"'fashin'", "did you mean 'fashion-mnist'?"}},
       {{"--reducer", "bukc"}, 2, {"'bukc'", "did you mean 'bucketed'?"}},
       {{"--backend", "glo"}, 2, {"'glo'", "did you mean 'gloo'?"}},
       {{"--backend", "nccl"}, 2, {"--backend nccl", "--backend gloo"}},
       {{"--scaling", "stron"}, 2, {"'stron'", "did you mean 'strong'?"}},
       {{"--scaling", "strong", "--batch-size", "1", "--gpus", "2,3"},
        2,
        {"global batch of 3", "2 cards", "--batch-size 2"}},
       {{"--gpus", "0"}, 2, {"--gpus 0", "1 to 64"}},
       {{"--gpus", "1,-1"}, 2, {"--gpus -1", "1 to 64"}},
       {{"--gpus", "1,1000"}, 2, {"--gpus 1000", "1 to 64"}},
       {{"--gpus", "1,two"}, 2, {"--gpus", "two"}},
       {{"--batch-size", "0"}, 2, {"--batch-size 0", "1 or more"}},
       {{"--steps", "0"}, 2, {"--steps 0", "1 or more"}},
       {{"--repetitions", "0"}, 2, {"--repetitions 0", "1 or more"}},
       {{"--lr", "nan"}, 2, {"--lr nan", "0 or more"}},
       {{"--lr", "-1"}, 2, {"--lr -1", "0 or more"}},
       {{"--bucket-cap-mb", "-1"}, 2, {"--bucket-cap-mb -1", "0 or more"}},
       {{"--benchmark_foo=1"}, 2, {"--benchmark_foo=1", "--help"}},
       {{"--benchmark_out=x"}, 2, {"--benchmark_out=x", "--out"}},
       {{"--dataset", "mnist", "--data-dir", place / "none"},
        1,
        {place / "none", "--data-dir"}}});
  EXPECT_EQ(place.names(), std::vector<std::string>{}) << "something was written";
  write_text(place / "file", "mine");
  refuse_all("bench", small,
             {{{"--out", place / "file/x"}, 1, {place / "file/x", "folder"}}});
  refuse_all("bench", small,
             {{{"--out", place / "file"}, 1, {place / "file", "folder"}}});
  EXPECT_EQ(read_text(place / "file"), "mine");
}

TEST(BadInput, OfTheMetricsFile) {
  const TestFolder place;
  write_text(place / "file", "mine");
  for (const std::string& program : kTraining) {
    for (const char* option : {"--metrics-file", "--report-file"}) {
      refuse_all(program, kSmall,
                 {{{option, place / "none/m"},
                   1,
                   {option, place / "none/m", "No such", "give"}},
                  {{option, place / "file/m"}, 1, {option, place / "file/m", "give"}},
                  {{option, place / ""}, 1, {option, "Is a directory", "give"}}});
    }
  }
  EXPECT_EQ(place.names(), std::vector<std::string>{"file"});
}

TEST(BadInput, OfReport) {
  const TestFolder place;
  write_text(place / "file", "mine");
  refuse("report", {{"--foo"}, 2, {"--foo", "--help"}});
  refuse("report", {{"--in", place / "none"}, 1, {place / "none/runs.jsonl", "bench"}});
  const std::vector<std::pair<std::string, std::string>> rows = {
      {R"({"schema": 99})", "schema 99"},
      {R"({"schema": 1})", "name"},
      {R"({"schema": 1, "na)", "JSON"},
      {"", "0 rows"}};
  for (const auto& [row, word] : rows) {
    write_text(place / "runs.jsonl", row + "\n");
    refuse("report", {{"--in", place / ""}, 1, {"runs.jsonl", word, "bench"}});
  }
  EXPECT_EQ(place.names(), (std::vector<std::string>{"file", "runs.jsonl"}));
}

}  // namespace
}  // namespace lockstep
