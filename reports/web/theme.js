// Light or dark: as the reader's system has it, until the button says otherwise.

function isDark() {
  if (page.theme) return page.theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function applyTheme() {
  if (page.theme === "dark" || page.theme === "light") document.documentElement.dataset.theme = page.theme;
  else delete document.documentElement.dataset.theme;
  document.getElementById("theme").textContent = isDark() ? "Light page" : "Dark page";
}

function addTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    page.theme = isDark() ? "light" : "dark";
    writeChoice();
    applyTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
}
