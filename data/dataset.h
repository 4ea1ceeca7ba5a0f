// The data sets, each in two halves, training and test. Images are kept as the bytes
// they came as and turned into normalised numbers batch by batch: 47 MB instead of 188.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

namespace lockstep::data {

struct Batch {
  at::Tensor images;  // [n, 1, 28, 28] or features [n, 100], contiguous
  at::Tensor labels;  // [n], int64
};

// Half of a data set. Cheap to copy; read-only, so any number of threads may take
// batches.
class Samples {
 public:
  // `inputs` [n, ...] of bytes (0..255, normalised when taken) or of floats (taken as
  // is).
  Samples(at::Tensor inputs, at::Tensor labels);

  int64_t size() const { return labels_.size(0); }
  // The chosen samples, in this order, of the given type.
  Batch take(std::span<const int64_t> indices, at::ScalarType type) const;

 private:
  at::Tensor inputs_;
  at::Tensor labels_;
};

struct Dataset {
  Samples train;
  Samples test;
  at::ScalarType type = at::kFloat;  // of the batches' images

  void set_type(at::ScalarType to) { type = to; }
};

// Gzipped or plain IDX files; an empty folder means where Debian's package puts them.
Dataset load_fashion_mnist(const std::string& data_dir);
Dataset load_mnist(const std::string& data_dir);

// 60,000 + 10,000 images of the same shape, learnable: noise over one pattern a class.
// For machines without real images. Always the same; takes no files.
Dataset make_synthetic_images(const std::string& data_dir);

// The 100-feature set of the first tutorial: normal features, labels from a hidden
// linear map.
Dataset make_features100(const std::string& data_dir);

}  // namespace lockstep::data
