// The tensors that all ranks know by a number, so that from their second time on a rank
// says one bit for each instead of its name, type and shape (horovod/common/
// response_cache.cc). The coordinator gives the numbers, and all ranks learn them from
// its responses.
//
// A number means the same for ever: one may be on its way while others are given. So
// nothing is evicted, as Horovod does with what was used least: where the capacity is
// used up, further tensors stay without. A tensor whose shape has changed is another.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "negotiation/messages.h"

namespace lockstep::negotiation {

class ResponseCache {
 public:
  // The number of this very request: same name, same everything.
  std::optional<int64_t> number_of(const Request& request) const {
    const auto found = numbers_.find(request.name);
    if (found == numbers_.end() || at(found->second) != request) return std::nullopt;
    return found->second;
  }

  // Throws std::out_of_range for a number that nobody was given.
  const Request& at(int64_t number) const {
    return requests_.at(static_cast<size_t>(number));
  }
  int64_t size() const { return std::ssize(requests_); }

  // The next number is this request's.
  int64_t add(const Request& request) {
    requests_.push_back(request);
    return numbers_[request.name] = size() - 1;
  }

 private:
  std::vector<Request> requests_;
  std::map<std::string, int64_t> numbers_;  // the latest of each name
};

}  // namespace lockstep::negotiation
