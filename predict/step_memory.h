// What one card allocates and frees in the course of a training step, as a function of
// its batch: profiled at two small batches, told for any.
//
// Parameters, gradients and the optimizer's state do not depend on the batch, and every
// sample brings activations of the same size, so each allocation is affine in the
// batch: bytes = a + b * batch. The step at another batch is then the same sequence
// with other sizes, and its peak can be read off. After DNNMem (Gao et al., ESEC/FSE
// 2020), which goes through a step's allocations in order in the same way, but
// calculates them from each layer's shapes.
//
// It holds as long as the sequence itself stays the same: where a kernel takes another
// way with a larger batch, only a profile at such a batch knows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::predict {

// One change of a card's memory, in the order of time.
struct MemoryEvent {
  std::string category;  // by the ledger's name
  std::string stage;     // what the card was at; "before": live when the step began
  int64_t bytes = 0;     // allocated; negative: freed. Both: changed its category
};

// A step that is like those before and after it: not the first.
struct StepProfile {
  int64_t batch = 0;  // samples
  std::vector<MemoryEvent> events;
};

// The step's parts, in order; each begins with a stage of the profile.
enum class Part : uint8_t {
  before,
  data,           // the batch comes, the one before it goes
  zero_grad,      // "optimizer", the first time
  forward,        // to the logits
  loss,           // from the logits to the loss
  loss_backward,  // from the loss's gradient to the logits'
  backward,
  optimizer,
};

class StepMemory {
 public:
  // Two profiles of one model at different batches, in any order. Throws
  // std::invalid_argument, in one line, where they are not the same sequence or not one
  // step.
  StepMemory(const StepProfile& one, const StepProfile& other);

  struct Change {
    const std::string* category;
    int64_t bytes;
  };
  // What happens in that part of the step at that batch.
  std::vector<Change> part(Part part, int64_t batch) const;

  // The batch's samples, its labels, and what the model makes of them.
  int64_t images(int64_t batch) const { return images_.at(batch); }
  int64_t labels(int64_t batch) const { return labels_.at(batch); }
  int64_t logits(int64_t batch) const { return logits_.at(batch); }
  // The model begins with a copy of them in another layout: backward needs the copy,
  // not them.
  bool copies_images() const { return copies_images_; }
  // Parameters and buffers.
  int64_t parameters() const { return parameters_; }
  // Of each trained parameter, in the order in which backward makes them.
  const std::vector<int64_t>& gradients() const { return gradients_; }

 private:
  struct Affine {
    int64_t batch = 0;  // where it is `bytes`
    int64_t bytes = 0;
    int64_t more_batch = 1;  // so many samples more are so many bytes more
    int64_t more_bytes = 0;
    int64_t at(int64_t other_batch) const;
    bool operator==(const Affine&) const = default;
  };
  struct Event {
    std::string category;
    Part part;
    Affine bytes;
  };

  void find_batch();
  void find_loss();
  void find_gradients();

  std::vector<Event> events_;
  Affine images_, labels_, logits_;
  bool copies_images_ = false;
  int64_t parameters_ = 0;
  std::vector<int64_t> gradients_;
};

}  // namespace lockstep::predict
