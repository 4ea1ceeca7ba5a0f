#include "buckets/stragglers.h"

#include <algorithm>
#include <cmath>

#include "buckets/statistics.h"
#include "charts/words.h"

namespace lockstep::buckets {
namespace {

using charts::fixed;
using Kind = Straggler::Kind;

// Parts of a rank's work: what is too little to speak of.
constexpr double kThroughout = 0.05, kSingle = 0.15;
// Standard errors of the median over steps.
constexpr double kErrors = 5;
// What is throughout is so in all these parts of a run but one.
constexpr size_t kParts = 8;

struct RankLateness {
  std::vector<double> by_step;
  double usual_us = 0;
};

std::vector<RankLateness> by_rank(const Comparison& comparison) {
  std::vector<RankLateness> ranks(comparison.clock_us.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    for (const ComparedStep& step : comparison.steps) {
      ranks[rank].by_step.push_back(step.late_us[rank]);
    }
    ranks[rank].usual_us = median(ranks[rank].by_step);
  }
  return ranks;
}

size_t parts_beyond(const std::vector<double>& by_step, double limit) {
  size_t beyond = 0;
  for (size_t part = 0; part < kParts; ++part) {
    const auto at = [&](size_t i) {
      return by_step.begin() + static_cast<std::ptrdiff_t>(i * by_step.size() / kParts);
    };
    beyond += median({at(part), at(part + 1)}) > limit ? 1 : 0;
  }
  return beyond;
}

// Apart from the clocks, which may be off throughout.
bool late_throughout(const RankLateness& rank, double work_us, double clock_us) {
  const double error = 1.2533 * spread(rank.by_step) /
                       std::sqrt(static_cast<double>(rank.by_step.size()));
  return rank.usual_us - clock_us > std::max(kThroughout * work_us, kErrors * error) &&
         parts_beyond(rank.by_step, clock_us + kThroughout * work_us / 2) >= kParts - 1;
}

class Finder {
 public:
  explicit Finder(const Comparison& comparison)
      : comparison_(comparison),
        ranks_(by_rank(comparison)),
        named_(ranks_.size(), false) {}

  Verdict find() {
    verdict_.compared = std::ssize(comparison_.steps);
    if (enough()) {
      find_throughout();
      find_often();
      find_single();
    }
    std::stable_sort(
        verdict_.stragglers.begin(), verdict_.stragglers.end(),
        [&](const Straggler& a, const Straggler& b) { return total(a) > total(b); });
    return std::move(verdict_);
  }

 private:
  bool enough() {
    if (ranks_.size() < 2) {
      verdict_.notes.push_back("One rank alone: nobody waits for it.");
      return false;
    }
    if (comparison_.incomplete > 0) {
      verdict_.notes.push_back(charts::count_of(comparison_.incomplete, "step") +
                               " left out: a rank has no line there, or no bucket.");
    }
    if (verdict_.compared >= kFewestSteps) return true;
    verdict_.notes.push_back(charts::count_of(verdict_.compared, "step") +
                             " after the first " + std::to_string(kWarmUp) +
                             " are too few to tell a straggler from noise: " +
                             std::to_string(kFewestSteps) + " are needed.");
    return false;
  }

  double total(const Straggler& one) const {
    return one.cost_us * static_cast<double>(one.kind == Kind::throughout
                                                 ? verdict_.compared
                                                 : std::ssize(one.steps));
  }

  void find_throughout() {
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      const double clock_us = comparison_.clock_us[rank];
      if (late_throughout(ranks_[rank], comparison_.work_us, clock_us)) {
        name(rank, Kind::throughout, {});
      } else if (ranks_[rank].usual_us < clock_us + kThroughout * comparison_.work_us &&
                 late_throughout(ranks_[rank], comparison_.work_us, 0)) {
        verdict_.notes.push_back("Rank " + std::to_string(rank) + " seems late by " +
                                 fixed(ranks_[rank].usual_us / 1e3, 3) +
                                 " ms in every step, but the clocks are known to " +
                                 fixed(clock_us / 1e3, 3) +
                                 " ms only: it may be a clock that is off.");
      }
    }
  }

  // In many steps, by more than the noise that the other ranks have.
  void find_often() {
    const double many = std::max(10.0, static_cast<double>(verdict_.compared) / 12);
    const std::vector<bool> always = named_;
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (always[rank]) continue;
      std::vector<double> others;
      for (size_t other = 0; other < ranks_.size(); ++other) {
        if (other != rank && !always[other]) add_unusual(other, others);
      }
      const double limit = beyond_all(others) + comparison_.clock_us[rank];
      std::vector<size_t> late;
      for (size_t i = 0; i < comparison_.steps.size(); ++i) {
        if (ranks_[rank].by_step[i] > limit) late.push_back(i);
      }
      if (static_cast<double>(late.size()) >= many) {
        name(rank, Kind::often, std::move(late));
      }
    }
  }

  // What a rank is late by beside what is usual for it, so that a clock that is off
  // does not count.
  void add_unusual(size_t rank, std::vector<double>& to) const {
    for (const double late : ranks_[rank].by_step) {
      to.push_back(late - ranks_[rank].usual_us);
    }
  }

  // More than noise, and than what is too little to speak of.
  double beyond_all(const std::vector<double>& noise) const {
    return std::max(kSingle * comparison_.work_us, beyond_noise(noise));
  }

  void find_single() {
    std::vector<double> all;  // of whoever is not late often
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (!is_often(rank)) add_unusual(rank, all);
    }
    const double limit = verdict_.single_us = beyond_all(all);
    std::vector<std::vector<size_t>> late(ranks_.size());
    int64_t found = 0, ranks = 0;
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (is_often(rank)) continue;
      for (size_t i = 0; i < comparison_.steps.size(); ++i) {
        const double over = ranks_[rank].by_step[i];
        if (over - ranks_[rank].usual_us > limit &&
            over + comparison_.clock_us[rank] > limit / 2) {
          late[rank].push_back(i);
        }
      }
      found += std::ssize(late[rank]);
      ranks += late[rank].empty() ? 0 : 1;
    }
    // So many on several ranks are the machine's way.
    if (ranks > 1 && found > std::max<int64_t>(3, verdict_.compared / 50)) {
      verdict_.notes.push_back(std::to_string(found) + " late steps are spread over " +
                               std::to_string(ranks) +
                               " ranks: a busy machine has such; they name nobody.");
      return;
    }
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (!late[rank].empty()) name(rank, Kind::single, late[rank]);
    }
  }

  bool is_often(size_t rank) const {
    return std::any_of(verdict_.stragglers.begin(), verdict_.stragglers.end(),
                       [&](const Straggler& one) {
                         return one.kind == Kind::often &&
                                one.rank == static_cast<int>(rank);
                       });
  }

  // `late`: places in the comparison's steps; none: all of them.
  void name(size_t rank, Kind kind, std::vector<size_t> late) {
    named_[rank] = true;
    Straggler one;
    one.rank = static_cast<int>(rank);
    one.kind = kind;
    for (const size_t i : late) one.steps.push_back(comparison_.steps[i].step);
    if (late.empty()) {
      for (size_t i = 0; i < comparison_.steps.size(); ++i) late.push_back(i);
    }
    std::vector<double> over;
    std::array<std::vector<double>, kPhases> phases;
    for (const size_t i : late) {
      const ComparedStep& step = comparison_.steps[i];
      over.push_back(step.late_us[rank]);
      one.cost_us +=
          buckets::cost_us(step, one.rank) / static_cast<double>(late.size());
      for (size_t phase = 0; phase < kPhases; ++phase) {
        phases[phase].push_back(step.phase_us[phase][rank]);
      }
    }
    one.late_us = median(over);
    for (size_t phase = 0; phase < kPhases; ++phase) {
      const double us = median(phases[phase]);
      if (phase > 0 && us <= one.phase_us) continue;
      one.phase = static_cast<Phase>(phase);
      one.phase_us = us;
    }
    verdict_.stragglers.push_back(std::move(one));
  }

  const Comparison& comparison_;
  std::vector<RankLateness> ranks_;
  std::vector<bool> named_;
  Verdict verdict_;
};

}  // namespace

Verdict find_stragglers(const Comparison& comparison) {
  return Finder(comparison).find();
}

std::string ranges_of(const std::vector<int64_t>& steps) {
  std::string text;
  for (size_t i = 0; i < steps.size();) {
    size_t last = i;
    while (last + 1 < steps.size() && steps[last + 1] == steps[last] + 1) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(steps[i]);
    if (last > i) text += "-" + std::to_string(steps[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace lockstep::buckets
