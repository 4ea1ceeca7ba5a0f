// A Chrome trace of a few steps: by Kineto, the stages and LibTorch's operators on the
// lane of each thread, on CUDA the card's kernels, and what the rank has under way on
// lanes of its own (collective_lanes.h). Of steps 3 to 5, for those before warm up, or
// of the last three where fewer are planned; a step is a range of its own, "step 4". A
// step takes longer while it is traced.
#pragma once

#include <memory>
#include <string>

#include "training/observer.h"

namespace lockstep::tracing {

class Trace : public training::StepObserver {
 public:
  // After the training, as files/output_file.h writes them: what is lost where it
  // cannot be written is the trace, not the run.
  virtual void write() = 0;
};
std::shared_ptr<Trace> make_trace(const std::string& path, int rank);
// Where that one leaves it: rank r > 0 at "name.rank<r>.ext".
std::string trace_path(const std::string& path, int rank);

}  // namespace lockstep::tracing
