#include "program/program.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "checkpoint/run_checkpoint.h"
#include "files/output_file.h"
#include "host/this_host.h"
#include "launch/launcher.h"
#include "launch/place.h"
#include "launch/process.h"
#include "launch/spawn.h"
#include "launch/start_line.h"
#include "program/line_prefix.h"
#include "program/progress.h"
#include "tracing/trace.h"
#include "training/catalog.h"

namespace lockstep::program {

using namespace training;
namespace {

// Programs that bench runs side by side take their first step at the same moment.
class AtStartLine final : public StepObserver {
  void planned(int64_t /*steps*/) override { launch::stand_at_start_line(); }
};

// Of two outputs into one file, one would be lost.
void check_outputs_apart(const CommandLine& line, int ranks) {
  std::vector<files::Output> outputs;
  const auto add = [&](const std::string& option, const std::string& path) {
    if (!path.empty()) outputs.push_back({option, path});
  };
  add("--metrics-file", line.metrics_file);
  add("--report-file", line.report_file);
  add("--bucket-times", line.options.ddp.bucket_times_file);
  add("--timeline-filename", line.options.horovod.timeline_filename);
  for (int rank = 0; rank < ranks && !line.trace_file.empty(); ++rank) {
    add("--trace", tracing::trace_path(line.trace_file, rank));
  }
  files::check_apart(outputs);
}

}  // namespace

// Rank 0 leaves the files, or whoever starts it; of traces each rank its own.
void check_run(const Program& program, const CommandLine& line, const World& world) {
  const TrainOptions& options = line.options;
  models().at(options.model);
  datasets().at(options.dataset);
  if (!options.sampler.empty()) samplers().at(options.sampler);
  const auto cards = make_cards(options, options.local_cards());
  if (options.pin_memory && cards.front().emulated()) {
    throw std::invalid_argument(
        "--pin-memory: emulated cards copy from any memory; leave it out, or try "
        "--device cuda");
  }
  if (has_ranks(program.ranks)) resolve_backend(options, world);
  program.check(options);
  check_outputs_apart(line, world.world_size);
  if (!line.trace_file.empty()) {
    files::check_writable(tracing::trace_path(line.trace_file, world.rank), "--trace");
  }
  if (world.rank != 0) return;
  if (!line.metrics_file.empty())
    files::check_writable(line.metrics_file, "--metrics-file");
  if (!line.report_file.empty())
    files::check_writable(line.report_file, "--report-file");
  if (!options.ddp.bucket_times_file.empty())
    files::check_writable(options.ddp.bucket_times_file, "--bucket-times");
  if (!options.horovod.timeline_filename.empty()) {
    files::check_writable(options.horovod.timeline_filename, "--timeline-filename");
  }
}

void try_first_sample(const TrainOptions& options) {
  const Card card = make_cards(options, options.local_cards()).front();
  const CardScope scope(card);
  const data::Dataset dataset = load_dataset(options);
  const data::Batch batch = dataset.train.take(std::vector<int64_t>{0}, dataset.type);
  Network model = make_model(options, card);
  model->eval();  // batch norm takes no statistics of one sample
  try {
    model->forward(card.put(batch.images));
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& error) {
    throw std::invalid_argument(
        "--model " + options.model + " does not take the samples of " + "--dataset " +
        options.dataset + " (" + one_line(error.what_without_backtrace()) +
        "); try linear with features100, a transformer with tokens, any other model "
        "with images");
  }
}

namespace {

void keep_checkpoints(TrainOptions& options, const World& world) {
  if (options.checkpoint.folder.empty()) return;
  if (options.ddp.shard_optimizer && options.momentum != 0) {
    throw std::invalid_argument(
        "--checkpoint keeps the momentum that rank 0 holds, and --shard-optimizer "
        "shares it out; leave one of them out");
  }
  const checkpoint::Metadata agree = {{"--model", options.model},
                                      {"--dataset", options.dataset},
                                      {"--precision", options.precision},
                                      {"--momentum", std::to_string(options.momentum)},
                                      {"--seed", std::to_string(options.seed)}};
  const auto kept = std::make_shared<checkpoint::RunCheckpoint>(
      options.checkpoint, agree, world.rank, world.world_size);
  options.start = kept->start();
  options.observers.push_back(kept);
}

}  // namespace

void run_rank(const Program& program, const std::string& speaker,
              const TrainFunction& train, CommandLine line, const World& world) {
  const bool speaks = world.rank == 0 && !line.quiet;
  if (speaks && line.progress)
    line.options.observers.push_back(std::make_shared<Progress>());
  line.options.observers.push_back(std::make_shared<AtStartLine>());
  line.options.last_words = [&](const std::string& verdict) {
    say_last_words(speaker, world, verdict);
  };
  keep_checkpoints(line.options, world);
  std::shared_ptr<tracing::Trace> trace;
  if (!line.trace_file.empty()) {
    trace = tracing::make_trace(line.trace_file, world.rank);
    line.options.observers.push_back(trace);
  }
  TrainReport report;
  try {
    report = train(line.options, world);
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error&) {
    try_first_sample(line.options);  // says it better, if that is what is wrong
    throw;
  }
  line.options.observers.clear();  // closes the progress line
  std::vector<std::function<void()>> outputs;
  const auto add = [&](bool wanted, std::function<void()> output) {
    if (wanted) outputs.push_back(std::move(output));
  };
  const bool first = world.rank == 0;
  add(first && !line.metrics_file.empty(),
      [&] { write_metrics(report, line.metrics_file); });
  add(first && !line.report_file.empty(),
      [&] { write_report(report, line.report_file); });
  const std::string& times_file = line.options.ddp.bucket_times_file;
  add(first && !times_file.empty(),
      [&] { files::write_whole(report.bucket_times, times_file); });
  add(trace != nullptr, [&] { trace->write(); });
  add(speaks, [&] {
    std::cout << summary(program.name, program.ranks == Ranks::one_process,
                         line.options, report)
              << std::flush;
    if (!std::cout.good()) {
      throw std::runtime_error("cannot write the summary to standard output");
    }
  });
  files::write_all(outputs);
}

namespace {

int start_ranks(const Program& program, const World& first,
                const std::vector<std::string>& arguments) {
  launch::SpawnOptions options;
  options.ranks_say_why = true;  // see fail()
  options.speaker = program.name + ": ";
  const std::string& file = first.store_file;
  // Over several machines another one's ranks may have made the file already.
  const bool ours = !file.empty() && first.local_world_size == first.world_size;
  if (ours && access(file.c_str(), F_OK) == 0) {
    throw std::invalid_argument("--init-method file://" + file +
                                ": is there already, perhaps left by a job that was "
                                "killed; remove it, or give another path");
  }
  const int status = launch::spawn_ranks(first, arguments, options);
  // Ranks that end well remove it themselves.
  if (ours && status != 0) std::remove(file.c_str());
  return status;
}

}  // namespace

int run_program(const Program& program, const TrainFunction& train, int argc,
                char** argv) {
  launch::die_with_parent();
  launch::hold_standard_streams();
  World world;
  std::string speaker = program.name;
  return run_guarded(speaker, world, [&] {
    const std::vector<std::string> arguments(argv, argv + argc);
    // Before the options: whoever finds them wrong must know which rank it is.
    const auto environment = has_ranks(program.ranks) ? launch::current_environment()
                                                      : launch::Environment();
    world = launch::likely_world(environment);
    const auto name_speaker = [&] {
      speaker = line_prefix(world, environment, host::short_name()) + program.name;
    };
    name_speaker();
    CommandLine line =
        parse_command_line(program.name, program.description, program.ranks,
                           {arguments.begin() + std::min(1, argc), arguments.end()});
    if (!line.help.empty()) {
      std::cout << line.help;
      return 0;
    }
    bool starts_ranks = false;
    if (has_ranks(program.ranks)) {
      const launch::Place place =
          launch::place_of(line.place, environment, host::outside_addresses());
      world = place.world;
      starts_ranks = place.starts_ranks;
      if (!starts_ranks) name_speaker();
      line.options.own_device = world.own_device;
      // Who starts the ranks knows how many cards there are, --gpus may not.
      if (line.global_batch_size > 0) {
        line.options.batch_size = local_batch(line.global_batch_size, world.world_size);
      }
    }
    check_run(program, line, world);
    if (starts_ranks && !line.dry_run) return start_ranks(program, world, arguments);
    if (starts_ranks && !line.quiet) std::cout << launch::drawing(world);
    if (line.dry_run) {
      try_first_sample(line.options);
      return 0;
    }
    run_rank(program, speaker, train, std::move(line), world);
    return 0;
  });
}

}  // namespace lockstep::program
