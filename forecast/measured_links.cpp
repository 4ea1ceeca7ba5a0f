#include "forecast/measured_links.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "predict/fit.h"

namespace lockstep::forecast {

using Json = nlohmann::json;

predict::Cluster fitted_to(std::istream& lines, const std::string& where,
                           predict::Cluster cluster) {
  std::vector<predict::Measured> measured;
  std::string backend;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    try {
      const bool own = row.at("algorithm") == "backend";
      if (row.at("collective") != "all_reduce" || !own || row.at("ranks") < 2) continue;
      if (!measured.empty() && row.at("backend") != backend) continue;
      backend = row.at("backend");
      const double bytes = row.at("bytes"),
                   seconds = row.at("time_us").get<double>() / 1e6;
      const int ranks = row.at("ranks");
      if (!(seconds > 0)) throw std::invalid_argument("no time");
      measured.push_back({[=](const predict::Cluster& with) {
                            return all_reduce_s(with, ranks, bytes);
                          },
                          seconds});
    } catch (const std::exception&) {
      throw std::runtime_error(where + ":" + std::to_string(number) +
                               ": no line of `bench collectives --out`");
    }
  }
  if (measured.empty()) {
    throw std::runtime_error(where +
                             " holds no all_reduce of several ranks; try bench "
                             "collectives --collective all_reduce --out " +
                             where);
  }
  return fit(cluster, measured);
}

predict::Cluster fitted_to(const std::string& path, predict::Cluster cluster) {
  std::ifstream lines(path);
  if (!lines) throw std::runtime_error("cannot read " + path);
  return fitted_to(lines, path, cluster);
}

double copied_bytes_per_s(std::istream& lines) {
  double most = 0, bytes_per_s = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || row.value("collective", "") != "memcpy") continue;
    if (row.value("bytes", 0.0) < most) continue;
    most = row.value("bytes", 0.0);
    bytes_per_s = 1e9 * row.value("algbw_gb_per_s", 0.0);
  }
  return bytes_per_s;
}

}  // namespace lockstep::forecast
