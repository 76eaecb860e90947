"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plots = [...document.querySelectorAll(".plot")];

  // A figure takes the colours of the page: light, dark, or paper.
  const theme = (layout) => {
    const patch = { "font.color": colour("--text") };
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
      patch[`${key}.gridcolor`] = colour("--line");
      patch[`${key}.linecolor`] = patch[`${key}.tickcolor`] = colour("--muted");
    }
    return patch;
  };
  const paint = (plot) => {
    Plotly.relayout(plot, theme(plot.layout));
    const ink = plot.data.flatMap((trace, i) => (trace.legendgroup === "ink" ? [i] : []));
    if (ink.length) {
      Plotly.restyle(plot, { "error_x.color": colour("--text"), "marker.color": colour("--text") }, ink);
    }
  };

  const draw = async (plot) => {
    const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const narrow = window.matchMedia("(max-width: 600px)").matches;
    // On a narrow page a legend has one line for each of its entries.
    const lines = narrow ? figure.data.filter((trace) => trace.showlegend !== false).length : 0;
    // The element has the height, not the layout: a layout loses it when the page changes its width.
    plot.style.height = `${figure.layout.height + 18 * lines}px`;
    delete figure.layout.height;
    await Plotly.newPlot(plot, figure.data, figure.layout, {
      displaylogo: false,
      displayModeBar: narrow ? false : "hover",
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
      responsive: true,
      showLink: false,
    });
    paint(plot);
    plot.dataset.drawn = "yes";
  };
  plots.forEach(draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(paint));
  window.matchMedia("print").addEventListener("change", (event) => {
    if (event.matches) document.querySelectorAll("details").forEach((part) => { part.open = true; });
    plots.forEach(async (plot) => { await Plotly.Plots.resize(plot); paint(plot); });
  });

  // Tables sort by a click on a heading; what is not measured stays last either way.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!("sort" in cell.dataset)) return cell.textContent.trim();
    return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
  };
  const sort = (heading) => {
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const sign = heading.getAttribute("aria-sort") === "descending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
    for (const [, row] of rows) body.append(row);
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  };
  for (const button of document.querySelectorAll("button.all")) {
    button.addEventListener("click", () => {
      button.parentElement.previousElementSibling.querySelector("table").classList.remove("paged");
      button.parentElement.remove();
    });
  }
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }
})();
