// Runs a lab's checks on a solution. A check runs in a child process, so that a
// solution that hangs or crashes costs its own points and nothing else: the checks
// after it run in another child.
#pragma once

#include <functional>
#include <string>

#include "grading/grade.h"

namespace lockstep::grading {

// A solution as the grader opens it: a shared object that registers the student's
// functions under the name "student" as it is loaded.
struct Solution {
  std::string path;
};

// Seen from the grader's parent: all checks, each within its patience. `self` is the
// program whose main() calls run_grader().
Grade grade(const Lab& lab, const std::string& self, const Solution& solution);

// The child's part: loads the solution and runs the checks from number `first` on,
// telling each as one line of JSON on `fd`.
void look_from(const Lab& lab, const Solution& solution, size_t first, int fd);

// main() of a grader: `lab_05 SOLUTION.so [--json FILE] [--gradescope FILE] [--page
// FILE]`. Exit status: 0 graded, whatever the points; 2 for a command line that cannot
// be.
int run_grader(const Lab& lab, int argc, char** argv);

}  // namespace lockstep::grading
