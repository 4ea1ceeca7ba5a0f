#include "hooks/comm_hooks.h"

namespace lockstep::hooks {

Registry<HookFactory>& comm_hooks() {
  static Registry<HookFactory> known("communication hook",
                                     {{"allreduce", &make_all_reduce_hook},
                                      {"fp16", &make_fp16_hook},
                                      {"bf16", &make_bf16_hook},
                                      {"powersgd", &make_power_sgd_hook}});
  return known;
}

}  // namespace lockstep::hooks
