#include "forecast/forecast.h"

#include <chrono>
#include <cstdio>
#include <iostream>

#include "cases/child_run.h"
#include "files/output_file.h"
#include "forecast/measured_links.h"
#include "forecast/memory_profile.h"
#include "predict/memory.h"

namespace lockstep::forecast {
namespace {

// Both batches' reports, one after the other, so that neither has the quieter minute.
struct Runs {
  std::vector<TrainReport> full, half;
};

Runs profile(const Line& line, const Children& children) {
  Runs runs;
  RunPlan plan;
  plan.steps = line.sweep.warmup + line.sweep.steps + 1;  // the last one is recorded
  plan.memory_timeline = true;
  for (int repetition = 0; repetition < line.sweep.repetitions; ++repetition) {
    for (const bool full : {true, false}) {
      const int64_t batch = full ? line.batch() : line.batch() / 2;
      const Case one{"single", line.model(), 1, line.sweep.threads_per_card, batch};
      (full ? runs.full : runs.half).push_back(children.run(one, plan));
    }
    std::fprintf(stderr, "profile %d/%d  %s\n", repetition + 1, line.sweep.repetitions,
                 line.model().c_str());
  }
  return runs;
}

std::optional<predict::StepMemory> memory_of_model(const Line& line,
                                                   const Children& children) {
  const Case one{"single", line.model(), 1, line.sweep.threads_per_card};
  try {
    return profile_memory(one, line.sweep, children);
  } catch (const Stopped&) {
    throw;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "bench predict: WARNING: no memory is predicted: %s\n",
                 error.what());
    return std::nullopt;
  }
}

// As DDP keeps its gradients over gloo and NCCL, in buckets.
void add_memory(const Line& line, const predict::StepMemory& memory,
                Forecast& forecast) {
  const int64_t batch = line.batch();
  for (size_t i = 0; i < forecast.points.size(); ++i) {
    const Point& point = forecast.points[i];
    forecast.ddp_bytes[i] =
        ddp_peak(memory, predict::DdpGradients::buckets, batch).bytes;
    if (!point.data_parallel_s) continue;
    forecast.primary_bytes[i] =
        data_parallel_peaks(memory, {.tree = line.tree}, point.cards, batch)
            .front()
            .bytes;
  }
}

}  // namespace

int run(const std::vector<std::string>& arguments) {
  Line line = parse_line(arguments);
  if (!line.help.empty()) {
    std::cout << line.help;
    return 0;
  }
  if (!line.collectives.empty()) {
    line.cluster = fitted_to(line.collectives, line.cluster);
  }
  if (!line.out.empty()) files::check_writable(line.out, "--out");
  const Children children(line.sweep);
  const Runs runs = profile(line, children);
  Profiles profiles;
  for (size_t i = 0; i < runs.full.size(); ++i) {
    const int64_t batch = line.batch(), warmup = line.sweep.warmup;
    profiles.emplace_back(batch, step_of(runs.full[i], warmup), batch / 2,
                          step_of(runs.half[i], warmup));
  }
  Setting setting{line.cluster, line.buckets, {}, line.tree, line.batch()};
  const auto memory = memory_of_model(line, children);
  if (memory) {
    const auto a_sample = [&](int64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(setting.batch);
    };
    setting.sample.input =
        a_sample(memory->images(setting.batch) + memory->labels(setting.batch));
    setting.sample.outputs = a_sample(memory->logits(setting.batch));
    setting.sample.parameters = static_cast<double>(memory->parameters());
  }

  const auto begin = std::chrono::steady_clock::now();
  Forecast forecast;
  forecast.points = curve(profiles, setting, line.cards);
  forecast.ddp_bytes.resize(forecast.points.size());
  forecast.primary_bytes.resize(forecast.points.size());
  if (memory) add_memory(line, *memory, forecast);
  const int most = line.cards.back();
  forecast.best_cap = best_bucket_cap(profiles, setting, most);
  forecast.stops_helping = data_parallel_stops_helping(profiles, setting);
  forecast.batch_for_90 =
      batch_for_efficiency(profiles, setting, most, 0.9, kMostBatch);
  const std::chrono::duration<double, std::milli> took =
      std::chrono::steady_clock::now() - begin;
  std::fprintf(stderr, "foretold up to %d cards in %.1f ms\n", most, took.count());
  if (!line.out.empty()) files::write_whole(json_of(line, forecast), line.out);
  std::cout << text_of(line, forecast) << std::flush;
  return 0;
}

}  // namespace lockstep::forecast
