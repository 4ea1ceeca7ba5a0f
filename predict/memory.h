// Each card's peak memory, for every way to train, from the profile of one card alone
// (step_memory.h): what a card of DDP or DataParallel does is made up of the same parts
// of a step, some of them at the whole batch, and of copies whose sizes are known.
//
// Bytes are those that tensors ask for, as the ledger counts them; what an allocator
// rounds up or keeps is not in them. Assumed: SGD, plain float gradients, every trained
// parameter used, one loss from one tensor of logits.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "predict/step_memory.h"

namespace lockstep::predict {

struct CardPeak {
  int64_t bytes = 0;
  std::map<std::string, int64_t> by_category;  // at that moment
};

// Where DDP's gradients are while ranks add them up.
enum class DdpGradients : uint8_t {
  in_place,  // where backward left them
  buckets,   // copied to buckets, each as it comes, and forgotten
  flat,      // copied to one bucket when backward is over
  sharded,   // in place, and forgotten when their parameters were stepped
};

// Whether replicas are kept or made for every step makes no difference to a peak: they
// are there when it comes.
struct DataParallelWay {
  bool tree = false;              // reduce by pairs; else all to the primary card
  bool loss_in_replicas = false;  // each card's loss, of its own part
  double primary_share = 1;       // of an equal part
  int output_card = 0;            // where the loss is otherwise
};

// One card.
CardPeak single_peak(const StepMemory& step, int64_t local_batch);

// Any rank: they are all alike.
CardPeak ddp_peak(const StepMemory& step, DdpGradients gradients, int64_t local_batch);

// Every card, the primary one first. Throws std::invalid_argument for what cannot be.
std::vector<CardPeak> data_parallel_peaks(const StepMemory& step,
                                          const DataParallelWay& way, int cards,
                                          int64_t local_batch);

}  // namespace lockstep::predict
