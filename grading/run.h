// Runs a lab's checks on a solution. Checks run in a child process, so that a solution
// that hangs or crashes costs that check's points and nothing else: those after it run
// in another child. A child dies with the grader, whatever ends it; what a child has
// started ends with the child, unless a signal has ended the grader before.
//
// Not a sandbox: who wants to cheat a grader that runs in his process can.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "grading/grade.h"

namespace lockstep::grading {

enum class Until : uint8_t { last_check, first_not_passed };

// Seen from the grader's own process, which never opens the solution. `self` is the
// program whose main() calls run_grader(); `solution` a shared object that registers
// the student's functions as "student" when it is loaded. Ends and reaps whatever else
// this process has started: it should have started nothing.
Grade grade(const Lab& lab, const std::string& self, const std::string& solution,
            Until until = Until::last_check);

// The child's part: opens the solution and runs the checks from number `first` on,
// telling of each on `fd`. Returns the process's exit status.
int look_from(const Lab& lab, const std::string& solution, size_t first, int fd);

// Until a solution is loaded; a check has its own patience.
inline constexpr std::chrono::seconds kPatienceToLoad{30};

// How the parent starts the child: `lab_05 SOLUTION --look-from 3 --tell 7`.
inline constexpr char kLookFrom[] = "--look-from";
inline constexpr char kTell[] = "--tell";

}  // namespace lockstep::grading
