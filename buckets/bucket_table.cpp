#include "buckets/bucket_table.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "buckets/lateness.h"
#include "buckets/statistics.h"
#include "charts/words.h"

namespace lockstep::buckets {
namespace {

using charts::fixed;
using timing::BucketTimes;
using timing::RunTimes;
using timing::StepTimes;

using Sizes = std::vector<int64_t>;

Sizes sizes_of(const StepTimes& step) {
  Sizes sizes;
  for (const BucketTimes& bucket : step.buckets) sizes.push_back(bucket.bytes);
  return sizes;
}

// How long at least one of the intervals lasts.
double covered(std::vector<std::pair<double, double>> intervals) {
  std::sort(intervals.begin(), intervals.end());
  double total = 0, until = 0;
  bool first = true;
  for (const auto& [from, to] : intervals) {
    if (first || from > until) until = from;
    first = false;
    total += std::max(0.0, to - until);
    until = std::max(until, to);
  }
  return total;
}

// The values whose medians make a row.
struct Samples {
  std::vector<double> ready, launch, finish, waits, hidden, exposed;
};

class Gathered {
 public:
  explicit Gathered(size_t buckets) : buckets_(buckets) {}

  // The lines of one step.
  void add(const std::vector<const StepTimes*>& ranks) {
    ++steps_;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      double last = ranks.front()->buckets[i].launch_us;
      for (const StepTimes* rank : ranks) {
        last = std::max(last, rank->buckets[i].launch_us);
      }
      for (const StepTimes* rank : ranks) add(*rank, i, last);
    }
    for (const StepTimes* rank : ranks) {
      forward_.push_back(rank->backward_us - rank->begin_us);
      backward_.push_back(rank->backward_end_us - rank->backward_us);
      exposed_.push_back(rank->reduced_us - rank->backward_end_us);
      std::vector<std::pair<double, double>> under_way;
      for (const BucketTimes& bucket : rank->buckets) {
        under_way.emplace_back(bucket.launch_us, bucket.finish_us);
      }
      comm_.push_back(covered(std::move(under_way)));
    }
  }

  BucketTable table(const Sizes& sizes) const {
    const auto ms = [](const std::vector<double>& us) { return median(us) / 1e3; };
    BucketTable table;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const Samples& one = buckets_[i];
      table.rows.push_back({sizes[i], ms(one.ready), ms(one.launch), ms(one.finish),
                            ms(one.waits), ms(one.hidden), ms(one.exposed)});
    }
    table.steps = steps_;
    table.forward_ms = ms(forward_);
    table.backward_ms = ms(backward_);
    table.exposed_ms = ms(exposed_);
    table.comm_ms = ms(comm_);
    return table;
  }

 private:
  void add(const StepTimes& rank, size_t i, double last_launch) {
    const BucketTimes& bucket = rank.buckets[i];
    Samples& into = buckets_[i];
    into.ready.push_back(bucket.ready_us - rank.begin_us);
    into.launch.push_back(bucket.launch_us - rank.begin_us);
    into.finish.push_back(bucket.finish_us - rank.begin_us);
    // A clock that is off may show it over before the last rank launched it.
    into.waits.push_back(std::min(last_launch, bucket.finish_us) - bucket.launch_us);
    const double hidden_until =
        std::clamp(rank.backward_end_us, bucket.launch_us, bucket.finish_us);
    into.hidden.push_back(hidden_until - bucket.launch_us);
    into.exposed.push_back(bucket.finish_us - hidden_until);
  }

  std::vector<Samples> buckets_;
  int64_t steps_ = 0;
  std::vector<double> forward_, backward_, exposed_, comm_;
};

}  // namespace

double BucketTable::overlap() const {
  return comm_ms > 0 ? std::max(0.0, 1 - exposed_ms / comm_ms) : 0;
}

BucketTable bucket_table(const RunTimes& times) {
  std::map<int64_t, std::vector<const StepTimes*>> steps;
  for (const StepTimes& line : times.steps) steps[line.step].push_back(&line);
  for (int64_t i = 0; i < kWarmUp && std::ssize(steps) > 1; ++i) {
    steps.erase(steps.begin());
  }
  std::map<Sizes, int64_t> lines;
  for (const auto& [step, ranks] : steps) {
    for (const StepTimes* rank : ranks) ++lines[sizes_of(*rank)];
  }
  if (lines.empty()) return {};
  const Sizes sizes =
      std::max_element(lines.begin(), lines.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      })->first;
  Gathered gathered(sizes.size());
  int64_t others = 0;
  for (const auto& [step, ranks] : steps) {
    const bool same = std::all_of(ranks.begin(), ranks.end(), [&](const auto* rank) {
      return sizes_of(*rank) == sizes;
    });
    if (same) {
      gathered.add(ranks);
    } else {
      ++others;
    }
  }
  BucketTable table = gathered.table(sizes);
  table.others = others;
  return table;
}

std::string to_markdown(const BucketTable& table) {
  std::string text =
      "| bucket | MiB | ready ms | launch ms | finish ms | collective ms | of it for "
      "the last rank | hidden | exposed |\n|---|---|---|---|---|---|---|---|---|\n";
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const BucketRow& row = table.rows[i];
    text += "| " + std::to_string(i) + " | " +
            charts::short_number(static_cast<double>(row.bytes) / charts::kMiB);
    for (const double ms :
         {row.ready_ms, row.launch_ms, row.finish_ms, row.hidden_ms + row.exposed_ms,
          row.waits_ms, row.hidden_ms, row.exposed_ms}) {
      text += " | " + fixed(ms, 2);
    }
    text += " |\n";
  }
  return text;
}

}  // namespace lockstep::buckets
