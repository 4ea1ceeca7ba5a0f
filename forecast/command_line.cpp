#include "forecast/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "program/command_line.h"

namespace lockstep::forecast {
namespace {

constexpr int kMostCards = 1 << 20;

std::string names() {
  std::string text;
  for (const std::string& name : predict::link_names()) text += name + ", ";
  return text + "or a number of gbit or mbit";
}

void check(const Line& line) {
  if (line.sweep.models.size() != 1) {
    throw std::invalid_argument("--model: one at a time");
  }
  for (const int cards : line.cards) {
    if (cards < 1 || cards > kMostCards) {
      throw std::invalid_argument("--gpus " + std::to_string(cards) +
                                  ": must be 1 to " + std::to_string(kMostCards));
    }
  }
  if (line.sweep.batch_sizes.size() != 1) {
    throw std::invalid_argument(
        "--batch-size: " + std::to_string(line.sweep.batch_sizes.size()) +
        " are given; one is foretold at a time");
  }
  if (line.batch() < 2) {
    throw std::invalid_argument("--batch-size " + std::to_string(line.batch()) +
                                ": must be 2 or more, since half of it is run as well");
  }
  cases::validate(line.sweep);
}

}  // namespace

Line parse_line(const std::vector<std::string>& arguments) {
  Line line;
  Sweep& sweep = line.sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"single"};
  sweep.steps = 30;
  sweep.warmup = 5;
  sweep.threads_per_card = 1;
  double cap_mb = line.buckets.cap_bytes / (1 << 20);
  std::string reduce = "serial";

  CLI::App app(
      "Foretells the step of many cards from runs of one: DDP, DataParallel, and each "
      "card's memory.",
      "bench predict");
  app.add_option("--model", sweep.models, "a model")->capture_default_str();
  app.add_option("--dataset", sweep.dataset, "as the programs name them");
  app.add_option("--data-dir", sweep.data_dir, "folder of the data set's files");
  app.add_option("--batch-size", sweep.batch_sizes, "samples a card and step")
      ->capture_default_str();
  app.add_option("--device", sweep.device, "cpu or cuda: whose card is profiled")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--precision", sweep.precision, "fp32 or fp64")->capture_default_str();
  app.add_option("--threads-per-card", sweep.threads_per_card,
                 "of the emulated card that is profiled")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--steps", sweep.steps, "timed steps of a profile")
      ->capture_default_str();
  app.add_option("--warmup", sweep.warmup, "steps before them")->capture_default_str();
  app.add_option("--repetitions", sweep.repetitions, "profiles; they give the interval")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--gpus,-g", line.cards, "numbers of cards; default 1,2,4 .. 1024")
      ->delimiter(',');
  app.add_option("--cards-per-host", line.cluster.cards_per_host, "cards a host")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--links-per-host", line.cluster.links_per_host,
                 "links of a host to others")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--inside", line.inside, "the link inside a host: " + names())
      ->capture_default_str();
  app.add_option("--between", line.between, "the link between hosts: the same")
      ->capture_default_str();
  app.add_option("--collectives", line.collectives,
                 "what `bench collectives --out FILE` measured, instead of --inside");
  app.add_option("--contention", line.cluster.contention,
                 "share of a card's speed that collectives take while under way")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  app.add_option("--bucket-cap-mb", cap_mb, "DDP's, MiB")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--dp-reduce", reduce, "DataParallel's: serial or tree")
      ->check(CLI::IsMember({"serial", "tree"}))
      ->capture_default_str();
  app.add_option("--out", line.out, "file for all of it, JSON");
  std::vector<std::string> reversed = program::normalised(arguments);
  std::reverse(reversed.begin(), reversed.end());  // as CLI11 wants a vector
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  }
  line.buckets.cap_bytes = cap_mb * (1 << 20);
  line.tree = reduce == "tree";
  line.cluster.inside = predict::link_named(line.inside);
  line.cluster.between = predict::link_named(line.between);
  if (line.cards.empty()) {
    for (int cards = 1; cards <= 1024; cards *= 2) line.cards.push_back(cards);
  }
  check(line);
  return line;
}

}  // namespace lockstep::forecast
