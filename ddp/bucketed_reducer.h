// Overlaps communication with the backward pass: gradients lie in buckets, and as soon
// as the last gradient of a bucket is ready its all_reduce starts, while backward goes
// on with the layers before. After Li et al., "PyTorch Distributed", VLDB 2020,
// section 3.2, and torch/csrc/distributed/c10d/reducer.cpp, which it equals.
//
// For loops that need more than the Reducer's three calls: no_sync(), and
// register_comm_hook(). What it says of itself: logger().
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ddp/bucket.h"
#include "ddp/gradient_hooks.h"
#include "ddp/passes.h"
#include "ddp/reducers.h"
#include "hooks/comm_hook.h"
#include "logging/logger.h"

namespace lockstep::ddp {

class BucketedReducer final : public Reducer {
 public:
  // The group outlives it. Every rank makes one, of the same parameters in the same
  // order.
  BucketedReducer(const NamedParameters& parameters, comm::ProcessGroup& group,
                  const TrainOptions& options);

  void zero_grad() override;
  void prepare(const at::Tensor& logits) override;
  void finalize() override;

  // From now on the hook brings the gradients of each bucket together. Once, before the
  // first backward pass, on all ranks alike.
  void register_comm_hook(std::unique_ptr<hooks::CommHook> hook);

  // Outlives the reducer where somebody holds it.
  std::shared_ptr<const logging::Logger> logger() const { return logger_; }

  // Passes that are prepared while one of these lives stay local: their gradients are
  // accumulated, and nothing is sent before the first pass that is prepared without.
  class NoSync {
   public:
    explicit NoSync(BucketedReducer& reducer)
        : reducer_(reducer), before_(std::exchange(reducer.no_sync_, true)) {}
    ~NoSync() { reducer_.no_sync_ = before_; }
    NoSync(const NoSync&) = delete;
    NoSync& operator=(const NoSync&) = delete;

   private:
    BucketedReducer& reducer_;
    bool before_;
  };
  NoSync no_sync() { return NoSync(*this); }

 private:
  struct Slot {
    std::unique_ptr<Bucket> bucket;
    std::vector<size_t> members;  // indices into parameters_, as the bucket has them
    size_t pending = 0;           // gradients still to come in this backward pass
    comm::Work work{};
  };
  struct Place {  // of a parameter
    size_t slot;
    size_t in_bucket;
  };

  friend class Join;
  void prepare_nothing();

  void make_buckets(const BucketAssignment& assignment);
  void rebuild_buckets();
  void gradient_came(size_t parameter, bool alone);
  void mark_ready(size_t parameter, bool alone);
  void launch(Slot& slot);
  bool advance(Slot& slot);
  void wait_for_all();
  void end_first_static_pass();
  void send_used();
  void receive_used();
  void abandon();
  void check_complete() const;
  [[noreturn]] void refuse_second_time(size_t parameter) const;
  std::string rank_says() const;

  // The used parameters are asked for after every pass; see Note [Used somewhere].
  bool asks_every_pass() const { return find_unused_ && !static_graph_; }
  bool learns() const { return static_graph_ && !learned_; }

  comm::ProcessGroup& group_;
  const TrainOptions options_;
  const std::vector<at::Tensor> parameters_;
  std::vector<std::string> names_;
  const int64_t first_cap_bytes_;
  const int64_t cap_bytes_;
  const bool find_unused_;
  const bool static_graph_;
  const bool as_view_;
  const bool overlap_;  // else buckets are launched by finalize()

  std::unique_ptr<hooks::CommHook> hook_;  // null: buckets are sent as they are
  BucketAssignment assignment_;
  std::vector<Slot> slots_;
  std::vector<Place> places_;

  // See Note [Buckets are rebuilt once].
  bool rebuilt_ = false;
  bool rebuild_due_ = false;
  std::vector<size_t> order_;  // in which gradients came
  int order_of_ = 0;           // the rank whose order it will be

  // Of this pass, by Join: a rank that has gradients of its own, and what the mean over
  // all ranks is multiplied by.
  int leader_ = 0;
  double scale_ = 1;

  Passes passes_;
  bool no_sync_ = false;
  std::shared_ptr<logging::Logger> logger_;

  bool prepared_ = false;  // a pass was, once

  // This backward pass.
  bool in_backward_ = false;
  bool reduces_ = false;  // else its gradients stay local
  std::vector<bool> ready_;
  size_t next_to_launch_ = 0;

  // Of a static graph, learned in its first pass: how often each gradient comes, and
  // how often it must come yet.
  bool learned_ = false;
  std::vector<int64_t> times_;
  std::vector<int64_t> times_left_;

  // See Note [Used somewhere].
  std::vector<bool> used_somewhere_;
  at::Tensor used_;
  comm::Work used_work_;
  bool used_sent_ = false;

  // The last to be made, the first to go: it calls gradient_came().
  GradientHooks hooks_;
};

}  // namespace lockstep::ddp
