// Cards, hosts and the links between them in a few numbers, and what moving bytes takes
// on them: the alpha-beta model (Hockney 1994; Thakur et al., "Optimization of
// Collective Communication Operations in MPICH", 2005). A message of b bytes takes
// latency + b / bandwidth; the links of a host carry what crosses it.
//
// Not here: when collectives are launched and what they hide behind (step_time.h).
#pragma once

#include <string>
#include <vector>

namespace lockstep::predict {

struct Link {
  double latency_s = 0;  // of a message, whatever its size
  double bytes_per_s = 0;
};

struct Cluster {
  int cards_per_host = 8;
  Link inside;             // from a card to another of its host
  Link between;            // from a host to another
  int links_per_host = 1;  // of `between`, all used at once
  // What starting a collective takes, whatever moves.
  double call_s = 0;
  // To where the collective runs and back again, beside the collectives before and
  // after: gloo adds up in the host's memory. 0: it runs where the bytes are.
  double staging_bytes_per_s = 0;
  // The share of a card's speed that it loses while it communicates: NCCL's kernels
  // take multiprocessors, gloo's threads take cores. 0 to below 1.
  double contention = 0;
};

// pcie, nvlink, 1gbit, 10gbit, 25gbit, 100gbit or 400gbit: what the wire can do, as its
// specification says; or a rate of Ethernet, "300mbit". Throws std::invalid_argument
// for another name, listing these.
Link link_named(const std::string& name);
std::vector<std::string> link_names();

// `bytes` on each of so many cards, until all hold the sum. The quicker of a ring
// (2(n-1) messages of bytes/n) and a pair of trees (2 ceil(log2 n) messages on the way,
// all bytes over each link twice). Hosts are filled one after the other, so a ring
// crosses from host to host once each way.
double all_reduce_s(const Cluster& cluster, int cards, double bytes);

}  // namespace lockstep::predict
