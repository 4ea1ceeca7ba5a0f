// Three pictures as the charts of the house are drawn (charts/, reports/): who was late
// in which step, the buckets of one step on all ranks, and the usual step's buckets.
// Big runs are drawn as small: steps share a column, of which the worst counts.
#pragma once

#include <vector>

#include "buckets/bucket_table.h"
#include "buckets/stragglers.h"
#include "charts/charts.h"

namespace lockstep::buckets {

charts::Chart straggler_chart(const timing::RunTimes& times,
                              const Comparison& comparison, const Verdict& verdict);

// `shown`: of the comparison.
charts::Chart step_chart(const timing::RunTimes& times, const ComparedStep& shown,
                         const Verdict& verdict);

charts::Chart waterfall_chart(const BucketTable& table);

// The step that shows most: the dearest straggler's latest, else the median one. Null
// where none was compared.
const ComparedStep* step_to_show(const Comparison& comparison, const Verdict& verdict);

}  // namespace lockstep::buckets
