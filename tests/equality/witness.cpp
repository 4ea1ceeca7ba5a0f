// The programs single_gpu, data_parallel, ddp and horovod, and a witness beside the
// loop: called under one of these names it is that program, command line, ranks and
// all, and every rank leaves its trained model's parameters and buffers in
// $LOCKSTEP_WITNESS.<rank>.
//
// Two things differ from the programs', so that nothing is equal by accident:
//   - ranks other than 0 draw other parameters: rank 0's must reach them;
//   - while accumulating, only a step's first batch updates the buffers. One card that
//   takes
//     the ranks' batches in turn then does to batch norm what rank 0 or the primary
//     card does.
#include <torch/nn/module.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include <cstdlib>
#include <cstring>
#include <iostream>

#include "data_parallel/train.h"
#include "ddp/train.h"
#include "horovod/train.h"
#include "program/program.h"
#include "single_gpu/train.h"
#include "training/catalog.h"
#include "training/observer.h"

namespace lockstep {
namespace {

class Witness final : public training::StepObserver {
 public:
  explicit Witness(std::string path) : path_(std::move(path)) {}

  void watch(const Network& model) { buffers_ = model->buffers(); }

  void after_batch(int64_t /*step*/, int64_t batch_of_step) override {
    const torch::NoGradGuard no_grad;
    if (batch_of_step == 0) {
      after_first_batch_.clear();
      for (const at::Tensor& buffer : buffers_)
        after_first_batch_.push_back(buffer.clone());
    } else {
      for (size_t i = 0; i < buffers_.size(); ++i)
        buffers_[i].copy_(after_first_batch_[i]);
    }
  }

  void finished(const torch::nn::Module& model) override {
    torch::serialize::OutputArchive archive;
    for (const auto& entry : model.named_parameters()) {
      archive.write(entry.key(), entry.value().detach());
    }
    for (const auto& entry : model.named_buffers()) {
      archive.write(entry.key(), entry.value(), /*is_buffer=*/true);
    }
    archive.save_to(path_);
  }

 private:
  std::string path_;
  std::vector<at::Tensor> buffers_;
  std::vector<at::Tensor> after_first_batch_;
};

TrainReport train_watched(const program::TrainFunction& train, TrainOptions options,
                          const World& world) {
  const char* path = std::getenv("LOCKSTEP_WITNESS");
  if (path == nullptr) throw std::invalid_argument("LOCKSTEP_WITNESS names no file");
  const auto witness =
      std::make_shared<Witness>(std::string(path) + "." + std::to_string(world.rank));
  options.observers.push_back(witness);

  const auto usual = training::models().at(options.model);
  const uint64_t seed = options.seed + static_cast<uint64_t>(world.rank);
  training::models().add(options.model, [witness, usual, seed](const auto& inputs) {
    torch::manual_seed(seed);
    Network model = usual(inputs);
    witness->watch(model);
    return model;
  });
  return train(options, world);
}

int run(int argc, char** argv) {
  using program::Ranks;
  struct Mode {
    const char* name;
    Ranks ranks;
    TrainReport (*train)(const TrainOptions&, const World&);
  };
  const Mode modes[] = {{"single_gpu", Ranks::one, &single_gpu::train},
                        {"data_parallel", Ranks::one_process, &data_parallel::train},
                        {"ddp", Ranks::one_a_card, &ddp::train},
                        {"horovod", Ranks::horovod, &horovod::train}};
  for (const Mode& mode : modes) {
    if (std::strcmp(argv[0], mode.name) != 0) continue;
    const auto train = [&](const TrainOptions& options, const World& world) {
      return train_watched(mode.train, options, world);
    };
    return program::run_program({mode.name, "Trains, watched.", mode.ranks}, train,
                                argc, argv);
  }
  std::cerr << "called under the name " << argv[0] << "; there is no such program\n";
  return 2;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) { return lockstep::run(argc, argv); }
