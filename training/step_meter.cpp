#include "training/step_meter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "device/cuda.h"
#include "device/cuda_ledger.h"
#include "flops/peak.h"

namespace lockstep::training {
namespace {

using device::Category;

// How many steps may wait on a CUDA card before they are read.
constexpr size_t kReadEvery = 50;

Category category_of(Phase phase) {
  switch (phase) {
    case Phase::data:
      return Category::input;
    case Phase::forward:
    case Phase::backward:
    case Phase::graph:
      return Category::activations;
    case Phase::optimizer:
      return Category::optimizer_state;
    case Phase::exposed_comm:
      break;
  }
  return Category::buckets;  // messages
}

void check_finite(double loss, int64_t step, int rank) {
  if (std::isfinite(loss)) return;
  const std::string what = std::isnan(loss) ? "nan" : "inf";
  throw std::runtime_error("the loss became " + what + " at step " +
                           std::to_string(step) + " on rank " + std::to_string(rank) +
                           "; try a smaller --lr");
}

}  // namespace

StepMeter::StepMeter(const TrainOptions& options, const World& world,
                     const std::vector<Card>& cards)
    : options_(options), rank_(world.rank), cards_(cards), begin_(cards.front()) {
  for (const Card& card : cards_) card.reset_peaks();
  steps_ = report_.first_step = options.start.step;
  epoch_ = options.start.epoch;
  samples_of_epoch_ = options.start.samples / world.world_size;
  batches_of_epoch_ = samples_of_epoch_ > 0 ? 1 : 0;
  report_.threads_per_card = cards_.front().threads();
  const Card& card = cards_.front();
  report_.device = card.emulated() ? "cpu" : "cuda";
  if (!card.emulated()) {
    report_.device_name = device::cuda_device_name(card.torch_device().index());
  }
  report_.peak_flops_per_s =
      flops::peak_flops_per_s(cards_, options.precision, options.ranks_per_gpu);
}

void StepMeter::start(int64_t batches) {
  // A double holds any number of epochs; batches left over by one count in the next. Of
  // a resumed run those count that are left, for other ranks may have taken the others.
  const int64_t batch =
      options_.batch_size * std::ssize(cards_);  // DataParallel's: all
  const int64_t taken = std::min(batches, (samples_of_epoch_ + batch - 1) / batch);
  const double left = std::max(0.0, static_cast<double>(options_.epochs - epoch_) *
                                            static_cast<double>(batches) -
                                        static_cast<double>(taken));
  const double all = static_cast<double>(steps_) +
                     std::floor(left / static_cast<double>(options_.accumulate));
  planned_ = all < static_cast<double>(options_.steps) ? static_cast<int64_t>(all)
                                                       : options_.steps;
  for (const auto& observer : options_.observers) {
    if (group_ != nullptr) observer->communicates(*group_);
    observer->planned(planned_);
  }
  if (group_ != nullptr) group_->take_busy_ms();
  between_steps(steps_);
  begin_ = device::Mark(cards_.front());
  begin(Phase::data);
  begin_recording();
  if (done()) return end_training();  // resumed at its end
  flops_.emplace();
  for (const auto& observer : options_.observers) observer->before_batch(steps_, 0);
}

void StepMeter::leave() {
  if (!is_recorded_) ends_.emplace_back(phase_, cards_.front());
  stage_.reset();
  autocast_.reset();
}

void StepMeter::begin(Phase phase) {
  phase_ = phase;
  device::set_category(category_of(phase));
  stage_.emplace(to_string(phase));
  if (phase == Phase::forward && options_.precision == "bf16") {
    autocast_.emplace(cards_.front().torch_device().type());
  }
}

Phase StepMeter::enter(Phase next) {
  const Phase left = phase_;
  leave();
  begin(next);
  return left;
}

StepMeter::Recording::Recording(StepMeter& meter) : meter_(meter) {
  meter_.is_recorded_ = true;
}

StepMeter::Recording::~Recording() {
  meter_.enter(Phase::graph);
  meter_.is_recorded_ = false;
}

void StepMeter::note(const std::string& text) {
  const std::vector<std::string>& known = report_.notes;
  if (std::find(known.begin(), known.end(), text) != known.end()) return;
  report_.notes.push_back(text);
  for (const auto& observer : options_.observers) observer->noted(text);
}

void StepMeter::between_steps(int64_t next) {
  for (const auto& observer : options_.observers) observer->between_steps(next);
}

void StepMeter::step(const at::Tensor& loss, int64_t samples) {
  if (loss.is_cpu()) {
    const auto value = loss.item<double>();
    check_finite(value, steps_, rank_);
    loss_of_step_ += value;
  } else {
    const at::Tensor value = loss.detach().to(at::kDouble);
    card_loss_of_step_ =
        card_loss_of_step_.defined() ? card_loss_of_step_ + value : value;
  }
  samples_of_step_ += samples;
  samples_of_epoch_ += samples;
  ++batches_of_epoch_;
  for (const auto& observer : options_.observers) {
    observer->after_batch(steps_, batch_of_step_);
  }
  leave();
  const bool ends_step = ++batch_of_step_ == options_.accumulate;
  if (ends_step && flops_) {
    report_.flops_per_step = flops_->flops();
    flops_.reset();
  }
  if (ends_step) between_steps(steps_ + 1);
  begin(Phase::data);  // of the next batch
  if (ends_step) {
    end_step(samples_of_step_);
    rest(/*epoch_ended=*/false);
    begin_recording();
  }
  if (done()) return end_training();
  for (const auto& observer : options_.observers) {
    observer->before_batch(steps_, batch_of_step_);
  }
}

void StepMeter::end_step(int64_t samples) {
  const Step step = {begin_, std::exchange(ends_, {}),
                     std::exchange(card_loss_of_step_, at::Tensor())};
  begin_ = step.ends.back().second;
  end_recording();
  if (group_ != nullptr) {
    group_->at_step(steps_);
    if (const auto busy_ms = group_->take_busy_ms()) {
      report_.phases_ms["comm"].push_back(*busy_ms);
    }
  }
  report_.epochs.push_back(epoch_);
  report_.samples.push_back(samples);

  double loss = std::nan("");
  StepTimes times = {loss, loss};
  if (step.loss.defined()) {
    unread_.push_back(step);
    if (unread_.size() == kReadEvery) read_steps();
  } else {
    loss = loss_of_step_ / static_cast<double>(options_.accumulate);
    report_.losses.push_back(loss);
    times = read_times(step);
  }
  for (const auto& observer : options_.observers) {
    observer->after_step({steps_, epoch_, loss, samples, times.step_ms, times.data_ms});
    observer->stands(steps_ + 1, epoch_, samples_of_epoch_);
  }
  ++steps_;
  batch_of_step_ = samples_of_step_ = 0;
  loss_of_step_ = 0;
}

void StepMeter::rest(bool epoch_ended) {
  leave();
  for (const auto& observer : options_.observers) {
    observer->rests(steps_, epoch_, epoch_ended);
  }
  for (const auto& observer : options_.observers) ended_ |= observer->wants_end();
  ends_.emplace_back(std::nullopt, cards_.front());
  begin(Phase::data);
}

void StepMeter::begin_recording() {
  if (!options_.memory_timeline || steps_ + 1 != planned_) return;
  std::vector<int> cards;
  for (const Card& card : cards_) cards.push_back(card.index());
  recording_.emplace(cards);
}

void StepMeter::end_recording() {
  if (!recording_) return;
  recorded_ = recording_->take();
  recording_.reset();
}

StepMeter::StepTimes StepMeter::read_times(const Step& step) {
  std::array<double, kPhases> phase_ms{};
  device::Mark since = step.begin;
  for (const auto& [phase, end] : step.ends) {
    if (phase) phase_ms[static_cast<size_t>(*phase)] += end.ms_since(since);
    since = end;
  }
  const double step_ms = std::accumulate(phase_ms.begin(), phase_ms.end(), 0.0);
  const double data_ms = phase_ms[static_cast<size_t>(Phase::data)];
  report_.step_ms.push_back(step_ms);
  // Within a replayed step nobody looks; the few before it are not told apart from it.
  if (replays_steps_) {
    report_.phases_ms[to_string(Phase::data)].push_back(data_ms);
    report_.phases_ms[to_string(Phase::graph)].push_back(step_ms - data_ms);
    return {step_ms, data_ms};
  }
  for (int i = 0; i < kEagerPhases; ++i) {
    const double ms = phase_ms[static_cast<size_t>(i)];
    report_.phases_ms[to_string(static_cast<Phase>(i))].push_back(ms);
  }
  return {step_ms, data_ms};
}

void StepMeter::read_steps() {
  for (const Step& step : unread_) {
    const double loss =
        step.loss.item<double>() / static_cast<double>(options_.accumulate);
    // The card's queue went on because its collectives were broken off?
    if (group_ != nullptr) group_->check();
    check_finite(loss, report_.first_step + std::ssize(report_.losses), rank_);
    report_.losses.push_back(loss);
    read_times(step);
  }
  unread_.clear();
}

void StepMeter::end_epoch() {
  if (std::exchange(batches_of_epoch_, 0) == 0) {
    throw std::runtime_error("epoch " + std::to_string(epoch_) +
                             " held no whole batch of --batch-size " +
                             std::to_string(options_.batch_size) +
                             "; try a smaller one, or leave out --drop-last");
  }
  const bool whole = !done();  // else the last step cut it short
  ++epoch_;
  samples_of_epoch_ = 0;
  if (whole) rest(/*epoch_ended=*/true);
  if (done() && steps_ == 0) {
    throw std::runtime_error("--accumulate " + std::to_string(options_.accumulate) +
                             ": all epochs held fewer local batches than that, and no "
                             "step was taken; try a smaller one");
  }
  if (done()) end_training();
}

}  // namespace lockstep::training
