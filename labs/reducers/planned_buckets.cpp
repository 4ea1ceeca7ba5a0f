#include "labs/reducers/planned_buckets.h"

#include <algorithm>
#include <map>

#include "labs/graders/listed.h"
#include "labs/reducers/reducer_checks.h"

namespace lockstep::labs {
namespace {

int64_t elements_of(const PlannedParameter& parameter) {
  return c10::multiply_integers(parameter.sizes);
}

std::vector<int64_t> sizes_of(const std::vector<PlannedBucket>& buckets) {
  std::vector<int64_t> sizes;
  sizes.reserve(buckets.size());
  for (const PlannedBucket& bucket : buckets) sizes.push_back(bucket.elements);
  return sizes;
}

std::vector<int64_t> in_bytes(const std::vector<PlannedBucket>& buckets) {
  std::vector<int64_t> bytes;
  for (const PlannedBucket& bucket : buckets) {
    bytes.push_back(bucket.elements *
                    static_cast<int64_t>(c10::elementSize(bucket.type)));
  }
  return bytes;
}

std::vector<int64_t> one_each(const StepPlan& plan) {
  std::vector<int64_t> sizes;
  for (const PlannedParameter& parameter : plan.parameters) {
    sizes.push_back(elements_of(parameter));
  }
  return sizes;
}

std::vector<int64_t> without_last(std::vector<int64_t> sizes) {
  sizes.pop_back();
  return sizes;
}

std::vector<int64_t> sorted(std::vector<int64_t> sizes) {
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

std::string what_is_sent(const StepPlan& plan, const std::vector<int64_t>& sent,
                         const std::vector<int64_t>& wanted,
                         const std::string& otherwise) {
  if (sent == without_last(wanted)) return "last_bucket_forgotten";
  if (sorted(sent) == sorted(wanted) && otherwise != "completion_order" &&
      sent != sizes_of(planned_buckets(plan, true))) {
    return "buckets_out_of_order";
  }
  if (sent == in_bytes(planned_buckets(plan))) return "bytes_for_elements";
  if (sorted(sent) == sorted(one_each(plan))) return "one_message_a_bucket";
  if (sent == sizes_of(planned_buckets(plan, true))) return "registration_order";
  if (sent == sizes_of(planned_buckets(plan, false, Closes::before_the_cap))) {
    return "cap_closes_late_or_early";
  }
  return otherwise;
}

}  // namespace

std::vector<PlannedBucket> planned_buckets(const StepPlan& plan, bool first_first,
                                           Closes closes) {
  std::vector<PlannedBucket> buckets;
  std::map<at::ScalarType, size_t> open;
  for (size_t i = 0; i < plan.parameters.size(); ++i) {
    const size_t p = first_first ? i : plan.parameters.size() - 1 - i;
    const PlannedParameter& parameter = plan.parameters[p];
    const auto bytes_with = [&](const PlannedBucket& bucket) {
      return (bucket.elements + elements_of(parameter)) *
             static_cast<int64_t>(c10::elementSize(parameter.type));
    };
    auto place = open.find(parameter.type);
    if (place != open.end() && closes == Closes::before_the_cap &&
        bytes_with(buckets[place->second]) > plan.options.bucket_cap_bytes) {
      open.erase(place);
      place = open.end();
    }
    if (place == open.end()) {
      place = open.emplace(parameter.type, buckets.size()).first;
      buckets.push_back({{}, 0, parameter.type});
    }
    PlannedBucket& bucket = buckets[place->second];
    const bool full = bytes_with(bucket) >= plan.options.bucket_cap_bytes;
    bucket.parameters.push_back(p);
    bucket.elements += elements_of(parameter);
    if (full && closes == Closes::at_the_cap) open.erase(place);
  }
  return buckets;
}

StepPlan telling_plan(uint64_t seed, int ranks) {
  for (uint64_t draw = seed;; draw = draw * 6364136223846793005U + 1) {
    StepPlan plan;
    plan.seed = seed;
    plan.ranks = ranks;
    plan.parameters = odd_parameters(draw, 9);
    int64_t all = 0;
    for (const int64_t one : one_each(plan)) all += one;
    plan.options.bucket_cap_bytes = all * static_cast<int64_t>(sizeof(double)) / 4;
    const std::vector<PlannedBucket> buckets = planned_buckets(plan);
    const std::vector<int64_t> sizes = sizes_of(buckets);
    const int64_t last = sizes.back() * static_cast<int64_t>(sizeof(double));
    if (sizes.size() >= 3 && last < plan.options.bucket_cap_bytes &&
        sizes != sizes_of(planned_buckets(plan, true)) &&
        sizes != sizes_of(planned_buckets(plan, false, Closes::before_the_cap))) {
      return plan;
    }
  }
}

void expect_buckets(const SeenSteps& seen, const std::string& otherwise) {
  const std::vector<PlannedBucket> buckets = planned_buckets(seen.plan);
  const std::vector<int64_t> wanted = sizes_of(buckets);
  for (int reduction = 0; reduction < seen.plan.reductions; ++reduction) {
    for (int rank = 0; rank < seen.plan.ranks; ++rank) {
      const SeenPass& pass = seen.reducing(rank, reduction);
      const std::vector<int64_t> sent = messages_of(pass);
      const std::string who = "step " + std::to_string(reduction) + ", cap " +
                              std::to_string(seen.plan.options.bucket_cap_bytes) +
                              " bytes: rank " + std::to_string(rank) + " sends ";
      if (sent != wanted) {
        refuse(what_is_sent(seen.plan, sent, wanted, otherwise),
               who +
                   (sent.empty() ? "no message"
                                 : "messages of " + listed(sent) + " elements") +
                   ", not " + listed(wanted));
      }
      for (size_t i = 0; i < sent.size(); ++i) {
        if (pass.launches[i].type != c10::toString(buckets[i].type)) {
          refuse("one_type_a_bucket", who + "message " + std::to_string(i) + " as " +
                                          pass.launches[i].type + ", not " +
                                          c10::toString(buckets[i].type));
        }
        if (pass.launches[i].name != "all_reduce") {
          refuse("another_collective",
                 who + "a bucket by " + pass.launches[i].name + ", not by all_reduce");
        }
      }
    }
  }
}

}  // namespace lockstep::labs
