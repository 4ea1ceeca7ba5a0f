#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "averaging/averager.h"
#include "averaging/rank_mean.h"
#include "device/memory_ledger.h"

namespace lockstep::averaging {
namespace {

class Diloco final : public Averager {
 public:
  Diloco(const std::vector<at::Tensor>& parameters, comm::ProcessGroup& group,
         const OuterStep& outer)
      : outer_(outer), mean_(parameters, group) {
    const device::CategoryScope category(device::Category::optimizer_state);
    for (const at::Tensor& parameter : parameters) {
      parameters_.push_back(parameter.detach());
      starts_.push_back(parameters_.back().clone());
      if (outer.momentum == 0) continue;
      momenta_.push_back(at::zeros_like(starts_.back()));
    }
  }

  // The way lies in the parameters' own memory until the step has been taken.
  void meet() override {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::sub_out(parameters_[i], starts_[i], parameters_[i]);
    }
    mean_.take();
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& way = parameters_[i];
      if (!momenta_.empty()) {
        momenta_[i].mul_(outer_.momentum).add_(way);
        way.add_(momenta_[i], outer_.momentum);
      }
      starts_[i].sub_(way, outer_.lr);
      parameters_[i].copy_(starts_[i]);
    }
  }

 private:
  OuterStep outer_;
  RankMean mean_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> starts_;   // of the round
  std::vector<at::Tensor> momenta_;  // none where there is no momentum
};

}  // namespace

AveragerPtr make_diloco(const std::vector<at::Tensor>& parameters,
                        comm::ProcessGroup& group, const OuterStep& outer) {
  return std::make_unique<Diloco>(parameters, group, outer);
}

}  // namespace lockstep::averaging
