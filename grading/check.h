// One thing that a grader looks at in a student's solution, and what a failure of it
// mostly means: how a solution behaves, told as a misconception with the paragraph that
// clears it up.
//
// Not here: running checks (run.h), telling the outcome (outputs.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::grading {

// What the student seems to believe. The id is what tests of graders hold on to.
struct Misconception {
  std::string id;    // "sum_for_mean"
  std::string says;  // "all_reduce adds up; the mean is the sum over world_size"
  std::string read;  // chapter and anchor: "3_ddp.md#the-mean"
};

// A check throws it to refuse the solution.
class Refused : public std::runtime_error {
 public:
  // `saw`: one line, what came and what should have come.
  Refused(Misconception misconception, const std::string& saw)
      : std::runtime_error(saw), misconception_(std::move(misconception)) {}
  const Misconception& misconception() const { return misconception_; }

 private:
  Misconception misconception_;
};

struct Check {
  std::string id;    // "mean"
  std::string asks;  // "after a step every rank holds the mean over ranks"
  int points = 0;
  // Where the solution throws, crashes or hangs instead of being refused.
  Misconception usual;
  // Throws Refused, or whatever the solution throws. Each run has a seed of its own,
  // which the student does not know.
  std::function<void(uint64_t seed)> look;
  int runs = 1;                       // several where a race may win once
  std::chrono::seconds patience{10};  // of all runs together; then it hangs
};

struct Lab {
  int number = 0;
  std::string name;   // "buckets"
  std::string title;  // "Buckets"
  std::vector<Check> checks;
  bool bonus = false;  // its points come on top of the course's

  int points() const {
    int sum = 0;
    for (const Check& check : checks) sum += check.points;
    return sum;
  }
};

}  // namespace lockstep::grading
