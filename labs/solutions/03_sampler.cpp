// Lab 3, solved.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <memory>
#include <vector>

#include "labs/registered.h"
#include "training/catalog.h"

namespace lockstep::labs {
namespace {

class StudentSampler final : public data::Sampler {
 public:
  StudentSampler(int64_t size, const TrainOptions& options, const World& world)
      : size_(size), options_(options), world_(world) {}

  int64_t size() const override {
    const int64_t ranks = world_.world_size;
    return options_.drop_last ? size_ / ranks : (size_ + ranks - 1) / ranks;
  }

  std::vector<int64_t> indices() const override {
    const uint64_t seed = options_.seed + static_cast<uint64_t>(epoch());
    std::vector<int64_t> order = shuffled(seed);
    const int64_t total = size() * world_.world_size;
    // Padded by its own beginning, as often as it takes; or cut.
    for (int64_t i = 0; i < total - size_; ++i) {
      order.push_back(order[static_cast<size_t>(i)]);
    }
    order.resize(static_cast<size_t>(total));
    std::vector<int64_t> mine;
    for (int64_t i = world_.rank; i < total; i += world_.world_size) {
      mine.push_back(order[static_cast<size_t>(i)]);
    }
    return mine;
  }

 private:
  std::vector<int64_t> shuffled(uint64_t seed) const {
    const at::Tensor order =
        at::randperm(size_, at::detail::createCPUGenerator(seed), at::kLong);
    const auto* first = order.const_data_ptr<int64_t>();
    return {first, first + size_};
  }

  int64_t size_;
  TrainOptions options_;
  World world_;
};

const Registered student(training::samplers(), "student",
                         [](int64_t size, const TrainOptions& options,
                            const World& world) -> training::SamplerPtr {
                           return std::make_unique<StudentSampler>(size, options,
                                                                   world);
                         });

}  // namespace
}  // namespace lockstep::labs
