// Draws a figure's live chart in place of its still picture: with figures under the pointer,
// as wide as the page lets it be, of the cases that are chosen. A chart is drawn when it comes
// near the window, so that a long page opens at once; until then the still picture stands.

// The records of what is chosen. One that names no case (a line to compare with, the room above
// a bar) stays where its panel does.
function chosenRecords(chart) {
  const field = chart.spec.facet.field;
  const records = chart.records.filter((record) =>
    record.id !== undefined ? caseIsChosen(record.id)
      : record.backend !== undefined && valueIsChosen("backend", record.backend));
  const panels = new Set(records.map((record) => record[field]));
  const kept = new Set(records);
  return chart.records.filter((record) => kept.has(record) ||
    (record.id === undefined && record.backend === undefined && panels.has(record[field])));
}

// Bars of the memory chart stand in places that were counted for all cases: they move together.
function packed(records) {
  const ends = new Map();
  const shifts = new Map();
  for (const record of records.filter((each) => each.kind === "case")) {
    const left = record.left - 0.08;
    const begin = ends.get(record.model) || 0;
    shifts.set(record.id, begin - left);
    ends.set(record.model, begin + record.right + 0.08 - left + 0.9);
  }
  return records.map((record) => {
    if (record.kind === "headroom") return { ...record, right: (ends.get(record.model) || 0.9) - 0.45 };
    const shift = shifts.get(record.id) || 0;
    const moved = { ...record };
    for (const field of ["left", "right", "middle"]) {
      if (moved[field] !== undefined) moved[field] += shift;
    }
    return moved;
  });
}

// Legends name what is shown, in the colours it has when all is.
function presentOnly(node, records) {
  if (node === null || typeof node !== "object") return;
  if (node.field && node.scale && node.scale.domain && node.scale.range) {
    const present = new Set(records.map((record) => record[node.field]));
    const kept = node.scale.domain.map((name, i) => [name, node.scale.range[i]]).filter(([name]) => present.has(name));
    node.scale = { ...node.scale, domain: kept.map(([name]) => name), range: kept.map(([, colour]) => colour) };
  }
  Object.values(node).forEach((child) => presentOnly(child, records));
}

// One legend below the other, each in as many columns as its names leave room for.
function narrowLegends(spec, room) {
  spec.config.legend.layout.top.direction = "vertical";
  const visit = (node) => {
    if (node === null || typeof node !== "object") return;
    if (node.legend !== null && node.field && (node.scale && node.scale.domain || node.legend)) {
      const names = (node.scale && node.scale.domain) || [];
      const longest = Math.max(8, ...names.map((name) => name.length));
      node.legend = { ...node.legend, columns: longest * 6.6 + 44 > room / 2 ? 1 : 2 };
    }
    Object.values(node).forEach(visit);
  };
  visit(spec.spec);
}

function fewerTicks(node) {
  for (const layer of [node, ...(node.layer || [])]) {
    const x = layer.encoding && layer.encoding.x;
    if (x && x.axis && x.axis.tickCount) x.axis.tickCount = 4;
  }
}

// Words stand in bars that have room for them.
function labelledWhereWide(records, width) {
  const ends = new Map();
  for (const record of records) ends.set(record.panel, Math.max(ends.get(record.panel) || 0, record.to_ms));
  return records.map((record) =>
    record.ms / ends.get(record.panel) * width > record.label.length * 6 + 4 ? record : { ...record, label: "" });
}

// Columns and widths for so many pixels. Names of cases stand left of their bars.
function fitted(spec, records, room) {
  const narrow = room < 640;
  presentOnly(spec.spec, records);
  const panels = new Set(records.map((record) => record[spec.facet.field])).size;
  const names = spec.spec.encoding && spec.spec.encoding.y;
  let beside = 76;
  if (names && names.type === "nominal") {
    const longest = Math.max(...records.map((record) => String(record[names.field] || "").length));
    beside = Math.min(longest * 6.6 + 34, narrow ? 135 : 290);
    if (narrow) {
      names.axis.labelLimit = 108;
      names.axis.labelExpr = names.field === "lane" ? "replace(datum.label, 'communication', 'comm.')"
        : "split(datum.label, ' · ')";
    }
  }
  const columns = narrow || spec.columns === 1 || panels < 2 ? 1 : 2;
  const width = Math.floor((room - 44 * (columns - 1)) / columns - beside - 14);
  spec.columns = columns;
  if (spec.data.name === "memory") {
    const last = records.filter((record) => record.kind === "headroom")
      .reduce((most, record) => Math.max(most, record.right), 0);
    const most = Math.max(room - beside, 30 * last);
    spec.spec.width = Math.round(Math.min(36 * Math.max(last, 7), most));
  } else if (spec.data.name === "timeline") {
    spec.spec.width = Math.max(width, 700);
  } else {
    spec.spec.width = Math.max(width, 150);
  }
  if (narrow) {
    narrowLegends(spec, room - beside);
    fewerTicks(spec.spec);
    if (spec.facet.field === "panel") {
      spec.facet.header = { labelExpr: "split(datum.label, ' · ')", labelLimit: room - 20 };
    }
    spec.config.header.labelLimit = room - 20;
    spec.config.facet.spacing = 30;
  }
  return spec;
}

// One drawing at a time a chart: what was asked for last is what stands in the end.
function draw(chart) {
  chart.wanted = (chart.wanted || 0) + 1;
  const turn = chart.wanted;
  chart.figure.dataset.drawn = "drawing";
  const scroll = chart.figure.querySelector(".scroll");
  let records = chosenRecords(chart);
  chart.shown = records;
  if (records.length === 0) {
    if (chart.view) chart.view.finalize();
    chart.view = null;
    const words = document.createElement("p");
    words.className = "none";
    words.textContent = "Nothing of what is chosen was measured for this.";
    scroll.replaceChildren(words);
    chart.figure.dataset.drawn = "none";
    return Promise.resolve();
  }
  if (chart.name === "memory") records = packed(records);
  const spec = fitted(JSON.parse(chart.text), records, scroll.clientWidth);
  if (chart.name === "lanes") records = labelledWhereWide(records, spec.spec.width);
  spec.datasets = { [chart.name]: records };
  const live = document.createElement("div");
  live.className = "live";
  return vegaEmbed(live, spec, {
    renderer: "svg",
    ast: true, // the interpreter: the page's policy allows no code made from text
    actions: false,
    tooltip: { theme: "page" },
  }).then((result) => {
    if (turn !== chart.wanted) return result.finalize();
    if (chart.view) chart.view.finalize();
    chart.view = result.view;
    scroll.replaceChildren(live);
    chart.figure.dataset.drawn = "yes";
    performance.mark("drawn " + chart.name);
    // What is wider than the page can be reached by the keyboard.
    const wide = scroll.scrollWidth > scroll.clientWidth + 1;
    if (wide) scroll.tabIndex = 0;
    else scroll.removeAttribute("tabindex");
  }).catch((error) => {
    chart.figure.dataset.drawn = "no";
    console.error("chart " + chart.name + ": " + error);
  });
}

function readChart(figure) {
  const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const name = figure.dataset.chart;
  const records = spec.datasets[name];
  delete spec.datasets;
  const columns = spec.usermeta.columns;
  return { name, figure, spec, columns, records, text: JSON.stringify(spec), shown: records, near: false };
}

function watch(charts) {
  const byFigure = new Map(charts.map((chart) => [chart.figure, chart]));
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const chart = byFigure.get(entry.target);
      if (!entry.isIntersecting || chart.near) continue;
      chart.near = true;
      observer.unobserve(entry.target);
      draw(chart);
    }
  }, { rootMargin: "400px" });
  for (const chart of charts) observer.observe(chart.figure);
}

function redraw(charts) {
  for (const chart of charts) {
    chart.shown = chosenRecords(chart);
    if (chart.near) draw(chart);
    else chart.figure.dataset.stale = "yes"; // its still picture shows too much
    fillTable(chart);
  }
}
