#include "tracing/trace.h"

#include <ATen/Context.h>
#include <ATen/record_function.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <pthread.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

#include "device/cuda_ledger.h"
#include "files/output_file.h"
#include "files/temporary_folder.h"
#include "tracing/collective_lanes.h"

namespace lockstep::tracing {
namespace {

namespace fs = std::filesystem;
namespace kineto = torch::profiler::impl;
using Json = nlohmann::ordered_json;

// "card 1" of "thread 4711 (card 1)".
std::string thread_name(const std::string& lane) {
  const size_t open = lane.find('(');
  const size_t close = lane.rfind(')');
  return open < close && close != std::string::npos
             ? lane.substr(open + 1, close - open - 1)
             : lane;
}

// Kineto names a lane by its own thread and may do so again by the thread that ends the
// trace, in any order: of two names the one that is not `ours` is right.
void name_lanes(Json& trace, const std::string& ours) {
  Json kept = Json::array();
  std::map<std::string, size_t> lanes;
  for (Json& event : trace.at("traceEvents")) {
    if (event.value("name", "") == "thread_name") {
      Json& name = event.at("args").at("name");
      name = thread_name(name.get<std::string>());
      const auto [lane, is_new] = lanes.emplace(
          event.at("pid").dump() + "/" + event.at("tid").dump(), kept.size());
      if (!is_new) {
        if (name != ours) kept[lane->second].at("args").at("name") = name;
        continue;
      }
    }
    kept.push_back(std::move(event));
  }
  trace.at("traceEvents") = std::move(kept);
}

std::string lane_of(int rank) { return "card " + std::to_string(rank); }

// The main thread works for the first card; its name is the process's, too, so it is
// lent.
class LaneName {
 public:
  explicit LaneName(const std::string& name) {
    pthread_getname_np(pthread_self(), before_.data(), before_.size());
    pthread_setname_np(pthread_self(), name.c_str());
  }
  ~LaneName() { pthread_setname_np(pthread_self(), before_.data()); }
  LaneName(const LaneName&) = delete;
  LaneName& operator=(const LaneName&) = delete;

 private:
  std::array<char, 16> before_{};
};

// The host is ahead of a CUDA card: kernels that wait in its queue are in no trace.
void wait_for_card() {
  if (!device::is_cuda_card(device::current_account().card)) return;
  const c10::impl::VirtualGuardImpl guard(at::kCUDA);
  guard.synchronizeDevice(guard.getDevice().index());
}

class KinetoTrace final : public Trace {
 public:
  KinetoTrace(const std::string& path, int rank)
      : path_(trace_path(path, rank)), rank_(rank) {
    setenv("KINETO_LOG_LEVEL", "99", /*overwrite=*/0);  // silent
  }
  ~KinetoTrace() override { stop(); }
  KinetoTrace(const KinetoTrace&) = delete;
  KinetoTrace& operator=(const KinetoTrace&) = delete;

  void communicates(comm::ProcessGroup& group) override { collectives_.watch(group); }
  void planned(int64_t steps) override { planned_ = steps; }

  void between_steps(int64_t next) override {
    if (first_ < 0) {  // a resumed run begins later
      constexpr int64_t kWarmUp = 3;
      constexpr int64_t kSteps = 3;
      first_ = next + std::min(kWarmUp, std::max<int64_t>(0, planned_ - next - kSteps));
      end_ = std::min(planned_, first_ + kSteps);
    }
    step_.reset();
    if (next == first_) start();
    if (next == end_) {
      result_ = stop();
      collectives_.end();
    }
    if (!lane_) return;
    collectives_.step();
    step_.emplace(at::RecordScope::USER_SCOPE);
    step_->before("step " + std::to_string(next));
  }

  void finished(const torch::nn::Module& /*model*/) override { collectives_.take(); }

  void write() override {
    if (result_ == nullptr) return;
    // Kineto writes to a path of its own, and beside it; the user's may be a pipe, or
    // there already.
    const files::TemporaryFolder folder(place_, "--trace");
    const std::string file = folder.file("trace.json");
    result_->save(file);
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    std::string whole;
    try {
      Json trace = Json::parse(text.str());
      name_lanes(trace, lane_of(rank_));
      collectives_.add_to(trace, rank_);
      whole = trace.dump(-1, ' ', false, Json::error_handler_t::replace);
    } catch (const nlohmann::json::exception&) {  // Kineto says nothing
      throw std::runtime_error("--trace: " + place_ +
                               " took no whole trace; free some space there, or name "
                               "another place in TMPDIR");
    }
    files::write_whole(whole, path_);
  }

 private:
  void start() {
    lane_.emplace(lane_of(rank_));
    const kineto::ProfilerConfig config(kineto::ProfilerState::KINETO);
    std::set<kineto::ActivityType> activities = {kineto::ActivityType::CPU};
    if (at::hasCUDA()) activities.insert(kineto::ActivityType::CUDA);
    wait_for_card();
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(
        config, activities,
        {at::RecordScope::FUNCTION, at::RecordScope::USER_SCOPE,
         at::RecordScope::BACKWARD_FUNCTION});
    collectives_.begin();
  }

  std::unique_ptr<torch::autograd::profiler::ProfilerResult> stop() {
    step_.reset();
    if (!lane_) return nullptr;
    wait_for_card();
    auto result = torch::autograd::profiler::disableProfiler();
    lane_.reset();
    return result;
  }

  const std::string path_;
  // Looked for before training: what is wrong is told then.
  const std::string place_ = files::temporary_place("--trace");
  const int rank_;
  int64_t planned_ = 0;
  int64_t first_ = -1;
  int64_t end_ = 0;
  std::optional<LaneName> lane_;  // there while a trace is being made
  std::optional<at::RecordFunction> step_;
  CollectiveLanes collectives_;
  std::unique_ptr<torch::autograd::profiler::ProfilerResult> result_;
};

}  // namespace

std::shared_ptr<Trace> make_trace(const std::string& path, int rank) {
  return std::make_shared<KinetoTrace>(path, rank);
}

std::string trace_path(const std::string& path, int rank) {
  if (rank == 0) return path;
  const std::string extension = fs::path(path).extension().string();
  return path.substr(0, path.size() - extension.size()) + ".rank" +
         std::to_string(rank) + extension;
}

}  // namespace lockstep::tracing
