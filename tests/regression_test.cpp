// bench --compare on whole runs: a slow-down that was planted is found, and a program
// that did not change is not blamed.
#include "tests/program_run.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// bench between links to the programs, with the slow ddp in the real one's place.
class SlowPrograms {
 public:
  SlowPrograms() {
    fs::copy_file(program_path("bench"), bench());
    for (const char* name : {"single_gpu", "data_parallel", "report"}) {
      fs::create_symlink(program_path(name), folder_ / name);
    }
    const fs::path beside = fs::path(program_path("")).parent_path().parent_path();
    fs::create_symlink(beside / "tests/slow_ddp", folder_ / "ddp");
  }
  std::string bench() const { return folder_ / "bench"; }

 private:
  TestFolder folder_;
};

std::vector<std::string> options(const std::string& out,
                                 const std::vector<std::string>& more) {
  return std::vector<std::string>{"--mode",    "ddp",       "--model",  "mlp",
                                  "--dataset", "synthetic", "--warmup", "10",
                                  "--no-page", "--out",     out,        "--device",
                                  "cpu"} +
         more;
}

struct Runs {
  TestFolder folder;
  SlowPrograms programs;

  // The older run, of the program as it is.
  void make_base(int repetitions, const std::vector<std::string>& more) {
    ProgramRun base("bench", options(folder / "base",
                                     std::vector<std::string>{
                                         "--repetitions", std::to_string(repetitions)} +
                                         more));
    ASSERT_EQ(base.status(), 0) << base.process().err();
  }
  // The exit status of one compared with it: of the slow programs, or the real ones.
  int compared(const std::string& part, int repetitions,
               const std::vector<std::string>& more) {
    const bool slow = !part.empty();
    ProgramRun run(
        slow ? programs.bench() : "bench",
        options(folder / "now",
                std::vector<std::string>{"--repetitions", std::to_string(repetitions),
                                         "--compare", folder / "base"} +
                    more),
        {{"LOCKSTEP_TEST_SLOWER", slow ? part : "0"}});
    const int status = run.status();
    const std::string table = run.process().out();
    const size_t verdict = table.find("\nstep over single card's");
    std::printf("%s\n", verdict == std::string::npos
                            ? run.process().err().c_str()
                            : table.substr(verdict + 1).c_str());
    return status;
  }
};

TEST(BenchCompare, EndsWithStatus3WhereACaseIsSlower) {
  Runs runs;
  const std::vector<std::string> few = {"--gpus", "1",       "--batch-size",
                                        "256",    "--steps", "20"};
  runs.make_base(3, few);
  // Three times as long: no machine is as moody.
  EXPECT_EQ(runs.compared("2", 3, few), 3);
  const int unchanged = runs.compared("", 3, few);
  EXPECT_TRUE(unchanged == 0 || unchanged == 3) << unchanged;
  ProgramRun nowhere("bench", {"--compare", runs.folder / "nowhere"});
  EXPECT_EQ(nowhere.status(), 1);
  EXPECT_NE(nowhere.process().err().find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
