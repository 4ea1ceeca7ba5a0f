#include "cells/quantity.h"

#include <stdexcept>

namespace lockstep::cells {

std::vector<Quantity> all_quantities() {
  return {
      {"1_parameters", "bytes of a perceptron's parameters", "1_one_card.md#the-bytes",
       0, 0.01, parameter_bytes},
      {"2_primary_card", "peak bytes of DataParallel's primary card",
       "2_data_parallel.md#one-upon-the-other", 0.01, 0.1, primary_card_bytes},
      {"3_steps_an_epoch", "steps that DDP takes in an epoch", "3_ddp.md#padding", 0,
       0.05, steps_an_epoch},
      {"3_messages", "all_reduces that a rank of the naive reducer starts",
       "3_ddp.md#messages", 0, 0.05, messages_of_batches},
      {"4_rank", "a process's rank in the job", "4_many_machines.md#rank", 0, 0,
       global_rank},
      {"5_ring_bytes", "bytes that a rank sends in a ring's all_reduce",
       "5_measuring_and_predicting.md#busbw", 0, 0.05, ring_bytes},
      {"5_cable_step", "milliseconds of DDP's step over a cable",
       "5_measuring_and_predicting.md#by-hand", 0.1, 0.25, step_over_a_cable},
  };
}

Quantity quantity_named(const std::string& id) {
  std::string known;
  for (const Quantity& each : all_quantities()) {
    if (each.id == id) return each;
    known += (known.empty() ? "" : ", ") + each.id;
  }
  throw std::invalid_argument("no cell is called " + id + "; there are " + known);
}

}  // namespace lockstep::cells
