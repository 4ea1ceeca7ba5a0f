// The board in shared memory on which ranks announce what they want done together, and
// the doing of it: the algorithm behind shm/shm.h.
//
// A collective is a place on the board. Each rank that comes to it writes down where
// its numbers lie (in its region of the shared memory, which all see). When the last
// has come the collective is cut into pieces that fit a cache, and whoever has time
// takes the next piece: sums it over all ranks and writes the result to all of them. No
// thread stands by for it: work is done by a rank that comes, and by ranks that wait.
//
// Note [Who reduces]
// The last rank to come would do all the work if it took all pieces, in the middle of
// its backward pass, while the others compute. So it takes its own share; the others
// take theirs when they next come by. Who waits has nothing better to do and takes the
// others' as well.
//
// Note [The same to the bit]
// A piece is summed in the order of ranks by whoever takes it, once, and all ranks get
// that one result.
//
// One thread a rank. Errors (a rank that died, ranks that disagree, a time-out) are
// std::runtime_error, one line naming the rank; the group is of no use then.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "shm/reduce_kernels.h"
#include "shm/shared_memory.h"

namespace lockstep::shm {

enum class Collective : uint8_t {
  all_reduce,
  reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  barrier,
  update  // of parameters by their gradients' mean: comm::ProcessGroup::update_shards()
};
const char* to_string(Collective collective);

// What a rank brings to a collective. Its numbers lie in its own region.
struct Call {
  Collective collective = Collective::barrier;
  Reduction reduction = Reduction::sum;
  at::ScalarType type = at::ScalarType::Byte;
  int root = 0;
  // all_reduce, reduce, broadcast: in place, any number of spans that are dealt with as
  // one. reduce_scatter, all_gather: one input and one output.
  // update: gradients, then as many parameters, then this rank's state.
  struct Span {
    const void* data;
    int64_t elements;
  };
  std::vector<Span> spans;
  comm::ShardedUpdate::Step step{};  // of an update
};

struct Place;
struct SharedCall;

class Board {
 public:
  static constexpr int kMaxRanks = 64;
  static constexpr size_t kMaxSpans = 63;  // of one call
  static size_t bytes();

  Board(std::shared_ptr<SharedMemory> memory, int rank, int world_size,
        std::chrono::milliseconds timeout, const comm::PeerWatchPtr& watch = nullptr);
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // Comes to the next collective, and does its share of those that all have come to.
  // Returns the collective's number. What the spans hold belongs to the board until it
  // is finished; `finished` is called then, on this rank's thread.
  uint64_t start(const Call& call, std::function<void()> finished = nullptr);

  // Elements of each rank's state for an `update` of so many of the type.
  static int64_t state_elements(const std::vector<int64_t>& elements,
                                at::ScalarType type, int world_size);

  // Returns when the collective of that number, and all before it, are done.
  void finish(uint64_t number);

  // Whether they are done already. Does this rank's share where it can.
  bool is_finished(uint64_t number);

  // The others see this rank as gone. What is under way never ends here; what its
  // `finished` held is let go.
  void leave();

 private:
  struct Started {
    uint64_t number;
    comm::ShardedUpdate::Step step;
    std::function<void()> finished;
  };

  Place& place_of(uint64_t number) const;
  void await_place(uint64_t number);
  void write(Place& place, const Call& call) const;
  void open(Place& place) const;
  void do_shares() const;
  void do_share(const Started& started, int rank) const;
  std::byte* element_at(const Place& place, size_t rank, uint32_t span,
                        int64_t index) const;
  void do_piece(const Place& place, int64_t piece) const;
  void step_piece(const Place& place, int64_t piece, int owner,
                  const Started& started) const;
  void leave_front();
  void await(const std::atomic<uint32_t>& word, uint32_t value,
             const Place& place) const;
  [[noreturn]] void fail(const Place& place, const std::string& why) const;

  std::shared_ptr<SharedMemory> memory_;
  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  // Weak: the group's end is the watch's, whoever still holds one of its collectives.
  const std::weak_ptr<comm::PeerWatch> watch_;
  const std::chrono::microseconds spin_;  // before it sleeps
  uint64_t next_ = 0;
  bool left_ = false;
  std::deque<Started> under_way_;  // in order
};

// What lies in shared memory.

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
  std::array<SharedSpan, Board::kMaxSpans> span;

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

// Zeroed memory is a place that nobody came to yet.
struct Place {
  // How many collectives ended here.
  alignas(64) std::atomic<uint32_t> generation;
  std::atomic<uint32_t> left;  // ranks that are done with this one
  alignas(64) std::atomic<uint32_t> came;
  std::array<std::atomic<bool>, Board::kMaxRanks> has_come;
  alignas(64) std::atomic<uint32_t> state;
  mutable std::atomic<uint32_t> sleepers;
  int64_t pieces;
  // Of each rank's share, how many pieces have been taken. Shares are runs of pieces:
  // two cores that write side by side would take each other's cache lines.
  struct alignas(64) Share {
    std::atomic<int64_t> taken;
  };
  std::array<Share, Board::kMaxRanks> share;
  alignas(64) std::atomic<int64_t> done_pieces;
  alignas(64) std::array<SharedCall, Board::kMaxRanks> call;
};

// Pieces, of which `rank`'s share begins with first_piece(.., rank, ..).
int64_t pieces_of(const SharedCall& call, int world_size);
int64_t first_piece(int64_t pieces, int rank, int world_size);

}  // namespace lockstep::shm
