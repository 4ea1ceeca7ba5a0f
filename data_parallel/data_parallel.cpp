#include "data_parallel/data_parallel.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "device/stage.h"

namespace lockstep::data_parallel {
namespace {

using device::Category;
using torch::autograd::edge_list;
using training::Phase;

// The rows of all inputs, which must agree.
int64_t common_rows(const Tensors& inputs, int64_t dim) {
  TORCH_CHECK(!inputs.empty(), "DataParallel has no input to scatter; give one");
  const int64_t rows = inputs.front().size(dim);
  for (size_t i = 1; i < inputs.size(); ++i) {
    TORCH_CHECK(inputs[i].size(dim) == rows, "input ", i, " has ", inputs[i].size(dim),
                " rows in dimension ", dim, " and input 0 has ", rows,
                "; all inputs are cut alike");
  }
  return rows;
}

// Where the backward passes of these outputs begin; nowhere for those without history.
edge_list graphs_of(const Tensors& outputs) {
  edge_list edges;
  for (const at::Tensor& output : outputs) {
    edges.push_back(output.requires_grad()
                        ? torch::autograd::impl::gradient_edge(output)
                        : torch::autograd::Edge());
  }
  return edges;
}

// Counts down at the end of its scope, whatever became of what was done in it.
class CountDown {
 public:
  explicit CountDown(std::atomic<size_t>& left) : left_(left) {}
  ~CountDown() {
    --left_;
    left_.notify_all();
  }
  CountDown(const CountDown&) = delete;
  CountDown& operator=(const CountDown&) = delete;

 private:
  std::atomic<size_t>& left_;
};

// One replica's backward pass from those outputs that have both history and gradient.
void run_backward(const edge_list& graphs, Tensors grads) {
  const device::StageScope stage("backward");
  edge_list roots;
  Tensors root_grads;
  for (size_t i = 0; i < graphs.size(); ++i) {
    at::Tensor grad = std::move(grads.at(i));
    if (!grad.defined() || !graphs[i].is_valid()) continue;
    const auto& output = graphs[i].function->input_metadata(graphs[i].input_nr);
    // An output [] was gathered as a row.
    root_grads.push_back(grad.view_symint(output.shape_as_dim_vector()));
    roots.push_back(graphs[i]);
  }
  if (roots.empty()) return;
  torch::autograd::Engine::get_default_engine().execute(
      roots, root_grads, /*keep_graph=*/false, /*create_graph=*/false,
      /*accumulate_grad=*/true);
}

}  // namespace

Card find_output_card(const std::vector<Card>& cards, int index) {
  if (index < 0) return cards.front();
  const auto found =
      std::find_if(cards.begin(), cards.end(),
                   [index](const Card& card) { return card.index() == index; });
  if (found != cards.end()) return *found;
  throw std::invalid_argument("--output-device " + std::to_string(index) +
                              " is none of the cards that compute; name one of them");
}

DataParallel::DataParallel(const ModulePtr& module, Forward forward,
                           const std::vector<Card>& cards,
                           const training::DataParallelOptions& options,
                           StepMeter& meter, int64_t dim)
    : cards_(cards),
      output_card_(find_output_card(cards, options.output_device)),
      dim_(dim),
      primary_share_(options.primary_share),
      forward_(std::move(forward)),
      reduce_(reductions().at(resolve_reduction(options.reduce, cards.front()))),
      meter_(meter),
      threads_(cards),
      replicas_(module, cards, options.replicate == "every-step", threads_) {}

Tensors DataParallel::forward(const Tensors& inputs) {
  graphs_.clear();
  meter_.enter(Phase::exposed_comm);
  const Rows rows = shares(common_rows(inputs, dim_), cards_.size(), primary_share_);
  const std::vector<Rows> all_rows(inputs.size(), rows);
  replicas_.prepare(rows.size());
  std::vector<Tensors> outputs(rows.size());
  std::atomic<size_t> copying = rows.size() - 1;
  threads_.run(rows.size(), [&](size_t replica) {
    Tensors pieces = scatter_and_replicate(replica, inputs, all_rows, copying);
    enter(replica, Phase::forward);
    {
      const device::StageScope stage("forward");
      outputs[replica] = forward_(replicas_[replica], pieces);
      pieces.clear();
    }
    enter(replica, Phase::exposed_comm);
  });

  Tensors gathered = gather(outputs, outputs_route());
  for (size_t i = 0; i < gathered.size(); ++i) {
    gathered[i].requires_grad_(outputs[0][i].requires_grad());
  }
  output_rows_ = rows_of(outputs, dim_);
  for (const Tensors& of_replica : outputs) graphs_.push_back(graphs_of(of_replica));
  meter_.enter(Phase::forward);
  return gathered;
}

Tensors DataParallel::scatter_and_replicate(size_t replica, const Tensors& inputs,
                                            const std::vector<Rows>& rows,
                                            std::atomic<size_t>& copying) {
  std::optional<CountDown> copied;
  if (replica > 0) copied.emplace(copying);
  Tensors pieces = scatter(inputs, rows, replica, inputs_route(), Category::input);
  const device::StageScope stage("replicate");
  replicas_.refresh(replica);
  // The module's own forward changes its buffers: not before all have copied them.
  if (replica == 0) threads_.patience().await(copying, size_t{0});
  return pieces;
}

void DataParallel::backward(const Tensors& output_grads) {
  meter_.enter(Phase::exposed_comm);
  std::vector<edge_list> graphs = std::exchange(graphs_, {});
  TORCH_CHECK(!graphs.empty(), "backward() without a forward() before it");
  TORCH_CHECK(output_grads.size() == output_rows_.size(), "backward() was given ",
              output_grads.size(), " gradients and forward() had ", output_rows_.size(),
              " outputs; an undefined one stands for none");
  Replicated replicated(graphs.size(), cards_, threads_);
  threads_.run(graphs.size(), [&](size_t replica) {
    Tensors grads = scatter(output_grads, output_rows_, replica, outputs_route(),
                            Category::gathered_outputs);
    enter(replica, Phase::backward);
    run_backward(std::exchange(graphs[replica], {}), std::move(grads));
    enter(replica, Phase::exposed_comm);
    replicated.parameters[replica] = replicas_.trained(replica);
    const device::StageScope stage("reduce");
    const at::NoGradGuard no_grad;
    reduce_(replica, replicated);
  });
  replicas_.finish_step();
}

}  // namespace lockstep::data_parallel
