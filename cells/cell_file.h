// A cell as the student keeps it: comments that begin with #, and one line
// "formula = ...", empty until it is written.
#pragma once

#include <string>

namespace lockstep::cells {

struct CellFile {
  std::string id;       // the file's stem
  std::string formula;  // empty: not written yet
};

// Throws std::runtime_error, in one line with file and line number, where the file
// cannot be read or holds anything else, no such line or two of them.
CellFile read_cell(const std::string& path);

}  // namespace lockstep::cells
