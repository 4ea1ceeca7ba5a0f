#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

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
    if (info.writes) file_.emplace(path());
  }
  int usual_priority() const override { return 60; }

  // Where the checkpoint hook is off nobody else looks.
  void ready() override {
    if (!info_.writes || info_.resume || !std::filesystem::exists(path())) return;
    throw std::invalid_argument("--work-dir " + info_.work_dir +
                                " holds scalars.jsonl of an earlier run; add --resume, "
                                "or give a folder of its own");
  }
  void planned(int64_t steps) override { max_steps_ = steps; }

  void after_step(const StepEnd& end) override {
    loss_.add(end.loss);
    step_s_.add(end.step_ms / 1000);
    data_s_.add(end.data_ms / 1000);
    if (end.epoch != last_.epoch) step_of_epoch_ = logged_at_ = 0;
    last_ = end;
    ++step_of_epoch_;
    const bool last = end.step + 1 == max_steps_ && !info_.by_epoch;
    if (counted() % interval_ == 0 || (last && !ignore_last_)) log();
  }

  // An epoch shorter than the interval has its line at its end.
  void rests(int64_t /*steps*/, int64_t /*epochs*/, bool epoch_ended) override {
    if (epoch_ended) end_epoch();
  }

  void validated(const Metrics& metrics) override {
    end_epoch();
    std::string line = info_.by_epoch
                           ? formatted("Epoch(val) [%ld]", long(last_.epoch + 1))
                           : formatted("Iter(val) [%ld]", long(last_.step + 1));
    nlohmann::ordered_json row = {{"step", last_.step + 1}};
    for (const auto& [name, value] : metrics) {
      line += formatted("  %s: %.4f", name.c_str(), value);
      row["val/" + name] = value;
    }
    write(line, row);
  }

 private:
  std::string path() const { return info_.work_dir + "/scalars.jsonl"; }
  int64_t counted() const { return info_.by_epoch ? step_of_epoch_ : last_.step + 1; }

  void end_epoch() {
    if (!info_.by_epoch || step_of_epoch_ == logged_at_) return;
    if (!ignore_last_ || step_of_epoch_ < interval_) log();
  }

  void log() {
    logged_at_ = step_of_epoch_;
    const int64_t of = info_.by_epoch
                           ? (max_steps_ + info_.max_epochs - 1) / info_.max_epochs
                           : max_steps_;
    std::string line =
        info_.by_epoch ? formatted("Epoch(train) [%ld][%ld/%ld]", long(last_.epoch + 1),
                                   long(counted()), long(of))
                       : formatted("Iter(train) [%ld/%ld]", long(counted()), long(of));
    nlohmann::ordered_json row = {{"step", last_.step + 1}, {"epoch", last_.epoch + 1}};
    if (info_.lr) {
      line += formatted("  lr: %.4e", *info_.lr);
      row["lr"] = *info_.lr;
    }
    if (info_.eta_s) line += formatted("  eta: %s", clock(*info_.eta_s).c_str());
    for (const auto& [name, value] :
         {std::pair{"time", &step_s_}, {"data_time", &data_s_}, {"loss", &loss_}}) {
      if (!value->known()) continue;
      line += formatted("  %s: %.4f", name, value->value());
      row[name] = value->value();
    }
    write(line, row);
  }

  void write(const std::string& line, const nlohmann::ordered_json& row) {
    if (info_.speaks) std::fprintf(stderr, "%s\n", line.c_str());
    if (file_) file_->append(row.dump());
  }

  RunInfo& info_;
  int64_t interval_;
  bool ignore_last_;
  Smoothed loss_, step_s_, data_s_;
  StepEnd last_ = {.epoch = -1};
  int64_t step_of_epoch_ = 0;
  int64_t logged_at_ = 0;  // of the epoch's steps
  int64_t max_steps_ = 0;
  std::optional<files::LineFile> file_;
};

}  // namespace

HookPtr make_logger_hook(const Section& config, RunInfo& info) {
  return std::make_shared<LoggerHook>(config, info);
}

}  // namespace lockstep::run_hooks
