#include "device/stage.h"

namespace lockstep::device {
namespace {

thread_local const char* thread_stage = nullptr;

}  // namespace

const char* current_stage() { return thread_stage; }

void set_stage(const char* stage) { thread_stage = stage; }

StageScope::StageScope(const char* stage)
    : before_(thread_stage), range_(at::RecordScope::USER_SCOPE) {
  set_stage(stage);
  if (range_.isActive()) range_.before(stage);
}

}  // namespace lockstep::device
