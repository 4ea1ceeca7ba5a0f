// The primary card's load, as the programs report it: DataParallel's first card peaks
// above its others, DDP's cards peak alike.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "launch/process.h"
#include "training/report.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

fs::path report_file() {
  return fs::temp_directory_path() /
         ("memory_test-" + std::to_string(getpid()) + ".json");
}

launch::Command command_of(const std::string& program, const std::string& model,
                           int cards, const std::vector<std::string>& more) {
  launch::Command command;
  command.argv = {std::string(std::getenv("LOCKSTEP_BIN")) + "/" + program,
                  "--model",
                  model,
                  "--device",
                  "cpu",
                  "--dataset",
                  "synthetic",
                  "--gpus",
                  std::to_string(cards),
                  "--batch-size",
                  "16",
                  "--steps",
                  "3",
                  "--momentum",
                  "0.9",
                  "--quiet",
                  "--memory-timeline",
                  "--report-file",
                  report_file().string()};
  command.argv.insert(command.argv.end(), more.begin(), more.end());
  return command;
}

TrainReport run(const std::string& program, const std::string& model, int cards,
                const std::vector<std::string>& more = {}) {
  const fs::path file = report_file();
  launch::Process process(command_of(program, model, cards, more));
  const auto status = process.wait_for(std::chrono::seconds(60));
  EXPECT_TRUE(status.has_value() && status->code == 0) << program << " " << model;
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  fs::remove(file);
  return training::report_from_json(text.str());
}

// The last step's changes lead to the peak that the ledger told, and to no bytes that
// nobody holds.
void expect_the_step_in(const training::CardMemory& card) {
  ASSERT_TRUE(card.timeline.has_value()) << "card " << card.card;
  const training::MemoryTimeline& timeline = *card.timeline;
  int64_t live = 0;
  int64_t peak = 0;
  std::map<std::string, int64_t> by_category;
  for (size_t i = 0; i < timeline.bytes.size(); ++i) {
    if (timeline.bytes[i] == 0) continue;  // a stage begins
    const auto category = static_cast<size_t>(timeline.category[i]);
    int64_t& bytes = by_category[timeline.categories[category]];
    bytes += timeline.bytes[i];
    EXPECT_GE(bytes, 0) << timeline.categories[category] << " at change " << i;
    EXPECT_LE(bytes, card.highest_bytes.at(timeline.categories[category]));
    live += timeline.bytes[i];
    peak = std::max(peak, live);
  }
  EXPECT_LE(peak, card.peak_bytes);
  EXPECT_GT(static_cast<double>(peak), 0.8 * static_cast<double>(card.peak_bytes));
}

// Categories at the peak are the whole peak: nothing is unaccounted for, and nothing
// was at any time.
void expect_complete(const TrainReport& report, int cards) {
  ASSERT_EQ(report.cards.size(), static_cast<size_t>(cards));
  for (const training::CardMemory& card : report.cards) {
    int64_t sum = 0;
    for (const auto& [category, bytes] : card.at_peak_bytes) sum += bytes;
    EXPECT_EQ(sum, card.peak_bytes) << "card " << card.card;
    EXPECT_GT(sum, 0);
    EXPECT_LT(card.peak_bytes, report.rss_peak_bytes);
    EXPECT_EQ(card.highest_bytes.count("other"), 0U) << "card " << card.card;
    expect_the_step_in(card);
  }
}

TEST(Memory, DataParallelsPrimaryCardPeaksAboveTheOthers) {
  for (const char* model : {"mlp", "mlp-wide", "convnet"}) {
    for (const int cards : {2, 3}) {
      const TrainReport report = run("data_parallel", model, cards);
      expect_complete(report, cards);
      for (size_t i = 1; i < report.cards.size(); ++i) {
        EXPECT_GT(report.cards[0].peak_bytes, report.cards[i].peak_bytes)
            << model << " card " << i;
        // What only the primary card holds, and what only the others do.
        EXPECT_EQ(report.cards[i].at_peak_bytes.count("parameters"), 0U);
        EXPECT_EQ(report.cards[0].at_peak_bytes.count("replicas"), 0U);
      }
    }
  }
}

TEST(Memory, DdpsCardsPeakAlike) {
  for (const char* model : {"mlp", "convnet"}) {
    const TrainReport report = run("ddp", model, 3);
    expect_complete(report, 3);
    for (const training::CardMemory& card : report.cards) {
      EXPECT_NEAR(static_cast<double>(card.peak_bytes) /
                      static_cast<double>(report.cards[0].peak_bytes),
                  1.0, 0.05)
          << model << " card " << card.card;
    }
  }
}

// Where the step goes by messages what it sends lies side by side in buckets; gradients
// and parameters are not there at the same time.
TEST(Memory, AShardedStepsMessagesAreBuckets) {
  const TrainReport report =
      run("ddp", "mlp", 2, {"--backend", "gloo", "--shard-optimizer"});
  expect_complete(report, 2);
  for (const training::CardMemory& card : report.cards) {
    const auto& at_peak = card.at_peak_bytes;
    EXPECT_EQ(at_peak.count("activations"), 0U) << "nor any passing for messages";
    EXPECT_GE(at_peak.at("buckets"), at_peak.at("parameters"));
  }
}

TEST(Memory, MomentumIsTheOptimizersState) {
  const TrainReport report = run("single_gpu", "mlp", 1);
  expect_complete(report, 1);
  // All that a step is made of, as it comes.
  EXPECT_EQ(report.cards[0].timeline->stages,
            (std::vector<std::string>{"before", "data", "optimizer", "forward", "loss",
                                      "backward", "loss_backward"}))
      << "the optimizer zeroes the gradients first";
  // One momentum buffer a parameter, as large as the parameters.
  EXPECT_EQ(report.cards[0].at_peak_bytes.at("optimizer_state"),
            report.cards[0].at_peak_bytes.at("parameters"));
}

// A card as large as the peak holds the run, one byte less does not.
TEST(Memory, ALimitAtThePeakIsKeptToTheByte) {
  const int64_t peak = run("single_gpu", "convnet", 1).cards[0].peak_bytes;
  const auto limit = [](int64_t bytes) {
    char gib[64];
    std::snprintf(gib, sizeof(gib), "%.17g", static_cast<double>(bytes) / (1 << 30));
    return std::vector<std::string>{"--card-memory", gib};
  };
  EXPECT_EQ(run("single_gpu", "convnet", 1, limit(peak)).cards[0].peak_bytes, peak);
  launch::Command below = command_of("single_gpu", "convnet", 1, limit(peak - 1));
  below.err = launch::Output::kCapture;
  launch::Process process(below);
  const auto status = process.wait_for(std::chrono::seconds(60));
  EXPECT_TRUE(status.has_value() && status->code == 1);
  EXPECT_EQ(process.err().rfind("single_gpu: cpu card 0: out of memory: ", 0), 0U)
      << process.err();
  EXPECT_FALSE(fs::exists(report_file()));
}

}  // namespace
}  // namespace lockstep
