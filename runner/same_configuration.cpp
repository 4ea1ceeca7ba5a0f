#include "runner/same_configuration.h"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "comm/process_group.h"

namespace lockstep::runner {
namespace {

using config::Values;

bool is_of_one_machine(const std::string& key) {
  for (const char* name : {"work_dir", "load_from", "custom_imports", "data_dir"}) {
    if (key.find(name) != std::string::npos) return true;
  }
  return false;
}

std::string value_of(const Values& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "without " + key
                               : "with " + key + " = " + found->second;
}

class SameConfiguration final : public training::StepObserver {
 public:
  explicit SameConfiguration(const Values& values) {
    for (const auto& [key, value] : values) {
      if (!is_of_one_machine(key)) mine_[key] = value;
    }
  }

  void communicates(comm::ProcessGroup& group) override {
    const std::vector<std::string> all = group.all_gather(nlohmann::json(mine_).dump());
    const Values wanted = nlohmann::json::parse(all[0]);
    for (size_t rank = 1; rank < all.size(); ++rank) {
      if (all[rank] == all[0]) continue;
      const Values theirs = nlohmann::json::parse(all[rank]);
      Values either = wanted;
      either.insert(theirs.begin(), theirs.end());
      for (const auto& [key, value] : either) {
        const std::string here = value_of(theirs, key);
        const std::string first = value_of(wanted, key);
        if (here == first) continue;
        throw std::runtime_error("rank " + std::to_string(rank) + " was started " +
                                 here + " and rank 0 " + first +
                                 "; give all ranks the same configuration");
      }
    }
  }

 private:
  Values mine_;
};

}  // namespace

std::shared_ptr<training::StepObserver> make_same_configuration(const Values& values) {
  return std::make_shared<SameConfiguration>(values);
}

}  // namespace lockstep::runner
