#include "rows/bootstrap.h"

#include <algorithm>
#include <random>

#include "rows/row.h"

namespace lockstep::rows {
namespace {

constexpr int kDraws = 10000;

}  // namespace

Interval bootstrap(const std::vector<Samples>& sets,
                   const std::function<double(const std::vector<Samples>&)>& figure) {
  std::mt19937_64 random(0);
  std::vector<Samples> drawn = sets;
  Samples figures;
  for (int i = 0; i < kDraws; ++i) {
    for (size_t set = 0; set < sets.size(); ++set) {
      std::uniform_int_distribution<size_t> which(0, sets[set].size() - 1);
      for (double& sample : drawn[set]) sample = sets[set][which(random)];
    }
    figures.push_back(figure(drawn));
  }
  std::sort(figures.begin(), figures.end());
  return {figure(sets), figures[static_cast<size_t>(0.025 * kDraws)],
          figures[static_cast<size_t>(0.975 * kDraws)]};
}

Interval median_interval(const Samples& samples) {
  return bootstrap({samples},
                   [](const std::vector<Samples>& sets) { return median(sets[0]); });
}

}  // namespace lockstep::rows
