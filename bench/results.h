// From a run's report to its row, and from rows to the files of a bench run.
#pragma once

#include <string>
#include <vector>

#include "cases/sweep.h"
#include "rows/row.h"
#include "training/report.h"

namespace lockstep::bench {

// Where and when: the same for all rows of a bench run.
struct Stamp {
  rows::MachineRow machine;
  std::string commit;
  std::string date;
};

// What of the case's rows is known before it runs.
rows::Row planned_row(const Case& one, const Sweep& sweep);
rows::Row result_row(const Case& one, const Sweep& sweep, const Stamp& stamp,
                     int repetition, const TrainReport& report);
// Of another run of the same case, whose times are not the row's.
void add_timelines(rows::Row& row, const TrainReport& report);
rows::Row error_row(const Case& one, const Sweep& sweep, const Stamp& stamp,
                    int repetition, const std::string& message);

// The folder of --out, made where it is missing. Throws std::runtime_error where the
// files of a bench run cannot be written there.
void make_folder(const std::string& folder);
// The same without making it.
void check_folder(const std::string& folder);

// `runs.jsonl`, whole or not at all.
void write_rows(const std::vector<rows::Row>& rows, const std::string& path);

// Google Benchmark's JSON, finished: what is known only after all runs (scaling
// efficiency) is added, and the file put in its place.
void finish_json(const std::vector<rows::Row>& rows, const std::string& benchmarks,
                 const std::string& to);

}  // namespace lockstep::bench
