#include "charts/collectives.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "charts/words.h"
#include "rows/json_fields.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;

CollectiveFigure figure_of(const rows::JsonFields& in) {
  if (in.whole("schema", 0, std::numeric_limits<int64_t>::max()) != 1) {
    in.refuse("its schema is not 1; take the `report` that belongs to it");
  }
  constexpr int64_t kMost = int64_t{1} << 60;
  CollectiveFigure figure;
  figure.collective = in.text("collective");
  figure.algorithm = in.text("algorithm");
  figure.backend = in.text("backend");
  figure.ranks = static_cast<int>(in.whole("ranks", 1, 1'000'000));
  figure.bytes = in.whole("bytes", 0, kMost);
  figure.time_us = in.number("time_us");
  figure.busbw = in.number("busbw_gb_per_s");
  if (in.has("wrong")) figure.wrong = in.whole("wrong", 0, kMost);
  return figure;
}

std::string curve_of(const CollectiveFigure& figure) {
  std::string curve = figure.backend;
  if (figure.algorithm != "none" && figure.algorithm != "backend") {
    curve += " " + figure.algorithm;
  }
  return curve + " · " + count_of(figure.ranks, "rank");
}

std::string size_of(int64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (size >= kMiB) return short_number(size / kMiB) + " MiB";
  return size >= 1024 ? short_number(size / 1024) + " KiB" : count_of(bytes, "byte");
}

}  // namespace

std::vector<CollectiveFigure> read_collectives(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw std::runtime_error(
        path + ": cannot be read; `build/bin/bench collectives --out` makes it");
  }
  std::vector<CollectiveFigure> figures;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = path + ":" + std::to_string(number);
    const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) {
      throw std::runtime_error(where + ": not an object of JSON; remove the line");
    }
    figures.push_back(figure_of(rows::JsonFields(object, where)));
  }
  return figures;
}

json busbw_data(const std::vector<CollectiveFigure>& figures) {
  json data = json::array();
  for (const CollectiveFigure& figure : figures) {
    // A logarithm has no place for what is none.
    if (!(figure.busbw > 0) || figure.bytes <= 0 || figure.collective == "memcpy") {
      continue;
    }
    const std::string wrong =
        figure.wrong ? std::to_string(*figure.wrong) : "not looked at";
    data.push_back({{"kind", "measured"},
                    {"collective", figure.collective},
                    {"algorithm", figure.algorithm},
                    {"backend", figure.backend},
                    {"curve", curve_of(figure)},
                    {"ranks", figure.ranks},
                    {"bytes", figure.bytes},
                    {"size", size_of(figure.bytes)},
                    {"busbw", figure.busbw},
                    {"time_us", figure.time_us},
                    {"wrong", wrong}});
  }
  if (data.empty()) return data;
  // What as many copies of memory at once reach stands behind every collective.
  std::vector<std::string> collectives;
  for (const json& record : data) {
    const std::string name = record["collective"].get<std::string>();
    if (std::find(collectives.begin(), collectives.end(), name) == collectives.end()) {
      collectives.push_back(name);
    }
  }
  for (const CollectiveFigure& figure : figures) {
    if (figure.collective != "memcpy" || !(figure.busbw > 0) || figure.bytes <= 0) {
      continue;
    }
    for (const std::string& collective : collectives) {
      data.push_back({{"kind", "memcpy"},
                      {"collective", collective},
                      {"backend", figure.backend},
                      {"ranks", figure.ranks},
                      {"bytes", figure.bytes},
                      {"busbw", figure.busbw}});
    }
  }
  return data;
}

}  // namespace lockstep::charts
