#include "training/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "training/command_line.h"

namespace lockstep::training {
namespace {

constexpr auto kUnlimited = std::numeric_limits<int64_t>::max();

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal_of(const std::function<void(TrainOptions&)>& change) {
  TrainOptions options;
  change(options);
  return refusal([&] { validate(options); });
}

CommandLine parse(const std::vector<std::string>& arguments,
                  Ranks ranks = Ranks::one_a_card) {
  return parse_command_line("program", "About it.", ranks, arguments);
}

std::string refusal_of_line(const std::vector<std::string>& arguments,
                            Ranks ranks = Ranks::one_a_card) {
  return refusal([&] { parse(arguments, ranks); });
}

TEST(OptionsTest, DefaultsAreValid) { validate(TrainOptions()); }

TEST(OptionsTest, WhatCannotBeIsNamedWithItsValueAndAWayOut) {
  using O = TrainOptions;
  const double nan = std::nan("");
  const std::string more = ": must be 1 or more";
  const std::string number = ": must be a number of 0 or more";
  EXPECT_EQ(refusal_of([](O& o) { o.epochs = 0; }), "--epochs 0" + more);
  EXPECT_EQ(refusal_of([](O& o) { o.steps = -3; }), "--steps -3" + more);
  EXPECT_EQ(refusal_of([](O& o) { o.batch_size = 0; }),
            "--batch-size 0: must be 1 to 1000000000");
  EXPECT_EQ(refusal_of([&](O& o) { o.lr = nan; }), "--lr nan" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.lr = -0.25; }), "--lr -0.25" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.lr = -1e-9; }), "--lr -1e-09" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.lr = INFINITY; }), "--lr inf" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.momentum = -1; }), "--momentum -1" + number);
  EXPECT_EQ(refusal_of([&](O& o) { o.weight_decay = nan; }),
            "--weight-decay nan" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.ddp.bucket_cap_mb = -25; }),
            "--bucket-cap-mb -25" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.vocab_size = 1; }),
            "--vocab-size 1: must be 2 to 1000000");
  EXPECT_EQ(refusal_of([](O& o) { o.card_memory_gib = -1; }),
            "--card-memory -1" + number);
  EXPECT_EQ(refusal_of([&](O& o) { o.card_memory_gib = nan; }),
            "--card-memory nan" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.accumulate = 0; }), "--accumulate 0" + more);
  for (const int gpus : {0, -1, 65, 1000}) {
    EXPECT_EQ(
        refusal_of([&](O& o) { o.gpus = gpus; }),
        "--gpus " + std::to_string(gpus) + ": must be a number of cards from 1 to 64");
  }
  EXPECT_EQ(refusal_of([](O& o) { o.threads_per_card = -1; }),
            "--threads-per-card -1: must be 0 (cores / cards) to 1024");
  EXPECT_EQ(refusal_of([](O& o) { o.num_workers = 65; }),
            "--num-workers 65: must be 0 to 64");
  EXPECT_EQ(refusal_of([](O& o) { o.timeout_s = 0; }),
            "--timeout 0: must be 1 to 1000000 seconds");
}

TEST(OptionsTest, TheEdgesAreValid) {
  using O = TrainOptions;
  EXPECT_EQ(refusal_of([](O& o) { o.gpus = 64; }), "accepted");
  EXPECT_EQ(refusal_of([](O& o) { o.lr = 0; }), "accepted");
  EXPECT_EQ(refusal_of([](O& o) { o.ddp.bucket_cap_mb = 0; }), "accepted");
  EXPECT_EQ(refusal_of([](O& o) { o.num_workers = 64; }), "accepted");
}

TEST(CommandLineTest, SaysWhatTheStructSaysWhenSilent) {
  const CommandLine line = parse({});
  const TrainOptions defaults;
  EXPECT_EQ(line.options.model, defaults.model);
  EXPECT_EQ(line.options.epochs, 1);
  EXPECT_EQ(line.options.steps, kUnlimited);
  EXPECT_EQ(line.options.batch_size, 64);
  EXPECT_EQ(line.options.ddp.reducer, "bucketed");
  EXPECT_TRUE(line.options.ddp.broadcast_buffers);
  EXPECT_TRUE(line.options.ddp.gradient_as_bucket_view);
  EXPECT_FALSE(line.options.ddp.find_unused_parameters);
  EXPECT_FALSE(line.options.ddp.static_graph);
  EXPECT_FALSE(line.quiet);
  EXPECT_EQ(line.help, "");
}

TEST(CommandLineTest, EveryOptionArrives) {
  const CommandLine line = parse({"--model",
                                  "convnet",
                                  "--dataset",
                                  "synthetic",
                                  "--data-dir",
                                  "d",
                                  "--epochs",
                                  "3",
                                  "--steps",
                                  "7",
                                  "--lr",
                                  "0.5",
                                  "--momentum",
                                  "0.9",
                                  "--weight-decay",
                                  "1e-4",
                                  "--seed",
                                  "42",
                                  "--device",
                                  "cpu",
                                  "-g",
                                  "4",
                                  "--threads-per-card",
                                  "2",
                                  "--precision",
                                  "fp64",
                                  "--num-workers",
                                  "3",
                                  "--drop-last",
                                  "--eval",
                                  "--memory-timeline",
                                  "--reducer",
                                  "flat",
                                  "--backend",
                                  "gloo",
                                  "--bucket-cap-mb",
                                  "0.5",
                                  "--no-broadcast-buffers",
                                  "--metrics-file",
                                  "m",
                                  "--report-file",
                                  "r",
                                  "--quiet",
                                  "--batch-size",
                                  "31"});
  const TrainOptions& o = line.options;
  EXPECT_EQ(o.model + o.dataset + o.data_dir, "convnetsyntheticd");
  EXPECT_EQ(o.epochs, 3);
  EXPECT_EQ(o.steps, 7);
  EXPECT_EQ(o.lr, 0.5);
  EXPECT_EQ(o.momentum, 0.9);
  EXPECT_EQ(o.weight_decay, 1e-4);
  EXPECT_EQ(o.seed, 42U);
  EXPECT_EQ(o.gpus, 4);
  EXPECT_EQ(o.threads_per_card, 2);
  EXPECT_EQ(o.device + o.precision, "cpufp64");
  EXPECT_EQ(o.num_workers, 3);
  EXPECT_TRUE(o.drop_last && o.eval && o.memory_timeline && line.quiet);
  EXPECT_EQ(o.ddp.reducer + o.backend, "flatgloo");
  EXPECT_EQ(o.ddp.bucket_cap_mb, 0.5);
  EXPECT_FALSE(o.ddp.broadcast_buffers);
  EXPECT_EQ(line.metrics_file + line.report_file, "mr");
  EXPECT_EQ(o.batch_size, 31);
}

TEST(CommandLineTest, UnderscoresInNamesAreHyphens) {
  EXPECT_EQ(parse({"--batch_size", "5"}).options.batch_size, 5);
  EXPECT_EQ(parse({"--batch_size=6"}).options.batch_size, 6);
  EXPECT_EQ(parse({"--data_dir=a_b/c_d"}).options.data_dir, "a_b/c_d");
  EXPECT_EQ(parse({"--metrics-file", "a_b"}).metrics_file, "a_b");
  EXPECT_EQ(
      normalised({"--num_workers", "--a_b=c_d", "e_f", "-g_", "--"}),
      (std::vector<std::string>{"--num-workers", "--a-b=c_d", "e_f", "-g_", "--"}));
}

TEST(CommandLineTest, TheDataSetSuitsTheModelUnlessOneIsGiven) {
  EXPECT_EQ(parse({}).options.dataset, "fashion-mnist");
  EXPECT_EQ(parse({"--model", "linear"}).options.dataset, "features100");
  for (const char* model : {"transformer", "transformer-tied"}) {
    EXPECT_EQ(parse({"--model", model}).options.dataset, "tokens");
    EXPECT_EQ(parse({"--model", model, "--dataset", "mnist"}).options.dataset, "mnist");
  }
  EXPECT_EQ(parse({"--vocab-size", "300"}).options.vocab_size, 300);
}

TEST(CommandLineTest, StepsAloneEndTheRun) {
  EXPECT_EQ(parse({"--steps", "5"}).options.epochs, kUnlimited);
  EXPECT_EQ(parse({"--steps", "5", "--epochs", "2"}).options.epochs, 2);
}

TEST(CommandLineTest, AGlobalBatchIsDividedAmongTheCards) {
  EXPECT_EQ(parse({"--global-batch-size", "96", "--gpus", "3"}).options.batch_size, 32);
  EXPECT_EQ(refusal_of_line({"--global-batch-size", "100", "--gpus", "3"}),
            "--global-batch-size 100 does not divide by 3 cards; try 99");
  EXPECT_EQ(refusal_of_line({"--global-batch-size", "2", "--gpus", "3"}),
            "--global-batch-size 2 does not divide by 3 cards; try 3");
  EXPECT_NE(refusal_of_line({"--global-batch-size", "0"}), "accepted");
  EXPECT_NE(refusal_of_line({"--global-batch-size", "-4", "--gpus", "2"}), "accepted");
}

// `-n 2 -g 4 -nr 1`, and torchrun's names.
TEST(CommandLineTest, MachinesInTheTutorialsWords) {
  const auto many = Ranks::many_machines;
  const CommandLine tutorial =
      parse({"-n", "2", "-g", "4", "-nr", "1", "--global-batch-size", "64"}, many);
  EXPECT_EQ(tutorial.place.nodes, 2);
  EXPECT_EQ(tutorial.place.node_rank, 1);
  EXPECT_EQ(tutorial.place.ranks_per_node, 4);
  EXPECT_EQ(tutorial.options.batch_size, 8);
  const CommandLine torchrun =
      parse({"--nnodes=2", "--node_rank=1", "--nproc_per_node=4", "--master_addr",
             "10.0.0.1", "--master_port", "29500", "--local-rank=3"},
            many);
  EXPECT_EQ(torchrun.place.nodes, 2);
  EXPECT_EQ(torchrun.place.node_rank, 1);
  EXPECT_EQ(torchrun.place.ranks_per_node, 4);
  EXPECT_EQ(torchrun.place.master_addr, "10.0.0.1");
  EXPECT_EQ(torchrun.place.master_port, 29500);
  const CommandLine by_hand =
      parse({"--init-method", "tcp://h:1", "--rank", "1", "--world-size", "2"}, many);
  EXPECT_EQ(by_hand.place.rank, 1);
  EXPECT_EQ(by_hand.place.world_size, 2);
  EXPECT_EQ(by_hand.place.init_method, "tcp://h:1");
  EXPECT_THROW(parse({"--nodes", "2"}, Ranks::one_a_card), CLI::ParseError)
      << "ddp is one machine's";
  EXPECT_EQ(parse({"--ranks-per-gpu", "2", "--gpus", "3"}).place.ranks_per_node, 6);
}

TEST(CommandLineTest, BadValuesAreUsageErrors) {
  EXPECT_EQ(refusal_of_line({"--gpus", "-1"}),
            "--gpus -1: must be a number of cards from 1 to 64");
  EXPECT_EQ(refusal_of_line({"--lr", "nan"}),
            "--lr nan: must be a number of 0 or more");
  EXPECT_EQ(refusal_of_line({"--lr=-1"}), "--lr -1: must be a number of 0 or more");
  EXPECT_THROW(parse({"--batch-size", "many"}), CLI::ParseError);
  EXPECT_THROW(parse({"--precision", "fp16"}), CLI::ParseError);
  EXPECT_THROW(parse({"--device", "tpu"}), CLI::ParseError);
  EXPECT_THROW(parse({"--model"}), CLI::ParseError);
}

// As torch.manual_seed(-1) has it in Python.
TEST(CommandLineTest, ATimelineWantsAReportFile) {
  EXPECT_EQ(refusal_of_line({"--memory-timeline"}),
            "--memory-timeline goes into the report file; give --report-file as well");
  EXPECT_EQ(refusal_of_line({"--memory-timeline", "--report-file", "r"}), "accepted");
}

TEST(CommandLineTest, ANegativeSeedWrapsAround) {
  EXPECT_EQ(parse({"--seed", "-1"}).options.seed, std::numeric_limits<uint64_t>::max());
}

TEST(CommandLineTest, AnUnknownOptionIsNamed) {
  try {
    parse({"--modle", "mlp"});
    FAIL() << "accepted";
  } catch (const CLI::ParseError& error) {
    EXPECT_NE(std::string(error.what()).find("--modle"), std::string::npos);
  }
  EXPECT_THROW(parse({"stray"}), CLI::ParseError);
}

TEST(CommandLineTest, EachProgramTakesWhatConcernsIt) {
  EXPECT_EQ(refusal_of_line({"--gpus", "2"}, Ranks::one),
            "--gpus 2: program trains on one card; try data_parallel or ddp");
  EXPECT_EQ(parse({"--gpus", "2"}, Ranks::one_process).options.gpus, 2);
  EXPECT_THROW(parse({"--reducer", "flat"}, Ranks::one), CLI::ParseError);
  EXPECT_THROW(parse({"--reducer", "flat"}, Ranks::one_process), CLI::ParseError);
  EXPECT_THROW(parse({"--accumulate", "2"}, Ranks::one_process), CLI::ParseError);
  EXPECT_EQ(parse({"--accumulate", "2"}, Ranks::one_a_card).options.accumulate, 2);
  EXPECT_EQ(parse({"--timeout", "7"}, Ranks::one_a_card).options.timeout_s, 7);
  const CommandLine line =
      parse({"--accumulate", "2", "--sampler", "ranks-in-turn"}, Ranks::one);
  EXPECT_EQ(line.options.accumulate, 2);
  EXPECT_EQ(line.options.sampler, "ranks-in-turn");
}

TEST(CommandLineTest, HelpIsTheReference) {
  const std::string help = parse({"--help"}).help;
  for (const char* option :
       {"About it.", "--model", "--batch-size", "--global-batch-size", "--gpus",
        "--reducer", "--metrics-file", "--no-broadcast-buffers", "resnet18",
        "features100"}) {
    EXPECT_NE(help.find(option), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace lockstep::training
