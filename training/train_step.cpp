#include "training/train_step.h"

#include <ATen/ops/empty_like.h>

#include <stdexcept>
#include <utility>

#include "training/catalog.h"

namespace lockstep::training {
namespace {

// torch.cuda.make_graphed_callables takes as many; buckets are rebuilt after the first.
constexpr int64_t kAsTheyAre = 3;

std::string first_line(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

}  // namespace

// What the host decides anew in every step cannot be replayed.
std::string why_no_graph(const TrainOptions& options, const World& world,
                         const Card& card) {
  if (card.emulated()) return "the CPU has no graphs";
  if (options.accumulate > 1) return "--accumulate has steps of two kinds";
  if (options.optimizer != "SGD") {
    return options.optimizer + " counts its steps on the host; SGD does not";
  }
  if (options.clip.norm > 0) return "the host asks for the norm that it clips by";
  if (options.memory_timeline) return "--memory-timeline is of what the host allocates";
  const DdpOptions& ddp = options.ddp;
  if (resolve_backend(options, world) != "nccl") {
    return "--backend " + resolve_backend(options, world) +
           " moves bytes by the host; nccl does not";
  }
  if (ddp.local_sgd > 0) return "--local-sgd meets in some steps only";
  if (ddp.comm_hook == "powersgd") return "PowerSGD is another hook from some step on";
  if (ddp.reducer == "c10d") return "the host does part of c10d's work";
  if (ddp.sync_batch_norm) return "--sync-batch-norm counts images on the host";
  if (ddp.find_unused_parameters) return "--find-unused-parameters looks at each graph";
  if (ddp.join) return "--join looks at each batch";
  if (ddp.shard_optimizer) return "--shard-optimizer steps on the host";
  if (!ddp.bucket_times_file.empty()) return "--bucket-times are the host's";
  if (options.debug != "off") return "--debug compares each collective on the host";
  return "";
}

TrainStep::TrainStep(const TrainOptions& options, const World& world, const Card& card,
                     StepMeter& meter, Body body)
    : meter_(meter), ranks_(world.world_size), body_(std::move(body)) {
  if (!options.cuda_graph) return;
  if (const std::string reason = why_no_graph(options, world, card); !reason.empty()) {
    meter_.note("--cuda-graph: " + reason + "; steps are taken one kernel at a time");
    return;
  }
  graph_ = device::make_cuda_graph();
  meter_.replays_steps();
}

TrainStep::TrainStep(StepMeter& meter, std::unique_ptr<device::Graph> graph, Body body)
    : meter_(meter), graph_(std::move(graph)), body_(std::move(body)) {
  if (graph_) meter_.replays_steps();
}

bool TrainStep::fits(const at::Tensor& images, const at::Tensor& labels) const {
  return images.sizes() == images_.sizes() && images.strides() == images_.strides() &&
         labels.sizes() == labels_.sizes();
}

at::Tensor TrainStep::operator()(const at::Tensor& images, const at::Tensor& labels) {
  if (!graph_) return body_(images, labels);
  // A resumed run may begin with an epoch's last, smaller batch.
  const bool larger =
      images_.defined() && !loss_.defined() && images.numel() > images_.numel();
  if (!images_.defined() || larger) {
    taken_ = 0;
    const device::CategoryScope input(device::Category::input);
    images_ = at::empty_like(images);
    labels_ = at::empty_like(labels);
  }
  if (!fits(images, labels)) return body_(images, labels);
  if (taken_ < kAsTheyAre) {
    ++taken_;
    return body_(images, labels);
  }
  images_.copy_(images, /*non_blocking=*/true);
  labels_.copy_(labels, /*non_blocking=*/true);
  meter_.before_replay();
  if (!loss_.defined()) record();
  if (!graph_) return body_(images, labels);
  graph_->replay();
  return loss_.clone();  // the next replay writes over it
}

void TrainStep::record() {
  const StepMeter::Recording recording(meter_);
  try {
    graph_->begin();
    loss_ = body_(images_, labels_).detach();
    graph_->end();
  } catch (const c10::Error& error) {
    // The others may replay theirs, and half of this rank's collectives are recorded.
    if (ranks_ > 1) {
      throw std::runtime_error("--cuda-graph: a step could not be recorded (" +
                               first_line(error) + "); leave it out");
    }
    graph_.reset();
    loss_ = at::Tensor();
    meter_.note("--cuda-graph: a step could not be recorded (" + first_line(error) +
                "); steps are taken one kernel at a time");
  }
}

}  // namespace lockstep::training
