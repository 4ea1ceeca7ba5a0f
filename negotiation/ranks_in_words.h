// Ranks as the messages of this room name them.
#pragma once

#include <string>
#include <vector>

namespace lockstep::negotiation {

// "rank 1"; "ranks 2, 3".
inline std::string in_words(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (const int rank : ranks) {
    text += (rank == ranks.front() ? " " : ", ") + std::to_string(rank);
  }
  return text;
}

}  // namespace lockstep::negotiation
