#include "flops/counter.h"

#include <c10/util/ThreadLocalDebugInfo.h>

#include <mutex>
#include <set>

#include "flops/operators.h"

namespace lockstep::flops {

// LibTorch hands it on with the thread's state, as it does the callback, which is a
// plain function and finds it there.
struct Counter::Total final : c10::DebugInfoBase {
  // One of those that LibTorch itself has no use for.
  static constexpr auto kKind = c10::DebugInfoKind::PRODUCER_INFO;

  std::mutex mutex;
  int64_t flops = 0;
  // Threads inside a call that counted: what that calls in turn, as autocast calls the
  // same operator in another precision, is the same work.
  std::set<uint64_t> inside;

  struct Counted final : at::ObserverContext {};

  static Total* of_this_thread() {
    return static_cast<Total*>(c10::ThreadLocalDebugInfo::get(kKind));
  }

  static std::unique_ptr<at::ObserverContext> begins(const at::RecordFunction& call) {
    Total* const total = of_this_thread();
    if (total == nullptr) return nullptr;
    const int64_t flops = flops_of(call.name(), call.inputs());
    if (flops == 0) return nullptr;
    const std::lock_guard lock(total->mutex);
    if (!total->inside.insert(call.threadId()).second) return nullptr;
    total->flops += flops;
    return std::make_unique<Counted>();
  }

  static void ends(const at::RecordFunction& call, at::ObserverContext* counted) {
    Total* const total = of_this_thread();
    if (counted == nullptr || total == nullptr) return;
    const std::lock_guard lock(total->mutex);
    total->inside.erase(call.threadId());
  }
};

Counter::Counter() : total_(std::make_shared<Total>()) {
  c10::ThreadLocalDebugInfo::_push(Total::kKind, total_);
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&Total::begins, &Total::ends)
          .needsInputs(true)
          .scopes({at::RecordScope::FUNCTION}));
}

Counter::~Counter() {
  at::removeCallback(handle_);
  c10::ThreadLocalDebugInfo::_pop(Total::kKind);
}

int64_t Counter::flops() const {
  const std::lock_guard lock(total_->mutex);
  return total_->flops;
}

}  // namespace lockstep::flops
