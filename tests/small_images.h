// A few images that differ, of classes that differ, as the files of Fashion-MNIST. For
// tests alone.
#pragma once

#include "tests/idx_folder.h"

namespace lockstep {

class SmallImages {
 public:
  explicit SmallImages(uint32_t count) {
    const size_t pixels = size_t{count} * 28 * 28;
    uint32_t state = 1;
    for (const char* part : {"train", "t10k"}) {
      std::string images = idx_images(count), labels = idx_labels(count);
      for (size_t i = 0; i < pixels; ++i) {
        state = state * 1664525 + 1013904223;  // Numerical Recipes' generator
        images[images.size() - pixels + i] = static_cast<char>(state >> 24);
      }
      for (size_t i = 0; i < count; ++i) {
        labels[labels.size() - count + i] = static_cast<char>(i % 10);
      }
      files_.write(part + std::string("-images-idx3-ubyte"), images);
      files_.write(part + std::string("-labels-idx1-ubyte"), labels);
    }
  }
  const std::string& path() const { return files_.path; }

 private:
  IdxFolder files_;
};

}  // namespace lockstep
