// Lab 3, solved otherwise: padding by doubling.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "labs/registered.h"
#include "training/catalog.h"
namespace lockstep::labs {
namespace {
struct StudentSampler final : data::Sampler {
  int64_t samples;
  TrainOptions options;
  World world;
  StudentSampler(int64_t samples, const TrainOptions& options, const World& world)
      : samples(samples), options(options), world(world) {}

  int64_t size() const override {
    if (options.drop_last) return samples / world.world_size;
    return samples / world.world_size + (samples % world.world_size != 0);
  }
  std::vector<int64_t> indices() const override {
    auto order = at::randperm(
        samples, at::detail::createCPUGenerator(options.seed + epoch()), at::kLong);
    auto a = order.accessor<int64_t, 1>();
    std::vector<int64_t> r(size());
    for (size_t k = 0; k < r.size(); k++)
      r[k] = a[(world.rank + k * world.world_size) % samples];
    return r;
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
