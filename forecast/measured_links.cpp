#include "forecast/measured_links.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "predict/fit.h"

namespace lockstep::forecast {

using Json = nlohmann::json;

predict::Cluster fitted_to(const std::string& path, predict::Cluster cluster) {
  std::ifstream lines(path);
  if (!lines) throw std::runtime_error("cannot read " + path);
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
      throw std::runtime_error(path + ":" + std::to_string(number) +
                               ": no line of `bench collectives --out`");
    }
  }
  if (measured.empty()) {
    throw std::runtime_error(path +
                             " holds no all_reduce of several ranks; try bench "
                             "collectives --collective all_reduce --out " +
                             path);
  }
  return fit(cluster, measured);
}

}  // namespace lockstep::forecast
