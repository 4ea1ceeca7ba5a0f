// From a case to its command: what each way through the same training is told.
#include "cases/case_command.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep::cases {
namespace {

launch::Command command(const std::string& mode, int cards,
                        const Sweep& sweep = Sweep(), RunPlan plan = {}) {
  return command_of({mode, "mlp", cards, /*threads_per_card=*/3, 64}, sweep, plan, {});
}

bool has(const launch::Command& command, const std::string& word) {
  const auto& argv = command.argv;
  return std::find(argv.begin(), argv.end(), word) != argv.end();
}

// What stands behind the option; empty: it is not there.
std::string value(const launch::Command& command, const std::string& option) {
  const auto& argv = command.argv;
  const auto found = std::find(argv.begin(), argv.end(), option);
  return found == argv.end() || found + 1 == argv.end() ? "" : *(found + 1);
}

std::string program_of(const launch::Command& command) {
  return command.argv[0].substr(command.argv[0].rfind('/') + 1);
}

TEST(CaseCommand, EveryWayIsTheLoopsProgram) {
  EXPECT_EQ(program_of(command("single", 1)), "single_gpu");
  EXPECT_EQ(program_of(command("dp", 2)), "data_parallel");
  for (const char* mode : {"ddp", "ddp-sharded", "ddp-c10d"}) {
    EXPECT_EQ(program_of(command(mode, 2)), "ddp") << mode;
    EXPECT_EQ(value(command(mode, 2), "--gpus"), "2") << mode;
  }
  // One of so many processes, and each is on its own.
  EXPECT_EQ(command("bound", 4).argv, command("single", 1).argv);
}

// The case's own, whatever else its sweep has.
TEST(CaseCommand, WaysOfDdpAreTheProgramsOptions) {
  Case one = {"ddp", "mlp", 2, 1, 8, {}, {"flat", "shm", 2.5}};
  const launch::Command way = command_of(one, Sweep(), {}, {});
  EXPECT_EQ(value(way, "--reducer"), "flat");
  EXPECT_EQ(value(way, "--backend"), "shm");
  EXPECT_EQ(value(way, "--bucket-cap-mb"), "2.5");
  one.mode = "ddp-python";
  EXPECT_EQ(value(command_of(one, Sweep(), {}, {}), "--bucket-cap-mb"), "2.5");
}

TEST(CaseCommand, WaysOfHorovodAreTheProgramsOptions) {
  Case one = {"horovod", "mlp", 2, 1, 8};
  one.ddp.backend = "gloo";
  one.horovod = {2.5, 0, /*fp16_allreduce=*/true};
  const launch::Command way = command_of(one, Sweep(), {}, {});
  EXPECT_EQ(program_of(way), "horovod");
  EXPECT_EQ(value(way, "--gpus"), "2");
  EXPECT_EQ(value(way, "--backend"), "gloo");
  EXPECT_EQ(value(way, "--fusion-threshold-mb"), "2.5");
  EXPECT_EQ(value(way, "--cycle-time-ms"), "0");
  EXPECT_TRUE(has(way, "--fp16-allreduce"));
  EXPECT_FALSE(has(way, "--reducer"));
  EXPECT_FALSE(
      has(command_of(one, Sweep(), {.lossless = true}, {}), "--fp16-allreduce"));
  EXPECT_FALSE(has(command("horovod", 2), "--fp16-allreduce"));
}

TEST(CaseCommand, PythonIsToldTheSame) {
  const launch::Command ours = command("ddp", 2), python = command("ddp-python", 2);
  for (const char* option : {"--model", "--dataset", "--batch-size", "--steps",
                             "--precision", "--lr", "--seed", "--bucket-cap-mb"}) {
    EXPECT_NE(value(ours, option), "") << option;
    EXPECT_EQ(value(python, option), value(ours, option)) << option;
  }
  EXPECT_TRUE(has(python, "--drop-last") && has(ours, "--drop-last"));
  EXPECT_EQ(value(python, "--threads"), value(ours, "--threads-per-card"));
  EXPECT_EQ(python.extra_env.at("OMP_NUM_THREADS"), "3");
  EXPECT_EQ(value(python, "--nproc-per-node"), "2");
  EXPECT_FALSE(has(command("single-python", 1), "--nproc-per-node"));
}

TEST(CaseCommand, CompiledPythonIsThePlainLoopAndCompilesIntoAFolderThatStays) {
  const launch::Command plain = command("single-python", 1);
  launch::Command compiled = command("single-python-compile", 1);
  ASSERT_TRUE(has(compiled, "--compile"));
  compiled.argv.erase(
      std::find(compiled.argv.begin(), compiled.argv.end(), "--compile"));
  EXPECT_EQ(compiled.argv, plain.argv);
  EXPECT_EQ(compiled.extra_env.count("TORCHINDUCTOR_CACHE_DIR"), 0U);
  EXPECT_EQ(plain.extra_env.count("TORCHINDUCTOR_CACHE_DIR"), 1U);
  EXPECT_EQ(
      program_of(command("single-python-compile", 1, Sweep(), {.reference = true})),
      "single_gpu");
}

TEST(CaseCommand, PythonTrainsOnTheDeviceOfOurs) {
  Sweep sweep;
  for (const char* device : {"cpu", "cuda"}) {
    sweep.device = device;
    for (const char* mode :
         {"single", "single-python", "single-python-compile", "ddp", "ddp-python"}) {
      EXPECT_EQ(value(command(mode, 1, sweep), "--device"), device) << mode;
      EXPECT_FALSE(has(command(mode, 1, sweep), "--ranks-per-gpu")) << mode;
    }
  }
  Case shared = {"ddp", "mlp", 8, 1, 64};
  shared.ranks_per_gpu = 4;
  const launch::Command ours = command_of(shared, sweep, {}, {});
  EXPECT_EQ(value(ours, "--gpus"), "2") << "cards, of four ranks each";
  EXPECT_EQ(value(ours, "--ranks-per-gpu"), "4");
  shared.mode = "ddp-python";
  const launch::Command python = command_of(shared, sweep, {}, {});
  EXPECT_EQ(value(python, "--nproc-per-node"), "8");
  EXPECT_EQ(value(python, "--ranks-per-gpu"), "4");
  shared.mode = "ddp";
  EXPECT_FALSE(has(command_of(shared, sweep, {.reference = true}, {}), "--gpus"));
}

// What rounds is checked with the option off: Python's is, too.
TEST(CaseCommand, RoundingPrecisionsAreToldToAllAndVerifiedInFp32) {
  Sweep sweep;
  for (const char* precision : {"bf16", "tf32"}) {
    sweep.precision = precision;
    for (const char* mode : {"single", "single-python", "single-python-compile"}) {
      EXPECT_EQ(value(command(mode, 1, sweep), "--precision"), precision) << mode;
      EXPECT_EQ(value(command(mode, 1, sweep, {.lossless = true}), "--precision"),
                "fp32")
          << mode;
    }
  }
}

TEST(CaseCommand, CudnnMayChooseInPythonAsWell) {
  Sweep sweep;
  sweep.cudnn_benchmark = true;
  for (const char* mode : {"single", "single-python", "ddp-python"}) {
    EXPECT_TRUE(has(command(mode, 1, sweep), "--cudnn-benchmark")) << mode;
    EXPECT_FALSE(has(command(mode, 1), "--cudnn-benchmark")) << mode;
  }
}

TEST(CaseCommand, AGraphIsOursAndNotTheReferences) {
  Sweep sweep;
  sweep.cuda_graph = true;
  EXPECT_TRUE(has(command("single", 1, sweep), "--cuda-graph"));
  EXPECT_TRUE(has(command("ddp", 2, sweep), "--cuda-graph"));
  for (const char* mode : {"single-python", "single-python-compile", "ddp-python"}) {
    EXPECT_FALSE(has(command(mode, 1, sweep), "--cuda-graph")) << mode;
  }
  EXPECT_FALSE(has(command("single", 1, sweep, {.reference = true}), "--cuda-graph"));
}

TEST(CaseCommand, PeersThatWereCarriedElsewhereAreNamed) {
  const std::string built = command("single-python", 1).argv.at(4);
  EXPECT_EQ(built.substr(built.size() - 21), "/bench/peers/train.py") << built;
  setenv("LOCKSTEP_PEERS", "/nowhere", 1);
  try {
    command("single-python", 1);
    FAIL() << "/nowhere was taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "--peers python: /nowhere/train.py is not there; name its folder in "
                 "LOCKSTEP_PEERS, or leave python out");
  }
  unsetenv("LOCKSTEP_PEERS");
}

TEST(CaseCommand, LayoutIsForAllAndShardingForItsOwnRow) {
  Sweep sweep = Sweep();
  sweep.channels_last = sweep.shard_optimizer = true;
  for (const char* mode : {"single", "single-python", "dp", "ddp", "ddp-sharded",
                           "ddp-c10d", "ddp-python", "bound"}) {
    const launch::Command one = command(mode, 2, sweep);
    EXPECT_TRUE(has(one, "--channels-last")) << mode;
    EXPECT_EQ(has(one, "--shard-optimizer"), std::string(mode) == "ddp-sharded");
    EXPECT_FALSE(has(command(mode, 2), "--channels-last")) << mode;
  }
}

// The programs refuse what would do nothing; in a sweep it is for others of its cases.
TEST(CaseCommand, ACaseIsToldWhatConcernsIt) {
  const Sweep sweep = Sweep();
  for (const char* mode : {"ddp", "ddp-python"}) {
    const Case gpt = {mode, "transformer", 2, 1, 8};
    EXPECT_EQ(value(command_of(gpt, sweep, {}, {}), "--vocab-size"),
              std::to_string(sweep.vocab_size));
    EXPECT_FALSE(has(command(mode, 2), "--vocab-size")) << "of mlp";
  }
  Case share = {"dp-share-0.5", "mlp", 1, 1, 8, {.primary_share = 0.5}};
  EXPECT_FALSE(has(command_of(share, sweep, {}, {}), "--primary-share"));
  share.cards = 2;
  EXPECT_TRUE(has(command_of(share, sweep, {}, {}), "--primary-share"));
}

TEST(CaseCommand, WaysOfDataParallelAreTheProgramsOptions) {
  const Case one = {"dp-tree", "mlp", 4,
                    1,         8,     {.reduce = "tree", .primary_share = 0.5}};
  const Sweep sweep = Sweep();
  const launch::Command way = command_of(one, sweep, {.steps = 5}, {});
  EXPECT_EQ(program_of(way), "data_parallel");
  EXPECT_EQ(value(way, "--dp-reduce"), "tree");
  EXPECT_EQ(value(way, "--replicate"), "cached");
  EXPECT_EQ(value(way, "--dp-loss"), "primary");
  EXPECT_EQ(value(way, "--primary-share"), "0.5");
  EXPECT_EQ(value(way, "--dp-steps"), "");
  EXPECT_FALSE(
      has(command_of(one, sweep, {.equal_shares = true}, {}), "--primary-share"));
  EXPECT_EQ(value(command("dp-libtorch", 2), "--dp-steps"), "libtorch");
  EXPECT_EQ(value(command("dp-python", 2), "--data-parallel"), "2");
  EXPECT_FALSE(has(command("dp-python", 2), "--nproc-per-node"));
}

TEST(CaseCommand, TheReferenceIsOneCardThatTakesTheSameSamples) {
  const RunPlan reference = {.steps = 10, .reference = true};
  for (const char* mode : {"ddp", "ddp-c10d", "ddp-python", "horovod"}) {
    const launch::Command one = command(mode, 2, Sweep(), reference);
    EXPECT_EQ(program_of(one), "single_gpu") << mode;
    EXPECT_EQ(value(one, "--accumulate"), "2") << mode;
    EXPECT_EQ(value(one, "--sampler"), "ranks-in-turn") << mode;
  }
  EXPECT_EQ(value(command("dp", 2, Sweep(), reference), "--sampler"), "");
  EXPECT_EQ(value(command("bound", 2, Sweep(), reference), "--accumulate"), "1");
}

TEST(CaseCommand, APlanMayAskForAnotherPrecision) {
  for (const char* mode : {"single", "ddp-python"}) {
    const Sweep sweep = Sweep();
    EXPECT_EQ(value(command(mode, 1, sweep), "--precision"), sweep.precision) << mode;
    EXPECT_EQ(value(command(mode, 1, sweep, {.precision = "fp64"}), "--precision"),
              "fp64")
        << mode;
  }
}

TEST(CaseCommand, OnHostsOfTheirOwnRanksAreNotCounted) {
  Case one{"ddp", "mlp", 4, 1, 64};
  EXPECT_EQ(value(command_of(one, Sweep{}, {}, {}), "--gpus"), "4");
  one.ddp.link = "300mbit";
  EXPECT_FALSE(has(command_of(one, Sweep{}, {}, {}), "--gpus"));
}

TEST(CaseCommand, OnlyWhatIsOursTellsItsMemoryOverTime) {
  for (const char* mode : {"single", "dp", "ddp", "ddp-sharded", "horovod"}) {
    EXPECT_TRUE((Case{mode, "mlp"}.ours())) << mode;
    EXPECT_FALSE(has(command(mode, 1), "--memory-timeline"));
    EXPECT_TRUE(
        has(command(mode, 1, Sweep(), {.memory_timeline = true}), "--memory-timeline"));
    EXPECT_FALSE(has(command(mode, 1), "--trace"));
    EXPECT_EQ(value(command(mode, 1, Sweep(), {.trace = "t"}), "--trace"), "t");
  }
  for (const char* mode : {"single-python", "ddp-python", "ddp-c10d", "bound"}) {
    EXPECT_FALSE((Case{mode, "mlp"}.ours())) << mode;
  }
}

}  // namespace
}  // namespace lockstep::cases
