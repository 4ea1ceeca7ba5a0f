// Replaces each chart's still picture by the live one, which shows figures under the pointer.
// Where this script does not run, the still pictures stay.
(function () {
  "use strict";
  // On a telephone: one model under the other, each as wide as the screen, with a title that
  // breaks into lines. Only the bars of the memory chart keep their width, and scroll.
  function narrow(spec) {
    const letters = Math.floor((window.innerWidth - 75) / 7);
    spec.title.subtitle = spec.title.subtitle.flatMap((line) => {
      const lines = [""];
      for (const word of line.split(" ")) {
        const last = lines[lines.length - 1];
        if (last && last.length + word.length >= letters) lines.push(word);
        else lines[lines.length - 1] = last ? last + " " + word : word;
      }
      return lines;
    });
    spec.config.legend.columns = 3;
    if (spec.facet && spec.data.name !== "memory") {
      spec.columns = 1;
      spec.spec.width = Math.max(180, Math.min(spec.spec.width, window.innerWidth - 220));
    }
  }
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const source = figure.querySelector("script[type='application/json']");
    const spec = JSON.parse(source.textContent);
    if (window.innerWidth < 760) narrow(spec);
    const live = document.createElement("div");
    live.className = "live";
    vegaEmbed(live, spec, {
      renderer: "svg",
      // The interpreter: the page's policy allows no code made from text.
      ast: true,
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: figure.dataset.chart,
    })
      .then(() => {
        figure.querySelector(".still").replaceWith(live);
        figure.dataset.drawn = "yes";
      })
      .catch((error) => {
        figure.dataset.drawn = "no";
        console.error("chart " + figure.dataset.chart + ": " + error);
      });
  }
})();
