// What a solution came to, check by check: plain data, as the grader's child tells it
// and its outputs show it.
#pragma once

#include <string>
#include <vector>

#include "grading/check.h"

namespace lockstep::grading {

enum class Verdict {
  passed,
  refused,    // it behaves otherwise than it should
  threw,      // an exception came out of it
  crashed,    // its process died
  timed_out,  // it hangs
  not_run,    // there is no solution: it does not compile, or registers nothing
};
const char* to_string(Verdict verdict);

struct Outcome {
  std::string id;
  std::string asks;
  int points = 0;  // that it can bring
  Verdict verdict = Verdict::not_run;
  std::string saw;              // one line; empty where it passed
  Misconception misconception;  // of whatever did not pass

  int earned() const { return verdict == Verdict::passed ? points : 0; }
};

struct Grade {
  int lab = 0;
  std::string title;
  bool bonus = false;             // its points come on top of the course's
  std::vector<Outcome> outcomes;  // in the order of the lab's checks
  std::string printed;            // what the solution printed meanwhile

  int points() const;
  int earned() const;
};

// "57 of 100 points", and "3 of 5 on top" where a lab has such ones.
std::string together(const std::vector<Grade>& grades);

// As one JSON object, and back. Throws std::invalid_argument for another text.
std::string to_json(const Grade& grade);
Grade grade_from_json(const std::string& text);

}  // namespace lockstep::grading
