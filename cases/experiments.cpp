#include "cases/experiments.h"

namespace lockstep::cases {

bool is_experiment(const std::string& word) {
  return word == kScaling || word == kBucketSweep;
}

Sweep sweep_of(const std::string& experiment, int cores) {
  Sweep sweep;
  sweep.modes = {"ddp"};
  if (experiment == kScaling) sweep.scalings = {"weak", "strong"};
  if (experiment == kBucketSweep) {
    sweep.gpus = {default_cards(cores).back()};
    sweep.bucket_caps_mb = {0, 1, 2, 5, 10, 25, 50};
  }
  return sweep;
}

}  // namespace lockstep::cases
