// The IDX format of MNIST and Fashion-MNIST: a header of big-endian numbers, then
// bytes. Plain functions over a byte span that return views into it: the span must
// outlive them. Not here: files, gzip (gzip.h), normalisation, tensors.
//
// Every failure is a std::runtime_error of one line that begins with `where`, the
// file's name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lockstep::data {

struct IdxImages {
  int64_t count = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  std::span<const uint8_t> pixels;  // [count, rows, cols], row-major, 0..255
};

// Magic 0x803. The header's numbers must account for every byte, to the last.
IdxImages parse_idx_images(std::span<const uint8_t> bytes, std::string_view where);

// Magic 0x801; [count], each below num_classes.
std::span<const uint8_t> parse_idx_labels(std::span<const uint8_t> bytes,
                                          int num_classes, std::string_view where);

// One label for each image.
void check_idx_counts(const IdxImages& images, std::span<const uint8_t> labels,
                      std::string_view images_where, std::string_view labels_where);

}  // namespace lockstep::data
