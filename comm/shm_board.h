// The board in shared memory on which ranks announce what they want done together, and
// the doing of it: the algorithm behind comm/shm.h.
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

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/reduce_kernels.h"
#include "comm/shared_memory.h"

namespace lockstep::comm {

enum class Collective : uint8_t {
  all_reduce,
  reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  barrier
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
  struct Span {
    const void* data;
    int64_t elements;
  };
  std::vector<Span> spans;
};

struct BoardPlace;

class ShmBoard {
 public:
  static constexpr int kMaxRanks = 64;
  static constexpr size_t kMaxSpans = 32;  // of one call
  static size_t bytes();

  ShmBoard(std::shared_ptr<SharedMemory> memory, int rank, int world_size,
           std::chrono::milliseconds timeout);
  ShmBoard(const ShmBoard&) = delete;
  ShmBoard& operator=(const ShmBoard&) = delete;

  // Comes to the next collective, and does its share of those that all have come to.
  // Returns the collective's number. What the spans hold belongs to the board until it
  // is finished; `finished` is called then, on this rank's thread.
  uint64_t start(const Call& call, std::function<void()> finished = nullptr);

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
    std::function<void()> finished;
  };

  BoardPlace& place_of(uint64_t number) const;
  void await_place(uint64_t number);
  void write(BoardPlace& place, const Call& call) const;
  void open(BoardPlace& place) const;
  void do_shares() const;
  void do_share(BoardPlace& place, int rank) const;
  void do_piece(const BoardPlace& place, int64_t piece) const;
  void leave_front();
  void await(const std::atomic<uint32_t>& word, uint32_t value,
             const BoardPlace& place) const;
  [[noreturn]] void fail(const BoardPlace& place, const std::string& why) const;

  std::shared_ptr<SharedMemory> memory_;
  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  const std::chrono::microseconds spin_;  // before it sleeps
  uint64_t next_ = 0;
  bool left_ = false;
  std::deque<Started> under_way_;  // in order
};

}  // namespace lockstep::comm
