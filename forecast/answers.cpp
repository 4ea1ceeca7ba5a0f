#include "forecast/answers.h"

#include <algorithm>
#include <functional>

namespace lockstep::forecast {
namespace {

using predict::StepTime;

Interval over(const Profiles& profiles,
              const std::function<double(const StepAtBatch&)>& predict) {
  std::vector<double> values;
  for (const StepAtBatch& profile : profiles) values.push_back(predict(profile));
  return interval_of(std::move(values));
}

StepTime ddp(const StepAtBatch& profile, const Setting& setting, int cards) {
  return ddp_step(profile.at(setting.batch), setting.buckets, setting.cluster, cards);
}

Interval ddp_seconds(const Profiles& profiles, const Setting& setting, int cards) {
  return over(profiles, [&](const StepAtBatch& profile) {
    return ddp(profile, setting, cards).seconds;
  });
}

Interval data_parallel_seconds(const Profiles& profiles, const Setting& setting,
                               int cards) {
  predict::DataParallelBytes bytes = setting.sample;
  bytes.input *= static_cast<double>(setting.batch);
  bytes.outputs *= static_cast<double>(setting.batch);
  return over(profiles, [&](const StepAtBatch& profile) {
    return data_parallel_step(profile.at(setting.batch), bytes, setting.cluster, cards,
                              setting.tree)
        .seconds;
  });
}

}  // namespace

Interval interval_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front() * (1 - kModelError),
          values.back() * (1 + kModelError)};
}

std::vector<Point> curve(const Profiles& profiles, const Setting& setting,
                         const std::vector<int>& cards) {
  const double one_card = ddp_seconds(profiles, setting, 1).value;
  std::vector<Point> points;
  for (const int n : cards) {
    Point point;
    point.cards = n;
    point.ddp_s = ddp_seconds(profiles, setting, n);
    point.ddp_exposed_s = over(profiles, [&](const StepAtBatch& profile) {
      return ddp(profile, setting, n).exposed_s;
    });
    point.efficiency = one_card / point.ddp_s.value;
    if (n <= setting.cluster.cards_per_host) {
      point.data_parallel_s = data_parallel_seconds(profiles, setting, n);
    }
    points.push_back(point);
  }
  return points;
}

BestCap best_bucket_cap(const Profiles& profiles, const Setting& setting, int cards) {
  double all_mib = 0;
  const predict::CardStep step = profiles.front().at(setting.batch);
  for (const predict::Gradient& gradient : step.gradients) {
    all_mib += gradient.bytes / (1 << 20);
  }
  BestCap best;
  for (double mib = 0;; mib = std::max(1.0, 2 * mib)) {
    Setting with = setting;
    with.buckets.cap_bytes = mib * (1 << 20);
    const double seconds = ddp_seconds(profiles, with, cards).value;
    if (mib == 0 || seconds < best.step_s) best = {mib, seconds};
    if (mib >= all_mib) return best;
  }
}

std::optional<int> data_parallel_stops_helping(const Profiles& profiles,
                                               const Setting& setting) {
  double before = 0;  // batches a second
  for (int cards = 1; cards <= setting.cluster.cards_per_host; ++cards) {
    const double now = cards / data_parallel_seconds(profiles, setting, cards).value;
    if (now < before) return cards;
    before = now;
  }
  return std::nullopt;
}

std::optional<int64_t> batch_for_efficiency(const Profiles& profiles, Setting setting,
                                            int cards, double efficiency,
                                            int64_t most) {
  for (setting.batch = 1; setting.batch <= most; setting.batch *= 2) {
    const double one_card = ddp_seconds(profiles, setting, 1).value;
    const double all = ddp_seconds(profiles, setting, cards).value;
    if (one_card / all >= efficiency) return setting.batch;
  }
  return std::nullopt;
}

}  // namespace lockstep::forecast
