#include "buckets/pictures.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "buckets/statistics.h"
#include "buckets/words.h"
#include "charts/words.h"
#include "reports/drawing.h"
#include "reports/publish.h"

namespace lockstep::buckets {
namespace {

using charts::rounded;
using nlohmann::json;
using timing::BucketTimes;
using timing::RunTimes;
using timing::StepTimes;
using Kind = Straggler::Kind;

constexpr size_t kMostCells = 12000;
constexpr size_t kMostColumns = 380;  // two pixels each
constexpr size_t kMostRanks = 8;      // of one step's picture
constexpr size_t kMostBuckets = 16;

json specification(const std::string& name) {
  const std::filesystem::path tree = reports::source_tree();
  json spec =
      json::parse(reports::read_file(tree / "buckets/specs" / (name + ".vl.json")));
  spec["config"] = json::parse(reports::read_file(tree / "charts/specs/style.json"));
  return spec;
}

charts::Chart chart_of(const std::string& name, json spec, const json& records) {
  spec["datasets"][name] = records;
  charts::Chart chart;
  chart.name = name;
  chart.spec = chart.page_spec =
      spec.dump(-1, ' ', true, json::error_handler_t::replace);
  return chart;
}

double ms(double us) { return rounded(us / 1e3, 5); }

// Everything compared, in the order of steps.
std::vector<const ComparedStep*> all_steps(const Comparison& comparison) {
  std::vector<const ComparedStep*> steps;
  for (const ComparedStep& step : comparison.warm_up) steps.push_back(&step);
  for (const ComparedStep& step : comparison.steps) steps.push_back(&step);
  return steps;
}

std::string row_name(const RunTimes& times, const Verdict& verdict, int rank) {
  std::string name = name_of_rank(times, rank);
  for (const Straggler& one : verdict.stragglers) {
    if (one.rank != rank || one.kind == Kind::single) continue;
    name += one.kind == Kind::throughout ? ": throughout" : ": often";
  }
  return name;
}

// Columns of as many steps each, whichever of them were compared.
class Columns {
 public:
  Columns(const std::vector<const ComparedStep*>& steps, size_t ranks)
      : first_(steps.front()->step) {
    const auto count = static_cast<size_t>(steps.back()->step - first_ + 1);
    const size_t most = std::clamp<size_t>(kMostCells / ranks, 1, kMostColumns);
    width_ = static_cast<int64_t>((count + most - 1) / most);
    late_us_.assign(
        (count + static_cast<size_t>(width_) - 1) / static_cast<size_t>(width_), {});
    for (const ComparedStep* step : steps) {
      std::vector<double>& column =
          late_us_[static_cast<size_t>(column_of(step->step))];
      column.resize(ranks, 0);
      for (size_t rank = 0; rank < ranks; ++rank) {
        column[rank] = std::max(column[rank], step->late_us[rank]);
      }
    }
  }

  int64_t width() const { return width_; }
  int64_t column_of(int64_t step) const { return (step - first_) / width_; }
  // Half a step before its first step.
  double from(size_t column) const {
    return static_cast<double>(first_ + static_cast<int64_t>(column) * width_) - 0.5;
  }
  // By column, then rank; empty where no step of the column was compared.
  const std::vector<std::vector<double>>& late_us() const { return late_us_; }

 private:
  int64_t first_, width_;
  std::vector<std::vector<double>> late_us_;
};

// Where a picture has room for few of them: whoever is named, then the first ones.
std::vector<size_t> ranks_shown(size_t ranks, const Verdict& verdict) {
  std::vector<size_t> shown;
  for (const Straggler& one : verdict.stragglers) {
    shown.push_back(static_cast<size_t>(one.rank));
  }
  for (size_t rank = 0; rank < ranks; ++rank) shown.push_back(rank);
  std::vector<size_t> kept;
  for (const size_t rank : shown) {
    const bool is_new = std::find(kept.begin(), kept.end(), rank) == kept.end();
    if (is_new && kept.size() < kMostRanks) kept.push_back(rank);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace

charts::Chart straggler_chart(const RunTimes& times, const Comparison& comparison,
                              const Verdict& verdict) {
  const auto ranks = static_cast<size_t>(times.world_size);
  json spec = specification("stragglers"), records = json::array();
  const Columns columns(all_steps(comparison), ranks);
  std::vector<std::string> names;
  for (int rank = 0; rank < times.world_size; ++rank) {
    names.push_back(row_name(times, verdict, rank));
  }
  const auto record = [&](const char* kind, size_t rank, double from) {
    return json{{"kind", kind},
                {"rank", names[rank]},
                {"rank_order", rank},
                {"from_step", from}};
  };
  // As dark as can be is what takes as long again as the work, if anything does.
  double most_us = 1;
  for (const std::vector<double>& column : columns.late_us()) {
    for (const double late : column) most_us = std::max(most_us, late);
  }
  most_us = std::min(most_us, std::max(1.0, comparison.work_us));
  for (size_t column = 0; column < columns.late_us().size(); ++column) {
    const std::vector<double>& late_us = columns.late_us()[column];
    const double from = columns.from(column), to = columns.from(column + 1);
    for (size_t rank = 0; rank < ranks; ++rank) {
      json cell = record(late_us.empty() ? "missing" : "cell", rank, from);
      cell["to_step"] = to;
      if (!late_us.empty()) {
        // What is as pale as the ground is left to it, but for each rank's first cell.
        if (late_us[rank] < 0.02 * most_us && column > 0) continue;
        cell["late_ms"] = rounded(late_us[rank] / 1e3, 4);
      }
      records.push_back(std::move(cell));
    }
  }
  for (const Straggler& one : verdict.stragglers) {
    if (one.kind != Kind::single) continue;
    for (const int64_t step : one.steps) {
      const auto column = static_cast<size_t>(columns.column_of(step));
      records.push_back(record("named", static_cast<size_t>(one.rank),
                               (columns.from(column) + columns.from(column + 1)) / 2));
    }
  }
  spec["layer"][0]["encoding"]["color"]["scale"]["domain"] = {0, most_us / 1e3};
  spec["encoding"]["x"]["scale"]["domain"] = {columns.from(0),
                                              columns.from(columns.late_us().size())};
  spec["height"]["step"] = std::clamp(560.0 / static_cast<double>(ranks), 8.0, 26.0);
  if (columns.width() > 1) {
    spec["title"]["subtitle"].push_back("A column is " +
                                        std::to_string(columns.width()) +
                                        " steps, of which each rank's latest counts.");
  }
  return chart_of("stragglers", std::move(spec), records);
}

charts::Chart step_chart(const RunTimes& times, const ComparedStep& shown,
                         const Verdict& verdict) {
  json spec = specification("step"), records = json::array();
  double begin_us = shown.ranks.front()->begin_us;
  size_t buckets = shown.ranks.front()->buckets.size();
  for (const StepTimes* rank : shown.ranks) {
    begin_us = std::min(begin_us, rank->begin_us);
    buckets = std::min(buckets, rank->buckets.size());
  }
  const std::vector<size_t> ranks = ranks_shown(shown.ranks.size(), verdict);
  const auto record = [&](const char* kind, const std::string& lane, size_t lane_order,
                          size_t rank, double from_us) {
    return json{{"kind", kind},
                {"lane", lane},
                {"lane_order", lane_order},
                {"rank_order", rank},
                {"from_ms", ms(from_us - begin_us)}};
  };
  const auto bar = [&](const std::string& lane, size_t lane_order, size_t rank,
                       const std::string& what, double from_us, double to_us) {
    json one = record("bar", lane, lane_order, rank, from_us);
    one["to_ms"] = ms(to_us - begin_us);
    one["what"] = what;
    records.push_back(std::move(one));
  };
  for (const size_t rank : ranks) {
    const StepTimes& one = *shown.ranks[rank];
    bar("computes", 0, rank, "forward", one.begin_us, one.backward_us);
    bar("computes", 0, rank, "backward", one.backward_us, one.backward_end_us);
    bar("computes", 0, rank, "waits", one.backward_end_us, one.reduced_us);
    json label = record("label", "computes", 0, rank, one.begin_us);
    label["label"] = name_of_rank(times, static_cast<int>(rank));
    records.push_back(std::move(label));
  }
  // Of many the last ones: these are what a rank waits for.
  const size_t first = buckets - std::min(buckets, kMostBuckets);
  for (size_t i = first; i < buckets; ++i) {
    const std::string lane = "bucket " + std::to_string(i);
    const auto last = std::max_element(
        shown.ranks.begin(), shown.ranks.end(), [&](const auto* a, const auto* b) {
          return a->buckets[i].ready_us < b->buckets[i].ready_us;
        });
    for (const size_t rank : ranks) {
      const BucketTimes& bucket = shown.ranks[rank]->buckets[i];
      bar(lane, 1 + i, rank,
          shown.ranks[rank] == *last ? "collective, ready last on this rank"
                                     : "collective",
          bucket.launch_us, bucket.finish_us);
      records.push_back(record("ready", lane, 1 + i, rank, bucket.ready_us));
    }
  }
  spec["title"]["text"] = "Step " + std::to_string(shown.step) + ", bucket by bucket";
  if (ranks.size() < shown.ranks.size() || first > 0) {
    spec["title"]["subtitle"].push_back(
        "Shown: " + std::to_string(ranks.size()) + " of " +
        charts::count_of(times.world_size, "rank") + ", the last " +
        std::to_string(buckets - first) + " of " +
        charts::count_of(static_cast<int64_t>(buckets), "bucket") + ".");
  }
  return chart_of("step", std::move(spec), records);
}

charts::Chart waterfall_chart(const BucketTable& table) {
  json records = json::array();
  size_t order = 0;
  const auto bar = [&](const std::string& lane, const char* what, double from,
                       double to, int size) {
    records.push_back({{"kind", "bar"},
                       {"bucket", lane},
                       {"bucket_order", order},
                       {"what", what},
                       {"from_ms", rounded(from, 5)},
                       {"to_ms", rounded(to, 5)},
                       {"size", size}});
  };
  const double backward_end = table.forward_ms + table.backward_ms;
  bar("computes", "forward", 0, table.forward_ms, 18);
  bar("computes", "backward", table.forward_ms, backward_end, 18);
  for (const BucketRow& row : table.rows) {
    ++order;
    const std::string lane =
        "bucket " + std::to_string(order - 1) + " · " +
        charts::short_number(static_cast<double>(row.bytes) / charts::kMiB) + " MiB";
    const double exposed_from = std::clamp(row.launch_ms + row.hidden_ms, row.launch_ms,
                                           std::max(row.launch_ms, row.finish_ms));
    bar(lane, "hidden", row.launch_ms, exposed_from, 18);
    bar(lane, "exposed", exposed_from, std::max(exposed_from, row.finish_ms), 18);
    bar(lane, "waits for the last rank", row.launch_ms, row.launch_ms + row.waits_ms,
        5);
    records.push_back({{"kind", "ready"},
                       {"bucket", lane},
                       {"bucket_order", order},
                       {"from_ms", rounded(row.ready_ms, 5)}});
  }
  return chart_of("waterfall", specification("waterfall"), records);
}

const ComparedStep* step_to_show(const Comparison& comparison, const Verdict& verdict) {
  const std::vector<ComparedStep>& steps =
      comparison.steps.empty() ? comparison.warm_up : comparison.steps;
  if (steps.empty()) return nullptr;
  std::vector<double> works;
  for (const ComparedStep& step : steps) works.push_back(step.work_us);
  const double usual = median(works);
  const ComparedStep* best = nullptr;
  double least = 0;
  for (const ComparedStep& step : steps) {
    double distance = std::abs(step.work_us - usual);
    if (!verdict.stragglers.empty()) {
      const Straggler& one = verdict.stragglers.front();
      const double late = step.late_us[static_cast<size_t>(one.rank)];
      // A straggler's usual step, or the latest of its few.
      distance = one.kind == Kind::throughout ? std::abs(late - one.late_us) : -late;
    }
    if (best == nullptr || distance < least) {
      best = &step;
      least = distance;
    }
  }
  return best;
}

}  // namespace lockstep::buckets
