#include "grading/grade.h"

namespace lockstep::grading {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::passed:
      return "passed";
    case Verdict::refused:
      return "refused";
    case Verdict::threw:
      return "threw";
    case Verdict::crashed:
      return "crashed";
    case Verdict::timed_out:
      return "timed out";
    case Verdict::not_run:
      return "not run";
  }
  return "";
}

int Grade::points() const {
  int sum = 0;
  for (const Outcome& outcome : outcomes) sum += outcome.points;
  return sum;
}

int Grade::earned() const {
  int sum = 0;
  for (const Outcome& outcome : outcomes) sum += outcome.earned();
  return sum;
}

}  // namespace lockstep::grading
