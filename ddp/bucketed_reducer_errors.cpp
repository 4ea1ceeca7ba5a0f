// What the bucketed reducer says when backward and buckets do not agree. The first
// words are PyTorch's, so that a search for them finds what others were told.
#include <c10/util/Exception.h>

#include "ddp/bucketed_reducer.h"

namespace lockstep::ddp {
namespace {

constexpr size_t kMostNames = 8;

}  // namespace

std::string BucketedReducer::rank_says() const {
  return "rank " + std::to_string(group_.rank()) + ": ";
}

void BucketedReducer::check_complete() const {
  std::string missing;
  size_t count = 0;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (ready_[p]) continue;
    if (++count > kMostNames) continue;
    missing += (count > 1 ? ", " : "") + names_[p];
  }
  if (count == 0) return;
  if (count > kMostNames) missing += ", ...";
  TORCH_CHECK(false, rank_says(),
              "Expected to have finished reduction in the prior iteration before "
              "starting a new one: backward brought no gradient for ",
              missing, " (", count, " of ", parameters_.size(), " parameters); ",
              static_graph_ ? "the graph has changed, so leave out --static-graph"
              : find_unused_
                  ? "they are part of the output, so let the loss depend on all of it"
                  : "where the loss does not depend on all parameters, give "
                    "--find-unused-parameters");
}

void BucketedReducer::refuse_second_time(size_t parameter) const {
  TORCH_CHECK(false, rank_says(),
              "Expected to mark a variable ready only once: the gradient of ",
              names_[parameter],
              " came again after its bucket was told to count on it; ",
              static_graph_ ? "the graph has changed, so leave out --static-graph"
                            : "make one backward pass a step, from the output that the "
                              "reducer was given, or, if every step makes the same "
                              "passes, give --static-graph");
}

}  // namespace lockstep::ddp
