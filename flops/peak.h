// What cards could do at most, by their data sheets: the measure of what they do. Of
// dense products at the clock that the driver names, of which no card of full load
// lasts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device/card.h"

namespace lockstep::flops {

struct Processor {
  int major = 0;  // of its compute capability
  int minor = 0;
  int multiprocessors = 0;
  double clock_hz = 0;  // the highest
};

// Floating-point operations per second in a precision ("fp32", "bf16", ..). None for a
// capability whose data sheet was not looked up.
std::optional<double> peak_flops_per_s(const Processor& processor,
                                       const std::string& precision);

// Of all the cards together; a device that several share counts once for all of them.
// None where one of them has none, as an emulated card.
std::optional<double> peak_flops_per_s(const std::vector<Card>& cards,
                                       const std::string& precision,
                                       int cards_per_device);

}  // namespace lockstep::flops
