#include "device/stage.h"

#include "device/memory_ledger.h"

namespace lockstep::device {
namespace {

thread_local const char* thread_stage = nullptr;

}  // namespace

const char* current_stage() { return thread_stage; }

void set_stage(const char* stage) { thread_stage = stage; }

StageScope::StageScope(const char* stage)
    : before_(thread_stage), range_(at::RecordScope::USER_SCOPE) {
  set_stage(stage);
  // A stage that takes no memory shows in the card's timeline, too.
  if (const Account account = current_account(); account.card != kHost) {
    charge(account, 0);
  }
  if (range_.isActive()) range_.before(stage);
}

}  // namespace lockstep::device
