// How sure a figure made of repetitions is: the percentile bootstrap (Efron, "Bootstrap
// Methods", Annals of Statistics 7, 1979). The repetitions are drawn anew, with
// replacement, thousands of times; what the figure comes to in the middle 95 % of these
// draws is its interval. The draws are the same in every run of the program.
//
// Of few repetitions it is narrower than the truth: of three it is their range.
#pragma once

#include <functional>
#include <vector>

namespace lockstep::rows {

struct Interval {
  double value = 0;  // of the repetitions as they are
  double low = 0;    // 95 %
  double high = 0;
};

// Fewer repetitions than these have no interval worth the name.
inline constexpr size_t kLeastForInterval = 3;

using Samples = std::vector<double>;

// Of a figure made of several sets of repetitions, each drawn from by itself. No set is
// empty.
Interval bootstrap(const std::vector<Samples>& sets,
                   const std::function<double(const std::vector<Samples>&)>& figure);

// Of the median of one set.
Interval median_interval(const Samples& samples);

}  // namespace lockstep::rows
