// How long a training step takes on many cards, from what it takes on one: a simulation
// by discrete events of the buckets, the links and the primary card.
//
// DDP as torch/csrc/distributed/c10d/reducer.cpp orders it: a bucket is launched when
// its last gradient is ready and the buckets before it were launched; collectives run
// one after the other beside the backward pass; the optimizer waits for the last. After
// "PyTorch Distributed: Experiences on Accelerating Data Parallel Training" (Li et al.,
// VLDB 2020). DataParallel as data_parallel/ does it: scatter, replicate, forward,
// gather, loss, scatter, backward, reduce, all over the primary card's link.
//
// Not here: memory (memory.h).
#pragma once

#include <vector>

#include "predict/cluster.h"

namespace lockstep::predict {

// A trained parameter's gradient.
struct Gradient {
  double ready_s = 0;  // since backward began, on a card that does nothing else
  double bytes = 0;
};

// A step of one card that communicates with nobody, at the local batch.
struct CardStep {
  double data_s = 0;
  double forward_s = 0;
  double backward_s = 0;
  double optimizer_s = 0;
  // Another card's gradients onto one's own, where both are there: as many bytes are
  // read and written as by plain SGD.
  double add_s = 0;
  std::vector<Gradient> gradients;  // in the order in which backward makes them
};

// The same where everything takes so many times as long: cards that are emulated share
// a machine's cores.
CardStep slowed(CardStep card, double times);

struct Buckets {
  // A bucket is full when it holds so much, or more. PyTorch's defaults; a cap of 0
  // makes a bucket of each parameter.
  double first_bytes = 1 << 20;
  double cap_bytes = 25 << 20;
  bool overlap = true;  // false: all of them when backward is over
};

// Seconds since backward began.
struct BucketTimes {
  double bytes = 0;
  double ready_s = 0;  // its last gradient was there
  double begin_s = 0;  // its turn had come
  double end_s = 0;
};

struct StepTime {
  double seconds = 0;
  double exposed_s = 0;  // of it in communication that nothing hid
  std::vector<BucketTimes> buckets;
};

StepTime ddp_step(const CardStep& card, const Buckets& buckets, const Cluster& cluster,
                  int cards);

// What DataParallel moves besides gradients, for one card's part of the batch.
struct DataParallelBytes {
  double input = 0;
  double outputs = 0;
  double parameters = 0;  // and buffers: what a replica is refreshed with
};

// All cards are the primary one's host's. `tree`: gradients are added up by pairs, else
// one card after the other, at the primary one.
StepTime data_parallel_step(const CardStep& card, const DataParallelBytes& bytes,
                            const Cluster& cluster, int cards, bool tree);

}  // namespace lockstep::predict
