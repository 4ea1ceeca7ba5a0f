#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <stdexcept>

#include "bench/command_line.h"

namespace lockstep::bench {
namespace {

using Names = std::vector<std::string>;

TEST(BenchLine, ListsSweepAndUnderscoresAreHyphens) {
  const BenchLine line = parse_bench_line({"--gpus",
                                           "1,2,4",
                                           "--model",
                                           "mlp,convnet",
                                           "--batch_size=8,16",
                                           "--reducer",
                                           "naive,flat",
                                           "--backend",
                                           "gloo,shm",
                                           "--bucket-cap-mb",
                                           "0,1.5",
                                           "--scaling",
                                           "weak,strong",
                                           "--fusion-threshold-mb",
                                           "0,64",
                                           "--cycle-time-ms",
                                           "0.5,1",
                                           "--fp16-allreduce",
                                           "no,yes",
                                           "--benchmark_min_time=1"});
  EXPECT_EQ(line.sweep.gpus, (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(line.sweep.models, (Names{"mlp", "convnet"}));
  EXPECT_EQ(line.sweep.batch_sizes, (std::vector<int64_t>{8, 16}));
  EXPECT_EQ(line.sweep.reducers, (Names{"naive", "flat"}));
  EXPECT_EQ(line.sweep.backends, (Names{"gloo", "shm"}));
  EXPECT_EQ(line.sweep.bucket_caps_mb, (std::vector<double>{0, 1.5}));
  EXPECT_EQ(line.sweep.scalings, (Names{"weak", "strong"}));
  EXPECT_EQ(line.sweep.fusion_thresholds_mb, (std::vector<double>{0, 64}));
  EXPECT_EQ(line.sweep.cycle_times_ms, (std::vector<double>{0.5, 1}));
  EXPECT_EQ(line.sweep.fp16_allreduce, (Names{"no", "yes"}));
  EXPECT_EQ(line.benchmark_flags, Names{"--benchmark_min_time=1"});
  EXPECT_THROW(parse_bench_line({"--benchmark_out=x"}), std::invalid_argument);
  EXPECT_THROW(parse_bench_line({"--benchmark_list_tests"}), std::invalid_argument);
}

TEST(BenchLine, AQuickLookSetsWhatIsNotGiven) {
  const Sweep quick = parse_bench_line({"--quick"}).sweep;
  EXPECT_EQ(quick.models, Names{"mlp"});
  EXPECT_EQ(quick.repetitions, 1);
  EXPECT_LE(quick.warmup + quick.steps, 20);
  const BenchLine given =
      parse_bench_line({"--quick", "--steps", "70", "--repetitions", "3", "--model",
                        "linear,convnet", "--warmup", "9"});
  EXPECT_TRUE(given.quick);
  EXPECT_EQ(given.sweep.models, (Names{"linear", "convnet"}));
  EXPECT_EQ(given.sweep.repetitions, 3);
  EXPECT_EQ(given.sweep.steps, 70);
  EXPECT_EQ(given.sweep.warmup, 9);
  EXPECT_EQ(quick_note(given.sweep),
            "a quick look: 3 repetitions of 70 steps; for figures to keep leave "
            "--quick out\n");
}

TEST(BenchLine, ExperimentsTakeEveryOption) {
  const BenchLine scaling = parse_bench_line({"scaling", "--gpus", "1,2"});
  EXPECT_EQ(scaling.experiment, "scaling");
  EXPECT_EQ(scaling.sweep.scalings, (Names{"weak", "strong"}));
  EXPECT_EQ(scaling.sweep.modes, Names{"ddp"});
  EXPECT_EQ(scaling.sweep.gpus, (std::vector<int>{1, 2}));
  const BenchLine caps = parse_bench_line({"bucket-sweep", "--bucket-cap-mb", "0,8"});
  EXPECT_EQ(caps.experiment, "bucket-sweep");
  EXPECT_EQ(caps.sweep.bucket_caps_mb, (std::vector<double>{0, 8}));
  EXPECT_EQ(caps.sweep.gpus.size(), 1U);
  EXPECT_EQ(parse_bench_line({}).experiment, "");
  EXPECT_THROW(parse_bench_line({"bucket-swep"}), CLI::ParseError);
}

TEST(BenchLine, SyntheticImagesStandInLoudlyForMissingOnes) {
  BenchLine line;
  line.sweep.data_dir =
      std::filesystem::temp_directory_path() / "lockstep-no-such-folder";
  const Names told = fall_back_to_synthetic(line);
  EXPECT_EQ(line.sweep.dataset_of("mlp"), "synthetic");
  EXPECT_EQ(line.sweep.dataset_of("transformer"), "tokens");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_NE(told[0].find("lockstep-no-such-folder"), std::string::npos);
  EXPECT_NE(told[0].find("apt-get install dataset-fashion-mnist"), std::string::npos);
  EXPECT_NE(told[1].find("SYNTHETIC"), std::string::npos);
}

TEST(BenchLine, WhatWasAskedForIsNeverReplaced) {
  BenchLine line = parse_bench_line({"--data-dir", "lockstep-no-such-folder"});
  EXPECT_EQ(fall_back_to_synthetic(line), Names{});
  EXPECT_EQ(line.sweep.dataset_of("mlp"), "fashion-mnist");
  line = parse_bench_line({"--dataset", "mnist", "--model", "mlp,transformer"});
  EXPECT_EQ(fall_back_to_synthetic(line), Names{});
  EXPECT_EQ(line.sweep.dataset_of("transformer"), "mnist");
}

TEST(BenchLine, EveryModelHasItsOwnDataSet) {
  BenchLine line = parse_bench_line({"--model", "transformer,linear"});
  line.sweep.data_dir = "lockstep-no-such-folder";
  EXPECT_EQ(fall_back_to_synthetic(line), Names{}) << "none of them wants images";
  EXPECT_EQ(line.sweep.dataset_of("transformer-tied"), "tokens");
  EXPECT_EQ(line.sweep.dataset_of("linear"), "features100");
  EXPECT_EQ(line.sweep.dataset_of("convnet"), "fashion-mnist");
}

std::string refusal(const Names& arguments) {
  try {
    parse_bench_line(arguments);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(BenchLine, AnEmptyPlaceInAListIsRefused) {
  for (const Names& line : {Names{"--bucket-cap-mb", "0,,1"}, Names{"--gpus=,"},
                            Names{"--model", ""}, Names{"-g", "1,2,"}}) {
    EXPECT_NE(refusal(line).find("an empty place in the list"), std::string::npos)
        << line.front();
  }
  EXPECT_EQ(refusal({"--out", "a,,b"}), "accepted");
  EXPECT_NE(refusal({"--compare", ""}).find("names no older run"), std::string::npos)
      << "of an empty variable: or every regression would pass";
}

TEST(BenchLine, NumbersOfMemoryOptionsAreChecked) {
  // nan is neither below nor above anything: as --fits it once began a whole sweep.
  for (const char* value : {"nan", "0", "-1", "inf", "2e+06"}) {
    EXPECT_EQ(refusal({"--fits", value}),
              std::string("--fits ") + value + ": must be 1e-06 to 1e+06");
  }
  EXPECT_EQ(refusal({"--fits", "0.01"}), "accepted");
  for (const char* value : {"nan", "0", "-1", "7"}) {
    EXPECT_EQ(refusal({"--primary-share", std::string("0.5,") + value}),
              std::string("--primary-share ") + value + ": must be 1e-09 to 1");
  }
  EXPECT_EQ(refusal({"--primary-share", "1e-9,1"}), "accepted");
}

TEST(BenchLine, AVocabularyIsOfTokens) {
  EXPECT_EQ(refusal({"--vocab-size", "256", "--model", "mlp,convnet"}),
            "--vocab-size is of tokens, and no --model has any; leave it out, or try "
            "--model transformer");
  EXPECT_EQ(refusal({"--vocab-size", "256", "--model", "mlp,transformer"}), "accepted");
}

TEST(BenchLine, WhatFitsWouldLeaveOutIsRefusedBesideIt) {
  EXPECT_EQ(refusal({"--fits", "1", "--batch-size", "1,2"})
                .rfind("more than one --batch-size beside --fits", 0),
            0u);
  for (const Names& more :
       {Names{"--memory-timeline"}, Names{"--step-lanes"}, Names{"--predict-memory"},
        Names{"--peers", "bound"}, Names{"--quick"}, Names{"--dry-run"}}) {
    Names arguments = {"--fits", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(refusal(arguments).rfind(more.front() + " beside --fits", 0), 0u)
        << refusal(arguments);
    EXPECT_EQ(refusal(more), "accepted");
  }
}

}  // namespace
}  // namespace lockstep::bench
