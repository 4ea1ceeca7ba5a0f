// What one card, DataParallel and DDP hold, take and send: chapters 1 to 3, measured by
// short runs of their programs.
#include <cstdint>

#include "cells/program_output.h"
#include "cells/quantity.h"

namespace lockstep::cells {
namespace {

using nlohmann::json;

double at_peak(const json& report, const std::string& category) {
  return report.at("cards").at(0).at("at_peak_bytes").at(category).get<double>();
}

double perceptron_bytes(const std::string& model, const std::string& precision) {
  return at_peak(report_of("bin/single_gpu",
                           {"--model", model, "--precision", precision, "--dataset",
                            "synthetic", "--batch-size", "8", "--steps", "2"}),
                 "parameters");
}

MeasuredCase primary_card(int cards, int batch) {
  constexpr double kWords = 8192, kTokens = 64, kBytes = 4;
  const json report =
      report_of("bin/data_parallel", {"--model", "transformer", "--vocab-size", "8192",
                                      "--gpus", std::to_string(cards), "--batch-size",
                                      std::to_string(batch), "--steps", "2"});
  const double peak = report.at("cards").at(0).at("peak_bytes").get<double>();
  return {std::to_string(cards) + " cards, local batch " + std::to_string(batch),
          {{"parameters", at_peak(report, "parameters")},
           {"logits", batch * kTokens * kWords * kBytes},
           {"activations", at_peak(report, "activations")},
           {"cards", cards}},
          peak};
}

MeasuredCase epoch(int ranks, int batch) {
  constexpr double kSamples = 8192;  // of features100
  const json report =
      report_of("bin/ddp", {"--model", "linear", "--gpus", std::to_string(ranks),
                            "--batch-size", std::to_string(batch), "--epochs", "1"});
  return {std::to_string(ranks) + " ranks, local batch " + std::to_string(batch),
          {{"samples", kSamples}, {"ranks", ranks}, {"batch", batch}},
          static_cast<double>(report.at("losses").size())};
}

// The trace holds three steps.
MeasuredCase messages(const std::string& model, int tensors, int accumulate) {
  const json trace = left_by(
      "bin/ddp",
      {"--model", model, "--gpus", "2", "--reducer", "naive", "--accumulate",
       std::to_string(accumulate), "--dataset", "synthetic", "--batch-size", "8",
       "--steps", "6", "--threads-per-card", "1", "--device", "cpu", "--quiet"},
      "--trace");
  double started = 0;
  for (const json& event : trace.at("traceEvents")) {
    const bool message = event.value("cat", "") == "collective" &&
                         event.value("name", "").rfind("all_reduce", 0) == 0;
    if (message) ++started;
  }
  constexpr int kTraced = 3;
  return {model + ", --accumulate " + std::to_string(accumulate),
          {{"tensors", tensors},
           {"batches", kTraced * accumulate},
           {"accumulate", accumulate}},
          started};
}

}  // namespace

std::vector<MeasuredCase> parameter_bytes() {
  const auto given = [](double hidden, double layers, double bytes) {
    return std::map<std::string, double>{{"inputs", 784},
                                         {"hidden", hidden},
                                         {"layers", layers},
                                         {"classes", 10},
                                         {"bytes", bytes}};
  };
  return {{"mlp in fp64", given(256, 1, 8), perceptron_bytes("mlp", "fp64")},
          {"mlp-wide", given(2048, 2, 4), perceptron_bytes("mlp-wide", "fp32")}};
}

std::vector<MeasuredCase> primary_card_bytes() {
  return {primary_card(2, 4), primary_card(4, 4)};
}

std::vector<MeasuredCase> steps_an_epoch() { return {epoch(2, 200), epoch(3, 64)}; }

std::vector<MeasuredCase> messages_of_batches() {
  return {messages("mlp-wide", 6, 1), messages("mlp", 4, 2)};
}

}  // namespace lockstep::cells
