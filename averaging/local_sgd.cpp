#include "averaging/averager.h"
#include "averaging/rank_mean.h"

namespace lockstep::averaging {
namespace {

class LocalSgd final : public Averager {
 public:
  LocalSgd(const std::vector<at::Tensor>& parameters, comm::ProcessGroup& group)
      : mean_(parameters, group) {}

  void meet() override { mean_.take(); }

 private:
  RankMean mean_;
};

}  // namespace

AveragerPtr make_local_sgd(const std::vector<at::Tensor>& parameters,
                           comm::ProcessGroup& group) {
  return std::make_unique<LocalSgd>(parameters, group);
}

}  // namespace lockstep::averaging
