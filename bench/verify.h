// Verify, then time: before a case is measured, its losses over the first steps are
// compared with one card's that takes the same samples. A case that disagrees gets no
// number.
//
// Note [Where rounding alone parts two runs]
// Ours and LibTorch's reducers run the same kernels and agree to the last digits. The
// Python peer runs others than ours (model/linear.h, model/conv.h), which round
// otherwise, and a deep network of batch norms and ReLUs multiplies that by ten and
// more with every step: resnet18 starts at 1e-6 and is at 1e-2 after ten, as Python
// itself is in the two layouts of its images. A tree adds gradients in another order
// than one card does, and so does gloo's ring of three and more, which comes to the
// same; on CUDA cuDNN's sums have no order at all. So such a case that begins equal and
// stays near is asked once more, in fp64, where both take LibTorch's kernels.
//
// Note [Batch norm sees its part]
// Its statistics are those of a card's part of the batch, so unequal parts give another
// loss than the reference's equal ones. Where a model with batch norm disagrees under a
// smaller share of the primary card, it is asked once more with equal shares. To others
// the parts' sizes are nothing: they must agree as they are.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cases/child_run.h"
#include "cases/sweep.h"

namespace lockstep::bench {

inline constexpr int64_t kVerifySteps = 10;
inline constexpr double kVerifyTolerance = 1e-5;  // relative
// Of a case that rounds otherwise; fp64 takes seconds a step on resnet18.
inline constexpr double kRoundingTolerance = 0.05;
inline constexpr int64_t kVerifyStepsInFp64 = 3;

// Nothing when the losses agree; else one line that names the first step that does not.
std::optional<std::string> disagreement(const std::vector<double>& losses,
                                        const std::vector<double>& reference);

// Whether losses that disagree may yet come of the same arithmetic: the first within
// kVerifyTolerance, the others within kRoundingTolerance.
bool may_be_rounding(const std::vector<double>& losses,
                     const std::vector<double>& reference);

// Whether nothing stands beside the case that it could be held to: it is what others
// are. A step that is replayed is held to the plain one.
bool is_baseline(const Case& one, const Sweep& sweep);

// Note [Batch norm sees its part]: whether this case need not agree as it is.
bool may_be_the_shares(const Case& one);

// Losses of the references. Cases that take the same samples have the same one (DDP
// with LibTorch's reducer, in Python, sharded; DataParallel's ways): it is run once.
class References {
 public:
  explicit References(const Children& children) : children_(children) {}
  // Throws as Children::run().
  const std::vector<double>& losses(const Case& one, RunPlan plan);

 private:
  const Children& children_;
  std::map<std::vector<std::string>, std::vector<double>> made_;  // by command line
};

// Runs the case, and its reference where nobody has yet; the reason why it must not be
// timed, or nothing. Throws Stopped.
std::optional<std::string> verify(const Case& one, const Children& children,
                                  References& references);

}  // namespace lockstep::bench
