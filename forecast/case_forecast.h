// What each case of a bench run should take, told from runs of one card and the links
// between them, never from the case itself: `bench --predict` sets it beside what the
// case then takes.
//
// Not here: clusters that are not there (forecast.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "cases/child_run.h"
#include "cases/sweep.h"
#include "predict/step_time.h"
#include "rows/row.h"

namespace lockstep::forecast {

// Whether it is: DDP and DataParallel on several cards are, but for peers, sharded
// optimizers and DataParallel's remedies (uneven shares, the loss in the replicas).
bool is_foretold(const Case& one);

class CaseForecast {
 public:
  CaseForecast(const Sweep& sweep, const Children& children)
      : sweep_(sweep), children_(children) {}

  // Runs one card of each of these cases once more; the first time, also what times the
  // links and weighs what DataParallel moves. To be called before each round of the
  // cases, so that a machine's moods meet both. Throws std::runtime_error, Stopped.
  void profile(const std::vector<Case>& cases);

  // Milliseconds of the median step. nullopt: not foretold, or not profiled.
  std::optional<rows::PredictedRow> step_ms(const Case& one) const;

 private:
  // Model, local batch, and how many cards work at once, each on cores of its own.
  using CardKey = std::tuple<std::string, int64_t, int>;
  // The link, the backend on it, the ranks that it is timed with, and the largest
  // message.
  using LinkKey = std::tuple<std::string, std::string, int, int64_t>;

  struct Links {
    predict::Cluster cluster;
    double copied_bytes_per_s = 0;  // within a card's memory
  };

  CardKey card_of(const Case& one) const;
  LinkKey link_of(const Case& one) const;
  predict::CardStep profiled(const Case& one, int at_once) const;
  Links timed(const LinkKey& key) const;
  predict::DataParallelBytes weighed(const Case& one) const;
  double contention(const Case& one, const predict::CardStep& alone) const;
  double seconds(const Case& one, const predict::CardStep& card) const;

  const Sweep& sweep_;
  const Children& children_;
  std::map<CardKey, std::vector<predict::CardStep>> cards_;  // one a round
  std::map<LinkKey, Links> links_;
  // What such a card loses of its speed while its link is at work, of so many hosts.
  std::map<std::tuple<CardKey, LinkKey, int>, double> contention_;
  std::map<CardKey, predict::DataParallelBytes> bytes_;
};

}  // namespace lockstep::forecast
