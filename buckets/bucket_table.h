// What became of each bucket, in medians over steps and ranks: when it was ready,
// launched and over, and what of its collective hid behind the backward pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "timing/bucket_times.h"

namespace lockstep::buckets {

// Milliseconds, since the rank's step began or of the collective.
struct BucketRow {
  int64_t bytes = 0;
  double ready_ms = 0, launch_ms = 0, finish_ms = 0;
  double waits_ms = 0;    // launched here, until the last rank launched it, too
  double hidden_ms = 0;   // under way while this rank's backward pass was
  double exposed_ms = 0;  // and after it
};

struct BucketTable {
  std::vector<BucketRow> rows;
  int64_t steps = 0;  // that have these buckets; others are left out
  int64_t others = 0;
  double forward_ms = 0, backward_ms = 0;  // how long they are
  double exposed_ms = 0;                   // from the end of backward to the means
  double comm_ms = 0;                      // at least one collective is under way
  // What share of that the ranks did not wait for; 0 where nothing is communicated.
  double overlap() const;
};

// Of the steps whose buckets have the sizes that most steps have, without the warm-up
// (lateness.h).
BucketTable bucket_table(const timing::RunTimes& times);

std::string to_markdown(const BucketTable& table);

}  // namespace lockstep::buckets
