// The filters: which models, modes and backends are shown, in charts and tables alike. The
// choice stands in the address (#model=mlp&backend=shm), so that it can be kept and sent; a
// list of which all is chosen is not mentioned there.

const kChoices = ["model", "mode", "backend"];

function caseIsChosen(id) {
  return kChoices.every((name) => valueIsChosen(name, page.cases[id][name]));
}

// What has no backend, a single card, is not chosen by one.
function valueIsChosen(name, value) {
  const chosen = page.chosen[name];
  return !value || chosen === null || chosen.has(value);
}

function readChoice() {
  const address = new URLSearchParams(location.hash.slice(1));
  for (const name of kChoices) {
    const values = address.getAll(name).filter((value) => page.values[name].includes(value));
    page.chosen[name] = values.length > 0 ? new Set(values) : null;
  }
  page.theme = address.get("theme");
}

function writeChoice() {
  const address = new URLSearchParams();
  for (const name of kChoices) {
    for (const value of page.chosen[name] || []) address.append(name, value);
  }
  if (page.theme) address.set("theme", page.theme);
  const hash = address.toString();
  history.replaceState(null, "", hash ? "#" + hash : location.href.split("#")[0]);
}

function applyChoice() {
  for (const row of document.querySelectorAll("[data-id]")) {
    row.hidden = !caseIsChosen(Number(row.dataset.id));
  }
  for (const card of document.querySelectorAll("[data-model]")) {
    card.hidden = !valueIsChosen("model", card.dataset.model);
  }
  for (const box of document.querySelectorAll("#filters input")) {
    const chosen = page.chosen[box.name];
    box.checked = chosen === null || chosen.has(box.value);
  }
  const parts = kChoices.filter((name) => page.chosen[name] !== null)
    .map((name) => page.chosen[name].size + " of " + page.values[name].length + " " + name + "s");
  document.querySelector("#filters summary").textContent =
    "Filter: " + (parts.length > 0 ? parts.join(", ") : "everything is shown");
  redraw(page.charts);
}

// None chosen would show nothing: the last box of a list stays.
function choose(event) {
  const box = event.target;
  const boxes = [...document.querySelectorAll("#filters input")].filter((each) => each.name === box.name);
  const checked = boxes.filter((each) => each.checked).map((each) => each.value);
  page.chosen[box.name] = checked.length === boxes.length || checked.length === 0 ? null : new Set(checked);
  writeChoice();
  applyChoice();
}

function addFilters() {
  const form = document.querySelector("#filters form");
  for (const name of kChoices) {
    if (page.values[name].length < 2) continue;
    const list = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = name[0].toUpperCase() + name.slice(1);
    list.append(legend);
    for (const value of page.values[name]) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", name, value, checked: true });
      label.append(box, " " + value);
      list.append(label);
    }
    form.append(list);
  }
  const all = document.createElement("button");
  Object.assign(all, { type: "button", textContent: "Show everything", id: "all" });
  all.addEventListener("click", () => {
    for (const name of kChoices) page.chosen[name] = null;
    writeChoice();
    applyChoice();
  });
  form.append(all);
  form.addEventListener("change", choose);
  document.getElementById("filters").hidden = form.querySelector("fieldset") === null;
}
