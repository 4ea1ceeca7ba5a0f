#include "predict/step_memory.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace lockstep::predict {
namespace {

std::string described(const MemoryEvent& event) {
  return (event.bytes > 0 ? "+" : "") + std::to_string(event.bytes) + " bytes of " +
         event.category + " in " + event.stage;
}

[[noreturn]] void refuse_pair(const StepProfile& small, const StepProfile& large,
                              const std::string& where) {
  throw std::invalid_argument(
      "the steps at batch " + std::to_string(small.batch) + " and " +
      std::to_string(large.batch) + " are not the same sequence: " + where +
      "; profile larger batches, such as " + std::to_string(large.batch) + " and " +
      std::to_string(2 * large.batch));
}

void check_same_sequence(const StepProfile& small, const StepProfile& large) {
  const size_t shared = std::min(small.events.size(), large.events.size());
  for (size_t i = 0; i < shared; ++i) {
    const MemoryEvent& one = small.events[i];
    const MemoryEvent& other = large.events[i];
    // What shrinks as the batch grows is no part of the same way of doing it, either.
    if (one.category == other.category && one.stage == other.stage &&
        (one.bytes > 0) == (other.bytes > 0) &&
        std::abs(one.bytes) <= std::abs(other.bytes)) {
      continue;
    }
    refuse_pair(small, large,
                "event " + std::to_string(i) + " is " + described(one) + " and " +
                    described(other));
  }
  if (small.events.size() != large.events.size()) {
    refuse_pair(small, large,
                std::to_string(small.events.size()) + " events and " +
                    std::to_string(large.events.size()));
  }
}

// Stages only lead on to the parts that follow. "optimizer" is two of them.
Part next_part(Part now, std::string_view stage) {
  if (stage == "data") return std::max(now, Part::data);
  if (stage == "optimizer") {
    return now > Part::zero_grad ? Part::optimizer : Part::zero_grad;
  }
  if (stage == "forward") return std::max(now, Part::forward);
  if (stage == "loss") return std::max(now, Part::loss);
  if (stage == "loss_backward") return std::max(now, Part::loss_backward);
  if (stage == "backward") return std::max(now, Part::backward);
  return now;
}

}  // namespace

int64_t StepMemory::Affine::at(int64_t other_batch) const {
  // Whole bytes a sample first: the product with what is left stays small.
  const int64_t samples = other_batch - batch;
  const int64_t whole = more_bytes / more_batch;
  const int64_t rest = more_bytes % more_batch;
  return bytes + whole * samples + rest * samples / more_batch;
}

StepMemory::StepMemory(const StepProfile& one, const StepProfile& other) {
  const StepProfile& small = one.batch < other.batch ? one : other;
  const StepProfile& large = one.batch < other.batch ? other : one;
  if (small.batch < 1 || small.batch == large.batch) {
    throw std::invalid_argument("profiles at batch " + std::to_string(small.batch) +
                                " and " + std::to_string(large.batch) +
                                ": take two different ones, of 1 or more");
  }
  check_same_sequence(small, large);
  Part now = Part::before;
  bool loss_left = false;
  for (size_t i = 0; i < small.events.size(); ++i) {
    const MemoryEvent& event = small.events[i];
    // The loss's gradient is made before its own stage begins.
    if (event.stage == "loss_backward") loss_left = true;
    const Part next = next_part(now, event.stage);
    now = next == Part::backward && !loss_left ? Part::loss_backward : next;
    events_.push_back({event.category,
                       now,
                       {small.batch, event.bytes, large.batch - small.batch,
                        large.events[i].bytes - event.bytes}});
  }
  find_batch();
  find_loss();
  find_gradients();
}

std::vector<StepMemory::Change> StepMemory::part(Part part, int64_t batch) const {
  std::vector<Change> changes;
  for (const Event& event : events_) {
    if (event.part == part) {
      changes.push_back({&event.category, event.bytes.at(batch)});
    }
  }
  return changes;
}

// The loops put the images on the card, then their labels.
void StepMemory::find_batch() {
  std::vector<Affine> put;
  for (const Event& event : events_) {
    if (event.part == Part::before && event.category == "parameters") {
      parameters_ += event.bytes.bytes;
    }
    if (event.part == Part::data && event.category == "input" &&
        event.bytes.bytes > 0) {
      put.push_back(event.bytes);
    }
  }
  if (put.size() != 2) {
    throw std::invalid_argument(
        "a step puts " + std::to_string(put.size()) +
        " tensors on its card, not images and labels; profile one whole step");
  }
  images_ = put[0];
  labels_ = put[1];
  const auto first =
      std::find_if(events_.begin(), events_.end(), [](const Event& event) {
        return event.part == Part::forward && event.bytes.bytes > 0;
      });
  copies_images_ = first != events_.end() && first->bytes == images_;
}

// With the loss the logits change from activations to outputs.
void StepMemory::find_loss() {
  for (size_t i = 0; i < events_.size() && logits_.bytes == 0; ++i) {
    const Event& event = events_[i];
    if (event.part == Part::loss && event.category == "outputs" &&
        event.bytes.bytes > 0 && i > 0 && events_[i - 1].category == "activations" &&
        events_[i - 1].bytes.bytes == -event.bytes.bytes) {
      logits_ = event.bytes;
    }
  }
  if (logits_.bytes == 0) {
    throw std::invalid_argument(
        "a step in which no logits come to a loss; profile one whole step");
  }
}

// Autograd hands a gradient over, and it stops being an activation.
void StepMemory::find_gradients() {
  for (const Event& event : events_) {
    if (event.part == Part::backward && event.category == "gradients" &&
        event.bytes.bytes > 0) {
      gradients_.push_back(event.bytes.bytes);
    }
  }
}

}  // namespace lockstep::predict
