// Charts to pictures, and the script and style of a page: by render.py, in the Python
// environment that `make setup` made.
//
// Not here: which charts, and where files go in the end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "charts/charts.h"
#include "reports/html.h"

namespace lockstep::reports {

struct Drawn {
  std::vector<std::string> pictures;  // SVG for the page; empty for an empty chart
  Assets assets;
};

// The tree that specifications and scripts are read from: where this program was built
// from, or what it was handed on in, if that has them.
std::filesystem::path source_tree();

// Leaves NAME.svg and NAME.png of every chart in `scratch`. Throws std::runtime_error
// with a way out.
Drawn draw(const std::vector<charts::Chart>& charts,
           const std::filesystem::path& scratch);

}  // namespace lockstep::reports
