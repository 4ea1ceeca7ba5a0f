// The words in which a member is given up, and who speaks them when.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::membership {

// A member that is to be named, as the judge knows it.
struct Suspect {
  int index = 0;
  std::string where;            // "pid 4711 on nodeb"
  std::optional<int64_t> step;  // the last that it told
};

struct Verdict {
  std::vector<int> lost;
  bool may_speak = false;  // they may have an error of their own, and say so
  std::string text;
};

Verdict have_gone(const std::string& kind, const std::vector<Suspect>& gone);
Verdict are_silent(const std::string& kind, const std::vector<Suspect>& silent,
                   std::chrono::milliseconds since);
Verdict failed(const std::string& kind, int index, const std::string& why);

// As it is sent; nullopt: that is none.
std::string to_line(const Verdict& verdict);
std::optional<Verdict> verdict_from(const std::string& line);

// How long a member that was told it waits before it says so. Who was stopped or cannot
// be reached says nothing itself; who has gone may be about to. A program waits a
// second before it tells its own error, if its rank is not 0.
std::chrono::milliseconds hush(const Verdict& verdict, int turn);

// And so long after that whoever has not said it by then hangs.
inline constexpr std::chrono::milliseconds kItselfFirst{200};

}  // namespace lockstep::membership
