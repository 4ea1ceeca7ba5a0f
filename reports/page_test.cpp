// Runs the program `report` on a made-up sweep and opens its page in a browser that has
// no network: what a reader sees is tested, not what we meant to write.
#include "reports/page.h"

#include <gtest/gtest.h>

#include "reports/test_page.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kCharts = {"throughput", "memory",  "timeline", "phases",
                                          "lanes",      "overlap", "caps",     "busbw",
                                          "predicted",  "losses"};

TEST(Page, EveryChartIsDrawnWithoutANetworkAndWithoutAnError) {
  TestBrowser& browser = SharedPage::get().browser();
  browser.resize(1440);
  browser.look("light");
  browser.open(SharedPage::get().file());
  browser.draw_all();
  const auto drawn = browser.evaluate(
      "Object.fromEntries([...document.querySelectorAll('figure[data-chart]')].map((f) "
      "=> [f.dataset.chart, [f.dataset.drawn, !!f.querySelector('.still'), "
      "f.querySelectorAll('.live svg path').length, "
      "f.querySelector('[role=graphics-document]')?.getAttribute('aria-label')]]))");
  ASSERT_EQ(drawn.size(), kCharts.size()) << drawn;
  for (const std::string& name : kCharts) {
    ASSERT_TRUE(drawn.contains(name)) << name;
    EXPECT_EQ(drawn[name][0], "yes") << name;
    EXPECT_EQ(drawn[name][1], false) << name;
    EXPECT_GE(drawn[name][2], 8) << name;
    EXPECT_TRUE(drawn[name][3].is_string()) << name << " has no words for who is blind";
  }
  EXPECT_TRUE(browser.problems().empty()) << browser.problems()[0];
}

TEST(Page, TheBrowserTestSeesErrorsAndRequests) {
  // The same page with a picture from elsewhere and a script, as a careless change
  // might add them.
  SharedPage& shared = SharedPage::get();
  std::string page = shared.html();
  page.insert(page.find("<main>"),
              "<img src=\"http://example.com/a.png\"><script>alert(1)</script>");
  write_file(shared.folder() / "request.html", page);
  shared.browser().open(shared.folder() / "request.html");
  std::string all;
  for (const std::string& problem : shared.browser().problems()) all += problem;
  EXPECT_TRUE(contains(all, "example.com")) << all;
  EXPECT_TRUE(contains(all, "script-src")) << all;
}

TEST(Page, NamesFromRowsAreText) {
  const std::string page = SharedPage::get().html();
  EXPECT_FALSE(contains(page, "<img src=x"));
  EXPECT_FALSE(contains(page, "<b>at step 4"));
  // The charts' data, the cases and the page's own script.
  EXPECT_EQ(count(page, "</script"), static_cast<int>(kCharts.size()) + 2);
  EXPECT_TRUE(contains(page, "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"));
  // Nor does a name become an element when the script puts it there.
  TestBrowser& browser = SharedPage::get().browser();
  browser.open(SharedPage::get().file());
  browser.draw_all();
  EXPECT_EQ(browser.evaluate("for (const d of document.querySelectorAll('details')) "
                             "d.open = true; document.querySelectorAll('img').length"),
            0);
  EXPECT_TRUE(browser.problems().empty()) << browser.problems()[0];
}

TEST(Page, NothingIsFetched) {
  const std::string page = SharedPage::get().html();
  EXPECT_TRUE(contains(page, "default-src 'none'"));
  EXPECT_FALSE(contains(page, "<script src"));
  EXPECT_FALSE(contains(page, "@import"));
  EXPECT_FALSE(contains(page, "<link rel=\"stylesheet\""));
  EXPECT_FALSE(contains(page, "unsafe-eval"));
}

TEST(Page, TheTableHasFiguresAndWords) {
  const std::string page = SharedPage::get().html();
  EXPECT_TRUE(contains(page, "error: the loss disagrees by 3 % &lt;b&gt;at step 4"));
  EXPECT_TRUE(contains(page, "waived (cannot run here): 4 cards wanted, 2 there"));
  EXPECT_TRUE(contains(page, "▼20.0</b> · 11.0 · 11.0 · 11.0"));
  EXPECT_TRUE(contains(page, "×1.82"));
  EXPECT_TRUE(contains(page, "<td class=\"n\">91 %</td>"));
  EXPECT_TRUE(contains(page, "Emulated cards: 1 thread each, on Example CPU 9000."));
}

TEST(Page, ChartsAreFilesToo) {
  const fs::path folder = SharedPage::get().folder();
  for (const std::string& name : kCharts) {
    const std::string chart = (folder / "charts" / name).string();
    const std::string svg = read_file(chart + ".svg");
    EXPECT_EQ(svg.substr(0, 4), "<svg");
    EXPECT_FALSE(contains(svg, "var(--")) << name << ": a file has no style sheet";
    EXPECT_EQ(read_file(chart + ".png").substr(1, 3), "PNG");
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    EXPECT_FALSE(contains(entry.path().filename().string(), ".report-"));
  }
}

}  // namespace
}  // namespace lockstep::reports
