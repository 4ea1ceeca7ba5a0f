// The page: one HTML text that needs nothing else, neither files nor a network.
// Whatever comes from rows is escaped, and a content policy allows the page's own
// script and no other.
//
// Not here: drawing the charts (render.py) and writing files (publish.h).
#pragma once

#include <string>
#include <vector>

#include "reports/cases.h"
#include "reports/charts.h"

namespace lockstep::reports {

struct PageParts {
  std::vector<Chart> charts;
  std::vector<std::string> pictures;  // the charts' SVG texts, in the same order
  std::string css;
  std::string script;         // draws the charts; must hold no "</script"
  std::string script_sha256;  // of exactly that text, base64
};

std::string make_page(const std::vector<Row>& rows, const std::vector<Case>& cases,
                      const PageParts& parts);

// The page's tables, for it and for tests.
std::string cases_table(const std::vector<Case>& cases);

// Text as HTML shows it literally, in elements and in quoted attributes.
std::string escape_html(const std::string& text);

// JSON that can stand inside a script element: it holds no '<', '>' or '&'.
std::string escape_json(const std::string& json);

}  // namespace lockstep::reports
