#include "buckets/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lockstep::buckets {

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at),
                   values.end());
  return values[at];
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

double spread(const std::vector<double>& values) {
  const double centre = median(values);
  std::vector<double> distances;
  distances.reserve(values.size());
  for (const double value : values) distances.push_back(std::abs(value - centre));
  return 1.4826 * median(std::move(distances));
}

std::vector<double> over_others(const std::vector<double>& by_rank) {
  const size_t ranks = by_rank.size();
  if (ranks < 2) return std::vector<double>(ranks, 0);
  std::vector<size_t> order(ranks);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return by_rank[a] < by_rank[b]; });
  std::vector<double> over(ranks);
  for (size_t place = 0; place < ranks; ++place) {
    // The order without this one's place.
    const auto other = [&](size_t i) { return by_rank[order[i < place ? i : i + 1]]; };
    const size_t others = ranks - 1;
    over[order[place]] =
        by_rank[order[place]] - (other((others - 1) / 2) + other(others / 2)) / 2;
  }
  return over;
}

double beyond_noise(const std::vector<double>& values) {
  double most = 0;
  for (const double share : {0.9, 0.95}) {
    const double from = quantile(values, share);
    std::vector<double> tail;
    for (const double value : values) {
      if (value > from) tail.push_back(value - from);
    }
    const double mean = median(tail) / std::log(2.0);
    const double chances = static_cast<double>(std::max<size_t>(1, tail.size()));
    most = std::max(most, from + mean * std::log(chances / 0.01));
  }
  return most;
}

}  // namespace lockstep::buckets
