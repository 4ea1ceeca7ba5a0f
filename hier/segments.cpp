#include "hier/segments.h"

#include <algorithm>

namespace lockstep::hier {
namespace {

constexpr int64_t kCacheLine = 64;

}  // namespace

Segments share_out(int64_t elements, int64_t element_bytes, int lanes,
                   const std::vector<int>& homes) {
  const int64_t block = std::max<int64_t>(1, kCacheLine / element_bytes);
  const int64_t blocks = (elements + block - 1) / block;
  const auto parts = static_cast<int64_t>(homes.size()) * lanes;
  const auto cut = [&](int64_t part) {
    return std::min(elements, blocks * part / parts * block);
  };
  Segments segments;
  for (int64_t part = 0; part < parts; ++part) {
    const auto of_lane = static_cast<size_t>(part) % homes.size();
    const auto lane = static_cast<int>(static_cast<size_t>(part) / homes.size());
    const Segment segment{cut(part), cut(part + 1) - cut(part), homes[of_lane], lane};
    if (segment.elements > 0) segments.push_back(segment);
  }
  return segments;
}

Segments pieces_of_ranks(int64_t each, const Placement& placement) {
  Segments segments;
  const int lanes = placement.lanes();
  for (size_t rank = 0; rank < placement.host.size() && each > 0; ++rank) {
    segments.push_back({static_cast<int64_t>(rank) * each, each, placement.host[rank],
                        placement.local[rank] % lanes});
  }
  return segments;
}

Segments merged(const Segments& segments) {
  Segments runs;
  for (const Segment& segment : segments) {
    if (!runs.empty() && runs.back().lane == segment.lane &&
        runs.back().end() == segment.start) {
      runs.back().elements += segment.elements;
    } else {
      runs.push_back(segment);
    }
  }
  return runs;
}

}  // namespace lockstep::hier
