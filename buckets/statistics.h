// Statistics that one wild value does not move. Plain numbers.
#pragma once

#include <cstddef>
#include <vector>

namespace lockstep::buckets {

// 0 of nothing.
double median(std::vector<double> values);
// The value that `share` of them are below.
double quantile(std::vector<double> values, double share);
// What the standard deviation is where they are normal: 1.4826 times the median
// distance from their median.
double spread(const std::vector<double>& values);

// Of each rank, what it has more than the median of the others.
std::vector<double> over_others(const std::vector<double>& by_rank);

// What noise like `values` exceeds in one run of a hundred: their largest tenth and
// twentieth taken for exponential tails, whose means are told from their medians, which
// the few values that are no noise do not move.
double beyond_noise(const std::vector<double>& values);

}  // namespace lockstep::buckets
