// What a grade is shown as: lines for a terminal, Gradescope's results.json, a page.
// All that a solution had a say in (what it threw, what it printed) is text in all of
// them, and nothing else: no escape sequence, no element, no script.
//
// Not here: a grade's own JSON (grade.h), writing files (files/output_file.h).
#pragma once

#include <string>
#include <vector>

#include "grading/grade.h"

namespace lockstep::grading {

// Every check with its verdict and points, and of what did not pass what was seen, the
// misconception and where to read. Ends in the total.
std::string as_text(const Grade& grade);

// The JSON that Gradescope takes from an autograder, a test a check:
// https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
std::string as_gradescope(const Grade& grade);

// One HTML file that needs nothing else. `docs`: the folder of the chapters as the page
// sees it, for links: "../../../docs".
std::string as_page(const std::vector<Grade>& grades, const std::string& docs);

// One line of it: control characters, line ends among them, become spaces.
std::string one_line(const std::string& text);
// So many lines at most, without other control characters; says how many were left out.
std::string first_lines(const std::string& text, int most);

}  // namespace lockstep::grading
