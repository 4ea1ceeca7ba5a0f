#include "data/dataset.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/ops/from_blob.h>

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>

#include "data/cifar.h"
#include "data/data_folder.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "device/memory_ledger.h"

namespace lockstep::data {
namespace {

constexpr int kClasses = 10;

// The tutorials' mean and standard deviation of MNIST, used there for Fashion-MNIST
// too.
Normalisation of_mnist() { return {{0.1307F}, {0.3081F}}; }

Normalisation of_cifar10() {
  return {{0.4914F, 0.4822F, 0.4465F}, {0.2470F, 0.2435F, 0.2616F}};
}

// As torchvision's ToTensor and Normalize round it: two divisions and a subtraction in
// fp32.
void normalise(const uint8_t* from, float* to, int64_t count, float mean, float std) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = (static_cast<float>(from[i]) / 255.0F - mean) / std;
  }
}

// The chosen rows, one after the other. Where they lie is at random, so each is asked
// for a little before it is needed.
template <class From, class Take>
void for_each_row(const at::Tensor& from, std::span<const int64_t> indices,
                  const Take& take) {
  const int64_t rows = from.size(0);
  const int64_t width = rows == 0 ? 0 : from.numel() / rows;
  const From* begin = from.const_data_ptr<From>();
  constexpr size_t kAhead = 3;
  constexpr int64_t kCacheLine = 64 / sizeof(From);
  for (size_t i = 0; i < indices.size(); ++i) {
    if (i + kAhead < indices.size()) {
      const From* next = begin + indices[i + kAhead] * width;
      for (int64_t at = 0; at < width; at += kCacheLine) __builtin_prefetch(next + at);
    }
    take(begin + indices[i] * width, static_cast<int64_t>(i) * width, width);
  }
}

template <class From, class To>
void copy_rows(const at::Tensor& from, std::span<const int64_t> indices,
               at::Tensor& to) {
  To* begin = to.mutable_data_ptr<To>();
  for_each_row<From>(from, indices, [&](const From* row, int64_t at, int64_t width) {
    std::copy_n(row, width, begin + at);
  });
}

void normalise_rows(const at::Tensor& from, std::span<const int64_t> indices,
                    const Normalisation& by, at::Tensor& to) {
  auto* begin = to.mutable_data_ptr<float>();
  const size_t channels = by.mean.size();
  for_each_row<uint8_t>(
      from, indices, [&](const uint8_t* row, int64_t at, int64_t width) {
        const int64_t each = width / static_cast<int64_t>(channels);
        for (size_t c = 0; c < channels; ++c) {
          const int64_t start = static_cast<int64_t>(c) * each;
          normalise(row + start, begin + at + start, each, by.mean[c], by.std[c]);
        }
      });
}

at::Tensor empty_rows(const at::Tensor& like, int64_t count, at::ScalarType type) {
  std::vector<int64_t> shape = like.sizes().vec();
  shape[0] = count;
  return at::empty(shape, type);
}

Samples read_idx(const IdxFiles& files, bool train) {
  const auto& image_file = train ? files.train_images : files.test_images;
  const auto& label_file = train ? files.train_labels : files.test_labels;
  // The tensor's memory: tens of megabytes that need no copy.
  const auto image_bytes =
      std::make_shared<std::vector<uint8_t>>(read_maybe_gzip(image_file));
  const auto label_bytes = read_maybe_gzip(label_file);
  const IdxImages images = parse_idx_images(*image_bytes, image_file.string());
  const auto labels = parse_idx_labels(label_bytes, kClasses, label_file.string());
  check_idx_counts(images, labels, image_file.string(), label_file.string());
  const at::Tensor inputs = at::from_blob(
      const_cast<uint8_t*>(images.pixels.data()),  // the vector's, which is not const
      {images.count, 1, images.rows, images.cols}, [image_bytes](void*) {}, at::kByte);
  at::Tensor targets = at::empty({images.count}, at::kByte);
  std::memcpy(targets.mutable_data_ptr(), labels.data(), labels.size());
  return {inputs, targets.to(at::kLong)};
}

Dataset load_idx(const std::string& name, const Source& source) {
  const IdxFiles files = find_idx_files(name, source.data_dir);
  return {read_idx(files, /*train=*/true), read_idx(files, /*train=*/false)};
}

Samples read_cifar10(const std::vector<std::filesystem::path>& files) {
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> targets;
  for (const std::filesystem::path& file : files) {
    const auto bytes = read_maybe_gzip(file);
    const CifarRecords records = parse_cifar10(bytes, file.string());
    // [count, 1 + 3072]
    const at::Tensor rows =
        at::from_blob(const_cast<uint8_t*>(records.bytes.data()),
                      {static_cast<int64_t>(records.count()),
                       static_cast<int64_t>(CifarRecords::kRecordBytes)},
                      at::kByte);
    targets.push_back(rows.select(1, 0).to(at::kLong));
    inputs.push_back(rows.narrow(1, 1, CifarRecords::kImageBytes).clone());
  }
  constexpr int64_t kSide = CifarRecords::kSide;
  return {at::cat(inputs).view({-1, CifarRecords::kChannels, kSide, kSide}),
          at::cat(targets), of_cifar10()};
}

// The means of eight pixels each, side by side in a word.
uint64_t pixel_means(uint64_t a, uint64_t b) {
  return (a & b) + (((a ^ b) & 0xfefefefefefefefe) >> 1);
}

// Half pattern, half noise. Eight pixels of noise a draw, for this is what every
// process does before it trains.
Samples noisy_patterns(int64_t size, const at::Tensor& patterns,
                       std::mt19937_64& random) {
  constexpr size_t kWords = 28 * 28 / 8;
  const auto* of_class = patterns.const_data_ptr<uint8_t>();  // [class][pixel]
  at::Tensor images = at::empty({size, 1, 28, 28}, at::kByte);
  at::Tensor labels = at::empty({size}, at::kLong);
  auto* pixels = images.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < size; ++i) {
    const int64_t label = static_cast<int64_t>(random() % kClasses);
    labels.mutable_data_ptr<int64_t>()[i] = label;
    std::array<uint64_t, kWords> words;
    std::memcpy(words.data(), of_class + label * sizeof words, sizeof words);
    for (uint64_t& word : words) word = pixel_means(word, random());
    std::memcpy(pixels + i * sizeof words, words.data(), sizeof words);
  }
  return {images, labels};
}

}  // namespace

Samples::Samples(at::Tensor inputs, at::Tensor labels)
    : Samples(std::move(inputs), std::move(labels), of_mnist()) {}

Samples::Samples(at::Tensor inputs, at::Tensor labels, Normalisation normalisation)
    : inputs_(std::move(inputs)),
      labels_(std::move(labels)),
      normalisation_(std::move(normalisation)) {
  if (inputs_.size(0) != labels_.size(0)) {
    throw std::runtime_error(std::to_string(inputs_.size(0)) + " inputs and " +
                             std::to_string(labels_.size(0)) +
                             " labels do not pair up");
  }
}

Batch Samples::take(std::span<const int64_t> indices, at::ScalarType type) const {
  for (const int64_t index : indices) {
    if (index >= 0 && index < size()) continue;
    throw std::out_of_range("sample " + std::to_string(index) + " of " +
                            std::to_string(size()));
  }
  const auto count = static_cast<int64_t>(indices.size());
  const at::ScalarType kept = inputs_.scalar_type();
  const bool tokens = kept == at::kInt;
  Batch batch = {empty_rows(inputs_, count, tokens ? at::kLong : at::kFloat),
                 empty_rows(labels_, count, at::kLong)};
  if (labels_.scalar_type() == at::kInt) {
    copy_rows<int32_t, int64_t>(labels_, indices, batch.labels);
  } else {
    copy_rows<int64_t, int64_t>(labels_, indices, batch.labels);
  }
  if (tokens) {
    copy_rows<int32_t, int64_t>(inputs_, indices, batch.images);
  } else if (kept == at::kByte) {
    normalise_rows(inputs_, indices, normalisation_, batch.images);
  } else {
    copy_rows<float, float>(inputs_, indices, batch.images);
  }
  // Normalised in fp32 and widened then, as a Python loop with `images.double()` has
  // it.
  if (!tokens && type != at::kFloat) batch.images = batch.images.to(type);
  return batch;
}

Dataset load_fashion_mnist(const Source& source) {
  return load_idx("fashion-mnist", source);
}

Dataset load_mnist(const Source& source) { return load_idx("mnist", source); }

Dataset load_cifar10(const Source& source) {
  const CifarFiles files = find_cifar10_files(source.data_dir);
  return {read_cifar10(files.train), read_cifar10({files.test})};
}

Dataset make_synthetic_images(const Source& /*source*/) {
  std::mt19937_64 random(/*seed=*/28);
  at::Tensor patterns = at::empty({kClasses, 1, 28, 28}, at::kByte);
  for (int64_t p = 0; p < patterns.numel(); ++p) {
    patterns.mutable_data_ptr<uint8_t>()[p] = static_cast<uint8_t>(random());
  }
  Samples train = noisy_patterns(60000, patterns, random);
  Samples test = noisy_patterns(10000, patterns, random);
  return {std::move(train), std::move(test)};
}

Dataset make_features100(const Source& /*source*/) {
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
