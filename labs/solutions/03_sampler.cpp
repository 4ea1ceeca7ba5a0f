// Lab 3, solved.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <memory>
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
    const int64_t ranks = world.world_size;
    return options.drop_last ? samples / ranks : (samples + ranks - 1) / ranks;
  }

  std::vector<int64_t> indices() const override {
    const uint64_t seed = options.seed + static_cast<uint64_t>(epoch());
    std::vector<int64_t> order = shuffled(seed);
    const int64_t total = size() * world.world_size;
    // Padded by its own beginning, as often as it takes; or cut.
    for (int64_t i = 0; i < total - samples; ++i) {
      order.push_back(order[static_cast<size_t>(i)]);
    }
    order.resize(static_cast<size_t>(total));
    std::vector<int64_t> mine;
    for (int64_t i = world.rank; i < total; i += world.world_size) {
      mine.push_back(order[static_cast<size_t>(i)]);
    }
    return mine;
  }

  std::vector<int64_t> shuffled(uint64_t seed) const {
    const at::Tensor order =
        at::randperm(samples, at::detail::createCPUGenerator(seed), at::kLong);
    const auto* first = order.const_data_ptr<int64_t>();
    return {first, first + samples};
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
