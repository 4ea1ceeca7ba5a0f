#include "model/winograd_kernels.h"

#include "model/lanes.h"

namespace lockstep::model::winograd {
namespace {

// What is read for a pixel outside the image.
alignas(64) const float kOutside[kMaxChannels] = {};

// The pixels of a tile of `side` x `side`, whose first is `lead` to the left of and
// above its two by two outputs.
template <long side, long lead>
struct Tile {
  Tile(const Images& images, long index, const float* outside) {
    const long across = images.tiles_across();
    const long x = index % across * 2 - lead;
    const long y = index / across % images.tiles_down() * 2 - lead;
    const long image = index / across / images.tiles_down();
    for (long i = 0; i < side; ++i) {
      for (long j = 0; j < side; ++j) {
        const bool inside =
            y + i >= 0 && y + i < images.height && x + j >= 0 && x + j < images.width;
        const long pixel = (image * images.height + y + i) * images.width + x + j;
        pixels[i][j] = inside ? images.data + pixel * images.channels : outside;
      }
    }
  }

  const float* pixels[side][side];
};

// The sides of the transforms: each takes kFrom numbers to kTo.
struct InputSide {  // B'
  static constexpr long kFrom = 4;
  static constexpr long kTo = 4;
  static void apply(const Lanes* d, Lanes* t) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[1] - d[3];
  }
};
struct OutputSide {  // A'
  static constexpr long kFrom = 4;
  static constexpr long kTo = 2;
  static void apply(const Lanes* m, Lanes* t) {
    t[0] = m[0] + m[1] + m[2];
    t[1] = m[1] - m[2] - m[3];
  }
};
struct GradientSide {  // A
  static constexpr long kFrom = 2;
  static constexpr long kTo = 4;
  static void apply(const Lanes* y, Lanes* t) {
    t[0] = y[0];
    t[1] = y[0] + y[1];
    t[2] = y[0] - y[1];
    t[3] = -y[1];
  }
};
struct FilterSide {  // G
  static constexpr long kFrom = 3;
  static constexpr long kTo = 4;
  static void apply(const Lanes* g, Lanes* t) {
    const Lanes ends = (g[0] + g[2]) * 0.5F;
    const Lanes middle = g[1] * 0.5F;
    t[0] = g[0];
    t[1] = ends + middle;
    t[2] = ends - middle;
    t[3] = g[2];
  }
};
struct FilterGradientSide {  // G'
  static constexpr long kFrom = 4;
  static constexpr long kTo = 3;
  static void apply(const Lanes* u, Lanes* t) {
    const Lanes sum = (u[1] + u[2]) * 0.5F;
    t[0] = u[0] + sum;
    t[1] = (u[1] - u[2]) * 0.5F;
    t[2] = u[3] + sum;
  }
};

// From both sides: [kFrom][kFrom] to [kTo][kTo].
template <class Side>
[[gnu::always_inline]] inline void both_sides(const Lanes* from, Lanes* to) {
  constexpr long kFrom = Side::kFrom;
  constexpr long kTo = Side::kTo;
  Lanes half[kTo][kFrom];
  for (long j = 0; j < kFrom; ++j) {
    Lanes column[kFrom];
    Lanes turned[kTo];
    for (long i = 0; i < kFrom; ++i) column[i] = from[i * kFrom + j];
    Side::apply(column, turned);
    for (long i = 0; i < kTo; ++i) half[i][j] = turned[i];
  }
  for (long i = 0; i < kTo; ++i) Side::apply(half[i], to + i * kTo);
}

// to[kRows, kPanel] = (add: +=) a[kRows, depth] * b[depth, kPanel]; a's numbers are
// `down` apart from row to row and `along` from column to column.
template <bool add>
void multiply_block(const float* a, long down, long along, const float* b, long depth,
                    float* to, long to_stride) {
  constexpr long kAcross = kPanel / kLanes;
  Lanes sums[kRows][kAcross];
  for (long i = 0; i < kRows; ++i) {
    for (long j = 0; j < kAcross; ++j) {
      sums[i][j] = Lanes{};
    }
  }
  for (long k = 0; k < depth; ++k) {
    Lanes row[kAcross];
    for (long j = 0; j < kAcross; ++j) row[j] = load(b + k * kPanel + j * kLanes);
    for (long i = 0; i < kRows; ++i) {
      const float number = a[i * down + k * along];
      for (long j = 0; j < kAcross; ++j) sums[i][j] += number * row[j];
    }
  }
  for (long i = 0; i < kRows; ++i) {
    for (long j = 0; j < kAcross; ++j) {
      float* sum = to + i * to_stride + j * kLanes;
      store(sum, add ? load(sum) + sums[i][j] : sums[i][j]);
    }
  }
}

}  // namespace

void transform_filters(const float* weight, const Filters& filters, bool turned,
                       float* panels) {
  const long columns = turned ? filters.in : filters.out;
  const long rows = turned ? filters.out : filters.in;
  const long stride = filters.strides[turned ? 1 : 0];
  const auto at = [&](long k, long n, long tap) {
    return weight + (turned ? filters.at(k, n, 8 - tap) : filters.at(n, k, tap));
  };
  for (long n = 0; n < columns; n += kLanes) {
    for (long k = 0; k < rows; ++k) {
      // The next rows may be too far off for the processor to see them coming.
      const float* soon = at(k + 8 < rows ? k + 8 : k, n, turned ? 8 : 0);
      for (long line = 0; line < 9; ++line) __builtin_prefetch(soon + line * kLanes);
      Lanes taps[9];
      for (long tap = 0; tap < 9; ++tap) {
        const float* first = at(k, n, tap);
        for (long i = 0; i < kLanes; ++i) taps[tap][i] = first[i * stride];
      }
      Lanes points[kPoints];
      both_sides<FilterSide>(taps, points);
      float* to = panels + (n / kPanel * rows + k) * kPanel + n % kPanel;
      for (long p = 0; p < kPoints; ++p) store(to + p * rows * columns, points[p]);
    }
  }
}

void gradient_of_filters(const float* points, const Filters& filters, float* gradient) {
  const bool channels_last = filters.strides[1] == 1;
  // What is channels-last is written a square at a time: else each number would fetch a
  // line of cache for itself.
  float square[9][kLanes][kLanes];
  for (long n = 0; n < filters.out; n += kLanes) {
    for (long k = 0; k < filters.in; ++k) {
      Lanes from[kPoints];
      for (long p = 0; p < kPoints; ++p) {
        from[p] = load(points + (p * filters.in + k) * filters.out + n);
      }
      Lanes taps[9];
      both_sides<FilterGradientSide>(from, taps);
      for (long tap = 0; tap < 9; ++tap) {
        float* to = channels_last ? &square[tap][0][k % kLanes]
                                  : gradient + filters.at(n, k, tap);
        const long stride = channels_last ? kLanes : filters.strides[0];
        for (long i = 0; i < kLanes; ++i) to[i * stride] = taps[tap][i];
      }
      if (!channels_last || k % kLanes != kLanes - 1) continue;
      for (long i = 0; i < kLanes; ++i) {
        for (long tap = 0; tap < 9; ++tap) {
          store(gradient + filters.at(n + i, k - kLanes + 1, tap),
                load(square[tap][i]));
        }
      }
    }
  }
}

void transform_input(const Images& images, long first, long count, const Points& to) {
  const long step = to.step();
  for (long t = 0; t < count; ++t) {
    const Tile<4, 1> tile(images, first + t, kOutside);
    for (long c = 0; c < images.channels; c += kLanes) {
      Lanes from[16];
      for (long i = 0; i < 16; ++i) from[i] = load(tile.pixels[i / 4][i % 4] + c);
      Lanes points[kPoints];
      both_sides<InputSide>(from, points);
      float* row = to.data + t * to.channels + c;
      for (long p = 0; p < kPoints; ++p) store(row + p * step, points[p]);
    }
  }
}

void transform_output(const Points& from, const Images& images, long first,
                      long count) {
  const long step = from.step();
  for (long t = 0; t < count; ++t) {
    const Tile<2, 0> tile(images, first + t, /*outside=*/nullptr);
    for (long c = 0; c < images.channels; c += kLanes) {
      Lanes points[kPoints];
      const float* row = from.data + t * from.channels + c;
      for (long p = 0; p < kPoints; ++p) points[p] = load(row + p * step);
      Lanes outputs[4];
      both_sides<OutputSide>(points, outputs);
      for (long i = 0; i < 4; ++i) {
        const float* pixel = tile.pixels[i / 2][i % 2];
        if (pixel != nullptr) store(const_cast<float*>(pixel) + c, outputs[i]);
      }
    }
  }
}

void transform_gradient(const Images& images, long first, long count,
                        const Points& to) {
  const long step = to.step();
  for (long t = 0; t < count; ++t) {
    const Tile<2, 0> tile(images, first + t, kOutside);
    for (long c = 0; c < images.channels; c += kLanes) {
      Lanes from[4];
      for (long i = 0; i < 4; ++i) from[i] = load(tile.pixels[i / 2][i % 2] + c);
      Lanes points[kPoints];
      both_sides<GradientSide>(from, points);
      float* row = to.data + (c / kPanel * to.rows + t) * kPanel + c % kPanel;
      for (long p = 0; p < kPoints; ++p) store(row + p * step, points[p]);
    }
  }
}

void multiply(const Points& from, const float* panels, long rows, const Points& to) {
  const long depth = from.channels;
  for (long p = 0; p < kPoints; ++p) {
    for (long n = 0; n < to.channels; n += kPanel) {
      const float* panel = panels + (p * to.channels + n) * depth;
      for (long m = 0; m < rows; m += kRows) {
        multiply_block<false>(from.data + p * from.step() + m * depth, depth, 1, panel,
                              depth, to.data + p * to.step() + m * to.channels + n,
                              to.channels);
      }
    }
  }
}

void multiply_transposed(const Points& input, const Points& gradient, long rows,
                         bool add, float* to) {
  const long in = input.channels;
  const long out = gradient.channels;
  for (long p = 0; p < kPoints; ++p) {
    for (long n = 0; n < out; n += kPanel) {
      const float* panel = gradient.data + p * gradient.step() + n * gradient.rows;
      for (long m = 0; m < in; m += kRows) {
        const float* a = input.data + p * input.step() + m;
        float* sums = to + (p * in + m) * out + n;
        if (add) {
          multiply_block<true>(a, 1, in, panel, rows, sums, out);
        } else {
          multiply_block<false>(a, 1, in, panel, rows, sums, out);
        }
      }
    }
  }
}

}  // namespace lockstep::model::winograd
