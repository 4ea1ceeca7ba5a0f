// How a collective on the board is cut into pieces, and what is done with one.
#include <algorithm>
#include <array>
#include <cstring>

#include "shm/board.h"

namespace lockstep::shm {
namespace {

// Of one rank's numbers. Two ranks' pieces and their results stay in a core's own
// cache.
constexpr int64_t kPieceBytes = 32 << 10;

// Of an optimizer's step, within a piece.
constexpr int64_t kStepBytes = 4 << 10;

int64_t piece_elements(const SharedCall& call) {
  return kPieceBytes / static_cast<int64_t>(c10::elementSize(call.type));
}

int64_t pieces_in(int64_t elements, const SharedCall& call) {
  const int64_t size = piece_elements(call);
  return (elements + size - 1) / size;
}

// A run of elements that is dealt with at one go.
struct Run {
  uint32_t span;  // of those in place; else the rank whose part it is
  int64_t start;  // from the span's or part's beginning
  int64_t elements;
};

bool in_place(const SharedCall& call) {
  return call.collective != Collective::reduce_scatter &&
         call.collective != Collective::all_gather;
}

int64_t part_elements(const SharedCall& call) {
  return call.elements(call.collective == Collective::all_gather ? 0 : 1);
}

// An update's other spans are cut as its gradients are.
uint32_t cut_spans(const SharedCall& call) {
  return call.collective == Collective::update ? (call.spans - 1) / 2 : call.spans;
}

Run run_of(const SharedCall& call, int64_t piece) {
  uint32_t i = 0;
  const auto elements = [&] {
    return in_place(call) ? call.elements(i) : part_elements(call);
  };
  while (piece >= pieces_in(elements(), call))
    piece -= pieces_in(elements(), call), ++i;
  const int64_t start = piece * piece_elements(call);
  return {i, start, std::min(piece_elements(call), elements() - start)};
}

}  // namespace

int64_t pieces_of(const SharedCall& call, int world_size) {
  if (!in_place(call)) return world_size * pieces_in(part_elements(call), call);
  int64_t pieces = 0;
  for (uint32_t i = 0; i < cut_spans(call); ++i)
    pieces += pieces_in(call.elements(i), call);
  return pieces;
}

int64_t first_piece(int64_t pieces, int rank, int world_size) {
  return pieces * rank / world_size;
}

int64_t Board::state_elements(const std::vector<int64_t>& elements, at::ScalarType type,
                              int world_size) {
  SharedCall call{};
  call.type = type;
  int64_t pieces = 0;
  for (const int64_t count : elements) pieces += pieces_in(count, call);
  return (pieces + world_size - 1) / world_size * piece_elements(call);
}

std::byte* Board::element_at(const Place& place, size_t rank, uint32_t span,
                             int64_t index) const {
  const SharedCall& call = place.call[rank];
  return memory_->region(static_cast<int>(rank)) + call.span[span].offset +
         index * static_cast<int64_t>(c10::elementSize(call.type));
}

void Board::do_piece(const Place& place, int64_t piece) const {
  const SharedCall& call = place.call[0];
  const Run run = run_of(call, piece);
  const auto ranks = static_cast<size_t>(world_size_);
  const auto element = static_cast<int64_t>(c10::elementSize(call.type));
  const auto at = [&](size_t rank, uint32_t span, int64_t start) {
    return element_at(place, rank, span, start);
  };
  const auto root = static_cast<size_t>(call.root);
  const int64_t part = in_place(call) ? 0 : run.span * part_elements(call);
  std::array<const void*, kMaxRanks> from;
  std::array<void*, kMaxRanks> to;
  size_t sources = ranks;
  size_t destinations = ranks;
  switch (call.collective) {
    case Collective::reduce_scatter:
      for (size_t r = 0; r < ranks; ++r) from[r] = at(r, 0, part + run.start);
      to[0] = at(run.span, 1, run.start);
      destinations = 1;
      break;
    case Collective::all_gather:
      from[0] = at(run.span, 0, run.start);
      sources = 1;
      for (size_t r = 0; r < ranks; ++r) to[r] = at(r, 1, part + run.start);
      break;
    case Collective::broadcast:
      from[0] = at(root, run.span, run.start);
      sources = 1;
      for (size_t r = 0; r < ranks; ++r) to[r] = at(r, run.span, run.start);
      break;
    case Collective::reduce:
      for (size_t r = 0; r < ranks; ++r) from[r] = at(r, run.span, run.start);
      to[0] = at(root, run.span, run.start);
      destinations = 1;
      break;
    case Collective::all_reduce:
    case Collective::barrier:
    case Collective::update:
      for (size_t r = 0; r < ranks; ++r) {
        from[r] = to[r] = at(r, run.span, run.start);
      }
  }
  if (sources == 1) {
    for (size_t r = 0; r < destinations; ++r) {
      if (to[r] != from[0]) {
        std::memcpy(to[r], from[0], static_cast<size_t>(run.elements * element));
      }
    }
    return;
  }
  reduce_kernel(call.reduction, call.type)({from.data(), sources},
                                           {to.data(), destinations}, run.elements);
}

void Board::step_piece(const Place& place, int64_t piece, int owner,
                       const Started& started) const {
  const SharedCall& call = place.call[0];
  const Run run = run_of(call, piece);
  const uint32_t parameters = cut_spans(call) + run.span;
  const auto ranks = static_cast<size_t>(world_size_);
  const auto element = static_cast<int64_t>(c10::elementSize(call.type));
  const auto at = [&](size_t rank, uint32_t span, int64_t start) {
    return element_at(place, rank, span, start);
  };
  const uint32_t state_span = call.spans - 1;
  const bool has_state = call.elements(state_span) > 0;
  const int64_t state_start =
      (piece - first_piece(place.pieces, owner, world_size_)) * piece_elements(call);
  const ReduceKernel mean_of = reduce_kernel(Reduction::mean, call.type);
  // From mean to step to the other ranks while it is in the first level of cache.
  alignas(64) std::array<std::byte, kStepBytes> mean;
  const int64_t tile = kStepBytes / element;
  std::array<const void*, kMaxRanks> from;
  for (int64_t start = 0; start < run.elements; start += tile) {
    const int64_t count = std::min(tile, run.elements - start);
    const int64_t first = run.start + start;
    for (size_t r = 0; r < ranks; ++r) from[r] = at(r, run.span, first);
    void* to = mean.data();
    mean_of({from.data(), ranks}, {&to, 1}, count);
    void* state = has_state
                      ? at(static_cast<size_t>(owner), state_span, state_start + start)
                      : nullptr;
    void* mine = at(static_cast<size_t>(rank_), parameters, first);
    started.step(mean.data(), mine, state, count);
    for (size_t r = 0; r < ranks; ++r) {
      if (static_cast<int>(r) == rank_) continue;
      std::memcpy(at(r, parameters, first), mine, static_cast<size_t>(count * element));
    }
  }
}

}  // namespace lockstep::shm
