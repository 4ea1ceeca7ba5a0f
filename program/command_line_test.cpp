#include "program/command_line.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace lockstep::program {

using namespace training;
namespace {

constexpr auto kUnlimited = std::numeric_limits<int64_t>::max();
using Words = std::vector<std::string>;

CommandLine parse(const Words& arguments, Ranks ranks = Ranks::one_a_card) {
  return parse_command_line("program", "About it.", ranks, arguments);
}

std::string refusal_of_line(const Words& arguments, Ranks ranks = Ranks::one_a_card) {
  try {
    parse(arguments, ranks);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
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

TEST(CommandLineTest, LocalSgdAloneNamesTheReducer) {
  EXPECT_EQ(parse({"--local-sgd", "8"}).options.ddp.reducer, "local-sgd");
  const DdpOptions outer =
      parse({"--local-sgd", "8", "--reducer", "diloco", "--outer-lr", "1"}).options.ddp;
  EXPECT_EQ(outer.reducer, "diloco");
  EXPECT_EQ(outer.local_sgd, 8);
  EXPECT_EQ(outer.outer_lr, 1);
  EXPECT_EQ(outer.outer_momentum, 0.9);
  // Which check_reducer() refuses.
  EXPECT_EQ(parse({"--local-sgd", "8", "--reducer", "flat"}).options.ddp.reducer,
            "flat");
  EXPECT_THROW(parse({"--local-sgd", "0"}), CLI::ParseError);
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
}

TEST(CommandLineTest, SynchronisedBatchNormNeedsBatchNorm) {
  EXPECT_EQ(refusal_of_line({"--sync-batch-norm", "--model", "resnet18"}), "accepted");
  EXPECT_EQ(refusal_of_line({"--sync-batch-norm", "--model", "convnet-plain"}),
            "--sync-batch-norm is of models with batch norm, and --model convnet-plain "
            "has none; leave it out, or try --model convnet");
}

TEST(CommandLineTest, JoiningTakesEverySampleOnce) {
  EXPECT_EQ(refusal_of_line({"--join"}), "accepted");
  EXPECT_EQ(refusal_of_line({"--join", "--drop-last"}),
            "--join and --drop-last: the one takes every sample, the other leaves some "
            "out; leave one of them out");
  EXPECT_EQ(refusal_of_line({"--join", "--accumulate", "2"}),
            "--join and --accumulate: a batch that a rank does not have would count in "
            "its mean; leave one of them out");
}

TEST(CommandLineTest, WhatWouldDoNothingIsRefused) {
  const std::vector<std::string> vocabulary = {"--vocab-size", "300"};
  const auto with = [](std::vector<std::string> arguments,
                       const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  EXPECT_EQ(parse(with(vocabulary, {"--model", "transformer"})).options.vocab_size,
            300);
  EXPECT_EQ(parse(with(vocabulary, {"--dataset", "tokens"})).options.vocab_size, 300);
  EXPECT_EQ(refusal_of_line(vocabulary),
            "--vocab-size is of tokens, and --model mlp on --dataset fashion-mnist has "
            "none; leave it out, or try --model transformer");
  const auto dp = Ranks::one_process;
  const std::vector<std::string> share = {"--primary-share", "0.5"};
  EXPECT_EQ(refusal_of_line(with(share, {"--gpus", "2"}), dp), "accepted");
  EXPECT_EQ(refusal_of_line(with(share, {"--device-ids", "1,0"}), dp), "accepted");
  EXPECT_EQ(refusal_of_line({"--primary-share", "1"}, dp), "accepted");
  EXPECT_EQ(refusal_of_line(share, dp),
            "--primary-share is beside the other cards' share, and there is one card; "
            "leave it out, or try --gpus 2");
  const Words start = {"--powersgd-start", "5"};
  EXPECT_EQ(refusal_of_line(with(start, {"--comm-hook", "powersgd"})), "accepted");
  EXPECT_EQ(refusal_of_line(start),
            "--powersgd-start is of PowerSGD, and --comm-hook is allreduce; leave it "
            "out, or try --comm-hook powersgd");
  EXPECT_NE(refusal_of_line({"--powersgd-rank", "1", "--comm-hook", "fp16"}),
            "accepted");
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

TEST(CommandLineTest, ATimelineWantsAReportFile) {
  EXPECT_EQ(refusal_of_line({"--memory-timeline"}),
            "--memory-timeline goes into the report file; give --report-file as well");
  EXPECT_EQ(refusal_of_line({"--memory-timeline", "--report-file", "r"}), "accepted");
}

// As torch.manual_seed(-1) has it in Python.
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

TEST(CommandLineTest, ACheckpointFolderWithoutANameIsRefused) {
  EXPECT_EQ(refusal_of_line({"--checkpoint", ""}),
            "--checkpoint without a folder's name; give one");
  EXPECT_EQ(parse({"--checkpoint", "here"}).options.checkpoint.folder, "here");
}

}  // namespace
}  // namespace lockstep::program
