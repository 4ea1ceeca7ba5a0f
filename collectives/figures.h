// How figures of collectives are told: nccl-tests' table, and a line of JSON each.
#pragma once

#include <string>

#include "collectives/command_line.h"
#include "collectives/engine.h"

namespace lockstep::collectives {

// What the figures have in common.
struct Setting {
  std::string backend;
  int ranks = 1;
  int threads_per_card = 1;
  Rounds rounds;
};

// `beside_memcpy`: with the column that table_line() then fills.
std::string table_head(const Setting& setting, const Collective& collective,
                       bool beside_memcpy);

// `memcpy_algbw`: what copies of the same size side by side reach; 0: no such column.
std::string table_line(const Figure& figure, const Collective& collective,
                       double memcpy_algbw);

// Machine, date and commit included.
std::string json_line(const Figure& figure, const Setting& setting,
                      const Collective& collective);

}  // namespace lockstep::collectives
