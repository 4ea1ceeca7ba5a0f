// What stands behind Horovod's calls: tensors are submitted by name, in any order, and
// a thread in the background negotiates with the other ranks which of them are ready
// everywhere, fuses those, and has them reduced (horovod/common/operations.cc, its
// background loop).
//
//   const Handle handle = engine.allreduce(gradient, "gradient.1.weight", op);
//   ...                                  // backward goes on
//   handle.wait();                       // the gradient is the mean over ranks
//
// From its making to shutdown() the group is the engine's: nobody else calls its
// collectives. Errors (ranks that submit different things, a tensor that waits too
// long, a rank that has gone) come out of wait(), on all ranks. What they leave is of
// no use but for those of one tensor, which name it: others may go on.
#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/process_group.h"
#include "device/card.h"
#include "horovod/controller.h"
#include "horovod/fusion_buffer.h"
#include "negotiation/coordinator.h"
#include "negotiation/messages.h"
#include "negotiation/response_cache.h"
#include "negotiation/settings.h"
#include "negotiation/timeline.h"

namespace lockstep::horovod {

using negotiation::Coordinator;
using negotiation::Operation;
using negotiation::ReduceOp;
using negotiation::Request;
using negotiation::RequestList;
using negotiation::Response;
using negotiation::ResponseCache;
using negotiation::ResponseList;
using negotiation::ResponseTensor;
using negotiation::Settings;
using negotiation::Timeline;

// A tensor that was submitted.
class Handle {
 public:
  Handle() = default;  // of nothing
  explicit Handle(std::future<void> done) : done_(std::move(done)) {}

  bool valid() const { return done_.valid(); }
  // Once. On CUDA what follows on the card's stream sees the result; this thread does
  // not wait for the card.
  void wait() { done_.get(); }

 private:
  std::future<void> done_;
};

// What the engine has done so far.
struct Counts {
  int64_t cycles = 0;       // in which something was decided
  int64_t tensors = 0;      // brought together
  int64_t by_number = 0;    // of them, submitted as a bit (response_cache.h)
  int64_t collectives = 0;  // by which they were
  int64_t bytes = 0;
  int64_t most_tensors = 0;  // in one collective
};

class Engine {
 public:
  // `warn` is told one line of what stalls, on rank 0; the card's memory is charged for
  // the fusion buffer. The group outlives the engine.
  Engine(comm::ProcessGroup& group, std::unique_ptr<Controller> controller,
         const Settings& settings, const Card& card,
         const std::function<void(const std::string&)>& warn);
  // Stops the thread, and says nothing to anybody: unless shutdown() was called the
  // others find this rank gone.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  int rank() const { return controller_->rank(); }
  int size() const { return controller_->size(); }

  // In place: afterwards `tensor` is the mean (or sum) over ranks; root's values. It
  // may be touched again after wait(). Any thread. All ranks submit the same names, of
  // equal shapes and types; a name may be used again once its handle was waited for.
  Handle allreduce(const at::Tensor& tensor, const std::string& name, ReduceOp op);
  Handle broadcast(const at::Tensor& tensor, const std::string& name, int root_rank);

  // This rank waits for all that it has submitted. Where all ranks do, the cycle under
  // way ends at once: nothing would be fused by waiting for its end.
  void flush();

  // This rank has no more data: it takes part in the others' allreduces with zeros, and
  // returns when all have joined: the last rank to do so.
  int join();

  // Ends the background thread of all ranks: when any rank calls it, so all do it when
  // their tensors are through. What still waits on another rank fails there. The
  // timeline is in its file then. Throws what the engine failed of before.
  void shutdown();

  Counts counts() const;

 private:
  // A tensor under way (Horovod's tensor table entry).
  struct Entry {
    Request request;
    at::Tensor tensor;
    std::promise<void> done;
  };
  using Entries = std::vector<Entry>;

  Handle submit(Request request, const at::Tensor& tensor);
  void check_running() const;

  // From here on the background thread's.
  void run();
  void cycles();
  bool take_queue(RequestList& mine);  // false: there is to be an end
  [[noreturn]] void lost_a_peer(const std::exception& error) const;
  void say(const RequestList& mine);
  bool decide();
  std::optional<Controller::Clock::time_point> next_look() const;
  bool carry_out(const ResponseList& list);  // false: there is to be an end
  std::vector<std::vector<Request>> learn(const ResponseList& list);
  Entry take(const Request& request);
  void perform(const std::vector<Request>& requests);
  void allreduce_now(const std::vector<Request>& requests,
                     const std::vector<at::Tensor>& tensors);
  void broadcast_now(const std::vector<Request>& requests,
                     const std::vector<at::Tensor>& tensors);
  void refuse(const Response& response, const Request& request);
  void end(const std::exception_ptr& why);

  comm::ProcessGroup& group_;
  const std::unique_ptr<Controller> controller_;
  const Settings settings_;
  const Card card_;
  const std::function<void(const std::string&)> warn_;

  mutable std::mutex mutex_;
  Entries queue_;  // submitted, and not yet told to the coordinator
  bool join_ = false, shutdown_ = false, flush_ = false;  // to be told
  std::optional<std::promise<int>> joined_;
  bool stop_ = false;
  bool ended_ = false;
  std::exception_ptr failure_;  // what it ended by, where it did not end well
  Counts counts_;
  std::condition_variable has_ended_;

  // The background thread's alone.
  std::map<std::string, std::deque<Entry>> table_;  // told, and not yet answered
  ResponseCache cache_;
  FusionBuffer buffer_;
  Timeline timeline_;
  std::optional<Coordinator> coordinator_;  // on rank 0
  Controller::Clock::time_point next_cycle_{};
  bool told_shutdown_ = false;
  int ended_by_ = -1;  // who shut it down

  std::thread thread_;  // the last to be made
};

}  // namespace lockstep::horovod
