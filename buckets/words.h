// What the figures of a run say, in sentences for a reader.
#pragma once

#include <string>
#include <vector>

#include "buckets/bucket_table.h"
#include "buckets/stragglers.h"

namespace lockstep::buckets {

// "rank 1 (host b)"; the host where there is more than one.
std::string name_of_rank(const timing::RunTimes& times, int rank);

// "mlp, bucketed over gloo: 2 ranks on 1 host, 100 steps."
std::string run_in_words(const timing::RunTimes& times);

// How long a step is, and of what.
std::string step_in_words(const timing::RunTimes& times, const BucketTable& table);

// A sentence each, at least one: who is late, or that nobody is.
std::vector<std::string> verdict_in_words(const timing::RunTimes& times,
                                          const Comparison& comparison,
                                          const Verdict& verdict);

}  // namespace lockstep::buckets
