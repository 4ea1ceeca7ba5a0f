#include "membership/verdict.h"

#include <algorithm>
#include <sstream>

namespace lockstep::membership {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPeerSpeaks{2500};
constexpr milliseconds kFirstTurn{100};
constexpr milliseconds kTurn{250};
constexpr int kTurns = 4;

// "a", "a and b", "a, b and c".
std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool last = i + 1 == words.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + words[i];
  }
  return text;
}

// "rank 2 (pid 4711 on nodeb) has gone, last step 17".
Verdict of(const std::string& kind, const std::vector<Suspect>& lost, bool may_speak,
           const std::string& of_one, const std::string& of_several) {
  Verdict verdict;
  verdict.may_speak = may_speak;
  std::vector<std::string> names, steps;
  for (const Suspect& one : lost) {
    verdict.lost.push_back(one.index);
    names.push_back(kind + " " + std::to_string(one.index) + " (" + one.where + ")");
    if (one.step) steps.push_back(std::to_string(*one.step));
  }
  const bool several = lost.size() > 1;
  verdict.text = joined(names) + (several ? of_several : of_one);
  if (!steps.empty()) {
    verdict.text +=
        std::string(", last step") + (steps.size() > 1 ? "s " : " ") + joined(steps);
  }
  return verdict;
}

}  // namespace

Verdict have_gone(const std::string& kind, const std::vector<Suspect>& gone) {
  return of(kind, gone, /*may_speak=*/true, " has gone", " have gone");
}

Verdict are_silent(const std::string& kind, const std::vector<Suspect>& silent,
                   milliseconds since) {
  std::ostringstream seconds;
  seconds << static_cast<double>(since.count()) / 1000;
  const std::string heard =
      " not been heard of for " + seconds.str() + " s (stopped, or ";
  return of(kind, silent, /*may_speak=*/false,
            " has" + heard + "its host cannot be reached)",
            " have" + heard + "their hosts cannot be reached)");
}

Verdict failed(const std::string& kind, int index, const std::string& why) {
  return {{index}, /*may_speak=*/true, kind + " " + std::to_string(index) + ": " + why};
}

std::string to_line(const Verdict& verdict) {
  std::string line = std::to_string(verdict.lost.size());
  for (const int index : verdict.lost) line += " " + std::to_string(index);
  return line + (verdict.may_speak ? " 1 " : " 0 ") + verdict.text;
}

std::optional<Verdict> verdict_from(const std::string& line) {
  std::istringstream words(line);
  Verdict verdict;
  size_t count = 0;
  words >> count;
  for (size_t i = 0; i < count && words; ++i) words >> verdict.lost.emplace_back();
  words >> verdict.may_speak;
  std::getline(words >> std::ws, verdict.text);
  if (words.fail()) return std::nullopt;
  return verdict;
}

milliseconds hush(const Verdict& verdict, int turn) {
  return (verdict.may_speak ? kPeerSpeaks : kFirstTurn) +
         kTurn * std::clamp(turn, 0, kTurns - 1);
}

}  // namespace lockstep::membership
