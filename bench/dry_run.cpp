#include "bench/dry_run.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "bench/bucket_times.h"
#include "bench/verify.h"

namespace lockstep::bench {
namespace {

using Words = std::vector<std::string>;

// As a shell would take it.
std::string quoted(const Words& words) {
  std::string text;
  for (const std::string& word : words) {
    const bool plain =
        !word.empty() &&
        word.find_first_of(" \t\n\"'\\$`*?[]{}()<>|&;#~!") == std::string::npos;
    std::string safe = word;
    for (size_t at = safe.find('\''); at != std::string::npos;
         at = safe.find('\'', at + 4)) {
      safe.replace(at, 1, "'\\''");
    }
    text += (text.empty() ? "" : " ") + (plain ? word : "'" + safe + "'");
  }
  return text;
}

std::string count(size_t number, const std::string& what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

// What stands before the command of a case that is several of them.
std::string how_often(const Case& one) {
  const std::string cards = std::to_string(one.cards);
  if (one.mode == "bound") return cards + " at once of ";
  if (one.ddp.link.empty()) return "";
  const int each = one.ddp.ranks_per_host;
  return (each == 1 ? "a rank" : std::to_string(each) + " ranks") + " on each of " +
         std::to_string(one.cards / each) + " hosts, cables of " + one.ddp.link + ": ";
}

}  // namespace

void check_with_programs(const std::vector<Case>& cases, const Children& children) {
  // By what a program says, no matter how many cards, samples and MiB.
  using Way =
      std::tuple<std::string, std::string, std::string, std::string, std::string, bool>;
  std::map<Way, Case> largest;
  const bool plain_python =
      std::any_of(cases.begin(), cases.end(),
                  [](const Case& one) { return one.mode == "single-python"; });
  for (const Case& one : cases) {
    // A bound is the single card's program; the Python peer's options do not depend on
    // its ranks or on whether it compiles, and it takes seconds to start.
    if (one.mode == "bound" || one.mode == "ddp-python") continue;
    if (one.mode == "single-python-compile" && plain_python) continue;
    const Way way = {one.mode,        one.model,         one.ddp.reducer,
                     one.ddp.backend, one.ddp.comm_hook, one.ddp.link.empty()};
    Case& found = largest.try_emplace(way, one).first->second;
    const auto size = [](const Case& of) {
      return std::make_pair(of.cards, of.local_batch);
    };
    if (size(one) > size(found)) found = one;
  }
  for (const auto& [way, one] : largest) children.dry_run(one);
}

std::string what_would_run(const std::vector<Case>& cases, const BenchLine& line,
                           const Children& children) {
  const Sweep& sweep = line.sweep;
  const int64_t steps = sweep.warmup + sweep.steps;
  const RunPlan verify{.steps = kVerifySteps, .reference = true};
  std::string text;
  std::set<Words> references;
  size_t verified = 0, ours = 0;
  for (const Case& one : cases) {
    text += one.name() + "  " + how_often(one) +
            quoted(children.command_line(one, {.steps = steps})) + "\n";
    if (one.ours()) ++ours;
    if (is_baseline(one, sweep)) continue;
    ++verified;
    references.insert(children.command_line(one, verify));
  }
  const size_t runs = cases.size() * static_cast<size_t>(sweep.repetitions);
  text += count(cases.size(), "case") + ": " +
          count(verified + references.size(), "run") + " of " +
          std::to_string(kVerifySteps) + " steps to verify, " + count(runs, "run") +
          " of " + std::to_string(steps) + " steps to time";
  text += "; " +
          std::to_string(runs * static_cast<size_t>(steps) +
                         (verified + references.size()) * kVerifySteps) +
          " steps\n";
  if (sweep.memory_timeline) text += count(ours, "run") + " for memory timelines\n";
  if (line.step_lanes) text += count(ours, "run") + " for step lanes\n";
  if (line.bucket_times) {
    text += count(cases_with_buckets(cases).size(), "run") + " for buckets' times\n";
  }
  if (line.predict_memory || line.predict) {
    text += "and profiles of one card, to predict from\n";
  }
  return text;
}

}  // namespace lockstep::bench
