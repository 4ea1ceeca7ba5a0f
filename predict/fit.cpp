#include "predict/fit.h"

#include <algorithm>
#include <cmath>
#include <nlopt.hpp>

namespace lockstep::predict {
namespace {

constexpr double kMostContention = 0.9;
// A number is a tenfold away from its guess at the price of an error of 5 %.
constexpr double kPullOfGuess = 0.02;

// The numbers that are varied, of one cluster.
std::vector<double*> numbers_of(Cluster& cluster) {
  std::vector<double*> numbers;
  for (double* number : {&cluster.inside.latency_s, &cluster.inside.bytes_per_s,
                         &cluster.between.latency_s, &cluster.between.bytes_per_s,
                         &cluster.call_s, &cluster.contention}) {
    if (*number > 0) numbers.push_back(number);
  }
  return numbers;
}

Cluster at(const Cluster& guess, const std::vector<double>& logarithms) {
  Cluster cluster = guess;
  const std::vector<double*> numbers = numbers_of(cluster);
  for (size_t i = 0; i < numbers.size(); ++i) *numbers[i] *= std::exp(logarithms[i]);
  cluster.contention = std::min(cluster.contention, kMostContention);
  return cluster;
}

struct Question {
  const Cluster& guess;
  const std::vector<Measured>& measured;
};

double error_of(const std::vector<double>& logarithms,
                std::vector<double>& /*gradient*/, void* data) {
  const auto& [guess, measured] = *static_cast<const Question*>(data);
  const Cluster cluster = at(guess, logarithms);
  double sum = 0;
  for (const Measured& point : measured) {
    sum += std::pow(std::log(point.predict(cluster) / point.seconds), 2);
  }
  for (const double away : logarithms) sum += std::pow(kPullOfGuess * away, 2);
  return sum;
}

}  // namespace

Cluster fit(const Cluster& guess, const std::vector<Measured>& measured) {
  Cluster open = guess;
  const size_t numbers = numbers_of(open).size();
  if (numbers == 0 || measured.empty()) return guess;
  Question question{guess, measured};
  // Simplices in subspaces need no derivative: the latest of several events has
  // corners.
  nlopt::opt search(nlopt::LN_SBPLX, static_cast<unsigned>(numbers));
  search.set_min_objective(&error_of, &question);
  search.set_initial_step(0.5);
  search.set_xtol_abs(1e-4);
  search.set_maxeval(5000);
  std::vector<double> found(numbers, 0.0);
  double error = 0;
  search.optimize(found, error);
  return at(guess, found);
}

}  // namespace lockstep::predict
