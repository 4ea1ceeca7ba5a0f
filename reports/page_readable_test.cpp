// Whether everybody can read the page: on a telephone and a wide screen, light and
// dark, on paper, by ear and by keyboard.
#include <gtest/gtest.h>

#include "reports/test_page.h"

namespace lockstep::reports {
namespace {

// Every text whose colour is too near to what lies behind it, by WCAG's formula. Behind
// a chart's text lies the last bar drawn below it, or else the panel.
const char* const kContrast = R"((() => {
  const parse = (text) => {
    const n = text.match(/[\d.]+/g).map(Number);
    return { rgb: n.slice(0, 3), alpha: n.length > 3 ? n[3] : 1 };
  };
  const light = (rgb) => rgb.map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.alpha === 1) return colour.rgb;
    }
    return [255, 255, 255];
  };
  const below = (text, bars) => {
    const box = text.getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    let found = null;
    for (const [bar, at] of bars) {
      if (!(bar.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) break;
      if (at.left <= x && x <= at.right && at.top <= y && y <= at.bottom) found = bar;
    }
    return found ? parse(getComputedStyle(found).fill).rgb : behind(text.ownerSVGElement);
  };
  const poor = [];
  const judge = (words, colour, ground) => {
    const r = ratio(colour, ground);
    if (r < 4.5) poor.push(words.trim().slice(0, 40) + ': ' + r.toFixed(2));
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest('svg, script, style') || e.getClientRects().length === 0) continue;
    judge(node.data, parse(getComputedStyle(e).color).rgb, behind(e));
  }
  for (const svg of document.querySelectorAll('.live svg')) {
    const bars = [...svg.querySelectorAll('.mark-rect.role-mark path')]
      .filter((p) => !['none', 'transparent'].includes(getComputedStyle(p).fill)).map((p) => [p, p.getBoundingClientRect()]);
    for (const text of svg.querySelectorAll('text')) {
      if (!text.textContent.trim() || getComputedStyle(text).opacity === '0') continue;
      judge(text.textContent, parse(getComputedStyle(text).fill).rgb, below(text, bars));
    }
  }
  return [...new Set(poor)];
})())";

class Readable : public testing::TestWithParam<std::tuple<int, std::string>> {};

TEST_P(Readable, TextStandsOutAndNothingIsWiderThanTheWindow) {
  const auto [width, scheme] = GetParam();
  TestBrowser& browser = SharedPage::get().browser();
  browser.resize(width);
  browser.look(scheme);
  browser.open(SharedPage::get().file());
  browser.draw_all();
  browser.evaluate(
      "for (const d of document.querySelectorAll('details')) d.open = true;"
      "new Promise((r) => setTimeout(r, 200))");
  EXPECT_EQ(browser.evaluate(kContrast), nlohmann::json::array());
  EXPECT_LE(browser.evaluate("document.documentElement.scrollWidth"), width);
  // Whatever reaches out of the window does so inside of something that scrolls.
  EXPECT_EQ(browser.evaluate(
                "[...document.querySelectorAll('body *')].filter((e) => "
                "e.getBoundingClientRect().right > innerWidth + 1 && "
                "!e.closest('.scroll') && e.getClientRects().length > 0).map((e) => "
                "e.outerHTML.slice(0, 80))"),
            nlohmann::json::array());
  EXPECT_TRUE(browser.problems().empty()) << browser.problems()[0];
}

INSTANTIATE_TEST_SUITE_P(Page, Readable,
                         testing::Combine(testing::Values(390, 1440),
                                          testing::Values("light", "dark")),
                         [](const auto& each) {
                           return std::get<1>(each.param) +
                                  std::to_string(std::get<0>(each.param));
                         });

TEST(ReadableByEar, HeadingsLabelsAndLanguage) {
  TestBrowser& browser = SharedPage::get().browser();
  browser.resize(1440);
  browser.look("light");
  browser.open(SharedPage::get().file());
  browser.draw_all();
  EXPECT_EQ(browser.evaluate("document.documentElement.lang"), "en");
  const auto levels = browser.evaluate(
      "[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => "
      "Number(h.tagName[1]))");
  EXPECT_EQ(levels[0], 1);
  for (size_t i = 1; i < levels.size(); ++i) {
    EXPECT_GE(levels[i], 2);
    EXPECT_LE(levels[i].get<int>(), levels[i - 1].get<int>() + 1) << levels;
  }
  EXPECT_GE(browser.evaluate("document.querySelectorAll('#filters input').length"), 6);
  // Every control has a name, every list of them a legend.
  EXPECT_EQ(browser.evaluate(
                "[...document.querySelectorAll('input, button, select')].filter((c) => "
                "!(c.labels && c.labels.length && c.labels[0].textContent.trim()) && "
                "!c.getAttribute('aria-label') && !c.textContent.trim()).length"),
            0);
  EXPECT_EQ(browser.evaluate("[...document.querySelectorAll('fieldset')].every((f) => "
                             "f.querySelector('legend').textContent)"),
            true);
  // Every chart has a title and a description, every wide one a place for the keyboard.
  EXPECT_EQ(
      browser.evaluate(
          "[...document.querySelectorAll('figure')].filter((f) => "
          "!document.getElementById(f.getAttribute('aria-labelledby')).textContent "
          "|| "
          "!f.querySelector('[role=graphics-document]').getAttribute('aria-label'))."
          "length"),
      0);
  EXPECT_EQ(
      browser.evaluate("[...document.querySelectorAll('figure .scroll')].filter((s) => "
                       "s.scrollWidth > s.clientWidth + 1 && s.tabIndex !== 0).length"),
      0);
}

TEST(ReadableOnPaper, IsLightWithoutControlsAndUncut) {
  TestBrowser& browser = SharedPage::get().browser();
  browser.resize(794);  // A4 at 96 pixels an inch
  browser.look("dark");
  browser.open(SharedPage::get().file());
  browser.draw_all();
  browser.look("dark", "print");
  EXPECT_EQ(browser.evaluate("getComputedStyle(document.body).backgroundColor"),
            "rgb(255, 255, 255)");
  EXPECT_EQ(
      browser.evaluate("[...document.querySelectorAll('.bar, .tools')].filter((e) "
                       "=> e.getClientRects().length > 0).length"),
      0);
  EXPECT_EQ(
      browser.evaluate("[...document.querySelectorAll('figure svg')].filter((s) => "
                       "s.getBoundingClientRect().right > innerWidth).length"),
      0);
  EXPECT_EQ(browser.evaluate(kContrast), nlohmann::json::array());
  browser.look("light");
}

}  // namespace
}  // namespace lockstep::reports
