#include "bench/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "bench/options.h"
#include "cases/experiments.h"
#include "cases/machine.h"
#include "data/data_folder.h"
#include "program/command_line.h"

namespace lockstep::bench {
namespace {

// CLI::Range lets nan pass.
void require_between(double least, double most, const std::string& option,
                     double value) {
  if (value >= least && value <= most) return;
  char text[120];
  std::snprintf(text, sizeof(text), " %g: must be %g to %g", value, least, most);
  throw std::invalid_argument(option + text);
}

// CLI11 passes over what is empty between two commas, and with it over a whole list.
void require_whole_lists(const CLI::App& app,
                         const std::vector<std::string>& arguments) {
  for (auto one = arguments.begin(); one != arguments.end(); ++one) {
    const size_t equals = one->find('=');
    const std::string name = one->substr(0, equals);
    const auto* option = app.get_option_no_throw(name);
    if (option == nullptr || option->get_delimiter() != ',') continue;
    const bool beside = equals == std::string::npos;
    if (beside && one + 1 == arguments.end()) continue;
    const std::string value = beside ? *(one + 1) : one->substr(equals + 1);
    if (("," + value + ",").find(",,") == std::string::npos) continue;
    throw std::invalid_argument(name + " \"" + value +
                                "\": an empty place in the list; fill it, or leave "
                                "it out");
  }
}

// --fits times nothing and leaves no rows: what would be added to them is not left out
// in silence.
void refuse_beside_fits(const BenchLine& line) {
  const auto refuse = [](const std::string& option) {
    throw std::invalid_argument(option + " beside --fits: --fits times nothing and " +
                                "leaves fits.json alone; leave one of them out");
  };
  if (line.sweep.memory_timeline) refuse("--memory-timeline");
  if (line.step_lanes) refuse("--step-lanes");
  if (line.bucket_times) refuse("--bucket-times");
  if (line.predict_memory) refuse("--predict-memory");
  if (line.predict) refuse("--predict");
  if (!line.sweep.peers.empty()) refuse("--peers");
  if (!line.compare.empty()) refuse("--compare");
  if (line.quick) refuse("--quick");
  if (line.sweep.batch_sizes.size() > 1) refuse("more than one --batch-size");
  if (line.sweep.scalings.size() > 1) refuse("more than one --scaling");
  if (line.dry_run) refuse("--dry-run");
  if (!line.experiment.empty()) refuse("bench " + line.experiment);
}

// What --quick sets, but for what was given.
void make_quick(const CLI::App& app, Sweep& sweep) {
  const auto given = [&](const char* option) { return app.count(option) > 0; };
  if (!given("--steps")) sweep.steps = 10;
  if (!given("--warmup")) sweep.warmup = 2;
  if (!given("--repetitions")) sweep.repetitions = 1;
  if (!given("--model")) sweep.models = {"mlp"};
}

}  // namespace

BenchLine parse_bench_line(const std::vector<std::string>& arguments) {
  BenchLine line;
  Sweep& sweep = line.sweep;
  std::vector<std::string> ours;
  auto first = arguments.begin();
  if (first != arguments.end() && cases::is_experiment(*first)) {
    line.experiment = *first++;
    sweep = cases::sweep_of(line.experiment, cases::cores());
  }
  for (const std::string& argument : std::vector<std::string>(first, arguments.end())) {
    // Before `_` and `-` are made one: Google Benchmark's names keep theirs.
    const bool theirs = argument.rfind("--benchmark_", 0) == 0;
    if (theirs && argument.rfind("--benchmark_out", 0) == 0) {
      throw std::invalid_argument(argument +
                                  ": bench writes results.json itself; try --out");
    }
    if (theirs && argument.rfind("--benchmark_format", 0) == 0) {
      throw std::invalid_argument(argument +
                                  ": bench prints a table, and results.json is JSON");
    }
    if (theirs && argument.rfind("--benchmark_list_tests", 0) == 0) {
      throw std::invalid_argument(argument +
                                  ": the cases are --mode, --gpus and --model; "
                                  "--dry-run prints their names");
    }
    (theirs ? line.benchmark_flags : ours).push_back(argument);
  }
  ours = program::normalised(std::move(ours));

  CLI::App app(
      "Measures one card, DataParallel, DDP and Horovod's way side by side: verify, "
      "then time.",
      "bench");
  app.footer(
      "bench scaling: DDP over cards, weak and strong, against one card and one rank.\n"
      "bench bucket-sweep: DDP's step for bucket caps from 0 to 50 MiB.\n"
      "Both take every option above.\n"
      "bench collectives --help: collectives alone, as nccl-tests does.\n"
      "bench predict --help: many cards, foretold from runs of one.\n"
      "bench doctor: this machine, and what cannot run on it.");
  bind(app, line);
  require_whole_lists(app, ours);
  std::reverse(ours.begin(), ours.end());
  try {
    app.parse(ours);
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  }
  if (line.quick) make_quick(app, sweep);
  std::replace(sweep.links.begin(), sweep.links.end(), std::string("none"),
               std::string());
  require_between(0, 10, "--tolerance", line.tolerance);
  if (app.count("--compare") > 0 && line.compare.empty()) {
    throw std::invalid_argument(
        "--compare \"\": names no older run; give its folder, or leave it out");
  }
  for (const double share : sweep.primary_share) {
    require_between(1e-9, 1, "--primary-share", share);
  }
  if (app.count("--fits") > 0) {
    require_between(1e-6, 1e6, "--fits", line.fits_gib);
    refuse_beside_fits(line);
  }
  const bool tokens =
      std::any_of(sweep.models.begin(), sweep.models.end(), [&](const auto& model) {
        return training::takes_tokens(model, sweep.dataset_of(model));
      });
  if (app.count("--vocab-size") > 0 && !tokens) {
    throw std::invalid_argument(
        "--vocab-size is of tokens, and no --model has any; leave it out, or try "
        "--model transformer");
  }
  line.dataset_given = app.count("--dataset") > 0 || app.count("--data-dir") > 0;
  cases::validate(sweep);
  return line;
}

std::string quick_note(const Sweep& sweep) {
  const auto of = [](int64_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  return "a quick look: " + of(sweep.repetitions, "repetition") + " of " +
         of(sweep.steps, "step") + "; for figures to keep leave --quick out\n";
}

std::vector<std::string> fall_back_to_synthetic(BenchLine& line) {
  Sweep& sweep = line.sweep;
  const bool wants_images = std::any_of(
      sweep.models.begin(), sweep.models.end(),
      [&](const auto& model) { return sweep.dataset_of(model) == sweep.images; });
  if (line.dataset_given || !wants_images) return {};
  try {
    data::find_idx_files(sweep.images, sweep.data_dir);
    return {};
  } catch (const std::runtime_error& missing) {
    sweep.images = "synthetic";
    return {std::string("no real images: ") + missing.what(),
            "measuring with SYNTHETIC images instead"};
  }
}

}  // namespace lockstep::bench
