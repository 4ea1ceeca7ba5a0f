// What a validation says of a model: numbers over all samples of all ranks, each sample
// counted once. After mmengine/evaluator/metric.py; here a metric keeps sums, not
// results, so that one all_reduce brings ranks together.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/section.h"
#include "registry/registry.h"

namespace lockstep::metrics {

class Metric {
 public:
  virtual ~Metric() = default;

  // A batch of this rank's share: logits [n, .., classes] and labels [n, ..].
  virtual void process(const at::Tensor& logits, const at::Tensor& labels) = 0;
  // What has been counted; it begins again.
  virtual std::vector<double> take_sums() = 0;
  // Of sums over all ranks: "accuracy" and its value.
  virtual std::map<std::string, double> values(
      const std::vector<double>& sums) const = 0;
};

using MetricPtr = std::unique_ptr<Metric>;

Registry<MetricPtr(const config::Section&)>& metrics();

}  // namespace lockstep::metrics
