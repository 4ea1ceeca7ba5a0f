// How the elements of a collective are shared out.
//
// A *lane* is the ranks of one local number, one on each host: lane j moves its part of
// the elements between hosts, so that each goes over a cable once, and all ranks of a
// host send at once. Within a lane each segment has a *home*: the host whose rank adds
// it up. Ranks that a host has beyond the number of lanes take part inside alone.
#pragma once

#include <cstdint>
#include <vector>

#include "hier/placement.h"

namespace lockstep::hier {

struct Segment {
  int64_t start;
  int64_t elements;
  int home;  // a host
  int lane;  // a local rank on every host

  int64_t end() const { return start + elements; }
};
using Segments = std::vector<Segment>;

// The elements dealt out over the lanes, and each lane's over `homes`, as evenly as
// whole cache lines go. None is empty; each lane's lie side by side.
Segments share_out(int64_t elements, int64_t element_bytes, int lanes,
                   const std::vector<int>& homes);

// Piece r of `each` elements is rank r's: at home on its host.
Segments pieces_of_ranks(int64_t each, const Placement& placement);

// Neighbours of one lane made one, for what does not look at their homes.
Segments merged(const Segments& segments);

}  // namespace lockstep::hier
