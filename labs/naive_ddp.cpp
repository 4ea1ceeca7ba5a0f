#include "labs/naive_ddp.h"

namespace lockstep::labs {

Registry<StartEqual>& starts() {
  static Registry<StartEqual> known("start", {});
  return known;
}

Registry<BeforeForward>& before_forwards() {
  static Registry<BeforeForward> known("before_forward", {});
  return known;
}

}  // namespace lockstep::labs
