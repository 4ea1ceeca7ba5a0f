// The student's reductions in DataParallel's own step: once all cards are done, the
// primary card's thread calls them.
#include "data_parallel/reduce.h"
#include "labs/reduce_to_primary.h"

namespace lockstep::labs {
namespace {

std::function<data_parallel::Reduction> when_all_are_there(
    std::function<ReduceToPrimary> reduce) {
  return [reduce = std::move(reduce)](size_t card, data_parallel::Replicated& all) {
    if (card > 0) return;
    for (size_t replica = 1; replica < all.parameters.size(); ++replica) {
      if (!all.threads.await(replica)) return;
    }
    const device::HostScope no_card;
    // A batch of few rows keeps fewer cards busy: as many cards as there are replicas.
    const auto busy = static_cast<ptrdiff_t>(all.parameters.size());
    reduce(all.parameters, {all.cards.begin(), all.cards.begin() + busy});
  };
}

}  // namespace

Registry<ReductionsToPrimary()>& reductions_to_primary() {
  static Registry<ReductionsToPrimary()> known("reductions to the primary card", {});
  return known;
}

void add_student_reductions() {
  const ReductionsToPrimary student = reductions_to_primary().at("student")();
  auto& known = data_parallel::reductions();
  known.add("student-serial", when_all_are_there(student.serial));
  known.add("student-tree", when_all_are_there(student.tree));
}

}  // namespace lockstep::labs
