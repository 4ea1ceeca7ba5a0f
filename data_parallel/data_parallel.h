// DataParallel's two halves, as the loop calls them: forward over all cards up to the
// gathered outputs, and, once the loss's backward has stopped there, backward over all
// cards. After torch/nn/parallel/data_parallel.py; there the second half hides inside
// autograd.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>

#include <atomic>
#include <functional>
#include <vector>

#include "data_parallel/card_threads.h"
#include "data_parallel/reduce.h"
#include "data_parallel/replicas.h"
#include "data_parallel/scatter_gather.h"
#include "data_parallel/steps.h"
#include "device/card.h"
#include "model/networks.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::data_parallel {

// The card that --output-device names, the first where it is -1. Throws
// std::invalid_argument where it is none of them.
Card find_output_card(const std::vector<Card>& cards, int index);

class DataParallel final : public Steps {
 public:
  // `module` lies on the first of `cards`, the primary card (PyTorch's device_ids[0]),
  // and stays the caller's; it can clone() itself. Inputs are cut and outputs joined
  // along `dim`. Throws std::invalid_argument naming a parameter on another card, and
  // options that the cards cannot follow.
  DataParallel(const ModulePtr& module, Forward forward, const std::vector<Card>& cards,
               const training::DataParallelOptions& options, StepMeter& meter,
               int64_t dim = 0);

  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  // An output [] of a replica is one row. With fewer rows than cards there are fewer
  // replicas. An exception in a replica's pass comes out naming the replica and its
  // card; the next forward is as if this one had not been.
  Tensors forward(const Tensors& inputs) override;

  void backward(const Tensors& output_grads) override;

 private:
  Route inputs_route() { return {cards_, threads_, cards_.front(), dim_}; }
  Route outputs_route() { return {cards_, threads_, output_card_, dim_}; }
  // The first part of a card's forward; `copying` counts the cards that are at it.
  Tensors scatter_and_replicate(size_t replica, const Tensors& inputs,
                                const std::vector<Rows>& rows,
                                std::atomic<size_t>& copying);
  // A step's phases are those of the primary card.
  void enter(size_t replica, training::Phase phase) {
    if (replica == 0) meter_.enter(phase);
  }

  std::vector<Card> cards_;
  Card output_card_;
  int64_t dim_;
  double primary_share_;
  Forward forward_;
  std::function<Reduction> reduce_;
  StepMeter& meter_;
  CardThreads threads_;
  Replicas replicas_;
  // Of the last forward: each output's rows of each replica, and where the backward
  // passes begin. The outputs themselves are not kept: their memory is free once they
  // are gathered.
  std::vector<Rows> output_rows_;
  std::vector<torch::autograd::edge_list> graphs_;  // [replica][output]
};

}  // namespace lockstep::data_parallel
