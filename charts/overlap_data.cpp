// The records of the chart of overlap: how much of its communication each case hid.
#include <nlohmann/json.hpp>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {

using nlohmann::json;

json overlap_data(const std::vector<Case>& cases) {
  json data = json::array();
  for (const Case& each : cases) {
    if (!each.overlap) continue;
    json record = record_of(each);
    record.update(
        {{"whole", 1},
         {"share", rounded(*each.overlap, 4)},
         {"comm_ms", rounded(*mean_phase_ms(*each.typical, "comm"), 5)},
         {"exposed_ms", rounded(*mean_phase_ms(*each.typical, "exposed_comm"), 5)},
         {"label", fixed(100 * *each.overlap, 0) + " %"}});
    data.push_back(std::move(record));
  }
  return data;
}

}  // namespace lockstep::charts
