#include "negotiation/settings.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace lockstep::negotiation {
namespace {

// Far more than anybody wants, and far from overflowing.
constexpr double kMostSeconds = 1e6;
constexpr double kMostBytes = 1e12;
constexpr int64_t kMostTensors = 1'000'000;

[[noreturn]] void refuse(const std::string& name, const std::string& text,
                         const std::string& way_out) {
  throw std::invalid_argument(name + "=" + text + ": " + way_out);
}

// "0.5" and "1e+06" rather than std::to_string's "0.500000".
std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.15g", value);
  return text;
}

std::string in_range(double least, double most) {
  return "give a number from " + shown(least) + " to " + shown(most);
}

std::optional<double> parsed(const std::string& text, double most) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value) || value < 0 ||
      value > most) {
    return std::nullopt;
  }
  return value;
}

double number(const std::string& name, const std::string& text, double most) {
  const std::optional<double> value = parsed(text, most);
  if (!value) refuse(name, text, in_range(0, most));
  return *value;
}

int64_t whole(const std::string& name, const std::string& text, double most) {
  const double value = number(name, text, most);
  if (value != std::floor(value)) refuse(name, text, "give a whole number");
  return static_cast<int64_t>(value);
}

// As Horovod reads them: a whole number, and any but 0 is yes.
bool flag(const std::string& name, const std::string& text) {
  const std::optional<double> value = parsed(text, kMostBytes);
  if (!value || *value != std::floor(*value)) refuse(name, text, "give 1 or 0");
  return *value != 0;
}

void check(const Settings& settings) {
  if (!settings.stall_check || settings.stall_shutdown.count() == 0) return;
  if (settings.stall_shutdown >= settings.stall_warning) return;
  throw std::invalid_argument(
      "a stalled run would end after " + shown(settings.stall_shutdown.count()) +
      " s, before the warning at " + shown(settings.stall_warning.count()) +
      " s; raise --stall-check-shutdown-time-seconds "
      "(HOROVOD_STALL_SHUTDOWN_TIME_SECONDS)");
}

Settings read(const Lookup& variable) {
  Settings settings;
  const auto take = [&](const std::string& name, const auto& use) {
    const std::optional<std::string> text = variable(name);
    if (text && !text->empty()) use(name, *text);
  };
  take("HOROVOD_FUSION_THRESHOLD", [&](const auto& name, const auto& text) {
    settings.fusion_threshold = whole(name, text, kMostBytes);
  });
  take("HOROVOD_CYCLE_TIME", [&](const auto& name, const auto& text) {
    settings.cycle_time = Seconds(number(name, text, kMostSeconds) / 1000);
  });
  take("HOROVOD_CACHE_CAPACITY", [&](const auto& name, const auto& text) {
    settings.cache_capacity = whole(name, text, kMostTensors);
  });
  take("HOROVOD_TIMELINE",
       [&](const auto&, const auto& text) { settings.timeline = text; });
  take("HOROVOD_TIMELINE_MARK_CYCLES", [&](const auto& name, const auto& text) {
    settings.timeline_mark_cycles = flag(name, text);
  });
  take("HOROVOD_STALL_CHECK_DISABLE", [&](const auto& name, const auto& text) {
    settings.stall_check = !flag(name, text);
  });
  take("HOROVOD_STALL_CHECK_TIME_SECONDS", [&](const auto& name, const auto& text) {
    settings.stall_warning = Seconds(number(name, text, kMostSeconds));
    // As in Horovod, where no time is no check.
    if (settings.stall_warning.count() == 0) settings.stall_check = false;
  });
  take("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", [&](const auto& name, const auto& text) {
    settings.stall_shutdown = Seconds(number(name, text, kMostSeconds));
  });
  return settings;
}

}  // namespace

Settings read_settings(const Lookup& variable) {
  const Settings settings = read(variable);
  check(settings);
  return settings;
}

Settings settings_of(const training::HorovodOptions& options, const Lookup& variable) {
  Settings settings = read(variable);
  const auto check_range = [](const char* option, const auto& given, double most) {
    if (!given || (*given >= 0 && *given <= most)) return;
    throw std::invalid_argument(std::string(option) + " " +
                                shown(static_cast<double>(*given)) + ": " +
                                in_range(0, most));
  };
  check_range("--fusion-threshold-mb", options.fusion_threshold_mb,
              kMostBytes / (1024 * 1024));
  check_range("--cycle-time-ms", options.cycle_time_ms, kMostSeconds);
  check_range("--cache-capacity", options.cache_capacity,
              static_cast<double>(kMostTensors));
  check_range("--stall-check-warning-time-seconds", options.stall_warning_s,
              kMostSeconds);
  check_range("--stall-check-shutdown-time-seconds", options.stall_shutdown_s,
              kMostSeconds);
  if (options.fusion_threshold_mb) {
    settings.fusion_threshold =
        static_cast<int64_t>(*options.fusion_threshold_mb * 1024 * 1024);
  }
  if (options.cycle_time_ms) {
    settings.cycle_time =
        std::chrono::duration<double, std::milli>(*options.cycle_time_ms);
  }
  if (options.cache_capacity) settings.cache_capacity = *options.cache_capacity;
  if (!options.timeline_filename.empty()) settings.timeline = options.timeline_filename;
  if (options.timeline_mark_cycles) {
    if (settings.timeline.empty()) {
      throw std::invalid_argument(
          "--timeline-mark-cycles marks a timeline, and there is none; leave it out, "
          "or give --timeline-filename");
    }
    settings.timeline_mark_cycles = true;
  }
  if (options.no_stall_check) settings.stall_check = false;
  if (options.stall_warning_s)
    settings.stall_warning = Seconds(*options.stall_warning_s);
  if (options.stall_shutdown_s) {
    settings.stall_shutdown = Seconds(*options.stall_shutdown_s);
  }
  check(settings);
  return settings;
}

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

}  // namespace lockstep::negotiation
