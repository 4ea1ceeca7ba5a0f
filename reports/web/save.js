// A chart's data, one click away: as CSV, as JSON, as a table below it; and its picture. What
// is saved is what is chosen. Files are made here and handed over as blobs: nothing is fetched.

function dataRows(chart) {
  const fields = chart.columns.map(([field]) => field);
  return chart.shown.filter((record) => fields.every((field) => record[field] !== undefined))
    .map((record) => fields.map((field) => record[field]));
}

// Text that a spreadsheet would take for a formula gets a quote before it.
function csvCell(value) {
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function asCsv(chart) {
  const lines = [chart.columns.map(([, title]) => title), ...dataRows(chart)];
  return lines.map((line) => line.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function asJson(chart) {
  const records = dataRows(chart).map((row) =>
    Object.fromEntries(chart.columns.map(([, title], i) => [title, row[i]])));
  return JSON.stringify(records, null, 1) + "\n";
}

// With the colours of the light page: a file has no style sheet.
function asSvg(chart) {
  const picture = chart.figure.querySelector(".scroll svg");
  if (!picture) return "";
  const copy = picture.cloneNode(true);
  copy.setAttribute("style", "background: #ffffff");
  return new XMLSerializer().serializeToString(copy).replace(/var\(--c-[0-9a-f]{6}, ?(#[0-9a-f]{6})\)/g, "$1");
}

const kKinds = { csv: ["text/csv", asCsv], json: ["application/json", asJson], svg: ["image/svg+xml", asSvg] };

function save(chart, kind) {
  const [type, make] = kKinds[kind];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([make(chart)], { type }));
  link.download = chart.name + "." + kind;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const kMostRows = 500;

function shownText(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}

function fillTable(chart) {
  const details = chart.figure.querySelector(".tools details");
  if (!details.open) return;
  const rows = dataRows(chart);
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const [, title] of chart.columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = title;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows.slice(0, kMostRows)) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = shownText(value);
      if (typeof value === "number") cell.className = "n";
    }
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll data";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "The chart's data");
  scroll.append(table);
  const more = document.createElement("p");
  more.className = "small";
  if (rows.length > kMostRows) more.textContent = `The first ${kMostRows} of ${rows.length}; CSV and JSON have all.`;
  details.replaceChildren(details.querySelector("summary"), scroll, more);
}

function addTools(chart) {
  const tools = chart.figure.querySelector(".tools");
  tools.hidden = false;
  for (const button of tools.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(chart, button.dataset.save));
  }
  tools.querySelector("details").addEventListener("toggle", () => fillTable(chart));
}
