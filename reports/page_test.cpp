// Runs the program `report` on a made-up sweep and opens its page in a browser that has
// no network: what a reader sees is tested, not what we meant to write.
#include "reports/page.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "reports/publish.h"
#include "rows/sample_rows.h"

namespace lockstep::reports {
namespace {

using rows::add_sample_timelines;
using rows::sample_row;
using rows::sample_sweep;

namespace fs = std::filesystem;

const char* const kNasty = "</script><img src=x onerror=alert(1)>";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

std::string program() { return std::string(std::getenv("LOCKSTEP_BIN")) + "/report"; }

std::vector<Row> sweep() {
  std::vector<Row> rows = sample_sweep("mlp", 2);
  for (Row& row : rows) {
    if (row.repetition == 0) add_sample_timelines(row);
  }
  for (const Row& row : sample_sweep(kNasty, 30)) rows.push_back(row);
  rows.push_back(sample_row("ddp", "convnet", 2, 5));
  rows.back().status = "error";
  rows.back().message = "the loss disagrees by 3 % <b>at step 4</b>";
  rows.push_back(sample_row("ddp", "convnet", 4, 5));
  rows.back().status = "waived";
  rows.back().message = "4 cards wanted, 2 there";
  return rows;
}

void write_rows(const fs::path& folder, const std::vector<Row>& rows) {
  std::ofstream file(folder / "runs.jsonl");
  for (const Row& row : rows) file << to_json_line(row) << "\n";
}

// One page for all tests: drawing it takes seconds.
class Page : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new ScratchFolder(fs::path(testing::TempDir()));
    write_rows(path(), sweep());
    const Finished made =
        run_program({program(), "--in", path().string()}, folder_->path());
    ASSERT_EQ(made.status, 0) << made.errors;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static fs::path path() { return folder_->path(); }
  static std::string html() { return read_file(path() / "index.html"); }

  static ScratchFolder* folder_;
};

ScratchFolder* Page::folder_ = nullptr;

// The document after its script ran, and what the browser logged.
std::pair<std::string, std::string> open_in_browser(const fs::path& page) {
  std::string browser;
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    const fs::path path = fs::path("/usr/bin") / name;
    if (browser.empty() && fs::exists(path)) browser = path.string();
  }
  if (browser.empty()) {
    throw std::runtime_error("no browser: apt-get install -y chromium");
  }
  const ScratchFolder scratch{fs::path(testing::TempDir())};
  const fs::path document = scratch.path() / "document.html";
  const Finished run =
      run_program({"/bin/sh",
                   "-c",
                   "exec \"$@\" > \"$0\"",
                   document.string(),
                   browser,
                   "--headless=new",
                   "--no-sandbox",
                   "--disable-gpu",
                   "--disable-dev-shm-usage",
                   "--disable-background-networking",
                   "--disable-component-update",
                   "--no-first-run",
                   "--host-resolver-rules=MAP * ~NOTFOUND",
                   "--proxy-server=127.0.0.1:9",
                   "--user-data-dir=" + (scratch.path() / "profile").string(),
                   "--enable-logging=stderr",
                   "--v=0",
                   "--virtual-time-budget=20000",
                   "--dump-dom",
                   "file://" + page.string()},
                  scratch.path());
  EXPECT_EQ(run.status, 0) << run.errors;
  return {read_file(document), run.errors};
}

TEST_F(Page, EveryChartIsDrawnWithoutANetworkAndWithoutAnError) {
  const auto [document, log] = open_in_browser(path() / "index.html");
  for (const char* name : {"throughput", "memory", "timeline", "phases", "losses"}) {
    const size_t start = document.find("data-chart=\"" + std::string(name) + "\"");
    ASSERT_NE(start, std::string::npos) << name;
    const std::string figure =
        document.substr(start, document.find("</figure>", start) - start);
    EXPECT_TRUE(contains(figure.substr(0, 60), "data-drawn=\"yes\"")) << name;
    EXPECT_TRUE(contains(figure, "class=\"live")) << name;
    EXPECT_FALSE(contains(figure, "class=\"still\"")) << name;
    EXPECT_GE(count(figure.substr(figure.find("<svg")), "<path"), 10) << name;
  }
  // Everything a page logs, refused requests and scripts included, is a CONSOLE line.
  EXPECT_FALSE(contains(log, "CONSOLE")) << log;
}

TEST_F(Page, TheBrowserTestSeesErrorsAndRequests) {
  // The same page with a picture from elsewhere, as a careless change might add one.
  std::string page = html();
  page.insert(page.find("<main>"), "<img src=\"http://example.com/a.png\">");
  write_file(path() / "request.html", page);
  const auto [document, log] = open_in_browser(path() / "request.html");
  EXPECT_TRUE(contains(log, "CONSOLE"));
  EXPECT_TRUE(contains(log, "example.com")) << log;
}

TEST_F(Page, NamesFromRowsAreText) {
  const std::string page = html();
  EXPECT_FALSE(contains(page, "<img src=x"));
  EXPECT_FALSE(contains(page, "<b>at step 4"));
  EXPECT_EQ(count(page, "</script"), 6);  // five data sets and the page's own
  EXPECT_TRUE(contains(page, "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"));
}

TEST_F(Page, NothingIsFetched) {
  const std::string page = html();
  EXPECT_TRUE(contains(page, "default-src 'none'"));
  EXPECT_FALSE(contains(page, "<script src"));
  EXPECT_FALSE(contains(page, "@import"));
  EXPECT_FALSE(contains(page, "<link rel=\"stylesheet\""));
}

TEST_F(Page, TheTableHasFiguresAndWords) {
  const std::string page = html();
  EXPECT_TRUE(contains(page, "error: the loss disagrees by 3 % &lt;b&gt;at step 4"));
  EXPECT_TRUE(contains(page, "waived (cannot run here): 4 cards wanted, 2 there"));
  EXPECT_TRUE(contains(page, "▼20.0</b> · 11.0 · 11.0 · 11.0"));
  EXPECT_TRUE(contains(page, "×1.82"));
  EXPECT_TRUE(contains(page, "<td class=\"n\">91 %</td>"));
  EXPECT_TRUE(contains(page, "Emulated cards: 1 thread each, on Example CPU 9000."));
}

TEST_F(Page, ChartsAreFilesToo) {
  for (const char* name : {"throughput", "memory", "timeline", "phases", "losses"}) {
    const fs::path chart = path() / "charts" / name;
    EXPECT_EQ(read_file(chart.string() + ".svg").substr(0, 4), "<svg");
    EXPECT_EQ(read_file(chart.string() + ".png").substr(1, 3), "PNG");
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(path())) {
    EXPECT_FALSE(contains(entry.path().filename().string(), ".report-"));
  }
}

// Standard error and exit status of `report` with these arguments.
Finished report(std::vector<std::string> arguments, const fs::path& scratch) {
  arguments.insert(arguments.begin(), program());
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
  write_rows(folder, {});
  refused({"--in", folder.string()}, 1, "none of its 0 rows is ok");
  Row failed = sample_row("ddp", "mlp", 2, 5);
  failed.status = "error";
  failed.message = "it disagrees";
  write_rows(folder, {failed});
  refused({"--in", folder.string()}, 1, "the first says: it disagrees");
  write_file(folder / "runs.jsonl", "{\"schema\": 7}\n");
  refused({"--in", folder.string()}, 1, "runs.jsonl:1: schema 7 is unknown");
  write_rows(folder, {sample_row("single", "mlp", 1, 5)});
  refused({"--in", folder.string(), "--out", (folder / "runs.jsonl").string()}, 1,
          "runs.jsonl: cannot write there");
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
