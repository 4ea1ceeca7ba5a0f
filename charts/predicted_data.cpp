// The records of the chart that sets predictions beside what was measured: each as the
// part by which it is off, since steps of a microsecond and of a second are to be
// judged by one scale.
#include <nlohmann/json.hpp>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {

using nlohmann::json;

const rows::PredictedRow* prediction_of(const Case& each) {
  if (!each.step_ms || !(each.step_ms->median > 0)) return nullptr;
  for (const Row* row : each.ok) {
    if (row->predicted_step_ms) return &*row->predicted_step_ms;
  }
  return nullptr;
}

json predicted_data(const std::vector<Case>& cases) {
  json data = json::array();
  for (const Case& each : cases) {
    const rows::PredictedRow* predicted = prediction_of(each);
    if (predicted == nullptr) continue;
    const Spread& measured = *each.step_ms;
    const auto off = [&measured](double ms) {
      return rounded(ms / measured.median - 1, 5);
    };
    const bool held =
        predicted->low <= measured.median && measured.median <= predicted->high;
    json record = record_of(each);
    record.update({{"measured_ms", rounded(measured.median, 6)},
                   {"predicted_ms", rounded(predicted->value, 6)},
                   {"predicted_low_ms", rounded(predicted->low, 6)},
                   {"predicted_high_ms", rounded(predicted->high, 6)},
                   {"off", off(predicted->value)},
                   {"off_low", off(predicted->low)},
                   {"off_high", off(predicted->high)},
                   {"measured_low", off(measured.low)},
                   {"measured_high", off(measured.high)},
                   {"held", held ? "yes" : "no"}});
    data.push_back(std::move(record));
  }
  return data;
}

}  // namespace lockstep::charts
