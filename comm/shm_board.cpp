#include "comm/shm_board.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <new>
#include <span>
#include <stdexcept>
#include <thread>

namespace lockstep::comm {
namespace {

using Clock = std::chrono::steady_clock;

// Of one rank's numbers. Two ranks' pieces and their results stay in a core's own
// cache.
constexpr int64_t kPieceBytes = 32 << 10;

// How many collectives may be under way at once.
constexpr uint64_t kPlaces = 64;

// How often a sleeping rank looks whether the others still live.
constexpr std::chrono::milliseconds kLookAround{50};

struct SharedSpan {
  uint64_t offset;  // in its rank's region
  int64_t elements;
};

// A rank's Call, as the others see it.
struct SharedCall {
  Collective collective;
  Reduction reduction;
  at::ScalarType type;
  int32_t root;
  uint32_t spans;
  std::array<SharedSpan, ShmBoard::kMaxSpans> span;

  bool agrees_with(const SharedCall& other) const {
    const auto same_size = [](const SharedSpan& a, const SharedSpan& b) {
      return a.elements == b.elements;
    };
    return collective == other.collective && reduction == other.reduction &&
           type == other.type && root == other.root && spans == other.spans &&
           std::equal(span.begin(), span.begin() + spans, other.span.begin(),
                      same_size);
  }
  int64_t elements(uint32_t i) const { return span[i].elements; }
};

enum State : uint32_t { kOpen, kReady, kDone, kDisagreed };

}  // namespace

// Zeroed memory is a place that nobody came to yet.
struct BoardPlace {
  // How many collectives ended here.
  alignas(64) std::atomic<uint32_t> generation;
  std::atomic<uint32_t> left;  // ranks that are done with this one
  alignas(64) std::atomic<uint32_t> came;
  std::array<std::atomic<bool>, ShmBoard::kMaxRanks> has_come;
  alignas(64) std::atomic<uint32_t> state;
  mutable std::atomic<uint32_t> sleepers;
  int64_t pieces;
  // Of each rank's share, how many pieces have been taken. Shares are runs of pieces:
  // two cores that write side by side would take each other's cache lines.
  struct alignas(64) Share {
    std::atomic<int64_t> taken;
  };
  std::array<Share, ShmBoard::kMaxRanks> share;
  alignas(64) std::atomic<int64_t> done_pieces;
  alignas(64) std::array<SharedCall, ShmBoard::kMaxRanks> call;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free &&
              std::atomic<int64_t>::is_always_lock_free);

namespace {

long futex(const std::atomic<uint32_t>& word, int operation, uint32_t value,
           const timespec* timeout) {
  return syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

void wake(const BoardPlace& place, const std::atomic<uint32_t>& word) {
  if (place.sleepers.load() > 0) futex(word, FUTEX_WAKE, INT_MAX, nullptr);
}

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

int64_t pieces_of(const SharedCall& call, int world_size) {
  if (!in_place(call)) return world_size * pieces_in(part_elements(call), call);
  int64_t pieces = 0;
  for (uint32_t i = 0; i < call.spans; ++i) pieces += pieces_in(call.elements(i), call);
  return pieces;
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

int cores() {
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof(mine), &mine) == 0) return CPU_COUNT(&mine);
  return static_cast<int>(std::thread::hardware_concurrency());
}

std::string describe(const SharedCall& call) {
  int64_t elements = 0;
  for (uint32_t i = 0; i < call.spans; ++i) elements += call.elements(i);
  return std::string(to_string(call.collective)) + " of " + std::to_string(elements) +
         " " + c10::toString(call.type);
}

}  // namespace

const char* to_string(Collective collective) {
  static constexpr std::array<const char*, 6> kNames = {
      "all_reduce", "reduce", "reduce_scatter", "all_gather", "broadcast", "barrier"};
  return kNames.at(static_cast<size_t>(collective));
}

size_t ShmBoard::bytes() { return kPlaces * sizeof(BoardPlace); }

ShmBoard::ShmBoard(std::shared_ptr<SharedMemory> memory, int rank, int world_size,
                   std::chrono::milliseconds timeout)
    : memory_(std::move(memory)),
      rank_(rank),
      world_size_(world_size),
      timeout_(timeout),
      // Longer than ranks usually differ; with more ranks than cores, the one waited
      // for may need this very core.
      spin_(world_size <= cores() ? 300 : 0) {}

void ShmBoard::leave() {
  left_ = true;
  memory_->leave();
  under_way_.clear();
}

BoardPlace& ShmBoard::place_of(uint64_t number) const {
  return static_cast<BoardPlace*>(memory_->board())[number % kPlaces];
}

uint64_t ShmBoard::start(const Call& call, std::function<void()> finished) {
  await_place(next_);
  BoardPlace& place = place_of(next_);
  write(place, call);
  under_way_.push_back({next_, std::move(finished)});
  if (static_cast<int>(place.came.fetch_add(1) + 1) == world_size_) open(place);
  do_shares();
  return next_++;
}

// The collective that was here before must have ended, for this rank and for all.
void ShmBoard::await_place(uint64_t number) {
  if (number >= kPlaces) finish(number - kPlaces);
  const BoardPlace& place = place_of(number);
  const auto wanted = static_cast<uint32_t>(number / kPlaces);
  for (uint32_t now = place.generation.load(); now != wanted;
       now = place.generation.load()) {
    await(place.generation, now, place);
  }
}

void ShmBoard::write(BoardPlace& place, const Call& call) const {
  SharedCall& mine = place.call[static_cast<size_t>(rank_)];
  mine.collective = call.collective;
  mine.reduction = call.reduction;
  mine.type = call.type;
  mine.root = call.root;
  mine.spans = static_cast<uint32_t>(call.spans.size());
  for (size_t i = 0; i < call.spans.size(); ++i) {
    const auto* data = static_cast<const std::byte*>(call.spans[i].data);
    mine.span.at(i) = {static_cast<uint64_t>(data - memory_->region(rank_)),
                       call.spans[i].elements};
  }
  place.has_come[static_cast<size_t>(rank_)].store(true);
}

// By the last to come.
void ShmBoard::open(BoardPlace& place) const {
  const SharedCall& first = place.call[0];
  const bool agreed =
      std::all_of(place.call.begin(), place.call.begin() + world_size_,
                  [&](const SharedCall& call) { return call.agrees_with(first); });
  place.pieces = agreed ? pieces_of(first, world_size_) : 0;
  place.state.store(!agreed ? kDisagreed : place.pieces == 0 ? kDone : kReady);
  wake(place, place.state);
}

// See Note [Who reduces].
void ShmBoard::do_shares() const {
  for (const Started& started : under_way_) {
    BoardPlace& place = place_of(started.number);
    if (place.state.load() == kReady) do_share(place, rank_);
  }
}

void ShmBoard::do_share(BoardPlace& place, int rank) const {
  const int64_t begin = place.pieces * rank / world_size_;
  const int64_t end = place.pieces * (rank + 1) / world_size_;
  std::atomic<int64_t>& taken = place.share[static_cast<size_t>(rank)].taken;
  // Looked at before it is changed: a share that is done costs nothing more.
  while (begin + taken.load() < end) {
    const int64_t piece = begin + taken.fetch_add(1);
    if (piece >= end) return;
    do_piece(place, piece);
    if (place.done_pieces.fetch_add(1) + 1 < place.pieces) continue;
    place.state.store(kDone);
    wake(place, place.state);
  }
}

void ShmBoard::do_piece(const BoardPlace& place, int64_t piece) const {
  const SharedCall& call = place.call[0];
  const Run run = run_of(call, piece);
  const auto ranks = static_cast<size_t>(world_size_);
  const auto element = static_cast<int64_t>(c10::elementSize(call.type));
  const auto at = [&](size_t rank, uint32_t span, int64_t start) {
    return memory_->region(static_cast<int>(rank)) +
           place.call[rank].span[span].offset + start * element;
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

void ShmBoard::finish(uint64_t number) {
  if (left_) throw std::runtime_error("the group was left before this ended");
  while (!under_way_.empty() && under_way_.front().number <= number) {
    BoardPlace& place = place_of(under_way_.front().number);
    const uint32_t state = place.state.load();
    if (state == kDone) {
      leave_front();
      continue;
    }
    if (state == kDisagreed) {
      fail(place, "");
    }
    for (int i = 0; i < world_size_ && state == kReady; ++i) {
      do_share(place, (rank_ + i) % world_size_);
    }
    if (place.state.load() == state) await(place.state, state, place);
  }
}

bool ShmBoard::is_finished(uint64_t number) {
  if (left_) return false;
  do_shares();
  while (!under_way_.empty() && under_way_.front().number <= number) {
    if (place_of(under_way_.front().number).state.load() != kDone) return false;
    leave_front();
  }
  return true;
}

void ShmBoard::leave_front() {
  const Started started = std::move(under_way_.front());
  under_way_.pop_front();
  BoardPlace& place = place_of(started.number);
  if (static_cast<int>(place.left.fetch_add(1) + 1) == world_size_) {
    // The last one leaves the place as it was found.
    place.left.store(0);
    place.came.store(0);
    for (int r = 0; r < world_size_; ++r) place.has_come[r].store(false);
    for (BoardPlace::Share& share : place.share) share.taken.store(0);
    place.done_pieces.store(0);
    place.state.store(kOpen);
    place.generation.fetch_add(1);
    wake(place, place.generation);
  }
  if (started.finished) started.finished();
}

void ShmBoard::await(const std::atomic<uint32_t>& word, uint32_t value,
                     const BoardPlace& place) const {
  const auto since = Clock::now();
  for (auto now = since; now - since < spin_; now = Clock::now()) {
    for (int i = 0; i < 16; ++i) {
      if (word.load() != value) return;
      std::this_thread::yield();
    }
  }
  const timespec nap{0, std::chrono::nanoseconds(kLookAround).count()};
  while (word.load() == value) {
    place.sleepers.fetch_add(1);
    const bool woken = word.load() != value ||
                       futex(word, FUTEX_WAIT, value, &nap) == 0 || errno != ETIMEDOUT;
    place.sleepers.fetch_sub(1);
    if (woken) continue;
    // Asked before the word is looked at again: whoever ends well does so after it
    // changed.
    const std::vector<int> gone = memory_->gone();
    if (word.load() != value) return;
    if (!gone.empty())
      fail(place, "rank " + std::to_string(gone.front()) + " has gone");
    if (Clock::now() - since > timeout_) {
      fail(place, "nothing for " + std::to_string(timeout_.count() / 1000.0) + " s");
    }
  }
}

void ShmBoard::fail(const BoardPlace& place, const std::string& why) const {
  const SharedCall& mine = place.call[static_cast<size_t>(rank_)];
  if (place.state.load() == kDisagreed) {
    const SharedCall& first = place.call[0];
    for (int r = 1; r < world_size_; ++r) {
      const SharedCall& call = place.call[static_cast<size_t>(r)];
      if (call.agrees_with(first)) continue;
      throw std::runtime_error("rank " + std::to_string(r) + " comes with " +
                               describe(call) + " where rank 0 comes with " +
                               describe(first));
    }
  }
  std::string missing;
  for (int r = 0; r < world_size_; ++r) {
    if (!place.has_come[static_cast<size_t>(r)].load()) {
      missing += (missing.empty() ? "" : ", ") + std::to_string(r);
    }
  }
  throw std::runtime_error(describe(mine) + ": " + why +
                           (missing.empty() ? "" : "; not there: rank " + missing));
}

}  // namespace lockstep::comm
