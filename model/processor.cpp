#include "model/processor.h"

#include <ATen/Version.h>

namespace lockstep::model {

bool processor_has_avx512() {
  static const bool has = at::get_cpu_capability() == "AVX512";
  return has;
}

}  // namespace lockstep::model
