#include "flops/peak.h"

#include <map>
#include <utility>

#include "device/cuda.h"

namespace lockstep::flops {
namespace {

// Fused multiply-adds of a multiprocessor in a clock: tensor cores', of dense matrices,
// except in fp32.
using Rates = std::map<std::string, double>;

// NVIDIA A100 Tensor Core GPU Architecture (2020), H100 Tensor Core GPU Architecture
// (2022), "Peak" tables.
const std::map<std::pair<int, int>, Rates>& rates() {
  static const auto* const all = new std::map<std::pair<int, int>, Rates>{
      {{8, 0}, {{"fp64", 64}, {"fp32", 64}, {"tf32", 512}, {"bf16", 1024}}},
      {{9, 0}, {{"fp64", 128}, {"fp32", 128}, {"tf32", 1024}, {"bf16", 2048}}},
  };
  return *all;
}

// An H100's tensor cores run at 1.83 GHz in bf16 and tf32 where everything else of it
// reaches the 1.98 GHz that the driver names; so does a PCIe one's, of 1.755 GHz.
double clock_hz(const Processor& processor, const std::string& precision) {
  const bool slower =
      processor.major == 9 && (precision == "bf16" || precision == "tf32");
  return processor.clock_hz * (slower ? 1.83 / 1.98 : 1);
}

}  // namespace

std::optional<double> peak_flops_per_s(const Processor& processor,
                                       const std::string& precision) {
  const auto found = rates().find({processor.major, processor.minor});
  if (found == rates().end()) return std::nullopt;
  const auto rate = found->second.find(precision);
  if (rate == found->second.end()) return std::nullopt;
  return 2 * rate->second * processor.multiprocessors * clock_hz(processor, precision);
}

std::optional<double> peak_flops_per_s(const std::vector<Card>& cards,
                                       const std::string& precision,
                                       int cards_per_device) {
  double all = 0;
  for (const Card& card : cards) {
    if (card.emulated()) return std::nullopt;
    const device::CudaProcessor found =
        device::cuda_processor(card.torch_device().index());
    const auto peak = peak_flops_per_s(
        {found.major, found.minor, found.multiprocessors, found.clock_khz * 1e3},
        precision);
    if (!peak) return std::nullopt;
    all += *peak / cards_per_device;
  }
  return all;
}

}  // namespace lockstep::flops
