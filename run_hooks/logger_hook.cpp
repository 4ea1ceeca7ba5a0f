#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>

#include "files/line_file.h"
#include "program/formatted.h"
#include "run_hooks/default_hooks.h"

namespace lockstep::run_hooks {
namespace {

using config::Section;
using program::formatted;
using training::StepEnd;

// The mean of the last ten, as mmengine/runner/log_processor.py smooths.
class Smoothed {
 public:
  void add(double value) {
    if (std::isnan(value)) return;
    last_.push_back(value);
    if (last_.size() > 10) last_.pop_front();
  }
  bool known() const { return !last_.empty(); }
  double value() const {
    double sum = 0;
    for (const double one : last_) sum += one;
    return sum / static_cast<double>(last_.size());
  }

 private:
  std::deque<double> last_;
};

std::string clock(double seconds) {
  const auto whole = static_cast<long>(seconds);
  return formatted("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

class LoggerHook final : public Hook {
 public:
  LoggerHook(const Section& config, RunInfo& info)
      : info_(info),
        interval_(config.integer("interval", 10, 1, 1'000'000'000)),
        ignore_last_(config.boolean("ignore_last", true)) {
    if (info.speaks) file_.emplace(info.work_dir + "/scalars.jsonl");
  }
  int usual_priority() const override { return 60; }

  void after_step(const StepEnd& end) override {
    loss_.add(end.loss);
    step_s_.add(end.step_ms / 1000);
    data_s_.add(end.data_ms / 1000);
    if (end.epoch != epoch_) step_of_epoch_ = 0;
    epoch_ = end.epoch;
    ++step_of_epoch_;
    const int64_t counted = info_.by_epoch ? step_of_epoch_ : end.step + 1;
    const bool last = end.step + 1 == info_.max_steps && !ignore_last_;
    if (counted % interval_ == 0 || last) log(end, counted);
  }

  void validated(const Metrics& metrics) override {
    std::string line = info_.by_epoch
                           ? formatted("Epoch(val) [%ld]", long(info_.last.epoch + 1))
                           : formatted("Iter(val) [%ld]", long(info_.last.step + 1));
    nlohmann::ordered_json row = {{"step", info_.last.step + 1}};
    for (const auto& [name, value] : metrics) {
      line += formatted("  %s: %.4f", name.c_str(), value);
      row["val/" + name] = value;
    }
    write(line, row);
  }

 private:
  void log(const StepEnd& end, int64_t counted) {
    const int64_t of = info_.by_epoch
                           ? (info_.max_steps + info_.max_epochs - 1) / info_.max_epochs
                           : info_.max_steps;
    std::string line =
        info_.by_epoch ? formatted("Epoch(train) [%ld][%ld/%ld]", long(end.epoch + 1),
                                   long(counted), long(of))
                       : formatted("Iter(train) [%ld/%ld]", long(counted), long(of));
    nlohmann::ordered_json row = {
        {"step", end.step + 1}, {"epoch", end.epoch + 1}, {"lr", info_.lr}};
    line += formatted("  lr: %.4e  eta: %s", info_.lr, clock(info_.eta_s).c_str());
    for (const auto& [name, value] :
         {std::pair{"time", &step_s_}, {"data_time", &data_s_}, {"loss", &loss_}}) {
      if (!value->known()) continue;
      line += formatted("  %s: %.4f", name, value->value());
      row[name] = value->value();
    }
    write(line, row);
  }

  void write(const std::string& line, const nlohmann::ordered_json& row) {
    if (!info_.speaks) return;
    std::fprintf(stderr, "%s\n", line.c_str());
    file_->append(row.dump());
  }

  RunInfo& info_;
  int64_t interval_;
  bool ignore_last_;
  Smoothed loss_, step_s_, data_s_;
  int64_t epoch_ = -1;
  int64_t step_of_epoch_ = 0;
  std::optional<files::LineFile> file_;
};

}  // namespace

HookPtr make_logger_hook(const Section& config, RunInfo& info) {
  return std::make_shared<LoggerHook>(config, info);
}

}  // namespace lockstep::run_hooks
