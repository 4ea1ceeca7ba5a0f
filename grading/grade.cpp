#include "grading/grade.h"

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace lockstep::grading {
namespace {

using nlohmann::json;

constexpr std::array kVerdicts = {Verdict::passed,    Verdict::refused,
                                  Verdict::threw,     Verdict::crashed,
                                  Verdict::timed_out, Verdict::not_run};

Verdict verdict_of(const std::string& word) {
  for (const Verdict verdict : kVerdicts) {
    if (word == to_string(verdict)) return verdict;
  }
  throw std::invalid_argument("no verdict is called '" + word + "'");
}

int points_of(const json& points) {
  constexpr int kMost = 1000;  // far more than a lab has
  if (!points.is_number_integer() || points < 0 || points > kMost) {
    throw std::invalid_argument("points are a whole number from 0 to " +
                                std::to_string(kMost) + ", not " + points.dump());
  }
  return points.get<int>();
}

json object_of(const Outcome& outcome) {
  json object = {{"id", outcome.id},
                 {"asks", outcome.asks},
                 {"points", outcome.points},
                 {"earned", outcome.earned()},
                 {"verdict", to_string(outcome.verdict)}};
  if (outcome.verdict == Verdict::passed) return object;
  object["saw"] = outcome.saw;
  object["misconception"] = {{"id", outcome.misconception.id},
                             {"says", outcome.misconception.says},
                             {"read", outcome.misconception.read}};
  return object;
}

Outcome outcome_of(const json& object) {
  Outcome outcome;
  outcome.id = object.at("id").get<std::string>();
  outcome.asks = object.at("asks").get<std::string>();
  outcome.points = points_of(object.at("points"));
  outcome.verdict = verdict_of(object.at("verdict").get<std::string>());
  if (outcome.verdict == Verdict::passed) return outcome;
  outcome.saw = object.at("saw").get<std::string>();
  const json& misconception = object.at("misconception");
  outcome.misconception = {misconception.at("id").get<std::string>(),
                           misconception.at("says").get<std::string>(),
                           misconception.at("read").get<std::string>()};
  return outcome;
}

}  // namespace

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
  return "not run";
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

std::string together(const std::vector<Grade>& grades) {
  int earned[2] = {0, 0};
  int points[2] = {0, 0};
  for (const Grade& grade : grades) {
    earned[grade.bonus] += grade.earned();
    points[grade.bonus] += grade.points();
  }
  const auto of = [&](bool bonus) {
    return std::to_string(earned[bonus]) + " of " + std::to_string(points[bonus]);
  };
  return of(false) + " points" + (points[true] > 0 ? ", " + of(true) + " on top" : "");
}

std::string to_json(const Grade& grade) {
  json checks = json::array();
  for (const Outcome& outcome : grade.outcomes) checks.push_back(object_of(outcome));
  const json object = {{"schema", 1},
                       {"lab", grade.lab},
                       {"title", grade.title},
                       {"bonus", grade.bonus},
                       {"points", grade.points()},
                       {"earned", grade.earned()},
                       {"checks", std::move(checks)},
                       {"printed", grade.printed}};
  // What a solution prints need not be UTF-8.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

Grade grade_from_json(const std::string& text) {
  try {
    const json object = json::parse(text);
    if (object.at("schema") != 1) {
      throw std::invalid_argument("schema " + object.at("schema").dump() +
                                  " is not known here; only 1 is");
    }
    Grade grade;
    grade.lab = points_of(object.at("lab"));
    grade.title = object.at("title").get<std::string>();
    grade.bonus = object.at("bonus").get<bool>();
    for (const json& check : object.at("checks")) {
      grade.outcomes.push_back(outcome_of(check));
    }
    grade.printed = object.at("printed").get<std::string>();
    return grade;
  } catch (const json::exception& error) {
    throw std::invalid_argument(std::string("not a grade: ") + error.what());
  }
}

}  // namespace lockstep::grading
