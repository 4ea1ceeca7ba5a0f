#include "model/batch_norm_kernels.h"

#include "model/lanes.h"

namespace lockstep::model::batch_norm {
namespace {

// Rows that are summed in fp32.
constexpr long kAtOnce = 64;

long at_once(long rows, long first) {
  return rows - first < kAtOnce ? rows - first : kAtOnce;
}

}  // namespace

void moments(const float* x, long rows, long channels, double* mean, double* squares) {
  for (long c = 0; c < channels; ++c) mean[c] = squares[c] = 0;
  for (long first = 0; first < rows; first += kAtOnce) {
    const long count = at_once(rows, first);
    for (long c = 0; c < channels; c += kLanes) {
      const float* from = x + first * channels + c;
      Lanes sum = {};
      for (long i = 0; i < count; ++i) sum += load(from + i * channels);
      const Lanes middle = sum / static_cast<float>(count);
      Lanes around = {};
      for (long i = 0; i < count; ++i) {
        const Lanes distance = load(from + i * channels) - middle;
        around += distance * distance;
      }
      double means[kLanes];
      double sums[kLanes];
      for (long i = 0; i < kLanes; ++i) {
        means[i] = middle[i];
        sums[i] = around[i];
      }
      join_moments(mean + c, squares + c, first, means, sums, count, kLanes);
    }
  }
}

// Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
// Sample Variances", 1979.
void join_moments(double* mean, double* squares, long before, const double* more_mean,
                  const double* more_squares, long rows, long channels) {
  const double share = static_cast<double>(rows) / static_cast<double>(before + rows);
  const double weight = share * static_cast<double>(before);
  for (long c = 0; c < channels; ++c) {
    const double apart = more_mean[c] - mean[c];
    mean[c] += apart * share;
    squares[c] += more_squares[c] + apart * apart * weight;
  }
}

void normalise(const float* x, long rows, long channels, const float* mean,
               const float* scale, const float* shift, float* y) {
  for (long i = 0; i < rows * channels; i += channels) {
    for (long c = 0; c < channels; c += kLanes) {
      store(y + i + c,
            (load(x + i + c) - load(mean + c)) * load(scale + c) + load(shift + c));
    }
  }
}

void add_gradient_sums(const float* dy, const float* x, long rows, long channels,
                       const float* mean, double* sums, double* products) {
  for (long first = 0; first < rows; first += kAtOnce) {
    const long count = at_once(rows, first);
    for (long c = 0; c < channels; c += kLanes) {
      const Lanes middle = load(mean + c);
      Lanes sum = {};
      Lanes product = {};
      for (long i = first; i < first + count; ++i) {
        const Lanes incoming = load(dy + i * channels + c);
        sum += incoming;
        product += incoming * (load(x + i * channels + c) - middle);
      }
      for (long i = 0; i < kLanes; ++i) {
        sums[c + i] += sum[i];
        products[c + i] += product[i];
      }
    }
  }
}

void gradient(const float* dy, const float* x, long rows, long channels,
              const float* mean, const float* offset, const float* slope,
              const float* scale, float* dx) {
  for (long i = 0; i < rows * channels; i += channels) {
    for (long c = 0; c < channels; c += kLanes) {
      const Lanes along = (load(x + i + c) - load(mean + c)) * load(slope + c);
      store(dx + i + c,
            (load(dy + i + c) - load(offset + c) - along) * load(scale + c));
    }
  }
}

}  // namespace lockstep::model::batch_norm
