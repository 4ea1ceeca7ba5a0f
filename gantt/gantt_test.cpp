// The steps that `simulate` shows are those of the forecast, of reducers that are
// right; and the picture's bars are what the steps did.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "ddp/reducers.h"
#include "gantt/carried_layers.h"
#include "gantt/layers.h"
#include "gantt/model_layers.h"
#include "gantt/pictures.h"
#include "gantt/timed_step.h"
#include "predict/step_time.h"
#include "tests/error_of.h"
#include "tests/program_run.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep::gantt {
namespace {

Pace usual_pace() {
  Pace pace;
  pace.layers = parse_layers(kUsualLayers);
  pace.cluster.cards_per_host = 1;
  pace.cluster.between = predict::link_named("10gbit");
  pace.ddp.bucket_cap_mb = 4;
  return pace;
}

TEST(Gantt, LayersAreReadAndRefused) {
  const auto layers = parse_layers("2x50k:1:2.5,1.2M:0:4,7:3:1");
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[1].elements, 50000);
  EXPECT_DOUBLE_EQ(layers[1].backward_s, 2.5e-3);
  EXPECT_EQ(layers[2].elements, 1200000);
  EXPECT_EQ(layers[3].elements, 7);
  for (const char* wrong : {"", "1k", "1k:2", "1k:2:x", "0:1:1", "-1:1:1", "1k:-1:2",
                            "1k:1:1:1", "9999x1:1:1", "nan:1:1", "1k:1:1,,1k:1:1"}) {
    EXPECT_EQ(error_of([&] { parse_layers(wrong); }).find("--layers: "), 0u) << wrong;
  }
}

TEST(Gantt, AStepTakesWhatTheForecastSaysThoughElementsStandForMany) {
  const Pace pace = usual_pace();
  predict::CardStep card;
  for (size_t i = pace.layers.size(); i-- > 0;) {
    card.forward_s += pace.layers[i].forward_s;
    card.backward_s += pace.layers[i].backward_s;
    card.gradients.push_back(
        {card.backward_s, 4 * static_cast<double>(pace.layers[i].elements)});
  }
  for (const int cards : {1, 4, 64}) {
    const predict::StepTime told =
        predict::ddp_step(card, {1 << 20, 4 << 20}, pace.cluster, cards);
    const TimedStep step = timed_step("bucketed", cards, pace);
    // Sizes are rounded to the elements that stand for many.
    EXPECT_NEAR(step.seconds, told.seconds, 1e-3 * told.seconds) << cards;
    EXPECT_NEAR(step.exposed_s, told.exposed_s, 1e-3 * told.seconds) << cards;
  }
  Pace uneven = pace;
  uneven.jitter = 0.2;
  const TimedStep one = timed_step("flat", 4, uneven),
                  other = timed_step("flat", 4, uneven);
  EXPECT_EQ(one.seconds, other.seconds) << "the seed draws the jitter";
  EXPECT_GT(one.seconds, timed_step("flat", 4, pace).seconds);
}

// Leaves the sum where the mean should be.
class SumReducer final : public ddp::Reducer {
 public:
  SumReducer(std::vector<at::Tensor> parameters, comm::ProcessGroup& group)
      : parameters_(std::move(parameters)), group_(group) {}
  void zero_grad() override {
    for (const at::Tensor& one : parameters_) one.mutable_grad().reset();
  }
  void prepare(const at::Tensor& /*logits*/) override {}
  void finalize() override {
    for (const at::Tensor& one : parameters_) group_.all_reduce(one.grad()).wait();
  }

 private:
  const std::vector<at::Tensor> parameters_;
  comm::ProcessGroup& group_;
};

TEST(Gantt, AReducerThatIsWrongIsNotTimed) {
  ddp::reducers().add("sum", [](const ddp::NamedParameters& parameters,
                                comm::ProcessGroup& group, const TrainOptions&) {
    return std::make_unique<SumReducer>(ddp::tensors_of(parameters), group);
  });
  const std::string error = error_of([] { timed_step("sum", 2, usual_pace()); });
  EXPECT_EQ(error.find("sum on 2 cards is not timed: the gradient of layer 0 is "), 0u)
      << error;
}

TEST(Gantt, BarsAreNamedByTheLayersWhoseGradientsTravel) {
  const TimedStep step = timed_step("bucketed", 2, usual_pace());
  const charts::Chart chart = step_chart({step}, /*lanes=*/1, {"a note"});
  const auto records = nlohmann::json::parse(chart.spec)["datasets"]["step"];
  std::vector<std::string> moved;
  double waited_ms = 0, forward_ms = 0;
  for (const auto& record : records) {
    const std::string phase = record["phase"];
    const double ms = record["to_ms"].get<double>() - record["from_ms"].get<double>();
    EXPECT_EQ(record["lane_order"], phase == "communication" ? 1 : 0);
    if (phase == "communication") moved.push_back(record["label"]);
    if (phase == "exposed communication") waited_ms += ms;
    if (phase == "forward") forward_ms += ms;
  }
  EXPECT_EQ(moved, (std::vector<std::string>{"5 · 9.2 MiB", "4 · 4.6 MiB", "3 to 0"}));
  EXPECT_NEAR(waited_ms, 1e3 * step.exposed_s, 1e-9);
  EXPECT_NEAR(forward_ms, 12, 1e-9);
}

TEST(Gantt, WhatACollectiveCarriesIsToldByItsSizeAndItsPlace) {
  const auto layers = parse_layers("100:1:1,20:1:1,20:1:1,100:1:1,20:1:1");
  CarriedLayers backwards(layers);
  EXPECT_EQ(backwards.next(20), "4") << "an end of the network";
  EXPECT_EQ(backwards.next(100), "3") << "beside it";
  EXPECT_EQ(backwards.next(140), "2 to 0");
  EXPECT_EQ(backwards.next(20), "") << "all have travelled";
  CarriedLayers forwards(layers);
  EXPECT_EQ(forwards.next(100), "0");
  EXPECT_EQ(forwards.next(40), "2 to 1");
  EXPECT_EQ(forwards.next(7), "") << "no layers' size";
  CarriedLayers unclear(layers);
  EXPECT_EQ(unclear.next(120), "") << "1 to 0, or 4 to 3";
}

// A layer a parameter tensor, first layer first: those of 784 -> 256 -> 10.
TEST(Gantt, AModelsLayersAreItsParametersInTheirOrder) {
  const auto layers = layers_of_model("mlp", 4);
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].elements + layers[1].elements, 784 * 256 + 256);
  EXPECT_EQ(layers[2].elements + layers[3].elements, 256 * 10 + 10);
  double seconds = 0;
  for (const simulator::TimedLayer& layer : layers) seconds += layer.backward_s;
  EXPECT_GT(seconds, 0);
}

TEST(Gantt, TheProgramLoadsAReducerPrintsATableAndDraws) {
  const TestFolder folder;
  ProgramRun run("simulate",
                 {"--load", program_path("../tests/gantt/student.so"), "--cards", "2,8",
                  "--lanes", "1", "--out", folder / "out"});
  EXPECT_EQ(run.status(), 0) << run.process().err();
  const std::string table = run.process().out();
  EXPECT_NE(table.find("| student | 1 | 36.00 | 0.00 | 1.00 | 100.0 % |"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("| bucketed | 8 | "), std::string::npos) << table;
  for (const char* picture : {"step.svg", "efficiency.svg"}) {
    const std::string svg = read_text(folder / "out/" + picture);
    EXPECT_NE(svg.find("<svg"), std::string::npos);
    EXPECT_NE(svg.find("student"), std::string::npos);
  }
}

TEST(Gantt, WhatCannotBeSimulatedIsRefusedInALine) {
  struct Case {
    std::vector<std::string> arguments;
    int status;
    std::string word;
  };
  const std::vector<Case> cases = {{{"--reducer", "c10d"}, 2, "bucketed"},
                                   {{"--load", "nowhere.so"}, 1, "nowhere.so"},
                                   {{"--cards", "65"}, 2, "65"}};
  for (const Case& one : cases) {
    ProgramRun run("simulate", one.arguments);
    expect_refusal(run, one.status, {"simulate: ", one.word});
  }
}

}  // namespace
}  // namespace lockstep::gantt
