#include "predict/largest_batch.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lockstep::predict {

int64_t largest_batch(int64_t guess, int most_questions,
                      const std::function<bool(int64_t batch)>& fits) {
  int asked = 0;
  const auto ask = [&](int64_t batch) {
    if (++asked > most_questions) {
      throw std::runtime_error("no largest batch found in " +
                               std::to_string(most_questions) + " questions from " +
                               std::to_string(guess) + " to " + std::to_string(batch));
    }
    return fits(batch);
  };
  // In growing steps to one that fits and one that does not.
  int64_t fitting = 0;
  int64_t too_many = 0;  // not known
  int64_t batch = guess;
  for (int64_t step = 1; too_many == 0 || (fitting == 0 && too_many > 1); step *= 2) {
    if (ask(batch)) {
      fitting = batch;
      batch += step;
    } else {
      too_many = batch;
      batch = std::max<int64_t>(batch - step, 1);
    }
  }
  while (too_many - fitting > 1) {
    const int64_t middle = fitting + (too_many - fitting) / 2;
    (ask(middle) ? fitting : too_many) = middle;
  }
  return fitting;
}

}  // namespace lockstep::predict
