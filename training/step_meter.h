// Measures the loop it stands in, so that the loop itself holds no clock: which phase
// each moment of a step belongs to, each step's loss, and the cards' memory.
//
// Every moment belongs to one phase, so phases add up to the step. The loop's parts
// move the meter on: zero_grad() begins the forward, the criterion's end begins the
// backward, a reducer's finalize() is exposed communication, optimizer.step() the
// optimizer, and meter.step() begins the next step's data. While a phase lasts, what
// the thread allocates counts to that phase's category of the ledger; while the forward
// pass lasts, it computes in the options' precision.
//
// One thread. Stops the run when a loss is not finite.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/process_group.h"
#include "device/card.h"
#include "device/mark.h"
#include "device/stage.h"
#include "device/timeline.h"
#include "launch/world.h"
#include "model/networks.h"
#include "training/autocast.h"
#include "training/evaluate.h"
#include "training/observer.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::training {

class StepMeter {
 public:
  // `cards` are those whose memory this process reports. The peaks start from here.
  StepMeter(const TrainOptions& options, const World& world,
            const std::vector<Card>& cards);

  // The first step begins here: what came before (loading, meeting) is not measured. An
  // epoch holds so many local batches.
  void start(int64_t batches);

  // Before the start. `observer` is told of everything before those of the options, who
  // see what it makes of a step.
  void add_observer(std::shared_ptr<StepObserver> observer) {
    options_.observers.insert(options_.observers.begin(), std::move(observer));
  }

  // Leaves the current phase for `next` and returns the one that was left.
  Phase enter(Phase next);

  // Ends a local batch: the mean loss over it and its number of samples. Throws
  // std::runtime_error naming step and rank when the loss is NaN or infinite; on CUDA
  // some steps later, when losses are read, at the latest at the end of training.
  void step(const at::Tensor& loss, int64_t samples);

  // What is no error and whoever runs this should know, in a line: to the observers,
  // and into the report.
  void note(const std::string& text);

  // Of a run that replays steps (train_step.h), from its beginning: within a step no
  // phase but the data's is told apart, "graph" is all else.
  void replays_steps() { replays_steps_ = true; }
  void before_replay() { enter(Phase::graph); }
  // While it lasts a step is recorded: phases name memory, and no time is taken.
  class Recording {
   public:
    explicit Recording(StepMeter& meter);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    StepMeter& meter_;
  };

  // True once the run has taken the steps or epochs that were asked for, or an observer
  // has ended it.
  bool done() const {
    return ended_ || steps_ >= options_.steps || epoch_ >= options_.epochs;
  }
  int64_t epoch() const { return epoch_; }
  // Throws std::runtime_error when the epoch held no batch.
  void end_epoch();

  // The job's report. Where a group is watched it is collective, and the same on every
  // rank.
  TrainReport report(const Network& model, const Accuracy& accuracy);

  // The ranks of `group` report together, its collectives' time becomes phase "comm",
  // and its watch knows each step.
  void watch(comm::ProcessGroup& group) { group_ = &group; }

 private:
  // The ends of a step's phases, in order; nobody's: what observers took at rest.
  using PhaseEnds = std::vector<std::pair<std::optional<Phase>, device::Mark>>;

  // A step that has ended, as far as the host knows.
  struct Step {
    device::Mark begin;
    PhaseEnds ends;
    at::Tensor loss;  // on the card; undefined where the report has it
  };

  // The phase under way ends, and no stage's range is open; another begins.
  void leave();
  void begin(Phase phase);
  void between_steps(int64_t next);
  void end_step(int64_t samples);
  void rest(bool epoch_ended);
  // On CUDA the last steps' losses and times are still on the card, and asking for each
  // would stall it: they are read some at a time.
  void read_steps();
  struct StepTimes {
    double step_ms = 0;
    double data_ms = 0;
  };
  // Into the report.
  StepTimes read_times(const Step& step);
  // The last losses, and the peaks as training left them, before evaluation adds its
  // own.
  void end_training();
  // Where options.memory_timeline asks for it: the last step planned, from the end of
  // the one before it to its own.
  void begin_recording();
  void end_recording();

  TrainOptions options_;
  int rank_;
  std::vector<Card> cards_;
  comm::ProcessGroup* group_ = nullptr;

  Phase phase_ = Phase::data;
  std::optional<device::StageScope> stage_;
  std::optional<AutocastScope> autocast_;
  device::Mark begin_;  // of the step under way
  PhaseEnds ends_;      // of its phases so far
  std::vector<Step> unread_;

  bool replays_steps_ = false;
  bool is_recorded_ = false;  // the step under way

  int64_t planned_ = 0;  // steps
  std::optional<device::TimelineRecording> recording_;
  std::vector<device::CardEvents> recorded_;  // a card each; empty: none

  bool ended_ = false;  // by an observer
  int64_t steps_ = 0;
  int64_t epoch_ = 0;
  int64_t batch_of_step_ = 0;
  int64_t batches_of_epoch_ = 0;
  int64_t samples_of_epoch_ = 0;
  int64_t samples_of_step_ = 0;
  double loss_of_step_ = 0;       // sum over the step's local batches
  at::Tensor card_loss_of_step_;  // the same, where losses stay on the card
  TrainReport report_;
};

// Another phase for as long as the scope lasts; then the one before it again.
class PhaseScope {
 public:
  PhaseScope(StepMeter& meter, Phase phase)
      : meter_(meter), before_(meter.enter(phase)) {}
  ~PhaseScope() { meter_.enter(before_); }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  StepMeter& meter_;
  Phase before_;
};

}  // namespace lockstep::training

namespace lockstep {
using training::StepMeter;
}
