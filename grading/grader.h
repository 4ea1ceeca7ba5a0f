// A grader's main(): its command line, the grade, the outputs.
#pragma once

#include "grading/check.h"

namespace lockstep::grading {

// Exit status: 0 graded, whatever the points; 2 for a command line that cannot be; 1
// where an output cannot be written.
int run_grader(const Lab& lab, int argc, char** argv);

}  // namespace lockstep::grading
