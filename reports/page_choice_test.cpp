// What a reader does with the page: filters, the address that keeps them, light and
// dark, files to save, tables to open.
#include <gtest/gtest.h>

#include "reports/test_page.h"

namespace lockstep::reports {
namespace {

class Choice : public testing::Test {
 protected:
  void open(const std::string& address = "") {
    browser().resize(1440);
    browser().look("light");
    browser().open(SharedPage::get().file(), address);
  }
  static TestBrowser& browser() { return SharedPage::get().browser(); }

  // Ticks a box, or takes its tick, as a click does.
  void click(const std::string& list, const std::string& value) {
    browser().evaluate(
        "for (const box of document.querySelectorAll('#filters input')) { if (box.name "
        "=== '" +
        list + "' && box.value === '" + value + "') box.click(); }");
    browser().settle();
  }
  nlohmann::json visible_rows() {
    return browser().evaluate(
        "[...document.querySelectorAll('tr[data-id]')].filter((r) => "
        "!r.hidden).map((r) "
        "=> r.children[0].textContent + ' ' + r.children[1].textContent.split(' "
        "')[0])");
  }
  // The words that stand in a chart.
  std::string words_in(const std::string& chart) {
    browser().draw(chart);
    return browser().evaluate(
        "[...document.querySelectorAll('figure[data-chart=" + chart +
        "] svg text')].map((t) => t.textContent).join('|')");
  }
  std::string hash() { return browser().evaluate("location.hash"); }
  void TearDown() override {
    EXPECT_TRUE(browser().problems().empty()) << browser().problems()[0];
  }
};

TEST_F(Choice, AModelLeftOutLeavesChartsTableAndWords) {
  open();
  EXPECT_TRUE(contains(words_in("throughput"), "mlp"));
  const size_t all = visible_rows().size();
  browser().evaluate("document.getElementById('filters').open = true");
  click("model", "mlp");
  EXPECT_FALSE(contains(words_in("throughput"), "mlp")) << words_in("throughput");
  EXPECT_TRUE(contains(words_in("throughput"), "img src"));
  EXPECT_FALSE(contains(words_in("memory"), "mlp"));
  EXPECT_LT(visible_rows().size(), all);
  EXPECT_FALSE(contains(visible_rows().dump(), "mlp"));
  EXPECT_EQ(browser().evaluate("document.querySelector('[data-model=mlp]').hidden"),
            true);
  EXPECT_EQ(
      browser().evaluate("document.querySelector('#filters summary').textContent"),
      "Filter: 2 of 3 models");
  browser().draw("lanes");
  // Only one model has its steps recorded: the chart says that there is nothing.
  EXPECT_EQ(browser().evaluate("document.querySelector('figure[data-chart=lanes]')"
                               ".dataset.drawn"),
            "none");
  click("model", "mlp");
  EXPECT_EQ(hash(), "");
  EXPECT_TRUE(contains(words_in("lanes"), "mlp"));
}

TEST_F(Choice, ModesAndBackendsFilterToo) {
  open();
  click("mode", "dp");
  EXPECT_FALSE(contains(words_in("phases"), "dp · 4") &&
               !contains(words_in("phases"), "ddp · 4"));
  for (const auto& row : visible_rows()) EXPECT_NE(row, "mlp dp");
  EXPECT_TRUE(contains(words_in("busbw"), "tcp"));
  click("backend", "tcp");
  EXPECT_FALSE(contains(words_in("busbw"), "tcp")) << words_in("busbw");
  EXPECT_TRUE(contains(words_in("busbw"), "shm"));
  EXPECT_TRUE(contains(visible_rows().dump(), "single"))
      << "a single card has no backend to be left out for";
}

TEST_F(Choice, TheAddressKeepsIt) {
  open("#model=mlp&mode=ddp&mode=single&theme=dark");
  for (const auto& row : visible_rows()) {
    EXPECT_TRUE(row == "mlp ddp" || row == "mlp single") << row;
  }
  EXPECT_FALSE(contains(words_in("memory"), "gathered"));
  EXPECT_EQ(browser().evaluate("document.documentElement.dataset.theme"), "dark");
  EXPECT_EQ(
      browser().evaluate("[...document.querySelectorAll('#filters input')].filter("
                         "(b) => b.name === 'model' && b.checked).length"),
      1);
  click("mode", "dp");
  EXPECT_EQ(hash(), "#model=mlp&theme=dark");
  browser().evaluate("document.getElementById('all').click()");
  EXPECT_EQ(hash(), "#theme=dark");
  // A name that is none does not leave an empty page.
  open("#model=%3Cimg%20src%3Dx%3E&theme=%22%3E");
  EXPECT_GT(visible_rows().size(), 10u);
}

TEST_F(Choice, TheButtonTurnsLightAndDark) {
  const std::string background = "getComputedStyle(document.body).backgroundColor";
  open();
  const auto light = browser().evaluate(background);
  browser().evaluate("document.getElementById('theme').click()");
  const auto dark = browser().evaluate(background);
  EXPECT_NE(light, dark);
  EXPECT_EQ(hash(), "#theme=dark");
  browser().look("dark");
  browser().evaluate("document.getElementById('theme').click()");
  EXPECT_EQ(browser().evaluate(background), light);
  browser().look("dark", "print");
  EXPECT_EQ(browser().evaluate("getComputedStyle(document.body).colorScheme"), "light");
  open();
  browser().look("dark");
  EXPECT_EQ(browser().evaluate(background), dark) << "as the system has it";
}

TEST_F(Choice, DataIsSavedAsItIsChosen) {
  open("#mode=ddp");
  const auto folder = SharedPage::get().folder() / "saved";
  std::filesystem::create_directory(folder);
  browser().call("Page.setDownloadBehavior",
                 {{"behavior", "allow"}, {"downloadPath", folder.string()}});
  browser().draw("throughput");
  for (const std::string kind : {"csv", "json", "svg"}) {
    browser().evaluate(
        "document.querySelector('figure[data-chart=throughput] [data-save=" + kind +
        "]').click()");
  }
  const auto saved = [&](const std::string& kind) {
    const auto file = folder / ("throughput." + kind);
    for (int i = 0; i < 200 && !std::filesystem::exists(file); ++i) usleep(25'000);
    return read_file(file);
  };
  const std::string csv = saved("csv");
  EXPECT_TRUE(contains(csv, "model,mode,cards,\"samples/s, median\"")) << csv;
  EXPECT_TRUE(contains(csv, "\r\nmlp,ddp")) << csv;
  EXPECT_FALSE(contains(csv, ",dp,")) << "mode dp is not chosen\n" << csv;
  const auto records = nlohmann::json::parse(saved("json"));
  EXPECT_EQ(static_cast<int>(records.size()), count(csv, "\r\n") - 1);
  EXPECT_EQ(records[0]["model"], "mlp");
  const std::string svg = saved("svg");
  EXPECT_TRUE(contains(svg, "<svg"));
  EXPECT_FALSE(contains(svg, "var(--"));
  std::filesystem::remove_all(folder);
}

TEST_F(Choice, ATableShowsWhatTheChartShows) {
  open();
  const auto lines = [&] {
    return browser().evaluate(
        "new Promise((done) => { const d = document.querySelector("
        "'figure[data-chart=caps] .tools details'); d.open = true; setTimeout(() => "
        "done([...d.querySelectorAll('tbody tr')].map((r) => r.textContent)), 100); "
        "})");
  };
  EXPECT_EQ(lines().size(), 4u) << lines();
  click("backend", "gloo");
  EXPECT_EQ(lines().size(), 2u) << lines();
  EXPECT_FALSE(contains(lines().dump(), "gloo"));
}

}  // namespace
}  // namespace lockstep::reports
