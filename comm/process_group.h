// The collectives that the loops and reducers use, over any c10d backend. A thin,
// readable face: sums in place, one tensor at a time, started now and waited for later.
//
// Every rank calls the same collectives in the same order. One thread uses a group at a
// time. Errors of the backend (a peer that died, a time-out) come as CommError, from
// the call that starts a collective or from its wait(); a checked one's as
// Disagreement.
//
// On CUDA (NCCL) a wait makes the card's queue wait, not this thread: a lost peer is
// the watch's to tell, which ends a process that hangs.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/peer_watch.h"

namespace c10d {
class Backend;
class Store;
class Work;
}  // namespace c10d

namespace lockstep::comm {

class BusyClock;

// Where a group's ranks met, and the address at which the others reach this one: for
// who connects them beside the group.
struct MeetingPlace {
  c10::intrusive_ptr<c10d::Store> store;  // null where nobody said
  std::string address;
};

// A collective, from its launch to its end.
struct CollectiveSpan {
  const char* name = "";  // "all_reduce"
  size_t bytes = 0;
  std::chrono::steady_clock::time_point begin, end;
};

// A collective that was started. The tensor may be touched again only after wait().
class Work {
 public:
  Work();  // nothing to wait for
  // Where `looks_around`, it waits in pieces and asks the watch in between: for
  // backends that wait for whoever is silent until their time-out.
  Work(c10::intrusive_ptr<c10d::Work> work, std::string what,
       PeerWatchPtr watch = nullptr, bool looks_around = false);
  ~Work();
  Work(Work&&) noexcept;
  Work& operator=(Work&&) noexcept;

  void wait();

 private:
  void wait_and_look_around();

  c10::intrusive_ptr<c10d::Work> work_;
  std::string what_;  // "rank 1: all_reduce of 1048576 bytes", for the error
  PeerWatchPtr watch_;
  bool looks_around_ = false;
};

// One step of an optimizer, its elements shared out over the ranks (ZeRO-1): each
// element is stepped once, by the rank that adds up its gradients.
struct ShardedUpdate {
  using Step =
      std::function<void(void* mean, void* parameters, void* state, int64_t count)>;

  std::vector<at::Tensor> gradients;   // this rank's; read only
  std::vector<at::Tensor> parameters;  // equal on all ranks, before and afterwards
  // This rank's share of the optimizer's state, of shard_elements() numbers of the
  // group's allocate(); undefined where there is none. Whose share an element is in
  // never changes.
  at::Tensor state;
  // For `count` elements: the mean gradient (to be written over at will), the
  // parameters, and their state or null. Called on this rank's thread for whatever
  // elements it does.
  Step step;
};

// What c10d::Backend has no name for: a backend that adds_in_place() has it.
class UpdatesShards {
 public:
  virtual ~UpdatesShards() = default;
  virtual c10::intrusive_ptr<c10d::Work> update_shards(const ShardedUpdate& update) = 0;
  virtual int64_t shard_elements(const std::vector<at::Tensor>& parameters) const = 0;
};

class ProcessGroup {
 public:
  // For tensors on `device`.
  explicit ProcessGroup(c10::intrusive_ptr<c10d::Backend> backend,
                        at::Device device = at::kCPU, PeerWatchPtr watch = nullptr);
  ~ProcessGroup();

  int rank() const;
  int size() const;
  std::string backend_name() const;
  at::Device device() const { return device_; }
  const PeerWatchPtr& watch() const { return watch_; }  // null: nobody watches

  // Kept from make_process_group until it is taken, once. Who has no use for it drops
  // it, or its store listens as long as the group lives.
  void met_at(MeetingPlace place);
  MeetingPlace take_meeting_place();

  // In place: afterwards every rank holds the sum (the mean) over ranks. Contiguous
  // tensors, here and below.
  Work all_reduce(const at::Tensor& tensor);
  Work all_reduce_mean(const at::Tensor& tensor);

  // The same for tensors of one type, wherever they lie, in one collective. Only where
  // the group adds_in_place(): elsewhere put them side by side first.
  Work all_reduce_mean(const std::vector<at::Tensor>& tensors);
  bool adds_in_place() const;

  // Where it adds_in_place(): the optimizer's step in the same pass. The tensors are of
  // one type.
  Work update_shards(const ShardedUpdate& update);
  int64_t shard_elements(const std::vector<at::Tensor>& parameters) const;

  // In place on root: afterwards it holds the sum over ranks. The others' tensors are
  // scratch.
  Work reduce(const at::Tensor& tensor, int root);

  // `input` is size() pieces as large as `output`, which becomes the sum over ranks of
  // their pieces number rank().
  Work reduce_scatter(const at::Tensor& output, const at::Tensor& input);

  // `output` is size() pieces as large as `input`: piece r becomes rank r's input.
  Work all_gather(const at::Tensor& output, const at::Tensor& input);

  // Point to point: one rank's send meets the other's recv, in the order of calls. An
  // empty tensor is no message.
  Work send(const at::Tensor& tensor, int to);
  Work recv(const at::Tensor& tensor, int from);

  // Returns when every rank has come.
  void barrier();
  // The same, beside the collectives: throws, on all ranks, naming who has not come in
  // time. Only where the group is watched.
  void monitored_barrier(std::chrono::milliseconds timeout);

  // The last step that this rank has taken, for the others' errors. Throws CommError
  // where a collective has failed on a card since: see check().
  void at_step(int64_t step);
  // Throws CommError where the backend's watchdog has seen a collective fail, which no
  // call returned: NCCL's alone has one.
  void check() const;

  // Memory of `elements` numbers, not initialised, from which collectives are quickest:
  // the backend's own where it has some (shared memory), else anybody's.
  at::Tensor allocate(int64_t elements, const at::TensorOptions& options);

  // In place: afterwards every rank holds root's values. Tensors of one type travel as
  // one message, whatever their number and layout. Returns when done.
  void broadcast(const std::vector<at::Tensor>& tensors, int root = 0);

  // Every rank's text, in the order of ranks. For reports: not fast, and not counted as
  // busy.
  std::vector<std::string> all_gather(const std::string& text);

  // Milliseconds in which at least one collective was under way, since this was last
  // asked. nullopt on CUDA, where a collective ends in a queue that no clock here sees.
  std::optional<double> take_busy_ms();
  // From now on, or no longer, each collective that begins is kept for take_spans(),
  // which returns those that have ended since it was last asked. None on CUDA.
  void keep_spans(bool keep);
  std::vector<CollectiveSpan> take_spans();

  // Collectives that this thread starts from now on call `ended` when they end, on the
  // thread that ends them; nothing: no longer. None where nobody is told: on CUDA, and
  // of gloo's reduce_scatter. (shm's end when this rank has done its part.)
  void tell_ends(std::function<void()> ended) { ended_ = std::move(ended); }

  // The backend itself, for c10d's own Reducer and the like.
  const c10::intrusive_ptr<c10d::Backend>& backend() const { return backend_; }

 private:
  Work all_reduce_by(const at::Tensor& tensor, int operation);  // a c10d::ReduceOp
  // `give` hands the collective to the backend; the bytes are for the error's text.
  using Give = std::function<c10::intrusive_ptr<c10d::Work>()>;
  Work started(const char* collective, size_t bytes, const Give& give);
  // The same, under the clock, on the CPU.
  Work timed(const char* collective, size_t bytes, const Give& give);
  bool waits_for_the_silent() const;

  c10::intrusive_ptr<c10d::Backend> backend_;
  at::Device device_;
  PeerWatchPtr watch_;
  MeetingPlace meeting_place_;
  // Shared with the callbacks of collectives, which may outlive the group.
  std::shared_ptr<BusyClock> busy_;
  std::function<void()> ended_;
};

}  // namespace lockstep::comm
