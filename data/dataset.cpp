#include "data/dataset.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorIndexing.h>

#include <cstring>
#include <stdexcept>

#include "data/data_folder.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "device/memory_ledger.h"

namespace lockstep::data {
namespace {

// The tutorials' mean and standard deviation of MNIST, used there for Fashion-MNIST
// too.
constexpr float kMean = 0.1307F;
constexpr float kStd = 0.3081F;
constexpr int kClasses = 10;

// As torchvision's ToTensor and Normalize round it: three divisions and a subtraction
// in fp32.
void normalise(const uint8_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = (static_cast<float>(from[i]) / 255.0F - kMean) / kStd;
  }
}

Samples read_idx(const IdxFiles& files, bool train) {
  const auto& image_file = train ? files.train_images : files.test_images;
  const auto& label_file = train ? files.train_labels : files.test_labels;
  const auto image_bytes = read_maybe_gzip(image_file);
  const auto label_bytes = read_maybe_gzip(label_file);
  const IdxImages images = parse_idx_images(image_bytes, image_file.string());
  const auto labels = parse_idx_labels(label_bytes, kClasses, label_file.string());
  check_idx_counts(images, labels, image_file.string(), label_file.string());
  at::Tensor inputs = at::empty({images.count, 1, images.rows, images.cols}, at::kByte);
  std::memcpy(inputs.mutable_data_ptr(), images.pixels.data(), images.pixels.size());
  at::Tensor targets = at::empty({images.count}, at::kByte);
  std::memcpy(targets.mutable_data_ptr(), labels.data(), labels.size());
  return {inputs, targets.to(at::kLong)};
}

Dataset load_idx(const std::string& name, const std::string& data_dir) {
  const IdxFiles files = find_idx_files(name, data_dir);
  return {read_idx(files, /*train=*/true), read_idx(files, /*train=*/false)};
}

Samples noisy_patterns(int64_t size, const at::Tensor& patterns,
                       const at::Generator& random) {
  const at::Tensor labels = at::randint(kClasses, {size}, random, at::kLong);
  // In slices: the noise of all images at once would be 190 MB of floats.
  constexpr int64_t kSlice = 5000;
  at::Tensor images = at::empty({size, 1, 28, 28}, at::kByte);
  for (int64_t start = 0; start < size; start += kSlice) {
    const int64_t count = std::min(kSlice, size - start);
    const at::Tensor noise = at::rand({count, 1, 28, 28}, random);
    const at::Tensor pattern = patterns.index_select(0, labels.narrow(0, start, count));
    images.narrow(0, start, count).copy_((pattern * 0.5 + noise * 0.5) * 255);
  }
  return {images, labels};
}

}  // namespace

Samples::Samples(at::Tensor inputs, at::Tensor labels)
    : inputs_(std::move(inputs)), labels_(std::move(labels)) {
  if (inputs_.size(0) != labels_.size(0)) {
    throw std::runtime_error(std::to_string(inputs_.size(0)) + " inputs and " +
                             std::to_string(labels_.size(0)) +
                             " labels do not pair up");
  }
}

Batch Samples::take(std::span<const int64_t> indices, at::ScalarType type) const {
  const auto count = static_cast<int64_t>(indices.size());
  const int64_t width = size() == 0 ? 0 : inputs_.numel() / size();
  std::vector<int64_t> shape = inputs_.sizes().vec();
  shape[0] = count;
  Batch batch = {at::empty(shape, at::kFloat), at::empty({count}, at::kLong)};
  auto* images = batch.images.mutable_data_ptr<float>();
  auto* labels = batch.labels.mutable_data_ptr<int64_t>();
  const auto* all_labels = labels_.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices[static_cast<size_t>(i)];
    if (index < 0 || index >= size()) {
      throw std::out_of_range("sample " + std::to_string(index) + " of " +
                              std::to_string(size()));
    }
    labels[i] = all_labels[index];
    if (inputs_.scalar_type() == at::kByte) {
      normalise(inputs_.const_data_ptr<uint8_t>() + index * width, images + i * width,
                width);
    } else {
      std::memcpy(images + i * width, inputs_.const_data_ptr<float>() + index * width,
                  static_cast<size_t>(width) * sizeof(float));
    }
  }
  // Normalised in fp32 and widened then, as a Python loop with `images.double()` has
  // it.
  if (type != at::kFloat) batch.images = batch.images.to(type);
  return batch;
}

Dataset load_fashion_mnist(const std::string& data_dir) {
  return load_idx("fashion-mnist", data_dir);
}

Dataset load_mnist(const std::string& data_dir) { return load_idx("mnist", data_dir); }

Dataset make_synthetic_images(const std::string& /*data_dir*/) {
  const at::Generator random = at::detail::createCPUGenerator(/*seed=*/28);
  const at::Tensor patterns = at::rand({kClasses, 1, 28, 28}, random);
  Samples train = noisy_patterns(60000, patterns, random);
  Samples test = noisy_patterns(10000, patterns, random);
  return {std::move(train), std::move(test)};
}

Dataset make_features100(const std::string& /*data_dir*/) {
  const at::Generator random = at::detail::createCPUGenerator(/*seed=*/100);
  const at::Tensor hidden = at::randn({100, kClasses}, random, at::TensorOptions());
  const auto draw = [&](int64_t size) {
    const at::Tensor features = at::randn({size, 100}, random, at::TensorOptions());
    return Samples(features, features.matmul(hidden).argmax(1));
  };
  Samples train = draw(8192);
  Samples test = draw(2048);
  return {std::move(train), std::move(test)};
}

}  // namespace lockstep::data
