// The one page, and the one browser, that the tests of this room share: drawing it
// takes seconds. Everything a page can show is in its rows, and names that want to be
// script. For tests alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "reports/publish.h"
#include "reports/test_browser.h"
#include "rows/sample_rows.h"

namespace lockstep::reports {

inline const char* const kNasty = "</script><img src=x onerror=alert(1)>";

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

inline std::string report_program() {
  return std::string(std::getenv("LOCKSTEP_BIN")) + "/report";
}

inline void write_rows(const std::filesystem::path& file,
                       const std::vector<rows::Row>& rows) {
  std::ofstream out(file);
  for (const rows::Row& row : rows) out << to_json_line(row) << "\n";
}

inline std::vector<rows::Row> rows_of_everything() {
  std::vector<rows::Row> rows;
  for (rows::Row row : rows::sample_sweep("mlp", 2)) {
    if (row.repetition == 0) rows::add_sample_timelines(row);
    if (row.repetition == 0 && row.cards < 4) {
      rows::add_sample_lanes(row, row.step_ms.back());
      row.step_lanes->names[3] = std::string("all_reduce ") + kNasty;
    }
    if (row.mode == "ddp" && row.cards == 2) {
      row.phases_ms["comm"].assign(11, 0.5);
      for (const char* cap : {"1", "25"}) {
        for (const char* backend : {"gloo", "shm"}) {
          row.options = {{"backend", backend}, {"bucket-cap-mb", cap}};
          rows.push_back(row);
        }
      }
      row.options["backend"] = kNasty;
    }
    rows.push_back(std::move(row));
  }
  for (const rows::Row& row : rows::sample_sweep(kNasty, 30)) rows.push_back(row);
  rows.push_back(rows::sample_row("ddp", "convnet", 2, 5));
  rows.back().status = "error";
  rows.back().message = "the loss disagrees by 3 % <b>at step 4</b>";
  rows.push_back(rows::sample_row("ddp", "convnet", 4, 5));
  rows.back().status = "waived";
  rows.back().message = "4 cards wanted, 2 there";
  return rows;
}

inline std::string collective_line(const std::string& backend, int64_t bytes) {
  return nlohmann::json({{"schema", 1},
                         {"backend", backend},
                         {"ranks", 2},
                         {"collective", "all_reduce"},
                         {"algorithm", "backend"},
                         {"bytes", bytes},
                         {"time_us", 10},
                         {"busbw_gb_per_s", 1e-4 * static_cast<double>(bytes)},
                         {"wrong", 0}})
             .dump() +
         "\n";
}

class SharedPage {
 public:
  static SharedPage& get() {
    static SharedPage page;
    return page;
  }
  std::filesystem::path file() const { return folder_.path() / "index.html"; }
  std::filesystem::path folder() const { return folder_.path(); }
  std::string html() const { return read_file(file()); }
  TestBrowser& browser() { return browser_; }

 private:
  SharedPage() : folder_(testing::TempDir()), browser_(folder_.path()) {
    write_rows(folder_.path() / "runs.jsonl", rows_of_everything());
    std::ofstream collectives(folder_.path() / "collectives.jsonl");
    for (const std::string backend : {"shm", "tcp", kNasty}) {
      for (int64_t bytes : {4096, 65536, 1 << 20}) {
        collectives << collective_line(backend, bytes);
      }
    }
    collectives.close();
    const Finished made = run_program(
        {report_program(), "--in", folder_.path().string()}, folder_.path());
    if (made.status != 0) throw std::runtime_error(made.errors);
  }

  ScratchFolder folder_;
  TestBrowser browser_;
};

}  // namespace lockstep::reports
