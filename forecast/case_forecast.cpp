#include "forecast/case_forecast.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>
#include <sstream>

#include "cases/machine.h"
#include "forecast/answers.h"
#include "forecast/measured_links.h"
#include "forecast/memory_profile.h"
#include "forecast/profile.h"

namespace lockstep::forecast {
namespace {

constexpr double kEverything = std::numeric_limits<double>::infinity();

bool data_parallel(const Case& one) { return one.loop() == "dp"; }

// How many times as long cards take that are more than there are cores for.
double crowding(const Case& one) {
  return std::max(
      1.0, static_cast<double>(one.cards) * one.threads_per_card / cases::cores());
}

predict::Buckets buckets_of(const DdpWay& way) {
  predict::Buckets buckets;
  buckets.overlap = way.has_buckets();
  if (buckets.overlap) {
    buckets.cap_bytes = way.bucket_cap_mb * (1 << 20);
  } else {
    const double all_or_one = way.reducer == "flat" ? kEverything : 0;
    buckets.first_bytes = buckets.cap_bytes = all_or_one;
  }
  return buckets;
}

}  // namespace

bool is_foretold(const Case& one) {
  if (one.cards == 1 || !one.ours()) return false;
  if (data_parallel(one)) {
    return one.dp.reduce != "nccl" && one.dp.loss == "primary" &&
           one.dp.primary_share == 1;
  }
  return one.mode == "ddp" && !one.ddp.lossy() && one.ddp.overlap &&
         one.ddp.ranks_per_host == 1;
}

void CaseForecast::profile(const std::vector<Case>& cases) {
  std::set<CardKey> seen;
  for (const Case& one : cases) {
    if (!is_foretold(one)) continue;
    const CardKey key = card_of(one);
    if (seen.insert(key).second) {
      cards_[key].push_back(profiled(one, std::get<2>(key)));
    }
    const LinkKey link = link_of(one);
    if (links_.count(link) == 0) links_.emplace(link, timed(link));
    if (!one.ddp.link.empty()) {
      const std::tuple meeting(key, link, one.cards);
      if (contention_.count(meeting) == 0) {
        contention_.emplace(meeting, contention(one, cards_[key].back()));
      }
    }
    if (data_parallel(one) && bytes_.count(key) == 0) {
      bytes_.emplace(key, weighed(one));
    }
  }
}

std::optional<rows::PredictedRow> CaseForecast::step_ms(const Case& one) const {
  if (!is_foretold(one)) return std::nullopt;
  const auto cards = cards_.find(card_of(one));
  if (cards == cards_.end()) return std::nullopt;
  std::vector<double> ms;
  for (const predict::CardStep& card : cards->second) {
    ms.push_back(1e3 * seconds(one, card));
  }
  const Interval interval = interval_of(std::move(ms));
  return rows::PredictedRow{interval.value, interval.low, interval.high};
}

CaseForecast::CardKey CaseForecast::card_of(const Case& one) const {
  const int room = std::max(1, cases::cores() / one.threads_per_card);
  return {one.model, one.local_batch, std::min(one.cards, room)};
}

// Hosts are all alike, so two tell of more; ranks of one machine crowd it. Of a card
// that was profiled.
CaseForecast::LinkKey CaseForecast::link_of(const Case& one) const {
  double bytes = 0;
  for (const auto& gradient : cards_.at(card_of(one)).front().gradients) {
    bytes += gradient.bytes;
  }
  constexpr int64_t kLeast = 64;  // of which a quarter is timed, too
  const auto all = std::max(kLeast, static_cast<int64_t>(bytes));
  if (data_parallel(one)) return {"", "gloo", 2, all};
  const auto cap = static_cast<int64_t>(one.ddp.bucket_cap_mb * (1 << 20));
  const bool capped = one.ddp.has_buckets() && cap >= kLeast;
  const int64_t most = capped ? std::min(all, cap) : all;
  if (!one.ddp.link.empty()) return {one.ddp.link, "gloo", 2, most};
  return {"", one.ddp.backend == "auto" ? "shm" : one.ddp.backend, one.cards, most};
}

predict::CardStep CaseForecast::profiled(const Case& one, int at_once) const {
  const Case alone{"single", one.model, 1, one.threads_per_card, one.local_batch};
  RunPlan plan;
  plan.steps = sweep_.warmup + sweep_.steps + 1;  // the last one is recorded
  plan.memory_timeline = true;
  std::fprintf(stderr, "profile  %s, local batch %lld, %d at once\n", one.model.c_str(),
               static_cast<long long>(one.local_batch), at_once);
  return step_of(in_lockstep(children_.run_at_once(alone, plan, at_once)),
                 sweep_.warmup);
}

CaseForecast::Links CaseForecast::timed(const LinkKey& key) const {
  const auto& [link, backend, ranks, most] = key;
  std::fprintf(stderr, "link  %s, %s, %d ranks\n",
               link.empty() ? "this machine" : link.c_str(), backend.c_str(), ranks);
  const std::string lines =
      children_.time_all_reduce(ranks, backend, link, most / 4, most);
  predict::Cluster cluster;
  if (link.empty()) {
    cluster.cards_per_host = ranks;
    cluster.inside = {1e-4, 1e9};
  } else {
    cluster.cards_per_host = 1;
    cluster.between = predict::link_named(link);
  }
  std::istringstream all_reduces(lines), copies(lines);
  return {fitted_to(all_reduces, "bench collectives", cluster),
          copied_bytes_per_s(copies)};
}

// The same profile once more, while all_reduces take what they take of the cores.
double CaseForecast::contention(const Case& one, const predict::CardStep& alone) const {
  constexpr double kMost = 0.9;
  const cases::LinkAtWork link(one.cards, one.ddp.link, std::get<3>(link_of(one)));
  const predict::CardStep beside = profiled(one, std::get<2>(card_of(one)));
  const double share =
      1 - (alone.forward_s + alone.backward_s) / (beside.forward_s + beside.backward_s);
  return std::clamp(share, 0.0, kMost);
}

predict::DataParallelBytes CaseForecast::weighed(const Case& one) const {
  const predict::StepMemory memory = profile_memory(one, sweep_, children_);
  const int64_t batch = one.local_batch;
  return {static_cast<double>(memory.images(batch) + memory.labels(batch)),
          static_cast<double>(memory.logits(batch)),
          static_cast<double>(memory.parameters())};
}

double CaseForecast::seconds(const Case& one, const predict::CardStep& card) const {
  auto [cluster, copied_bytes_per_s] = links_.at(link_of(one));
  predict::CardStep crowded = slowed(card, crowding(one));
  if (!data_parallel(one)) {
    const auto met = contention_.find({card_of(one), link_of(one), one.cards});
    if (met != contention_.end()) cluster.contention = met->second;
    return ddp_step(crowded, buckets_of(one.ddp), cluster, one.cards).seconds;
  }
  // Emulated cards are as far apart as memory from memory; and what the primary card
  // does alone is done with the cores to itself.
  cluster.inside = {0, copied_bytes_per_s};
  crowded.data_s = card.data_s;
  crowded.optimizer_s = card.optimizer_s;
  crowded.add_s = card.optimizer_s;
  return data_parallel_step(crowded, bytes_.at(card_of(one)), cluster, one.cards,
                            one.dp.reduce == "tree")
      .seconds;
}

}  // namespace lockstep::forecast
