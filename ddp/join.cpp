#include "ddp/join.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace lockstep::ddp {

Join::Join(BucketedReducer& reducer, comm::ProcessGroup& group, JoinOptions options)
    : reducer_(reducer), group_(group), options_(std::move(options)) {
  const auto refuse = [](bool asked, const char* option, const char* why) {
    TORCH_CHECK(!asked, "uneven inputs cannot be joined with ", option, ": ", why,
                "; leave it out");
  };
  const TrainOptions& of_reducer = reducer.options_;
  refuse(of_reducer.accumulate > 1, "--accumulate",
         "ranks would be through in the middle of a step");
  refuse(of_reducer.ddp.static_graph, "--static-graph",
         "a rank without a batch has another graph");
  refuse(of_reducer.ddp.shard_optimizer, "--shard-optimizer",
         "a rank steps its share for the others, in the bucket");
}

// All ranks say whether they have a batch. The one that leads a pass is asked for what
// comes from one rank alone: buffers, and the order of gradients.
bool Join::meet(bool has_batch) {
  const at::Tensor flags = at::zeros({group_.size()}, at::kInt);
  flags[group_.rank()] = has_batch ? 1 : 0;
  const at::Tensor summed = flags.to(reducer_.parameters_.front().device());
  group_.all_reduce(summed).wait();
  const at::Tensor all = summed.cpu();
  const int32_t* first = all.const_data_ptr<int32_t>();
  const int32_t* end = first + group_.size();
  const auto live = std::count(first, end, 1);
  if (live > 0) leader_ = static_cast<int>(std::find(first, end, 1) - first);
  if (!options_.buffers.empty()) group_.broadcast(options_.buffers, leader_);
  reducer_.leader_ = leader_;
  reducer_.scale_ =
      live == 0 || options_.divide_by_initial_world_size
          ? 1
          : static_cast<double>(group_.size()) / static_cast<double>(live);
  return live > 0;
}

void Join::batch_begins() {
  TORCH_CHECK(!reducer_.no_sync_,
              "uneven inputs cannot be joined under no_sync(): a rank that is through "
              "does not know of it; end it before the batch begins");
  meet(/*has_batch=*/true);
}

bool Join::shadow() {
  if (!meet(/*has_batch=*/false)) return false;
  reducer_.zero_grad();
  if (options_.forward_of_nothing) {
    const at::Tensor nothing = options_.forward_of_nothing();
    reducer_.prepare(nothing);
    nothing.sum().backward();
  } else {
    reducer_.prepare_nothing();
  }
  reducer_.finalize();
  return true;
}

// As if a backward pass had come by every parameter without a gradient.
void BucketedReducer::prepare_nothing() {
  prepare(at::zeros({}));
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (!ready_[p]) mark_ready(p, /*alone=*/false);
  }
}

}  // namespace lockstep::ddp
