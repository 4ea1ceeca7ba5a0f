// Every rank shows the others a text, over the store where they met: beside the
// collectives, so that it says who did not come, and no backend is asked to carry two
// different ones at a time.
//
// Note [Two slots a rank]
// A rank writes its text number n into its slot n % 2, and reads the others' there. It
// comes to n + 2 after all have shown n + 1, and so have read n: nothing is overwritten
// that is still to be read, and the store does not grow.
//
// Not here: what the texts mean.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "comm/peer_watch.h"

namespace lockstep::fingerprint {

class Exchange {
 public:
  using Texts = std::vector<std::optional<std::string>>;  // by rank; nullopt: not there
  // The words in which it is given up, where somebody does not come in time.
  using Verdict = std::function<std::string(const Texts& came)>;

  Exchange(c10::intrusive_ptr<c10d::Store> store, int rank, int size,
           std::chrono::milliseconds timeout, comm::PeerWatchPtr watch);

  // The number of the last text shown, from 1.
  int64_t number() const { return number_; }

  // Returns when all ranks have shown their next text. Throws comm::Disagreement, the
  // same on all ranks that came, with the words of the one that gave up first;
  // std::runtime_error where a rank is lost.
  Texts show(const std::string& text, const Verdict& verdict);

  // Before a rank ends by an error that `ranks` of them have: the store may end with
  // it. Returns when all of those have come here, or after a moment.
  void hear_out(int64_t ranks);

 private:
  std::string slot_of(int rank) const;
  void read(Texts& texts);
  [[noreturn]] void give_up(const std::string& why, const Texts& came);

  c10::intrusive_ptr<c10d::Store> store_;
  const int rank_;
  const int size_;
  const std::chrono::milliseconds timeout_;
  // Weak: the group's end is the watch's, whoever still holds the backend.
  const std::weak_ptr<comm::PeerWatch> watch_;
  int64_t number_ = 0;
};

}  // namespace lockstep::fingerprint
