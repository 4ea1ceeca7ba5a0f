#include "bench/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <stdexcept>

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
      "Measures one card, DataParallel and DDP side by side: verify, then time.",
      "bench");
  app.footer(
      "bench scaling: DDP over cards, weak and strong, against one card and one rank.\n"
      "bench bucket-sweep: DDP's step for bucket caps from 0 to 50 MiB.\n"
      "Both take every option above.\n"
      "bench collectives --help: collectives alone, as nccl-tests does.\n"
      "bench predict --help: many cards, foretold from runs of one.\n"
      "bench doctor: this machine, and what cannot run on it.");
  app.add_option("--mode", sweep.modes, "single, dp, ddp, all; a list sweeps")
      ->delimiter(',');
  app.add_option("--gpus,-g", sweep.gpus,
                 "numbers of cards; default 1,2,4.. up to the cores")
      ->delimiter(',');
  app.add_option("--model", sweep.models, "models")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option(
      "--dataset", sweep.dataset,
      "of all models, as the programs name them; not given: what suits each");
  app.add_option("--data-dir", sweep.data_dir,
                 "folder of the data set's files; of tokens a text file");
  app.add_option("--vocab-size", sweep.vocab_size,
                 "tokens that there are, for a transformer")
      ->capture_default_str();
  app.add_option("--scaling", sweep.scalings,
                 "weak (local batch fixed) or strong (global); a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--batch-size", sweep.batch_sizes,
                 "samples a card and step; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--steps", sweep.steps, "timed steps")->capture_default_str();
  app.add_option("--warmup", sweep.warmup, "steps before them")->capture_default_str();
  app.add_option("--repetitions", sweep.repetitions, "runs of each case, interleaved")
      ->capture_default_str();
  app.add_option("--threads-per-card", sweep.threads_per_card,
                 "of every emulated card of the sweep; 0: cores / most cards")
      ->capture_default_str();
  app.add_option("--device", sweep.device, "cpu, cuda or auto")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--precision", sweep.precision, "fp32 or fp64")
      ->check(CLI::IsMember({"fp32", "fp64"}))
      ->capture_default_str();
  app.add_flag("--channels-last", sweep.channels_last,
               "images and convolutions in channels-last layout, in all cases");
  app.add_option("--dp-reduce", sweep.dp_reduce,
                 "DataParallel's: serial, tree, nccl or auto; a list sweeps")
      ->delimiter(',');
  app.add_option("--replicate", sweep.replicate, "DataParallel's: cached, every-step")
      ->delimiter(',');
  app.add_option("--dp-loss", sweep.dp_loss, "DataParallel's: primary, replica")
      ->delimiter(',');
  app.add_option("--primary-share", sweep.primary_share,
                 "DataParallel's: the primary card's part of the batch")
      ->delimiter(',');
  app.add_option("--reducer", sweep.reducers,
                 "DDP's: naive, flat, bucketed or c10d; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--backend", sweep.backends,
                 "DDP's: auto, gloo, nccl or shm; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--bucket-cap-mb", sweep.bucket_caps_mb,
                 "DDP's, MiB; a list sweeps: not those reducers that have no buckets")
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--shard-optimizer", sweep.shard_optimizer,
               "also DDP with the optimizer's work shared out over the ranks");
  app.add_option(
         "--peers", sweep.peers,
         "measured beside ours: c10d (LibTorch's own reducer over gloo), python "
         "(DistributedDataParallel, and the plain loop), bound (so many single "
         "cards at once; there with any peer); on CUDA beside DataParallel libtorch "
         "(its data_parallel) and python (nn.DataParallel)")
      ->delimiter(',');
  app.add_flag("--memory-timeline", sweep.memory_timeline,
               "one more run of each case of ours: its cards' memory over a step");
  app.add_flag("--step-lanes", line.step_lanes,
               "one more run of each case of ours: a step's stages and collectives of "
               "every card, in time");
  app.add_flag("--predict-memory", line.predict_memory,
               "each card's peak as told from one card at two small batches, beside "
               "what is measured");
  app.add_option(
         "--link", sweep.links,
         "DDP's cards as hosts of their own, emulated, with cables of this rate "
         "between them: 100mbit, 1gbit, or none; a list sweeps; needs root")
      ->delimiter(',');
  app.add_flag("--predict", line.predict,
               "the step of each case as told from one card and the links, beside what "
               "is measured");
  app.add_option("--fits", line.fits_gib,
                 "instead of timing: the largest local batch of each case in cards of "
                 "so many GiB, predicted and confirmed by runs");
  app.add_option("--compare", line.compare,
                 "an older run's folder: each case over its single card, then and now; "
                 "exit status 3 where one is slower");
  app.add_option("--tolerance", line.tolerance, "what --compare lets pass: 0.05 is 5 %")
      ->capture_default_str();
  app.add_flag("--quick", line.quick,
               "a short trial: mlp, 10 steps, once; what is given stays as given");
  app.add_flag("--dry-run", line.dry_run,
               "prints the cases and their commands, and runs none of them");
  app.add_option("--lr", sweep.lr, "learning rate")->capture_default_str();
  app.add_flag("!--no-page", line.page,
               "draw no page and no charts: `report` can, later and elsewhere");
  app.add_option("--seed", sweep.seed, "of parameters and order")
      ->capture_default_str();
  app.add_option("--out", sweep.out, "folder for the results")->capture_default_str();
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
