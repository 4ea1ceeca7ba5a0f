#include "schedules/schedulers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep::schedules {
namespace {

using config::Section;

constexpr int64_t kForEver = 1'000'000'000;

class Constant final : public Scheduler {
 public:
  explicit Constant(const Section& config)
      : Scheduler(config), factor_(config.number("factor", 1.0 / 3, 1e-12, 1)) {}

 private:
  double next(int64_t step, double lr) const override {
    if (step == 0) return lr * factor_;
    return step == length() - 1 ? lr / factor_ : lr;
  }
  double factor_;
};

class Linear final : public Scheduler {
 public:
  explicit Linear(const Section& config)
      : Scheduler(config),
        start_(config.number("start_factor", 1.0 / 3, 1e-12, 1)),
        end_(config.number("end_factor", 1, 0, 1)) {}

 private:
  double next(int64_t step, double lr) const override {
    if (step == 0) return lr * start_;
    const double way = end_ - start_;
    const auto last = static_cast<double>(length() - 1);
    return lr * (1 + way / (last * start_ + static_cast<double>(step - 1) * way));
  }
  double start_, end_;
};

class Step final : public Scheduler {
 public:
  explicit Step(const Section& config)
      : Scheduler(config),
        size_(config.required_integer("step_size", 1, kForEver)),
        gamma_(config.number("gamma", 0.1, 0, 1e6)) {}

 private:
  double next(int64_t step, double lr) const override {
    return step > 0 && step % size_ == 0 ? lr * gamma_ : lr;
  }
  int64_t size_;
  double gamma_;
};

class MultiStep final : public Scheduler {
 public:
  explicit MultiStep(const Section& config)
      : Scheduler(config),
        milestones_(config.integers("milestones", 0, kForEver)),
        gamma_(config.number("gamma", 0.1, 0, 1e6)) {
    if (milestones_.empty())
      config.fail("milestones", "needs one at least, as [8, 11]");
  }

 private:
  double next(int64_t step, double lr) const override {
    const auto times = std::count(milestones_.begin(), milestones_.end(), step);
    return lr * std::pow(gamma_, static_cast<double>(times));
  }
  std::vector<int64_t> milestones_;
  double gamma_;
};

class Exponential final : public Scheduler {
 public:
  explicit Exponential(const Section& config)
      : Scheduler(config), gamma_(config.required_number("gamma", 0, 1e6)) {}

 private:
  double next(int64_t step, double lr) const override {
    return step == 0 ? lr : lr * gamma_;
  }
  double gamma_;
};

class CosineAnnealing final : public Scheduler {
 public:
  explicit CosineAnnealing(const Section& config)
      : Scheduler(config),
        period_(config.integer("T_max", 0, 1, kForEver)),
        least_(config.number("eta_min", 0, 0, 1e38)),
        least_ratio_(config.number("eta_min_ratio", 0, 0, 1)) {
    if (config.has("eta_min") && config.has("eta_min_ratio")) {
      config.fail("eta_min_ratio", "says the same as eta_min; leave one of them out");
    }
  }

 private:
  double next(int64_t step, double lr) const override {
    if (step == 0) return lr;
    const int64_t period = period_ > 0 ? period_ : length();
    const double least = least_ratio_ > 0 ? base() * least_ratio_ : least_;
    const auto height = [&](int64_t at) {
      return 1 + std::cos(std::numbers::pi * static_cast<double>(at) /
                          static_cast<double>(period));
    };
    if (step > period && (step - 1 - period) % (2 * period) == 0) {
      // At the bottom the way up cannot be told from where it stands.
      return lr + (base() - least) * (2 - height(1)) / 2;
    }
    return height(step) / height(step - 1) * (lr - least) + least;
  }
  int64_t period_;
  double least_, least_ratio_;
};

class Poly final : public Scheduler {
 public:
  explicit Poly(const Section& config)
      : Scheduler(config),
        least_(config.number("eta_min", 0, 0, 1e38)),
        power_(config.number("power", 1, 0, 100)) {}

 private:
  double next(int64_t step, double lr) const override {
    if (step == 0) return lr;
    const auto left = static_cast<double>(length() - step);
    return (lr - least_) * std::pow(1 - 1 / left, power_) + least_;
  }
  double least_, power_;
};

template <class Kind>
SchedulerPtr make(const Section& config) {
  return std::make_unique<Kind>(config);
}

}  // namespace

Scheduler::Scheduler(const Section& config)
    : config_(config),
      by_epoch_(config.boolean("by_epoch", true)),
      begin_(config.integer("begin", 0, 0, kForEver)),
      end_(config.integer("end", 0, 1, kForEver)) {
  if (end_ > 0 && end_ <= begin_) {
    config.fail("end", std::to_string(end_) + " must be more than begin, " +
                           std::to_string(begin_));
  }
}

void Scheduler::start(double base, int64_t epochs, int64_t batches) {
  base_ = base;
  if (end_ == 0) end_ = std::max(begin_ + 1, by_epoch_ ? epochs : batches);
}

double Scheduler::step(double lr) {
  ++steps;
  return steps < begin_ || steps >= end_ ? lr : next(++own_steps, lr);
}

Registry<SchedulerPtr(const Section&)>& schedulers() {
  static Registry<SchedulerPtr(const Section&)> known(
      "scheduler", {{"ConstantLR", &make<Constant>},
                    {"LinearLR", &make<Linear>},
                    {"StepLR", &make<Step>},
                    {"MultiStepLR", &make<MultiStep>},
                    {"ExponentialLR", &make<Exponential>},
                    {"CosineAnnealingLR", &make<CosineAnnealing>},
                    {"PolyLR", &make<Poly>}});
  return known;
}

}  // namespace lockstep::schedules
