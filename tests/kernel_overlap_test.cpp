// The question asked of traces that were made up, whose answers are plain sums.
#include "tests/kernel_overlap.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using nlohmann::json;

json event(const std::string& category, const std::string& name, double begin,
           double end, int correlation = 0) {
  json made = {{"ph", "X"},          {"cat", category}, {"name", name}, {"ts", begin},
               {"dur", end - begin}, {"pid", 0},        {"tid", 7}};
  if (correlation != 0) made["args"] = {{"correlation", correlation}};
  return made;
}

json trace_of(const std::vector<json>& events) { return {{"traceEvents", events}}; }

constexpr char kReduce[] = "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgs)";

// The stage lasts from 100 to 200 on the host; its kernels come later, on the device.
std::vector<json> step() {
  return {{{"ph", "M"}, {"name", "thread_name"}, {"pid", 0}, {"args", {{"name", "a"}}}},
          event("user_annotation", "forward", 50, 100),
          event("user_annotation", "backward", 100, 200),
          event("cpu_op", "aten::mm", 60, 70),
          event("cuda_runtime", "cudaLaunchKernel", 60, 62, 1),
          event("kernel", "gemm", 300, 400, 1),
          event("cuda_runtime", "cudaLaunchKernel", 110, 112, 2),
          event("kernel", "gemm", 400, 460, 2),
          event("cuda_driver", "cuLaunchKernelEx", 199, 201, 3),
          event("kernel", "add", 450, 500, 3),
          event("cuda_runtime", "cudaLaunchKernel", 200, 201, 4),
          event("kernel", "sgd", 600, 700, 4)};
}

std::vector<json> with(std::vector<json> events, const std::vector<json>& more) {
  events.insert(events.end(), more.begin(), more.end());
  return events;
}

TEST(KernelOverlap, CountsWhatWasLaunchedInBackwardAndWhatNcclRunsBesideIt) {
  const KernelOverlap found =
      kernel_overlap(trace_of(with(step(), {event("kernel", kReduce, 440, 480, 5),
                                            event("kernel", kReduce, 490, 650, 6)})));
  EXPECT_EQ(found.collectives, 2);
  EXPECT_EQ(found.backward, 2) << "neither the forward's nor the optimizer's";
  EXPECT_DOUBLE_EQ(found.backward_us, 100) << "of two that overlap: 400 to 500";
  EXPECT_DOUBLE_EQ(found.nccl_us, 200);
  EXPECT_DOUBLE_EQ(found.both_us, 50) << "440 to 480 and 490 to 500";
}

TEST(KernelOverlap, IsNothingWhereNcclRunsAlone) {
  // Beside the forward's kernel and the optimizer's, and right behind the backward's.
  const KernelOverlap found =
      kernel_overlap(trace_of(with(step(), {event("kernel", kReduce, 310, 390, 5),
                                            event("kernel", kReduce, 500, 590, 6)})));
  EXPECT_EQ(found.collectives, 2);
  EXPECT_DOUBLE_EQ(found.both_us, 0);
  EXPECT_DOUBLE_EQ(kernel_overlap(trace_of(step())).nccl_us, 0);
}

TEST(KernelOverlap, WantsTheCallOfEachKernel) {
  EXPECT_THROW(
      kernel_overlap(trace_of(with(step(), {event("kernel", "relu", 410, 420, 9)}))),
      std::runtime_error);
}

}  // namespace
}  // namespace lockstep
