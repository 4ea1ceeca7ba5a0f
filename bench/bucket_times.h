// When the buckets of each case of DDP were ready, launched and finished: files for
// `buckets`, one a case, in the run's folder.
#pragma once

#include <string>
#include <vector>

#include "bench/measure.h"

namespace lockstep::bench {

// Those of several cards whose reducer has buckets.
std::vector<Case> cases_with_buckets(const std::vector<Case>& cases);

// One more run of each of them, into `folder`/buckets. Throws Stopped.
void record_bucket_times(const Plan& plan, const Sweep& sweep, const Children& children,
                         std::vector<rows::Row>& rows);

}  // namespace lockstep::bench
