#include "cells/cell_file.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

namespace lockstep::cells {
namespace {

std::string trimmed(const std::string& text) {
  const char* const blank = " \t\r";
  const size_t begin = text.find_first_not_of(blank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(blank) + 1 - begin);
}

}  // namespace

CellFile read_cell(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw std::runtime_error(path + " cannot be read; cells are in docs/cells/");
  }
  const auto refuse = [&](int line, const std::string& why) {
    throw std::runtime_error(path + ":" + std::to_string(line) + ": " + why);
  };
  std::optional<std::string> formula;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    // What follows a # is a comment, behind a formula too.
    const std::string text = trimmed(line.substr(0, line.find('#')));
    if (text.empty()) continue;
    const size_t equals = text.find('=');
    if (equals == std::string::npos || trimmed(text.substr(0, equals)) != "formula") {
      refuse(number, "\"" + text + "\" is neither a comment (#) nor \"formula = ...\"");
    }
    if (formula.has_value()) refuse(number, "a second formula; leave one");
    formula = trimmed(text.substr(equals + 1));
  }
  if (!formula.has_value()) {
    throw std::runtime_error(path + " has no line \"formula = ...\"; write one");
  }
  return {std::filesystem::path(path).stem().string(), *formula};
}

}  // namespace lockstep::cells
