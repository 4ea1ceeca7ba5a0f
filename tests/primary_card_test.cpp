// A model whose logits sink the primary card, and each remedy at work: the transformer
// on four emulated cards, with part of its vocabulary, which is enough.
#include <gtest/gtest.h>

#include "tests/program_run.h"
#include "training/report.h"

namespace lockstep {
namespace {

constexpr int kCards = 4;

TrainReport run(const std::string& program, const std::vector<std::string>& more = {}) {
  const TestFolder folder;
  std::vector<std::string> arguments = {"--model",
                                        "transformer",
                                        "--batch-size",
                                        "4",
                                        "--gpus",
                                        "4",
                                        "--steps",
                                        "2",
                                        "--threads-per-card",
                                        "1",
                                        "--report-file",
                                        folder / "r",
                                        "--quiet",
                                        "--vocab-size",
                                        "20000",
                                        "--device",
                                        "cpu"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ProgramRun run(program, arguments);
  EXPECT_EQ(run.status(), 0) << run.process().err();
  TrainReport report = training::report_from_json(read_text(folder / "r"));
  EXPECT_EQ(report.cards.size(), static_cast<size_t>(kCards));
  return report;
}

// The primary card's over the mean of the others'.
template <class Figure>
double imbalance(const TrainReport& report, const Figure& figure) {
  double others = 0;
  for (size_t i = 1; i < report.cards.size(); ++i) others += figure(report.cards[i]);
  return figure(report.cards.at(0)) / (others / (kCards - 1));
}

double peak(const training::CardMemory& card) {
  return static_cast<double>(card.peak_bytes);
}

// The most that logits, loss and their gradients took at any time.
double outputs(const training::CardMemory& card) {
  const auto bytes = [&](const char* category) {
    const auto found = card.highest_bytes.find(category);
    return found == card.highest_bytes.end() ? 0.0 : static_cast<double>(found->second);
  };
  return bytes("outputs") + bytes("gathered_outputs");
}

TEST(PrimaryCard, GatheredLogitsSinkIt) {
  const TrainReport report = run("data_parallel");
  EXPECT_GE(imbalance(report, peak), 1.6) << "the field reports 1.6 to 3";
  EXPECT_GE(imbalance(report, outputs), 10) << "and this is why";
}

TEST(PrimaryCard, ALossInTheReplicasMakesItLikeTheOthersAndASmallerShareLess) {
  const TrainReport report = run("data_parallel", {"--dp-loss", "replica"});
  EXPECT_LT(imbalance(report, outputs), 1.2);
  EXPECT_LT(imbalance(report, peak), 1.05);
  const TrainReport half =
      run("data_parallel", {"--dp-loss", "replica", "--primary-share", "0.5"});
  EXPECT_LT(peak(half.cards[0]), peak(report.cards[0]));
  EXPECT_GT(peak(half.cards[1]), peak(report.cards[1])) << "the others take the rest";
}

TEST(PrimaryCard, AnotherOutputCardTakesTheBurden) {
  const TrainReport report = run("data_parallel", {"--output-device", "1"});
  EXPECT_GE(peak(report.cards[1]), 1.6 * peak(report.cards[0]));
}

TEST(PrimaryCard, DdpHasNone) {
  const double ratio = imbalance(run("ddp"), peak);
  EXPECT_NEAR(ratio, 1, 0.05);
}

}  // namespace
}  // namespace lockstep
