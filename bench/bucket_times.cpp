#include "bench/bucket_times.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

// "ddp_resnet18_cards.2_overlap.no.jsonl"
std::string file_of(const Case& one) {
  std::string name = one.name();
  std::replace(name.begin(), name.end(), '/', '_');
  std::replace(name.begin(), name.end(), ':', '.');
  return name + ".jsonl";
}

}  // namespace

std::vector<Case> cases_with_buckets(const std::vector<Case>& cases) {
  std::vector<Case> found;
  std::copy_if(
      cases.begin(), cases.end(), std::back_inserter(found), [](const Case& one) {
        return one.mode == "ddp" && one.cards > 1 && one.ddp.reducer == "bucketed";
      });
  return found;
}

void record_bucket_times(const Plan& plan, const Sweep& sweep, const Children& children,
                         std::vector<rows::Row>& rows) {
  const fs::path folder = fs::path(sweep.out) / "buckets";
  fs::create_directories(folder);
  const Plan with_buckets = {.cases = cases_with_buckets(plan.cases),
                             .refused = plan.refused};
  once_more(with_buckets, rows, "bucket times", [&](const Case& one, rows::Row&) {
    children.run(one, {.steps = sweep.warmup + sweep.steps,
                       .bucket_times = (folder / file_of(one)).string()});
  });
}

}  // namespace lockstep::bench
