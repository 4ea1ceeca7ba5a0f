#include "shm/board.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <stdexcept>
#include <thread>

namespace lockstep::shm {
namespace {

using Clock = std::chrono::steady_clock;

// How many collectives may be under way at once.
constexpr uint64_t kPlaces = 64;

// How often a sleeping rank looks whether the others still live.
constexpr std::chrono::milliseconds kLookAround{50};

enum State : uint32_t { kOpen, kReady, kDone, kDisagreed };

}  // namespace

static_assert(std::atomic<uint32_t>::is_always_lock_free &&
              std::atomic<int64_t>::is_always_lock_free);

namespace {

long futex(const std::atomic<uint32_t>& word, int operation, uint32_t value,
           const timespec* timeout) {
  return syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

void wake(const Place& place, const std::atomic<uint32_t>& word) {
  if (place.sleepers.load() > 0) futex(word, FUTEX_WAKE, INT_MAX, nullptr);
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
  static constexpr std::array<const char*, 7> kNames = {
      "all_reduce", "reduce",  "reduce_scatter", "all_gather",
      "broadcast",  "barrier", "update"};
  return kNames.at(static_cast<size_t>(collective));
}

size_t Board::bytes() { return kPlaces * sizeof(Place); }

Board::Board(std::shared_ptr<SharedMemory> memory, int rank, int world_size,
             std::chrono::milliseconds timeout, const comm::PeerWatchPtr& watch)
    : memory_(std::move(memory)),
      rank_(rank),
      world_size_(world_size),
      timeout_(timeout),
      watch_(watch),
      // Longer than ranks usually differ. With more ranks than cores whoever waits
      // lends its core to the others; a sleep and a wake-up at every step cost more
      // than that.
      spin_(world_size <= cores() ? 300 : 2000) {}

void Board::leave() {
  left_ = true;
  memory_->leave();
  under_way_.clear();
}

Place& Board::place_of(uint64_t number) const {
  return static_cast<Place*>(memory_->board())[number % kPlaces];
}

uint64_t Board::start(const Call& call, std::function<void()> finished) {
  await_place(next_);
  Place& place = place_of(next_);
  write(place, call);
  under_way_.push_back({next_, call.step, std::move(finished)});
  if (static_cast<int>(place.came.fetch_add(1) + 1) == world_size_) open(place);
  do_shares();
  return next_++;
}

// The collective that was here before must have ended, for this rank and for all.
void Board::await_place(uint64_t number) {
  if (number >= kPlaces) finish(number - kPlaces);
  const Place& place = place_of(number);
  const auto wanted = static_cast<uint32_t>(number / kPlaces);
  for (uint32_t now = place.generation.load(); now != wanted;
       now = place.generation.load()) {
    await(place.generation, now, place);
  }
}

void Board::write(Place& place, const Call& call) const {
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
void Board::open(Place& place) const {
  const SharedCall& first = place.call[0];
  const bool agreed =
      std::all_of(place.call.begin(), place.call.begin() + world_size_,
                  [&](const SharedCall& call) { return call.agrees_with(first); });
  place.pieces = agreed ? pieces_of(first, world_size_) : 0;
  place.state.store(!agreed ? kDisagreed : place.pieces == 0 ? kDone : kReady);
  wake(place, place.state);
}

// See Note [Who reduces].
void Board::do_shares() const {
  for (const Started& started : under_way_) {
    if (place_of(started.number).state.load() == kReady) do_share(started, rank_);
  }
}

void Board::do_share(const Started& started, int rank) const {
  Place& place = place_of(started.number);
  const int64_t begin = first_piece(place.pieces, rank, world_size_);
  const int64_t end = first_piece(place.pieces, rank + 1, world_size_);
  std::atomic<int64_t>& taken = place.share[static_cast<size_t>(rank)].taken;
  int64_t done = 0;
  // Looked at before it is changed: a share that is done costs nothing more.
  while (begin + taken.load() < end) {
    const int64_t piece = begin + taken.fetch_add(1);
    if (piece >= end) break;
    if (started.step) {
      step_piece(place, piece, rank, started);
    } else {
      do_piece(place, piece);
    }
    ++done;
  }
  // At once for all of them: every rank writes there.
  if (done == 0 || place.done_pieces.fetch_add(done) + done < place.pieces) return;
  place.state.store(kDone);
  wake(place, place.state);
}

void Board::finish(uint64_t number) {
  if (left_) throw std::runtime_error("the group was left before this ended");
  while (!under_way_.empty() && under_way_.front().number <= number) {
    Place& place = place_of(under_way_.front().number);
    const uint32_t state = place.state.load();
    if (state == kDone) {
      leave_front();
      continue;
    }
    if (state == kDisagreed) {
      fail(place, "");
    }
    for (int i = 0; i < world_size_ && state == kReady; ++i) {
      do_share(under_way_.front(), (rank_ + i) % world_size_);
    }
    if (place.state.load() == state) await(place.state, state, place);
  }
}

bool Board::is_finished(uint64_t number) {
  if (left_) return false;
  do_shares();
  while (!under_way_.empty() && under_way_.front().number <= number) {
    if (place_of(under_way_.front().number).state.load() != kDone) return false;
    leave_front();
  }
  return true;
}

void Board::leave_front() {
  const Started started = std::move(under_way_.front());
  under_way_.pop_front();
  Place& place = place_of(started.number);
  if (static_cast<int>(place.left.fetch_add(1) + 1) == world_size_) {
    // The last one leaves the place as it was found.
    place.left.store(0);
    place.came.store(0);
    for (int r = 0; r < world_size_; ++r) place.has_come[r].store(false);
    for (int r = 0; r < world_size_; ++r) place.share[r].taken.store(0);
    place.done_pieces.store(0);
    place.state.store(kOpen);
    place.generation.fetch_add(1);
    wake(place, place.generation);
  }
  if (started.finished) started.finished();
}

void Board::await(const std::atomic<uint32_t>& word, uint32_t value,
                  const Place& place) const {
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
    // Who stands still has not gone, and holds its lifeline.
    const auto watch = watch_.lock();
    if (watch && !watch->lost().empty()) fail(place, "given up");
    if (Clock::now() - since > timeout_) {
      fail(place, "nothing for " + std::to_string(timeout_.count() / 1000.0) + " s");
    }
  }
}

void Board::fail(const Place& place, const std::string& why) const {
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

}  // namespace lockstep::shm
