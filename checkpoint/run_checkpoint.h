// A run's checkpoints, made and read beside its loop: one of the meter's observers.
// Rank 0 writes them, model.safetensors, optimizer.safetensors and state.json; every
// rank reads the one that it resumes from.
#pragma once

#include <memory>
#include <optional>

#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/options.h"
#include "checkpoint/safetensors.h"
#include "training/observer.h"

namespace lockstep::checkpoint {

class RunCheckpoint final : public training::StepObserver {
 public:
  // `agree`: options, "--seed" and its value, that a resumed run must have as well.
  // Throws std::invalid_argument where it has not, or where the folder holds another
  // run's checkpoints and this one does not resume; std::runtime_error for a folder
  // that cannot be written.
  RunCheckpoint(const CheckpointOptions& options, Metadata agree, int rank,
                int world_size);

  // Where the run is to begin.
  const Start& start() const { return start_; }

  // Small things of others', kept with each checkpoint and there again where a resumed
  // run's model is built.
  Metadata& notes() { return notes_; }

  // One of what is now, into the folder's own folder "best", in place of the one there.
  void save_best();

  void planned(int64_t steps) override;
  void built(const torch::nn::Sequential& model,
             torch::optim::Optimizer& optimizer) override;
  // What it takes counts to the next step.
  void stands(int64_t steps, int64_t epoch, int64_t samples) override;
  void rests(int64_t steps, int64_t epochs, bool epoch_ended) override;
  void finished(const torch::nn::Module& model) override;

 private:
  void take_start(const Checkpoint& from, int rank);
  void save();
  void write(CheckpointWriter& writer);

  CheckpointOptions options_;
  Metadata agree_;
  int world_size_;
  Start start_;
  Start now_;
  int64_t saved_ = -1;               // the step
  std::optional<Checkpoint> found_;  // until the model is built
  Metadata notes_;
  std::unique_ptr<CheckpointWriter> writer_;  // rank 0's
  std::unique_ptr<CheckpointWriter> best_;
  const torch::nn::Module* model_ = nullptr;
  torch::optim::Optimizer* optimizer_ = nullptr;
};

}  // namespace lockstep::checkpoint
