#include "metrics/metrics.h"

#include <ATen/Functions.h>

#include <utility>

#include "training/evaluate.h"

namespace lockstep::metrics {
namespace {

using config::Section;

// The part of the samples whose label is among the k largest logits: "accuracy", for
// k > 1 "accuracy_top5".
class Accuracy final : public Metric {
 public:
  explicit Accuracy(const Section& config) : top_(config.integers("topk", 1, 1000000)) {
    if (top_.empty()) top_ = {1};
    sums_.assign(top_.size() + 1, 0);
  }

  void process(const at::Tensor& logits, const at::Tensor& labels) override {
    const int64_t classes = logits.size(-1);
    for (size_t i = 0; i < top_.size(); ++i) {
      const at::Tensor best =
          top_[i] == 1 ? logits.argmax(-1, /*keepdim=*/true)
                       : std::get<1>(logits.topk(std::min(top_[i], classes), -1));
      sums_[i] += best.eq(labels.unsqueeze(-1)).sum().item<double>();
    }
    sums_.back() += static_cast<double>(labels.numel());
  }

  std::vector<double> take_sums() override {
    return std::exchange(sums_, std::vector<double>(sums_.size()));
  }

  std::map<std::string, double> values(const std::vector<double>& sums) const override {
    std::map<std::string, double> named;
    for (size_t i = 0; i < top_.size(); ++i) {
      const std::string name =
          top_[i] == 1 ? "accuracy" : "accuracy_top" + std::to_string(top_[i]);
      named[name] = sums[i] / sums.back();
    }
    return named;
  }

 private:
  std::vector<int64_t> top_;
  std::vector<double> sums_;  // right ones for each k, and samples
};

// The mean cross entropy, that of training: "loss".
class Loss final : public Metric {
 public:
  explicit Loss(const Section& /*config*/) {}

  void process(const at::Tensor& logits, const at::Tensor& labels) override {
    const auto samples = static_cast<double>(labels.numel());
    sums_[0] += training::cross_entropy(logits, labels).item<double>() * samples;
    sums_[1] += samples;
  }
  std::vector<double> take_sums() override {
    return std::exchange(sums_, std::vector<double>(2));
  }
  std::map<std::string, double> values(const std::vector<double>& sums) const override {
    return {{"loss", sums[0] / sums[1]}};
  }

 private:
  std::vector<double> sums_ = {0, 0};
};

template <class Kind>
MetricPtr make(const Section& config) {
  return std::make_unique<Kind>(config);
}

}  // namespace

Registry<MetricPtr(const Section&)>& metrics() {
  static Registry<MetricPtr(const Section&)> known(
      "metric", {{"Accuracy", &make<Accuracy>}, {"Loss", &make<Loss>}});
  return known;
}

}  // namespace lockstep::metrics
