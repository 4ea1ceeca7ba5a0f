// The pages: of one run, and of two beside each other. What they say in words, their
// charts, their tables.
//
// Not here: the frame around it (html.h), drawing the charts (drawing.h) and writing
// files (publish.h).
#pragma once

#include <string>
#include <vector>

#include "charts/cases.h"
#include "charts/charts.h"
#include "reports/compare.h"

namespace lockstep::reports {

using charts::Case;
using charts::Chart;
using charts::Row;

// What stands in a page's <main>. `pictures`: the charts' SVG texts, in their order.
std::string make_page(const std::vector<Row>& rows, const std::vector<Case>& cases,
                      const std::vector<Chart>& charts,
                      const std::vector<std::string>& pictures);

// The same of two runs.
struct Run {
  std::string name;  // where its rows come from, as the reader named it
  std::vector<Row> rows;
};
std::string make_comparison(const Run& then, const Run& now,
                            const std::vector<Compared>& cases,
                            const std::vector<Chart>& charts,
                            const std::vector<std::string>& pictures);

// Parts of both, and for tests.
std::string cases_table(const std::vector<Case>& cases);
std::string facts(const std::vector<Row>& rows);
std::string flags_explained(const std::vector<Row>& rows,
                            const std::vector<Case>& cases);

// What the numbers say, in sentences. What was not measured is not mentioned.
std::string summary(const std::vector<Row>& rows, const std::vector<Case>& cases);

}  // namespace lockstep::reports
