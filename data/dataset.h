// The data sets, each in two halves, training and test. Images are kept as the bytes
// they came as and turned into normalised numbers batch by batch: 47 MB instead of 188.
// Tokens are numbers, kept in four bytes each, and stay numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep::data {

struct Batch {
  // Contiguous: [n, channels, height, width], features [n, 100], or tokens [n, T] of
  // int64.
  at::Tensor images;
  at::Tensor labels;  // [n] of int64, or of tokens [n, T]: each one's next
};

// What the channels of images have taken off and are divided by then.
struct Normalisation {
  std::vector<float> mean;
  std::vector<float> std;
};

// Half of a data set. Cheap to copy; read-only, so any number of threads may take
// batches.
class Samples {
 public:
  // Contiguous, `inputs` [n, ...] of bytes (images [n, c, ...], 0..255, normalised when
  // taken), of floats (taken as is) or of int32 (tokens, taken as int64); `labels`
  // [n, ...] of int64 or int32.
  Samples(at::Tensor inputs, at::Tensor labels);
  Samples(at::Tensor inputs, at::Tensor labels, Normalisation normalisation);

  int64_t size() const { return labels_.size(0); }
  // 1, or of sequences their length.
  int64_t labels_each() const { return labels_.numel() / std::max<int64_t>(1, size()); }
  // The chosen samples, in this order, of the given type; tokens stay what they are.
  Batch take(std::span<const int64_t> indices, at::ScalarType type) const;

 private:
  at::Tensor inputs_;
  at::Tensor labels_;
  Normalisation normalisation_;
};

struct Dataset {
  Samples train;
  Samples test;
  at::ScalarType type = at::kFloat;  // of the batches' images

  void set_type(at::ScalarType to) { type = to; }
};

// Where a data set comes from.
struct Source {
  // The folder of its files, or of tokens a text file; empty: the data set's own place.
  std::string data_dir;
  // Of tokens: how many there are, and how many make a sequence.
  int64_t vocabulary = 50257;
  int64_t length = 64;
};

// Gzipped or plain IDX files; an empty folder means where Debian's package puts them.
Dataset load_fashion_mnist(const Source& source);
Dataset load_mnist(const Source& source);

// The six binary files, gzipped or plain: [3, 32, 32].
Dataset load_cifar10(const Source& source);

// 60,000 + 10,000 images of MNIST's shape, learnable: noise over one pattern a class.
// For machines without real images. Always the same; takes no files.
Dataset make_synthetic_images(const Source& source);

// The 100-feature set of the first tutorial: normal features, labels from a hidden
// linear map.
Dataset make_features100(const Source& source);

// Sequences of tokens (tokens.cpp): a text file's bytes, its last tenth for the test;
// without a file 4,096 + 256 sequences of a chain, always the same and learnable.
Dataset load_tokens(const Source& source);

}  // namespace lockstep::data
