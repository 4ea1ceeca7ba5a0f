#include "negotiation/stall_inspector.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "negotiation/ranks_in_words.h"

namespace lockstep::negotiation {
namespace {

using Waiting = StallInspector::Waiting;

constexpr size_t kNamed = 5;  // of the tensors that wait for the same ranks

std::string shown(StallInspector::Clock::duration time) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", std::chrono::duration<double>(time).count());
  return std::string(text) + " s";
}

// "rank 1 has not submitted a, b and 3 more; ranks 2, 3 have not submitted c".
std::string told(const std::vector<Waiting>& stalled) {
  std::vector<std::vector<int>> order;
  std::map<std::vector<int>, std::vector<std::string>> names;
  for (const Waiting& one : stalled) {
    if (names[one.missing].empty()) order.push_back(one.missing);
    names[one.missing].push_back(one.name);
  }
  std::string text;
  for (const std::vector<int>& missing : order) {
    if (!text.empty()) text += "; ";
    text += in_words(missing);
    text += missing.size() == 1 ? " has not submitted" : " have not submitted";
    const std::vector<std::string>& all = names[missing];
    for (size_t i = 0; i < std::min(kNamed, all.size()); ++i) {
      text += (i == 0 ? " " : ", ") + all[i];
    }
    if (all.size() > kNamed) {
      text += " and " + std::to_string(all.size() - kNamed) + " more";
    }
  }
  return text;
}

StallInspector::Clock::duration whole(Seconds seconds) {
  return std::chrono::duration_cast<StallInspector::Clock::duration>(seconds);
}

}  // namespace

StallInspector::StallInspector(const Settings& settings)
    : enabled_(settings.stall_check),
      warning_(whole(settings.stall_warning)),
      shutdown_(whole(settings.stall_shutdown)) {}

StallInspector::Findings StallInspector::inspect(const std::vector<Waiting>& waiting,
                                                 Clock::time_point now) {
  Findings findings;
  if (!enabled_) return findings;
  const auto stalled_for = [&](Clock::duration time) {
    std::vector<Waiting> stalled;
    std::copy_if(waiting.begin(), waiting.end(), std::back_inserter(stalled),
                 [&](const Waiting& one) { return now - one.since >= time; });
    return stalled;
  };
  if (shutdown_.count() > 0) {
    const std::vector<Waiting> lost = stalled_for(shutdown_);
    if (!lost.empty()) {
      findings.shutdown =
          "tensors wait for other ranks for " + shown(shutdown_) +
          ", and HOROVOD_STALL_SHUTDOWN_TIME_SECONDS allows no more: " + told(lost);
      return findings;
    }
  }
  if (warned_ && now - *warned_ < warning_) return findings;
  const std::vector<Waiting> stalled = stalled_for(warning_);
  if (stalled.empty()) return findings;
  warned_ = now;
  findings.warning = "tensors wait for other ranks for more than " + shown(warning_) +
                     ": " + told(stalled) +
                     "; do all ranks train the same model, and as many steps?";
  return findings;
}

std::optional<StallInspector::Clock::time_point> StallInspector::due(
    Clock::time_point oldest) const {
  if (!enabled_) return std::nullopt;
  Clock::time_point next = oldest + warning_;
  if (warned_) next = std::max(next, *warned_ + warning_);
  if (shutdown_.count() > 0) next = std::min(next, oldest + shutdown_);
  return next;
}

}  // namespace lockstep::negotiation
