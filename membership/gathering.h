// How the members of a watch come together: each one connects to member 0, whose
// address and a token that proves who read it there are in the store.
#pragma once

#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "membership/line_socket.h"
#include "membership/watch.h"

namespace lockstep::membership {

// Another member, as this one is connected to it.
struct Peer {
  int index = 0;
  std::string where;  // "pid 4711 on nodeb"
  LineSocket socket;
  std::vector<std::string> unread;  // lines that came with the greeting
};

// "rank 2", or several: "rank 1, 3".
std::string list_of(const std::string& kind, const std::vector<int>& indices);

// Member 0: all others. The others: member 0. Returns when all have come. Throws
// std::runtime_error naming who has not, on all that have.
std::vector<Peer> gather(c10d::Store& store, const WatchOptions& options);

}  // namespace lockstep::membership
