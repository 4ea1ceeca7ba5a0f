// What `report` refuses, and that it leaves what was there as it was.
#include <gtest/gtest.h>

#include "reports/test_page.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;
using rows::Row;
using rows::sample_row;

// Standard error and exit status of `report` with these arguments.
Finished report(std::vector<std::string> arguments, const fs::path& scratch) {
  arguments.insert(arguments.begin(), report_program());
  return run_program(arguments, scratch);
}

TEST(Refusals, AreOneLineWithAWayOut) {
  const ScratchFolder scratch{fs::path(testing::TempDir())};
  const fs::path folder = scratch.path() / "in";
  fs::create_directory(folder);
  const auto refused = [&](std::vector<std::string> arguments, int status,
                           const std::string& words) {
    const Finished run = report(std::move(arguments), scratch.path());
    EXPECT_EQ(run.status, status) << run.errors;
    EXPECT_TRUE(contains(run.errors, words)) << run.errors;
    EXPECT_EQ(count(run.errors, "\n"), 1) << run.errors;
  };
  write_file(folder / "index.html", "the good old page");
  refused({"--in", folder.string()}, 1, "runs.jsonl does not exist; `build/bin/bench`");
  refused({"--nonsense"}, 2, "--nonsense");
  write_rows(folder / "runs.jsonl", {});
  refused({"--in", folder.string()}, 1, "none of its 0 rows is ok");
  Row failed = sample_row("ddp", "mlp", 2, 5);
  failed.status = "error";
  failed.message = "it disagrees";
  write_rows(folder / "runs.jsonl", {failed});
  refused({"--in", folder.string()}, 1, "the first says: it disagrees");
  write_file(folder / "runs.jsonl", "{\"schema\": 7}\n");
  refused({"--in", folder.string()}, 1, "runs.jsonl:1: schema 7 is unknown");
  write_rows(folder / "runs.jsonl", {sample_row("single", "mlp", 1, 5)});
  refused({"--in", folder.string(), "--out", (folder / "runs.jsonl").string()}, 1,
          "runs.jsonl: cannot write there");
  refused({folder.string()}, 2, "1 run is named; name two");
  refused({folder.string(), folder.string(), "--collectives", "c.jsonl"}, 2,
          "--collectives c.jsonl: two runs");
  refused({folder.string(), (folder / "none.jsonl").string()}, 1,
          "none.jsonl does not exist");
  write_file(folder / "collectives.jsonl", "{\"schema\": 1}\n");
  refused({"--in", folder.string()}, 1, "collectives.jsonl:1");
  fs::remove(folder / "collectives.jsonl");
  const std::string python = std::getenv("LOCKSTEP_PYTHON");
  setenv("LOCKSTEP_PYTHON", "/nowhere/python", 1);
  refused({"--in", folder.string()}, 1, "/nowhere/python: the Python that draws");
  setenv("LOCKSTEP_PYTHON", "/bin/false", 1);
  refused({"--in", folder.string()}, 1, "/bin/false could not draw the charts");
  setenv("LOCKSTEP_PYTHON", python.c_str(), 1);
  EXPECT_EQ(read_file(folder / "index.html"), "the good old page");
  EXPECT_FALSE(fs::exists(folder / "charts"));
}

}  // namespace
}  // namespace lockstep::reports
