// What the processor offers to the inner loops that are compiled for it (lanes.h).
#pragma once

namespace lockstep::model {

// As LibTorch sees it, so that ATEN_CPU_CAPABILITY=avx2 switches off ours, too.
bool processor_has_avx512();

}  // namespace lockstep::model
