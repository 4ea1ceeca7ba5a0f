#include "labs/student_reducer.h"

#include "ddp/reducers.h"

namespace lockstep::labs {

RegisteredReducer::RegisteredReducer(const std::string& name,
                                     std::function<MakeReducer> make) {
  ddp::reducers().add(
      name,
      [make = std::move(make)](const ddp::NamedParameters& parameters,
                               comm::ProcessGroup& group, const TrainOptions& options) {
        constexpr double kMiB = 1024 * 1024;
        return make(ddp::tensors_of(parameters), group,
                    {options.accumulate,
                     static_cast<int64_t>(options.ddp.bucket_cap_mb * kMiB)});
      });
}

}  // namespace lockstep::labs
