// The memory of every case's cards as predict/ tells it, from runs of one card alone:
// set beside what was measured, and asked for the largest batch that fits a card.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cases/child_run.h"
#include "cases/sweep.h"
#include "predict/step_memory.h"
#include "rows/row.h"

namespace lockstep::bench {

class MemoryModel {
 public:
  MemoryModel(const Sweep& sweep, const Children& children)
      : sweep_(sweep), children_(children) {}

  // Peak bytes of each of the case's cards; none where it is Python's. The first case
  // of a model runs one card at two small batches. Throws std::runtime_error where
  // these tell nothing; Stopped.
  std::vector<int64_t> peaks(const Case& one);

 private:
  const predict::StepMemory& step_of(const Case& one);

  const Sweep& sweep_;
  const Children& children_;
  std::map<std::string, predict::StepMemory> steps_;  // by model
};

// Into the rows of these cases. A model whose profiles tell nothing has none, and a
// warning on stderr says why. Throws Stopped.
void add_predictions(const std::vector<Case>& cases, MemoryModel& memory,
                     std::vector<rows::Row>& rows);

// Predicted beside measured, a line a case and card; empty where no row has any.
std::string memory_table(const std::vector<rows::Row>& rows);

// The largest local batch with which no card of the case needs more than the limit.
struct Fit {
  Case one;
  int64_t predicted = 0;
  int64_t confirmed = 0;  // it runs, and with one sample more it is out of memory
  int runs = 0;
  std::string why_not{};  // in one line; then nothing is confirmed
};

// For each case of ours, in their order; one that has no answer says why. Throws
// Stopped.
std::vector<Fit> find_fits(const std::vector<Case>& cases, double gib,
                           MemoryModel& memory, const Children& children);
std::string fits_table(const std::vector<Fit>& fits, double gib);
// `fits.json`, whole or not at all.
void write_fits(const std::vector<Fit>& fits, double gib, const Sweep& sweep,
                const std::string& path);

}  // namespace lockstep::bench
