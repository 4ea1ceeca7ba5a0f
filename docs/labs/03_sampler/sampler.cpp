// Lab 3: the sampler. README.md beside this file says what is asked.
//
// Each of the world's ranks makes a sampler of its own, with the same options, and asks
// it for its indices in every epoch. The ranks do not talk. Write the two functions;
// the real DDP loop trains on them.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "labs/registered.h"
#include "training/catalog.h"

namespace lockstep::labs {
namespace {

struct StudentSampler final : data::Sampler {
  int64_t samples;       // in the data set
  TrainOptions options;  // of these count `seed` and `drop_last`
  World world;           // who this rank is among how many (launch/world.h)

  StudentSampler(int64_t samples, const TrainOptions& options, const World& world)
      : samples(samples), options(options), world(world) {}

  // How many samples this rank takes in an epoch: the same on every rank.
  int64_t size() const override {
    throw std::logic_error("lab 03: size is not written yet");
  }

  // Which ones, in order. The epoch is epoch(), which the loop sets before it asks.
  //
  // A permutation of 0 .. n-1 that follows from a number alone:
  //   at::randperm(n, at::detail::createCPUGenerator(number), at::kLong)
  std::vector<int64_t> indices() const override {
    throw std::logic_error("lab 03: indices is not written yet");
  }
};

const Registered student(training::samplers(), "student",
                         [](int64_t size, const TrainOptions& options,
                            const World& world) -> training::SamplerPtr {
                           return std::make_unique<StudentSampler>(size, options,
                                                                   world);
                         });

}  // namespace
}  // namespace lockstep::labs
