// Lab 8: who a rank is, where all of them meet and what each of them does, by the
// student. Plain functions of what a rank is told: no socket, no LibTorch.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "labs/registered.h"

namespace lockstep::labs {

// What a rank finds, on its command line and in its environment.
struct Told {
  std::vector<int> gpus;    // the cards of each node, in order: {4, 4}, or {4, 2}
  int node_rank = 0;        // this rank's node
  int local_rank = 0;       // its number there
  int global_batch = 64;    // samples of one step of the whole job
  std::string master_addr;  // --master-addr; empty: not given
  int master_port = 0;      // --master-port; 0: not given
  std::map<std::string, std::string> environment;
};

struct Ranks {
  int rank = -1;  // in the whole job
  int world_size = 0;
  int card = -1;  // of this node's cards
};

struct Meeting {
  std::string host;
  int port = 0;
  bool hosts_store = false;  // this rank does, for all
};

struct Share {
  int local_batch = 0;
  // The sampler takes this share of so many equal ones.
  int share = -1, shares = 0;
  bool writes_checkpoint = false;
};

// Each throws std::invalid_argument for what cannot be.
struct Rendezvous {
  std::function<Ranks(const Told&)> ranks;
  std::function<Meeting(const Told&)> meeting;
  std::function<Share(const Told&)> share;
};

Registry<Rendezvous()>& rendezvous();

}  // namespace lockstep::labs
