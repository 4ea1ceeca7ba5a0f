// The inner loops of batch norm over channels-last images, [rows, channels], where a
// row is a pixel. Sums are taken over few rows in fp32 and from there on in fp64:
// LibTorch sums all rows of a channel one by one, at a hundred times the error.
//
// Compiled for AVX-512 alone: ask before you call (processor.h).
#pragma once

namespace lockstep::model::batch_norm {

// channels: a multiple of 16, in all of them.

// Of each channel: the mean, and the sum of squared distances from it.
void moments(const float* x, long rows, long channels, double* mean, double* squares);
// Those of further rows, counted by `rows`, to those of `before` rows.
void join_moments(double* mean, double* squares, long before, const double* more_mean,
                  const double* more_squares, long rows, long channels);
// y = (x - mean) * scale + shift
void normalise(const float* x, long rows, long channels, const float* mean,
               const float* scale, const float* shift, float* y);
// Adds to the sums of dy and of dy * (x - mean).
void add_gradient_sums(const float* dy, const float* x, long rows, long channels,
                       const float* mean, double* sums, double* products);
// dx = (dy - offset - (x - mean) * slope) * scale
void gradient(const float* dy, const float* x, long rows, long channels,
              const float* mean, const float* offset, const float* slope,
              const float* scale, float* dx);

}  // namespace lockstep::model::batch_norm
