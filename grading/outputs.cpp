#include "grading/outputs.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace lockstep::grading {
namespace {

using nlohmann::json;

constexpr int kMostPrinted = 20;  // lines of what the solution itself said

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

std::string indented(const std::string& text, const std::string& by) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) result += by + line + "\n";
  return result;
}

std::string padded(std::string word, size_t width) {
  if (word.size() < width) word.append(width - word.size(), ' ');
  return word;
}

// What did not pass, told to a person: nothing where there is nothing to tell.
std::string explained(const Outcome& outcome) {
  std::string text;
  if (!outcome.saw.empty()) text += "saw: " + one_line(outcome.saw) + "\n";
  const Misconception& wrong = outcome.misconception;
  if (!wrong.id.empty()) {
    text += one_line(wrong.id) + ": " + one_line(wrong.says) + "\n";
  }
  if (!wrong.read.empty()) text += "read: docs/" + one_line(wrong.read) + "\n";
  return text;
}

std::string total_of(const Grade& grade) {
  return std::to_string(grade.earned()) + " of " + std::to_string(grade.points()) +
         " points";
}

}  // namespace

std::string one_line(const std::string& text) {
  std::string line = text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (is_control(line[i])) line[i] = ' ';
    // C1 controls as UTF-8: C2 9B begins an escape sequence, too.
    const bool c1 = i + 1 < line.size() && line[i] == '\xc2' &&
                    static_cast<unsigned char>(line[i + 1]) >= 0x80 &&
                    static_cast<unsigned char>(line[i + 1]) < 0xa0;
    if (c1) line[i] = line[i + 1] = ' ';
  }
  return line;
}

std::string first_lines(const std::string& text, int most) {
  std::istringstream lines(text);
  std::string result;
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    if (count < most) result += one_line(line) + "\n";
  }
  if (count > most) {
    result += "(and " + std::to_string(count - most) + " lines more)\n";
  }
  return result;
}

std::string as_text(const Grade& grade) {
  std::string text =
      "lab " + std::to_string(grade.lab) + ": " + one_line(grade.title) + "\n\n";
  size_t widest = 0;
  for (const Outcome& outcome : grade.outcomes) {
    widest = std::max(widest, outcome.id.size());
  }
  std::string told;  // where no check ran, why: once
  for (const Outcome& outcome : grade.outcomes) {
    text += "  " + padded(to_string(outcome.verdict), 9) + "  " +
            std::to_string(outcome.earned()) + " of " + std::to_string(outcome.points) +
            "  " + padded(one_line(outcome.id), widest) + "  " +
            one_line(outcome.asks) + "\n";
    const bool again = outcome.verdict == Verdict::not_run && outcome.saw == told;
    if (!again) text += indented(explained(outcome), "      ");
    told = outcome.saw;
  }
  if (!grade.printed.empty()) {
    text += "\n  printed meanwhile:\n" +
            indented(first_lines(grade.printed, kMostPrinted), "  | ");
  }
  return text + "\nlab " + std::to_string(grade.lab) + ": " + total_of(grade) + "\n";
}

std::string as_gradescope(const Grade& grade) {
  json tests = json::array();
  int number = 0;
  for (const Outcome& outcome : grade.outcomes) {
    const bool passed = outcome.verdict == Verdict::passed;
    json tags = json::array({to_string(outcome.verdict)});
    if (!passed && !outcome.misconception.id.empty()) {
      tags.push_back(outcome.misconception.id);
    }
    tests.push_back(
        {{"score", outcome.earned()},
         {"max_score", outcome.points},
         {"status", passed ? "passed" : "failed"},
         {"name", outcome.id + ": " + outcome.asks},
         {"number", std::to_string(grade.lab) + "." + std::to_string(++number)},
         {"output", passed ? "" : explained(outcome)},
         {"output_format", "text"},
         {"tags", std::move(tags)},
         {"visibility", "visible"}});
  }
  std::string output = "lab " + std::to_string(grade.lab) + ", " + grade.title + ": " +
                       total_of(grade) + "\n";
  if (!grade.printed.empty()) {
    output += "printed meanwhile:\n" + first_lines(grade.printed, kMostPrinted);
  }
  const json results = {{"score", grade.earned()},
                        {"output", output},
                        {"output_format", "text"},
                        {"test_output_format", "text"},
                        {"test_name_format", "text"},
                        {"visibility", "visible"},
                        // The harness' own words name its machine.
                        {"stdout_visibility", "hidden"},
                        {"tests", std::move(tests)}};
  return results.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace lockstep::grading
