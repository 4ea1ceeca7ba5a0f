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
    data.push_back(
        {{"kind", "total"},
         {"id", each.id},
         {"model", each.model},
         {"mode", each.mode},
         {"series", each.series},
         {"case", name_of(each)},
         {"order", each.id},
         {"whole", 1},
         {"share", rounded(*each.overlap, 4)},
         {"comm_ms", rounded(*mean_phase_ms(*each.typical, "comm"), 5)},
         {"exposed_ms", rounded(*mean_phase_ms(*each.typical, "exposed_comm"), 5)},
         {"label", fixed(100 * *each.overlap, 0) + " %"}});
  }
  return data;
}

}  // namespace lockstep::charts
