// The page of 2,000 rows: how large it is, and how soon it is open. Prints what it
// measured; the limit on time is generous, for a busy machine.
#include <gtest/gtest.h>

#include <iostream>

#include "reports/test_page.h"

namespace lockstep::reports {
namespace {

TEST(OpenTime, OfALargeSweep) {
  const ScratchFolder scratch{std::filesystem::path(testing::TempDir())};
  write_rows(scratch.path() / "runs.jsonl", rows::large_sweep());
  const Finished made =
      run_program({report_program(), "--in", scratch.path().string()}, scratch.path());
  ASSERT_EQ(made.status, 0) << made.errors;
  const auto page = scratch.path() / "index.html";
  EXPECT_LT(std::filesystem::file_size(page), 4'000'000u);
  TestBrowser browser(scratch.path());
  browser.resize(1440);
  double slowest = 0;
  for (int i = 0; i < 5; ++i) {
    browser.open(page);
    browser.draw("throughput");
    const double loaded =
        browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd");
    const double drawn = browser.evaluate(
        "performance.getEntriesByName('drawn throughput')[0].startTime");
    std::cout << "loaded after " << loaded << " ms, first live chart after " << drawn
              << " ms\n";
    slowest = std::max(slowest, std::max(loaded, drawn));
  }
  std::cout << std::filesystem::file_size(page) << " bytes, "
            << browser.evaluate("document.querySelectorAll('*').length") << " nodes\n";
  EXPECT_LT(slowest, 6000);
  EXPECT_LT(browser.evaluate("document.querySelectorAll('*').length"), 20'000);
  EXPECT_EQ(browser.evaluate("document.querySelectorAll('figure[data-drawn]').length < "
                             "document.querySelectorAll('figure').length"),
            true)
      << "what is far down is not drawn yet";
  EXPECT_EQ(browser.evaluate("document.querySelector('details.long').open"), false);
  EXPECT_TRUE(browser.problems().empty()) << browser.problems()[0];
}

}  // namespace
}  // namespace lockstep::reports
