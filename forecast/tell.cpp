#include <nlohmann/json.hpp>

#include "forecast/forecast.h"
#include "program/formatted.h"

namespace lockstep::forecast {
namespace {

using Json = nlohmann::json;
using program::formatted;

std::string ms(const Interval& seconds) {
  return formatted("%9.2f [%.2f, %.2f]", 1e3 * seconds.value, 1e3 * seconds.low,
                   1e3 * seconds.high);
}

std::string mib(const std::optional<int64_t>& bytes) {
  if (!bytes) return formatted("%9s", "");
  return formatted("%9.1f", static_cast<double>(*bytes) / (1 << 20));
}

// On one machine the collectives' file says more than a link's name.
std::string links_of(const Line& line) {
  const predict::Link& inside = line.cluster.inside;
  return (line.collectives.empty() ? line.inside : line.collectives) +
         formatted(" (%.0f us, %.2f GB/s) inside a host of %d cards, ",
                   1e6 * inside.latency_s, 1e-9 * inside.bytes_per_s,
                   line.cluster.cards_per_host) +
         line.between + " between hosts";
}

Json json_of(const Interval& interval) {
  return {{"value", interval.value}, {"low", interval.low}, {"high", interval.high}};
}

}  // namespace

std::string text_of(const Line& line, const Forecast& forecast) {
  const double batch = static_cast<double>(line.batch());
  std::string text = formatted("%s, local batch %.0f; ", line.model().c_str(), batch) +
                     links_of(line) + "\n";
  text += formatted("%6s  %-28s %10s %11s %6s %9s  %-28s %11s %9s\n", "cards",
                    "  ddp step ms [low, high]", "exposed ms", "samples/s", "eff.",
                    "MiB", "  dp step ms [low, high]", "samples/s", "card0 MiB");
  for (size_t i = 0; i < forecast.points.size(); ++i) {
    const Point& point = forecast.points[i];
    const double samples = batch * point.cards;
    text += formatted("%6d  %-28s %10.2f %11.0f %6.2f ", point.cards,
                      ms(point.ddp_s).c_str(), 1e3 * point.ddp_exposed_s.value,
                      samples / point.ddp_s.value, point.efficiency) +
            mib(forecast.ddp_bytes[i]);
    if (point.data_parallel_s) {
      text += formatted("  %-28s %11.0f ", ms(*point.data_parallel_s).c_str(),
                        samples / point.data_parallel_s->value) +
              mib(forecast.primary_bytes[i]);
    }
    text += "\n";
  }
  const int most = forecast.points.back().cards;
  text += formatted("best bucket cap of %d cards: %.0f MiB (%.2f ms a step)\n", most,
                    forecast.best_cap.mib, 1e3 * forecast.best_cap.step_s);
  text += forecast.stops_helping
              ? formatted("DataParallel stops helping at %d cards\n",
                          *forecast.stops_helping)
              : formatted("DataParallel helps up to the host's %d cards\n",
                          line.cluster.cards_per_host);
  text +=
      forecast.batch_for_90
          ? formatted("efficiency 0.9 of %d cards: local batch %lld\n", most,
                      static_cast<long long>(*forecast.batch_for_90))
          : formatted("efficiency 0.9 of %d cards: with no local batch up to %lld\n",
                      most, static_cast<long long>(kMostBatch));
  return text;
}

std::string json_of(const Line& line, const Forecast& forecast) {
  Json points = Json::array();
  for (size_t i = 0; i < forecast.points.size(); ++i) {
    const Point& point = forecast.points[i];
    Json json = {{"cards", point.cards},
                 {"ddp_s", json_of(point.ddp_s)},
                 {"ddp_exposed_s", json_of(point.ddp_exposed_s)},
                 {"efficiency", point.efficiency}};
    if (forecast.ddp_bytes[i]) json["ddp_peak_bytes"] = *forecast.ddp_bytes[i];
    if (point.data_parallel_s) json["dp_s"] = json_of(*point.data_parallel_s);
    if (forecast.primary_bytes[i])
      json["card0_peak_bytes"] = *forecast.primary_bytes[i];
    points.push_back(json);
  }
  Json all = {{"schema", 1},
              {"model", line.model()},
              {"local_batch", line.batch()},
              {"inside",
               {{"latency_s", line.cluster.inside.latency_s},
                {"bytes_per_s", line.cluster.inside.bytes_per_s}}},
              {"between",
               {{"latency_s", line.cluster.between.latency_s},
                {"bytes_per_s", line.cluster.between.bytes_per_s}}},
              {"cards_per_host", line.cluster.cards_per_host},
              {"links_per_host", line.cluster.links_per_host},
              {"contention", line.cluster.contention},
              {"bucket_cap_mb", line.buckets.cap_bytes / (1 << 20)},
              {"best_bucket_cap_mb", forecast.best_cap.mib},
              {"points", points}};
  if (forecast.stops_helping) all["dp_stops_helping_cards"] = *forecast.stops_helping;
  if (forecast.batch_for_90) all["batch_for_efficiency_90"] = *forecast.batch_for_90;
  return all.dump(2) + "\n";
}

}  // namespace lockstep::forecast
