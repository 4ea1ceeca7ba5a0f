// A step of a loop: taken as the loop has it, or, with --cuda-graph, recorded as a CUDA
// graph and replayed, with the same losses. After torch.cuda.graph's whole-network
// capture (PyTorch's notes on CUDA semantics).
//
// Some first batches are taken as they are, for what happens but once: LibTorch picks
// algorithms, the optimizer makes its state, buckets are rebuilt. Then one is recorded,
// and it and all others of its shape are replayed; an epoch's last, smaller one is
// taken as it is. What a step reads on the host, as the learning rate, stays as it was
// recorded, and what it counts there (a reducer's passes) stands still. Where a run's
// step cannot be recorded, the meter notes why, and all are.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "device/card.h"
#include "device/graph.h"
#include "launch/world.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::training {

class TrainStep {
 public:
  // Of a local batch that lies on the card: the mean loss over it.
  using Body =
      std::function<at::Tensor(const at::Tensor& images, const at::Tensor& labels)>;

  TrainStep(const TrainOptions& options, const World& world, const Card& card,
            StepMeter& meter, Body body);

  // The same, on whatever graph: null for none.
  TrainStep(StepMeter& meter, std::unique_ptr<device::Graph> graph, Body body);

  at::Tensor operator()(const at::Tensor& images, const at::Tensor& labels);

 private:
  bool fits(const at::Tensor& images, const at::Tensor& labels) const;
  void record();

  StepMeter& meter_;
  int ranks_ = 1;
  std::unique_ptr<device::Graph> graph_;
  Body body_;

  int64_t taken_ = 0;  // of the shape that is recorded
  // What is recorded reads and writes these.
  at::Tensor images_;
  at::Tensor labels_;
  at::Tensor loss_;  // undefined: nothing is recorded yet
};

// Why no step of this run can be recorded, "the CPU has no graphs"; empty: it can.
std::string why_no_graph(const TrainOptions& options, const World& world,
                         const Card& card);

}  // namespace lockstep::training

namespace lockstep {
using training::TrainStep;
}
