// The page comes to life. Without this script it is whole, too: still pictures, tables, words.

const page = { cases: [], charts: [], values: {}, chosen: {}, theme: null };

// Of all warnings these two alone are known to say nothing, and kept quiet: Vega-Lite cannot
// know that layers of one panel name the same cases; a layer may have no record at all.
const kKnownWarnings = ["Detected faceted independent scales", "Infinite extent for field"];

function hushKnownWarnings() {
  const warn = console.warn;
  const known = (word) => kKnownWarnings.some((begin) => String(word).startsWith(begin));
  console.warn = (...words) => {
    if (!words.some(known)) warn(...words);
  };
}

function start() {
  hushKnownWarnings();
  page.cases = JSON.parse(document.getElementById("cases").textContent);
  page.charts = [...document.querySelectorAll("figure[data-chart]")].map(readChart);
  const backends = page.charts.flatMap((chart) => chart.records)
    .filter((record) => record.id === undefined && record.backend !== undefined);
  for (const name of ["model", "mode", "backend"]) {
    const all = [...page.cases, ...(name === "backend" ? backends : [])].map((each) => each[name]);
    page.values[name] = [...new Set(all)].filter(Boolean);
  }
  readChoice();
  addFilters();
  addTheme();
  applyTheme();
  page.charts.forEach(addTools);
  document.querySelector(".bar").hidden = false;
  document.documentElement.dataset.script = "yes";
  applyChoice();
  watch(page.charts);
  addEventListener("hashchange", () => {
    readChoice();
    applyTheme();
    applyChoice();
  });
  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => redraw(page.charts), 150);
  });
  // What is closed is not printed.
  addEventListener("beforeprint", () => {
    for (const table of document.querySelectorAll("details.long")) table.open = true;
  });
}

// Functions and constants of the other files stand before or after this one.
queueMicrotask(start);
