#include <algorithm>

#include "predict/queue_line.h"
#include "predict/step_time.h"

namespace lockstep::predict {
namespace {

// A card's link, one way.
class Wire {
 public:
  explicit Wire(const Link& link) : link_(link) {}

  // When the message is through that could leave at `ready_s`.
  double carry(double ready_s, double bytes) {
    return line_.serve(ready_s, link_.latency_s + bytes / link_.bytes_per_s);
  }

 private:
  Link link_;
  QueueLine line_;
};

double all_bytes(const std::vector<Gradient>& gradients) {
  double bytes = 0;
  for (const Gradient& gradient : gradients) bytes += gradient.bytes;
  return bytes;
}

}  // namespace

StepTime data_parallel_step(const CardStep& card, const DataParallelBytes& bytes,
                            const Cluster& cluster, int cards, bool tree) {
  const auto others = static_cast<size_t>(cards - 1);
  const double gradients = all_bytes(card.gradients);
  Wire out(cluster.inside), in(cluster.inside);

  // The whole batch is on the primary card. Each replica waits for its own piece and
  // parameters alone.
  const double begin = card.data_s * cards;
  std::vector<double> done(others);
  for (double& at : done) {
    at = out.carry(begin, bytes.input + bytes.parameters) + card.forward_s;
  }
  // Gathered as they come, and the loss is the primary card's.
  double gathered = begin + card.forward_s;
  for (const double at : done) {
    gathered = std::max(gathered, in.carry(at, bytes.outputs));
  }
  for (double& at : done) at = out.carry(gathered, bytes.outputs) + card.backward_s;
  double reduced = gathered + card.backward_s;
  if (tree) {
    // Pairs of cards add side by side, each over a link of its own.
    double last = done.empty() ? reduced : std::max(reduced, done.back());
    for (int span = 1; span < cards; span *= 2) {
      last += cluster.inside.latency_s + gradients / cluster.inside.bytes_per_s +
              card.add_s;
    }
    reduced = last;
  } else {
    for (const double at : done) {
      reduced = in.carry(std::max(at, reduced), gradients) + card.add_s;
    }
  }

  StepTime step;
  step.seconds = reduced + card.optimizer_s;
  step.exposed_s =
      step.seconds - begin - card.forward_s - card.backward_s - card.optimizer_s;
  return step;
}

}  // namespace lockstep::predict
