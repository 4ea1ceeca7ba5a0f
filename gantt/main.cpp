// `simulate`: reducers on 1 to 64 simulated cards, a student's beside ours.
#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "ddp/reducers.h"
#include "gantt/layers.h"
#include "gantt/model_layers.h"
#include "gantt/pictures.h"
#include "gantt/timed_step.h"
#include "program/command_line.h"
#include "program/formatted.h"
#include "program/guarded.h"

namespace lockstep::gantt {
namespace {

using program::formatted;

struct Line {
  std::vector<int> cards = {1, 2, 4, 8, 16, 32, 64};
  std::vector<std::string> reducers;
  std::string load;
  std::string layers = kUsualLayers, model;
  int64_t batch_size = 64;
  std::string link = "10gbit", inside = "pcie";
  Pace pace;
  int shown_cards = 4, lanes = 2;
  std::string out;
  std::string help;  // not empty: print it and leave
};

Line parse(int argc, char** argv) {
  Line line;
  line.pace.cluster.cards_per_host = 1;
  line.pace.ddp.bucket_cap_mb = 4;
  CLI::App app(
      "Simulates a training step of DDP on many cards, as threads under a virtual "
      "clock: how long each reducer takes, and what it hides behind the backward pass.",
      "simulate");
  app.add_option("--cards", line.cards, "numbers of cards, with commas between")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--reducer", line.reducers,
                 "reducers, the first one on top of the picture (naive,bucketed; with "
                 "--load student,bucketed)")
      ->delimiter(',');
  app.add_option("--load", line.load, "a shared object that registers its reducer");
  app.add_option("--layers", line.layers,
                 "the network: PARAMETERS:FORWARD_MS:BACKWARD_MS of each layer, the "
                 "first one first; 3x50k:1:2 are three")
      ->capture_default_str();
  app.add_option("--model", line.model,
                 "in their place a model's, timed now on one thread of this machine");
  app.add_option("--batch-size", line.batch_size, "of --model, a card's")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--link", line.link, "between hosts: 1gbit, 10gbit, 300mbit, ...")
      ->capture_default_str();
  app.add_option("--inside", line.inside, "between the cards of a host: pcie, nvlink")
      ->capture_default_str();
  app.add_option("--cards-per-host", line.pace.cluster.cards_per_host, "cards a host")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--bucket-cap-mb", line.pace.ddp.bucket_cap_mb,
                 "MiB of a bucket; 0: one bucket a parameter")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--jitter", line.pace.jitter,
                 "a card's layer takes up to so much longer: 0.1 is 10 %")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  app.add_option("--seed", line.pace.seed, "draws the jitter, and who goes first")
      ->capture_default_str();
  app.add_option("--shown-cards", line.shown_cards, "how many cards the picture is of")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--lanes", line.lanes, "how many of them it shows")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option(
      "--out", line.out,
      "a folder for step.svg and efficiency.svg, and .png; none: no pictures");
  std::vector<std::string> arguments =
      program::normalised(std::vector<std::string>(argv + 1, argv + argc));
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  }
  line.pace.layers = line.model.empty() ? parse_layers(line.layers)
                                        : layers_of_model(line.model, line.batch_size);
  line.pace.cluster.between = predict::link_named(line.link);
  line.pace.cluster.inside = predict::link_named(line.inside);
  if (line.reducers.empty()) {
    line.reducers = {line.load.empty() ? "naive" : "student", "bucketed"};
  }
  std::sort(line.cards.begin(), line.cards.end());
  return line;
}

void load(const std::string& file) {
  const std::string path = std::filesystem::absolute(file).string();
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    throw std::runtime_error(std::string("--load: ") + dlerror() +
                             "; of the labs 04 to 06 make reducers");
  }
}

// LibTorch's reducer waits for futures, which the virtual clock does not see.
void check_reducers(const Line& line) {
  for (const std::string& name : line.reducers) {
    ddp::reducers().at(name);
    if (name == "c10d") {
      throw std::invalid_argument(
          "--reducer c10d waits in real time and cannot be simulated; bucketed does "
          "the same");
    }
  }
}

std::vector<std::string> notes_of(const Line& line) {
  double parameters = 0, forward_s = 0, backward_s = 0;
  for (const simulator::TimedLayer& layer : line.pace.layers) {
    parameters += static_cast<double>(layer.elements);
    forward_s += layer.forward_s;
    backward_s += layer.backward_s;
  }
  const int a_host = line.pace.cluster.cards_per_host;
  const std::string what =
      line.model.empty()
          ? std::to_string(line.pace.layers.size()) + " layers"
          : line.model + ", local batch " + std::to_string(line.batch_size);
  return {formatted(
      "Simulated: %s, %.3g M parameters, forward %.4g ms, "
      "backward %.4g ms; buckets of %.3g MiB; %s, %d card%s a host.",
      what.c_str(), parameters / 1e6, 1e3 * forward_s, 1e3 * backward_s,
      line.pace.ddp.bucket_cap_mb, line.link.c_str(), a_host, a_host == 1 ? "" : "s")};
}

void print_row(const TimedStep& step, const std::vector<TimedStep>& all) {
  const double efficiency = efficiency_of(step, all);
  std::printf("| %s | %d | %.2f | %.2f | %.2f | %.1f %% |\n", step.reducer.c_str(),
              step.cards, 1e3 * step.seconds, 1e3 * step.exposed_s,
              step.cards * efficiency, 100 * efficiency);
}

int simulate(const Line& line) {
  if (!line.help.empty()) {
    std::fputs(line.help.c_str(), stdout);
    return 0;
  }
  if (!line.load.empty()) load(line.load);
  check_reducers(line);
  std::vector<int> cards = line.cards;
  if (cards.front() != 1) cards.insert(cards.begin(), 1);  // what the others are over
  std::vector<TimedStep> steps, shown;
  for (const std::string& reducer : line.reducers) {
    for (const int count : cards)
      steps.push_back(timed_step(reducer, count, line.pace));
    if (!line.out.empty()) {
      shown.push_back(timed_step(reducer, line.shown_cards, line.pace));
    }
  }
  const std::vector<std::string> notes = notes_of(line);
  std::printf("%s\n\n", notes.front().c_str());
  std::printf("| reducer | cards | step ms | exposed ms | speed-up | efficiency |\n");
  std::printf("|---|---|---|---|---|---|\n");
  for (const TimedStep& step : steps) print_row(step, steps);
  if (line.out.empty()) return 0;
  std::filesystem::create_directories(line.out);
  const std::string shown_note =
      formatted("Shown: %d of %d cards.", std::min(line.lanes, line.shown_cards),
                line.shown_cards);
  draw_into(line.out, {step_chart(shown, line.lanes, {notes.front(), shown_note}),
                       efficiency_chart(steps, notes)});
  std::printf("\n%s/step.svg\n%s/efficiency.svg\n", line.out.c_str(), line.out.c_str());
  return 0;
}

}  // namespace
}  // namespace lockstep::gantt

int main(int argc, char** argv) {
  using namespace lockstep;
  return program::run_guarded(
      "simulate", World(), [&] { return gantt::simulate(gantt::parse(argc, argv)); });
}
