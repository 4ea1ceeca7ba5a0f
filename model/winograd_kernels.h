// The inner loops of Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", CVPR 2016, F(2x2, 3x3), on plain numbers and in its letters: an input tile
// d of 4x4 pixels becomes B'dB, a filter g becomes GgG', and their products m, summed
// over the channels, become 2x2 outputs A'mA. Sixteen products where the plain sum
// takes 36.
//
// Compiled for AVX-512 alone: ask before you call (processor.h).
#pragma once

#include "model/lanes.h"

namespace lockstep::model::winograd {

inline constexpr long kPoints = 16;  // numbers of a transformed tile
inline constexpr long kPanel = 32;   // columns that are multiplied at once
inline constexpr long kMaxChannels = 4096;
inline constexpr long kRows = 8;  // rows that are multiplied at once

// [images, height, width, channels], no gaps: channels-last.
struct Images {
  const float* data;
  long count;
  long height;
  long width;
  long channels;  // a multiple of kPanel, at most kMaxChannels

  long tiles_across() const { return (width + 1) / 2; }
  long tiles_down() const { return (height + 1) / 2; }
  long tiles() const { return count * tiles_down() * tiles_across(); }
};

// A filter bank [out, in, 3, 3] and its strides, in numbers.
struct Filters {
  long out;
  long in;
  long strides[4];

  long at(long n, long k, long tap) const {
    return n * strides[0] + k * strides[1] + tap / 3 * strides[2] +
           tap % 3 * strides[3];
  }
};

// Sixteen matrices, [rows, channels] each, `step` numbers apart. Not just behind each
// other: at distances of a power of two all would want the same lines of cache.
struct Points {
  float* data;
  long rows;
  long channels;

  long step() const { return points_step(rows, channels); }
  static long points_step(long rows, long channels) {
    return rows * channels + 5 * kLanes;
  }
};

// GgG' of each filter, in panels [kPoints][out / kPanel][in][kPanel]. `turned`: of the
// filters turned by 180 degrees with in and out exchanged, which take the gradient of
// the output back to the input.
void transform_filters(const float* weight, const Filters& filters, bool turned,
                       float* panels);
// The gradient of the filters, G'uG, of the gradient u: [kPoints][in][out].
void gradient_of_filters(const float* points, const Filters& filters, float* gradient);

// Tiles first to first + count, one a row. B'dB:
void transform_input(const Images& images, long first, long count, const Points& to);
// A'mA: into `images`, which are written.
void transform_output(const Points& from, const Images& images, long first, long count);
// AyA' of an output's gradient, in panels [channels / kPanel][rows][kPanel] a point.
void transform_gradient(const Images& images, long first, long count, const Points& to);

// For each point: to[., out] = from[., in] * panels, of the first `rows` rows and those
// up to the next multiple of kRows.
void multiply(const Points& from, const float* panels, long rows, const Points& to);
// For each point: to[in, out] = (add: +=) the first `rows` rows of input[., in]' *
// gradient[., out], where `gradient` lies in panels.
void multiply_transposed(const Points& input, const Points& gradient, long rows,
                         bool add, float* to);

}  // namespace lockstep::model::winograd
