#include "buckets/words.h"

#include <algorithm>
#include <set>

#include "charts/words.h"
#include "timing/replay.h"

namespace lockstep::buckets {
namespace {

using charts::count_of;
using charts::fixed;
using charts::short_number;
using timing::RunTimes;

std::string ms(double us) { return short_number(us / 1e3) + " ms"; }

std::string percent(double share) { return fixed(100 * share, 0) + " %"; }

size_t hosts_of(const RunTimes& times) {
  return std::set<std::string>(times.hosts.begin(), times.hosts.end()).size();
}

std::string fact(const RunTimes& times, const std::string& key) {
  const auto found = times.run.find(key);
  return found == times.run.end() ? "" : found->second;
}

int64_t steps_of(const RunTimes& times) {
  std::set<int64_t> steps;
  for (const timing::StepTimes& line : times.steps) steps.insert(line.step);
  return std::ssize(steps);
}

std::string sentence(const RunTimes& times, const Comparison& comparison,
                     const Straggler& one) {
  using Kind = Straggler::Kind;
  std::string when = "throughout";
  if (one.kind != Kind::throughout) {
    when = std::string(one.steps.size() == 1 ? "in step " : "in steps ") +
           ranges_of(one.steps);
  }
  std::string text = name_of_rank(times, one.rank) + " is late " + when +
                     ": its last " + "bucket was ready " + ms(one.late_us) +
                     " after the others' (a rank's work until then takes " +
                     ms(comparison.work_us) + "), ";
  if (one.phase_us < one.late_us / 2) {
    text += "in all phases of the step";
  } else {
    text += ms(one.phase_us) + " of it " + name_of(one.phase);
  }
  if (one.cost_us < 0.01 * one.late_us) {
    return text + "; it cost nothing, for collectives before took as long.";
  }
  return text + "; the others waited " + ms(one.cost_us) +
         (one.kind == Kind::throughout ? " a step for it."
          : one.steps.size() == 1      ? " for it."
                                       : " for it in each of these.");
}

}  // namespace

std::string name_of_rank(const RunTimes& times, int rank) {
  const std::string name = "rank " + std::to_string(rank);
  if (hosts_of(times) < 2) return name;
  return name + " (host " + times.hosts[static_cast<size_t>(rank)] + ")";
}

std::string run_in_words(const RunTimes& times) {
  std::string text = fact(times, "model");
  const std::string reducer = fact(times, "reducer"), backend = fact(times, "backend");
  if (!reducer.empty()) text += (text.empty() ? "" : ", ") + reducer;
  if (!backend.empty()) text += (text.empty() ? "" : " over ") + backend;
  if (!text.empty()) text += ": ";
  return text + count_of(times.world_size, "rank") + " on " +
         count_of(static_cast<int64_t>(hosts_of(times)), "host") + ", " +
         count_of(steps_of(times), "step") + ".";
}

std::string step_in_words(const RunTimes& times, const BucketTable& table) {
  std::string text = "Medians of " + count_of(table.steps, "step") +
                     ", in ms since a rank's step began";
  if (table.others > 0) {
    text += "; " + count_of(table.others, "step") + " had other buckets";
  }
  text += ". Forward takes " + short_number(table.forward_ms) + " ms, backward " +
          short_number(table.backward_ms) + " ms, then the rank waits " +
          short_number(table.exposed_ms) +
          " ms for its gradients; a collective is under way for " +
          short_number(table.comm_ms) + " ms: overlap " + percent(table.overlap()) +
          ".";
  if (table.others > 0) return text;  // the replay takes the same buckets on all ranks
  const timing::StepLengths lengths = timing::step_lengths(times, kWarmUp);
  if (lengths.steps > 0) {
    const auto overlap = times.run.find("overlap");
    const bool sync = overlap != times.run.end() && overlap->second == "no";
    text += " A step takes " + ms(lengths.taken_us) +
            (sync ? " (T_sync)" : " (T_overlap)") +
            "; with ready times and collectives as they were it could take " +
            ms(lengths.ideal_us) + " (T_ideal).";
    if (lengths.ideal_us > lengths.taken_us) {
      text +=
          " It is longer, for the replay takes one collective after another and this "
          "run did not; T_ideal is of a run with --no-overlap.";
    }
  }
  return text;
}

std::vector<std::string> verdict_in_words(const RunTimes& times,
                                          const Comparison& comparison,
                                          const Verdict& verdict) {
  std::vector<std::string> sentences;
  for (const Straggler& one : verdict.stragglers) {
    sentences.push_back(sentence(times, comparison, one));
  }
  const double clock_us =
      comparison.clock_us.empty()
          ? 0
          : *std::max_element(comparison.clock_us.begin(), comparison.clock_us.end());
  if (sentences.empty() && verdict.single_us > 0) {
    sentences.push_back("Nobody: of " + count_of(verdict.compared, "step") +
                        ", none has a rank that is late by more than the " +
                        ms(verdict.single_us) +
                        " that noise or too little to matter would explain.");
  }
  sentences.insert(sentences.end(), verdict.notes.begin(), verdict.notes.end());
  if (times.world_size > 1) {
    sentences.push_back("The ranks' clocks are aligned to " + ms(clock_us) + ".");
  }
  for (std::string& one : sentences)
    one.front() = static_cast<char>(std::toupper(one.front()));
  return sentences;
}

}  // namespace lockstep::buckets
