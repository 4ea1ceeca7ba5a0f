// Note [Buckets launch in index order]
// A collective is matched across ranks by its place in the order of calls. Autograd may
// make gradients ready in another order on another rank, so a bucket that is complete
// waits until all buckets before it have been launched. Their order is the same on
// every rank, and near to the order in which gradients come.
//
// Note [Buckets are rebuilt once]
// The first buckets follow the reversed order of parameters, which is a guess. The
// first backward pass shows in which order gradients come; before the second step they
// are assigned anew in that order, as rank 0 saw it (or the first that had a batch,
// join.h). Not where parameters may be unused
// (the order would tell of one pass alone), unless the graph is static: then by its
// second pass, for the first one is not overlapped.
//
// Note [Used somewhere]
// A rank whose graph leaves a parameter out sends zeros for it, so that all ranks send
// the same buckets. Whether the mean is then a gradient depends on the others: a
// parameter that any rank used gets it, one that none used keeps the gradient that it
// had, as a rule none. The ranks' counts are summed to know which is which.
#include "ddp/bucketed_reducer.h"

#include <limits>

#include "hooks/comm_hooks.h"

namespace lockstep::ddp {
namespace {

int64_t bytes(double mib) { return static_cast<int64_t>(mib * 1024 * 1024); }

}  // namespace

BucketedReducer::BucketedReducer(const NamedParameters& parameters,
                                 comm::ProcessGroup& group, const TrainOptions& options)
    : group_(group),
      options_(options),
      parameters_(tensors_of(parameters)),
      first_cap_bytes_(bytes(options.ddp.first_bucket_cap_mb)),
      cap_bytes_(bytes(options.ddp.bucket_cap_mb)),
      find_unused_(options.ddp.find_unused_parameters),
      static_graph_(options.ddp.static_graph),
      as_view_(options.ddp.gradient_as_bucket_view),
      overlap_(options.ddp.overlap),
      passes_(options.accumulate),
      used_somewhere_(parameters.size(), true),
      hooks_(parameters_, [this](size_t parameter, bool alone) {
        gradient_came(parameter, alone);
      }) {
  for (const model::NamedParameter& parameter : parameters) {
    names_.push_back(parameter.name);
  }
  make_buckets(assign_buckets(parameters_, first_cap_bytes_, cap_bytes_));
  rebuilt_ = options.ddp.shard_optimizer;  // its state lies with the first buckets
  logger_ =
      std::make_shared<logging::Logger>(parameters_, group_, options_, assignment_);
}

// Gradients that are being accumulated stay where they are, in the old buckets, and
// move when they are taken the next time.
void BucketedReducer::make_buckets(const BucketAssignment& assignment) {
  slots_.clear();
  places_.resize(parameters_.size());
  for (const std::vector<size_t>& members : assignment) {
    std::vector<at::Tensor> in_bucket;
    for (const size_t parameter : members) {
      places_[parameter] = {slots_.size(), in_bucket.size()};
      in_bucket.push_back(parameters_[parameter]);
    }
    auto bucket =
        hook_ ? make_hooked_bucket(std::move(in_bucket), group_, *hook_, slots_.size(),
                                   slots_.size() + 1 == assignment.size())
              : make_bucket(std::move(in_bucket), group_, options_);
    slots_.push_back({std::move(bucket), members});
  }
  assignment_ = assignment;
}

void BucketedReducer::rebuild_buckets() {
  rebuild_due_ = false;
  rebuilt_ = true;
  order_.resize(parameters_.size());  // none came to a rank that had no batch
  const at::Tensor order =
      at::tensor(std::vector<int64_t>(order_.begin(), order_.end()), at::kLong)
          .to(parameters_.front().device());
  group_.broadcast({order}, order_of_);
  const at::Tensor common = order.cpu();
  const int64_t* first = common.const_data_ptr<int64_t>();
  order_.assign(first, first + common.numel());
  const BucketAssignment assignment =
      assign_buckets_in_order(parameters_, order_, first_cap_bytes_, cap_bytes_);
  if (assignment != assignment_) make_buckets(assignment);
  logger_->rebuilt(assignment_);
}

void BucketedReducer::zero_grad() {
  if (in_backward_) abandon();
  if (passes_.fresh()) {
    for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    logger_->step_begins();
  }
  if (passes_.last() && !no_sync_) logger_->reduced_pass_begins();
  if (rebuild_due_) rebuild_buckets();
}

void BucketedReducer::prepare(const at::Tensor& logits) {
  if (in_backward_) abandon();
  if (rebuild_due_) rebuild_buckets();  // a loop that keeps its gradients
  in_backward_ = true;
  prepared_ = true;
  reduces_ = passes_.last() && !no_sync_;
  if (!reduces_) return;
  logger_->backward_begins();
  next_to_launch_ = 0;
  used_sent_ = false;
  for (Slot& slot : slots_) slot.pending = slot.members.size();
  ready_.assign(parameters_.size(), false);
  if (!rebuilt_) order_.clear();
  if (learns()) {
    times_.assign(parameters_.size(), 0);
  } else if (static_graph_) {
    times_left_ = times_;
    for (size_t p = 0; p < parameters_.size(); ++p) {
      if (times_[p] == 0) mark_ready(p, /*alone=*/false);
    }
  } else if (find_unused_) {
    const std::vector<size_t> unused = hooks_.unreachable_from(logits);
    logger_->unused(unused);
    for (const size_t p : unused) mark_ready(p, false);
  }
}

// On the thread of the backward pass, which on the CPU is the loop's own.
void BucketedReducer::gradient_came(size_t parameter, bool alone) {
  if (!in_backward_)
    return;  // a backward pass that nobody prepared: gradients stay local
  if (!reduces_) {
    Slot& slot = slots_[places_[parameter].slot];
    const size_t i = places_[parameter].in_bucket;
    if (as_view_ && slot.bucket->take(i, alone)) slot.bucket->lend(i);
    return;
  }
  if (learns()) {
    ++times_[parameter];
    return;
  }
  logger_->gradient_came(parameter);
  if (static_graph_) {
    if (times_left_[parameter] == 0) refuse_second_time(parameter);
    if (--times_left_[parameter] > 0) return;
  }
  if (!rebuilt_) order_.push_back(parameter);
  mark_ready(parameter, alone);
}

void BucketedReducer::mark_ready(size_t parameter, bool alone) {
  if (ready_[parameter]) refuse_second_time(parameter);
  ready_[parameter] = true;
  const auto [b, i] = places_[parameter];
  Slot& slot = slots_[b];
  if (slot.bucket->take(i, alone) && as_view_) slot.bucket->lend(i);
  if (--slot.pending > 0) return;
  logger_->ready(b);
  if (!overlap_) return;
  // See Note [Buckets launch in index order].
  while (next_to_launch_ < slots_.size() && slots_[next_to_launch_].pending == 0) {
    launch(slots_[next_to_launch_++]);
  }
}

void BucketedReducer::launch(Slot& slot) {
  logger_->launches(&slot - slots_.data(), group_);
  slot.work = slot.bucket->reduce(group_);
  logger_->launched(group_);
}

bool BucketedReducer::advance(Slot& slot) {
  logger_->launches(&slot - slots_.data(), group_);
  const bool goes_on = slot.bucket->advance();
  logger_->launched(group_);
  return goes_on;
}

void BucketedReducer::wait_for_all() {
  for (Slot& slot : slots_) slot.work.wait();
  // See Note [Later stages start in rounds].
  for (bool more = hook_ != nullptr; more;) {
    more = false;
    for (Slot& slot : slots_) more |= advance(slot);
  }
}

// The first pass of a static graph is not overlapped: how often a gradient comes is
// known when it is over.
void BucketedReducer::end_first_static_pass() {
  send_used();
  for (size_t p = 0; p < parameters_.size(); ++p) mark_ready(p, /*alone=*/true);
  learned_ = true;
  std::vector<size_t> unused;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (times_[p] == 0) unused.push_back(p);
  }
  logger_->unused(unused);
}

void BucketedReducer::send_used() {
  std::vector<int32_t> used;
  for (const at::Tensor& parameter : parameters_) {
    used.push_back(parameter.grad().defined() ? 1 : 0);
  }
  used_ = at::tensor(used, at::kInt).to(parameters_.front().device());
  used_work_ = group_.all_reduce(used_);
  used_sent_ = true;
}

void BucketedReducer::receive_used() {
  used_work_.wait();
  const at::Tensor used = used_.cpu();
  const int32_t* ranks = used.const_data_ptr<int32_t>();
  for (size_t p = 0; p < parameters_.size(); ++p) used_somewhere_[p] = ranks[p] > 0;
}

void BucketedReducer::finalize() {
  if (!in_backward_) return;
  if (reduces_) {
    logger_->backward_over();
    const bool first_static = learns();
    if (first_static) end_first_static_pass();
    check_complete();
    while (next_to_launch_ < slots_.size()) launch(slots_[next_to_launch_++]);
    if (asks_every_pass()) send_used();
    wait_for_all();
    if (used_sent_) receive_used();
    for (size_t p = 0; p < parameters_.size(); ++p) {
      if (!used_somewhere_[p]) continue;
      const auto [b, i] = places_[p];
      if (as_view_) {
        slots_[b].bucket->lend(i);
      } else {
        slots_[b].bucket->give_back(i);
      }
      if (scale_ != 1) parameters_[p].mutable_grad().mul_(scale_);
    }
    if (!rebuilt_ && (static_graph_ ? !first_static : !find_unused_)) {
      for (size_t p = 0; p < parameters_.size() && static_graph_; ++p) {
        if (times_[p] == 0) order_.push_back(p);
      }
      rebuild_due_ = true;
      order_of_ = leader_;
    }
    logger_->reduced();
  }
  passes_.end(reduces_);
  in_backward_ = false;
}

// Note [After an exception]
// A step that threw before its finalize() was over is given up at the next zero_grad()
// or prepare(): its gradients are forgotten, those of the passes accumulated before it
// as well. Ranks may have come to different points, so the rest of this step's
// collectives is made up for, in order: where all ranks threw and go on, their
// collectives match again. A rank that did not throw gets NaN where the others had no
// gradient to give, never half a mean. Where buckets step the parameters themselves
// there is nothing to go back to: it ends here.
void BucketedReducer::abandon() {
  TORCH_CHECK(
      !reduces_ || !options_.ddp.shard_optimizer,
      "a step that threw cannot be given up with --shard-optimizer, for part of "
      "it may be done; start again, or leave the option out");
  in_backward_ = false;
  if (reduces_) {
    if (learns() && !used_sent_) send_used();
    while (next_to_launch_ < slots_.size()) {
      Slot& slot = slots_[next_to_launch_++];
      slot.bucket->fill(std::numeric_limits<double>::quiet_NaN());
      launch(slot);
    }
    if (asks_every_pass() && !used_sent_) send_used();
    wait_for_all();
    used_work_.wait();
  }
  for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
}

ReducerPtr make_bucketed_reducer(const NamedParameters& parameters,
                                 comm::ProcessGroup& group,
                                 const TrainOptions& options) {
  auto reducer = std::make_unique<BucketedReducer>(parameters, group, options);
  if (options.ddp.comm_hook != "allreduce") {
    hooks::HookOptions of_hook;
    of_hook.powersgd_rank = options.ddp.powersgd_rank;
    of_hook.powersgd_start = options.ddp.powersgd_start;
    of_hook.steps_before = options.start.step;
    of_hook.seed = options.seed;
    reducer->register_comm_hook(hooks::comm_hooks().at(options.ddp.comm_hook)(of_hook));
  }
  return reducer;
}

}  // namespace lockstep::ddp
