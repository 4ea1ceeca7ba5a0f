// What runs on a CUDA device report: the memory's categories, a forecast of the
// allocator's peak, a trace in which NCCL lies under backward; and, on a machine
// without one, the one line that says why there is no run. With no device the rest is
// waived, by name.
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "rows/row.h"
#include "tests/cuda_runs.h"
#include "tests/kernel_overlap.h"

namespace lockstep::equality {
namespace {

class CudaReport : public OnCuda {
 protected:
  static void SetUpTestSuite() {
    const auto devices = device::cuda_devices();
    if (devices.count == 0) waive("tests/cuda_report_test", devices.reason);
  }
};

std::set<std::string> names_of(const std::map<std::string, int64_t>& bytes) {
  std::set<std::string> names;
  for (const auto& [name, count] : bytes) {
    if (count > 0) names.insert(name);
  }
  return names;
}

TEST_F(CudaReport, MemoryHasTheCategoriesThatItHasOnTheCpu) {
  for (const std::string work :
       {"single_gpu --steps 5 --momentum 0.9 --model mlp-wide",
        "single_gpu --steps 5 --momentum 0.9 --model convnet",
        "ddp --backend BACKEND --steps 5 --momentum 0.9 --model convnet"}) {
    const auto with = [&](const std::string& backend) {
      std::string text = work;
      const size_t at = text.find("BACKEND");
      return at == std::string::npos ? text : text.replace(at, 7, backend);
    };
    const TrainReport cuda = report_of("cuda", with("nccl"));
    const TrainReport cpu = report_of("cpu", with("gloo"));
    ASSERT_EQ(cuda.cards.size(), 1U);
    EXPECT_EQ(names_of(cuda.cards[0].at_peak_bytes),
              names_of(cpu.cards[0].at_peak_bytes))
        << work;
    EXPECT_EQ(names_of(cuda.cards[0].highest_bytes),
              names_of(cpu.cards[0].highest_bytes))
        << work;
    int64_t sum = 0;
    for (const auto& [name, bytes] : cuda.cards[0].at_peak_bytes) sum += bytes;
    EXPECT_EQ(sum, cuda.cards[0].peak_bytes) << work;
    const auto& allocator = cuda.cards[0].allocator_peak_bytes;
    EXPECT_GE(allocator.at("allocated"), cuda.cards[0].peak_bytes) << work;
    EXPECT_GE(allocator.at("reserved"), allocator.at("allocated")) << work;
  }
}

TEST_F(CudaReport, TheAllocatorsPeakIsForetoldWithinATenth) {
  const TestFolder place;
  run_to_the_end({program_path("bench"), "--device", "cuda", "--mode", "single",
                  "--model", "mlp-wide,convnet,resnet18", "--dataset", "synthetic",
                  "--steps", "3", "--warmup", "2", "--repetitions", "1", "--no-page",
                  "--predict-memory", "--out", place / "out"});
  const auto rows = rows::read_rows(place / "out/runs.jsonl");
  ASSERT_EQ(rows.size(), 3U);
  for (const rows::Row& row : rows) {
    ASSERT_EQ(row.memory.size(), 1U) << row.name;
    ASSERT_TRUE(row.memory[0].predicted_peak_bytes.has_value()) << row.name;
    const auto predicted = static_cast<double>(*row.memory[0].predicted_peak_bytes);
    const auto peak =
        static_cast<double>(row.memory[0].allocator_peak_bytes.at("allocated"));
    std::printf("%+.1f %% of the allocator's %.1f MiB: %s\n",
                100 * (predicted - peak) / peak, peak / (1 << 20), row.name.c_str());
    EXPECT_NEAR(predicted, peak, 0.1 * peak) << row.name;
  }
}

TEST_F(CudaReport, NcclRunsUnderBackward) {
  const TestFolder place;
  run_to_the_end(command_on(
      "cuda",
      "ddp --backend nccl --ranks-per-gpu 2 --model resnet18 --bucket-cap-mb "
      "1 --steps 8 --trace " +
          (place / "t.json")));
  for (const char* file : {"t.json", "t.rank1.json"}) {
    const KernelOverlap found =
        kernel_overlap(nlohmann::json::parse(read_text(place / file)));
    std::printf("%s: NCCL %.0f us, backward %.0f us, both %.0f us\n", file,
                found.nccl_us, found.backward_us, found.both_us);
    EXPECT_GT(found.collectives, 0) << file;
    EXPECT_GT(found.backward, 0) << file;
    EXPECT_GT(found.both_us, 0) << file;
  }
}

// One line, status 2, nothing run and nothing left.
TEST(WithoutCuda, BenchSaysWhyItCannot) {
  if (device::cuda_devices().count > 0) GTEST_SKIP() << "there is a device";
  const std::string why = device::cuda_devices().reason;
  const std::vector<std::string> no_devices = {
      "--device cuda", "this machine offers 0 CUDA devices", why, "try --device cpu"};
  struct Refusal {
    Words arguments;
    std::vector<std::string> words;
  };
  const Words cuda = {"--device", "cuda"};
  const std::vector<Refusal> table = {
      {cuda, no_devices},
      {cuda + Words{"--mode", "single", "--peers", "python,python-compile"},
       no_devices},
      {cuda + Words{"--mode", "dp", "--gpus", "1,2", "--peers", "libtorch,python"},
       no_devices},
      {cuda + Words{"--mode", "ddp", "--gpus", "1,2,4", "--ranks-per-gpu", "4",
                    "--peers", "python"},
       no_devices},
      {cuda +
           Words{"--mode", "ddp", "--gpus", "2", "--backend", "nccl", "--cuda-graph"},
       no_devices},
      {cuda + Words{"--model", "mlp,convnet", "--batch-size", "32,64", "--precision",
                    "tf32", "--dry-run"},
       no_devices},
      {{"--mode", "ddp", "--gpus", "2", "--backend", "nccl"},
       {"--backend nccl", "--device cpu", "try --backend gloo"}},
      {{"--mode", "dp", "--gpus", "2", "--dp-reduce", "nccl"},
       {"--dp-reduce nccl", "emulated", "try --dp-reduce tree"}},
      {{"--mode", "single", "--precision", "tf32"}, {"--precision tf32", "CUDA"}},
      {{"--mode", "ddp", "--gpus", "2", "--ranks-per-gpu", "2"},
       {"--ranks-per-gpu 2", "try --device cuda"}}};
  for (const Refusal& each : table) {
    const TestFolder place;
    ProgramRun run("bench", each.arguments + Words{"--out", place / "out"});
    SCOPED_TRACE(testing::PrintToString(each.arguments));
    expect_refusal(run, 2, each.words);
    EXPECT_EQ(place.names(), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace lockstep::equality
