#include <algorithm>
#include <utility>

#include "predict/queue_line.h"
#include "predict/step_time.h"

namespace lockstep::predict {
namespace {

// A card's backward pass, which is slower while a collective is under way. Work is
// counted in seconds of a card left alone.
class Backward {
 public:
  explicit Backward(double contention) : speed_beside_(1 - contention) {}

  // A collective is under way; none before it ends later.
  void slowed(double begin_s, double end_s) { slow_.emplace_back(begin_s, end_s); }

  // When so much work is done, as far as the collectives are known. Those to come begin
  // later than what they wait for, and change nothing about it.
  double when_s(double work_s) const {
    double now = 0, left = work_s;
    for (const auto& [begin, end] : slow_) {
      if (left <= begin - now) break;
      left -= begin - now;
      const double beside = (end - begin) * speed_beside_;
      if (left <= beside) return begin + left / speed_beside_;
      left -= beside;
      now = end;
    }
    return now + left;
  }

 private:
  double speed_beside_;
  std::vector<std::pair<double, double>> slow_;
};

std::vector<BucketTimes> fill(const std::vector<Gradient>& gradients,
                              const Buckets& rule) {
  std::vector<BucketTimes> all;
  BucketTimes bucket;
  double limit = std::min(rule.first_bytes, rule.cap_bytes);
  for (const Gradient& gradient : gradients) {
    bucket.bytes += gradient.bytes;
    bucket.ready_s = gradient.ready_s;
    if (bucket.bytes < limit) continue;
    all.push_back(bucket);
    bucket = {};
    limit = rule.cap_bytes;
  }
  if (bucket.bytes > 0) all.push_back(bucket);
  return all;
}

}  // namespace

CardStep slowed(CardStep card, double times) {
  for (double* seconds : {&card.data_s, &card.forward_s, &card.backward_s,
                          &card.optimizer_s, &card.add_s}) {
    *seconds *= times;
  }
  for (Gradient& gradient : card.gradients) gradient.ready_s *= times;
  return card;
}

StepTime ddp_step(const CardStep& card, const Buckets& rule, const Cluster& cluster,
                  int cards) {
  StepTime step;
  step.buckets = fill(card.gradients, rule);
  Backward backward(cluster.contention);
  QueueLine out, collectives, back;
  const bool staged = cards > 1 && cluster.staging_bytes_per_s > 0;
  double all_there = 0;
  for (BucketTimes& bucket : step.buckets) {
    bucket.ready_s = backward.when_s(rule.overlap ? bucket.ready_s : card.backward_s);
    const double copy = staged ? bucket.bytes / cluster.staging_bytes_per_s : 0;
    const double seconds = all_reduce_s(cluster, cards, bucket.bytes);
    bucket.end_s = collectives.serve(out.serve(bucket.ready_s, copy), seconds);
    bucket.begin_s = bucket.end_s - seconds;
    backward.slowed(bucket.begin_s, bucket.end_s);
    all_there = back.serve(bucket.end_s, copy);
  }
  const double computed = backward.when_s(card.backward_s);
  const double end = std::max(computed, all_there);
  step.exposed_s = end - computed;
  step.seconds = card.data_s + card.forward_s + end + card.optimizer_s;
  return step;
}

}  // namespace lockstep::predict
