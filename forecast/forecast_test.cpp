#include "forecast/forecast.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "forecast/measured_links.h"
#include "tests/error_of.h"
#include "tests/program_run.h"

namespace lockstep::forecast {
namespace {

// Five steps of so many milliseconds a phase; the recorded one is twice as slow.
TrainReport report(double backward_ms) {
  TrainReport report;
  for (int step = 0; step < 5; ++step) {
    const double slower = step == 4 ? 2 : 1;
    report.phases_ms["data"].push_back(1);
    report.phases_ms["forward"].push_back(backward_ms / 2);
    report.phases_ms["backward"].push_back(backward_ms * slower);
    report.phases_ms["optimizer"].push_back(3);
  }
  training::MemoryTimeline timeline;
  timeline.categories = {"gradients", "activations"};
  timeline.stages = {"before", "forward", "backward"};
  const auto event = [&](double ms, int category, int stage, int64_t bytes) {
    timeline.ms.push_back(ms);
    timeline.category.push_back(category);
    timeline.stage.push_back(stage);
    timeline.bytes.push_back(bytes);
  };
  event(0, 0, 0, 400);    // the step before's gradients
  event(10, 1, 1, 1000);  // forward
  event(20, 1, 2, 0);     // backward begins
  event(25, 1, 2, 300);
  event(30, 1, 2, -300);
  event(30, 0, 2, 300);
  event(60, 0, 2, 100);
  training::CardMemory card;
  card.timeline = timeline;
  report.cards.push_back(card);
  return report;
}

TEST(Profile, CardsAtOnceAreAsSlowAsTheSlowestOfEachStep) {
  TrainReport one = report(20), two = report(20);
  one.step_ms = {10, 30, 10, 10, 10};
  two.step_ms = {20, 20, 20, 20, 20};
  for (auto& [phase, ms] : two.phases_ms) {
    for (double& each : ms) each *= 10;
  }
  const TrainReport job = in_lockstep({one, two});
  EXPECT_EQ(job.step_ms, (std::vector<double>{20, 30, 20, 20, 20}));
  EXPECT_EQ(job.phases_ms.at("optimizer"), (std::vector<double>{30, 3, 30, 30, 30}));
}

TEST(Profile, IsMediansAndTheRecordedStepsOrder) {
  const predict::CardStep step = step_of(report(80), /*warmup=*/1);
  EXPECT_DOUBLE_EQ(step.forward_s, 0.040);
  EXPECT_DOUBLE_EQ(step.backward_s, 0.080);
  ASSERT_EQ(step.gradients.size(), 2u);
  EXPECT_DOUBLE_EQ(step.gradients[0].bytes, 300);
  EXPECT_DOUBLE_EQ(step.gradients[0].ready_s, 0.020);
  EXPECT_DOUBLE_EQ(step.gradients[1].ready_s, 0.080);
}

TEST(Profile, NamesWhatItLacks) {
  TrainReport none = report(80);
  none.cards.front().timeline.reset();
  EXPECT_NE(error_of([&] { step_of(none, 1); }).find("--memory-timeline"),
            std::string::npos);
  EXPECT_NE(error_of([&] { step_of(report(80), 4); }).find("2 more"),
            std::string::npos);
}

StepAtBatch profile(double scale = 1) {
  return {64, step_of(report(80 * scale), 1), 32, step_of(report(50 * scale), 1)};
}

TEST(StepAtBatch, GoesOnAsTheTwoBatchesBegan) {
  const predict::CardStep step = profile().at(128);
  EXPECT_DOUBLE_EQ(step.backward_s, 0.140);
  EXPECT_DOUBLE_EQ(step.gradients[0].ready_s, 0.035);
  EXPECT_DOUBLE_EQ(step.optimizer_s, 0.003);
}

Setting setting() {
  Setting setting;
  setting.cluster.inside = setting.cluster.between = {0, 1e4};  // 0.04 s for 400 bytes
  setting.buckets = {0, 0};
  setting.sample = {1, 1, 100};
  setting.batch = 64;
  return setting;
}

TEST(Answers, TheIntervalHoldsAllProfilesAndTheMedianIsTheValue) {
  const std::vector<Point> points =
      curve({profile(1.5), profile(1), profile(1.25)}, setting(), {1, 2, 16});
  EXPECT_DOUBLE_EQ(points[0].ddp_s.low, (1 - kModelError) * 0.124);
  EXPECT_DOUBLE_EQ(points[0].ddp_s.value, 0.154);
  EXPECT_DOUBLE_EQ(points[0].ddp_s.high, (1 + kModelError) * 0.184);
  EXPECT_DOUBLE_EQ(points[0].efficiency, 1);
  // Of two gradients the last is 100 bytes, and a ring of two sends them once.
  EXPECT_NEAR(points[1].ddp_exposed_s.value, 0.010, 1e-12);
  EXPECT_NEAR(points[1].ddp_s.value, 0.164, 1e-12);
  EXPECT_TRUE(points[1].data_parallel_s);
  EXPECT_FALSE(points[2].data_parallel_s) << "16 cards are two hosts";
}

TEST(Answers, ACapThatWaitsForNothingIsBest) {
  Setting slow = setting();
  slow.buckets = {};
  slow.cluster.call_s = 1;  // every collective: the fewer the better
  const BestCap best = best_bucket_cap({profile()}, slow, 2);
  EXPECT_EQ(best.mib, 1);
  slow.cluster.call_s = 0;
  EXPECT_EQ(best_bucket_cap({profile()}, slow, 2).mib, 0);
}

TEST(Answers, DataParallelEndsWhereItsPrimaryCardIsFull) {
  Setting few = setting();
  few.cluster.inside.bytes_per_s = 1e12;
  EXPECT_FALSE(data_parallel_stops_helping({profile()}, few));
  few.cluster.inside = {10, 1e12};  // a message takes longer than many steps
  EXPECT_EQ(data_parallel_stops_helping({profile()}, few), 2);
}

TEST(Answers, LargerBatchesHideCommunication) {
  Setting four = setting();
  const auto batch = batch_for_efficiency({profile()}, four, 4, 0.9, 1 << 16);
  ASSERT_TRUE(batch);
  Setting smaller = four;
  smaller.batch = *batch / 2;
  EXPECT_LT(curve({profile()}, smaller, {4})[0].efficiency, 0.9);
  smaller.batch = *batch;
  EXPECT_GE(curve({profile()}, smaller, {4})[0].efficiency, 0.9);
  EXPECT_FALSE(batch_for_efficiency({profile()}, four, 4, 0.9, 1));
}

TEST(MeasuredLinks, AreReadFromWhatBenchCollectivesLeaves) {
  const TestFolder folder;
  const std::string path = folder / "figures.jsonl";
  std::string lines;
  for (const double bytes : {1e4, 1e6, 1e8}) {
    const nlohmann::json row = {{"collective", "all_reduce"},
                                {"algorithm", "backend"},
                                {"backend", "gloo"},
                                {"ranks", 2},
                                {"bytes", bytes},
                                {"time_us", 1e6 * (2 * 1e-3 + bytes / 1e9)}};
    lines += row.dump() + "\n";
  }
  write_text(path, lines);
  predict::Cluster guess;
  guess.inside = {1e-4, 1e10};
  const predict::Cluster found = fitted_to(path, guess);
  EXPECT_NEAR(found.inside.latency_s, 1e-3, 2e-5);
  EXPECT_NEAR(found.inside.bytes_per_s, 1e9, 2e7);
  write_text(path, "nothing\n");
  EXPECT_NE(error_of([&] { fitted_to(path, guess); }).find(path + ":1"),
            std::string::npos);
}

TEST(BenchPredict, TellsOfAThousandCardsFromRunsOfOne) {
  const TestFolder folder;
  ProgramRun run("bench",
                 {"predict", "--model", "mlp", "--dataset", "synthetic", "--steps", "6",
                  "--warmup", "1", "--repetitions", "2", "--between", "300mbit",
                  "--cards-per-host", "2", "--out", folder / "forecast.json"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  const std::string said = run.process().out();
  for (const char* words : {"best bucket cap of 1024 cards", "DataParallel",
                            "efficiency 0.9 of 1024 cards"}) {
    EXPECT_NE(said.find(words), std::string::npos) << said;
  }
  const auto json = nlohmann::json::parse(read_text(folder / "forecast.json"));
  const auto& points = json.at("points");
  ASSERT_EQ(points.size(), 11u);
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& step = points[i].at("ddp_s");
    EXPECT_LE(step.at("low"), step.at("value"));
    EXPECT_LE(step.at("value"), step.at("high"));
    EXPECT_EQ(points[i].contains("dp_s"), i < 2) << points[i];
    EXPECT_GT(points[i].at("ddp_peak_bytes"), 0);
    if (i > 1) {
      EXPECT_GE(step.at("value"), points[i - 1].at("ddp_s").at("value"));
    }
  }
}

TEST(BenchPredict, RefusesWhatCannotBe) {
  for (const auto& [wrong, words] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--between", "string"}, "no link \"string\""},
           {{"--gpus", "0"}, "--gpus 0"},
           {{"--model", "mlp,convnet"}, ""},
           {{"--batch-size", "1"}, "--batch-size"},
           {{"--collectives", "nowhere"}, "nowhere"}}) {
    std::vector<std::string> arguments = {"predict"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    ProgramRun run("bench", arguments);
    EXPECT_NE(run.status(), 0) << words;
    EXPECT_EQ(lines_of(run.process().err()).size(), 1u) << run.process().err();
    EXPECT_NE(run.process().err().find(words), std::string::npos)
        << run.process().err();
  }
}

}  // namespace
}  // namespace lockstep::forecast
