// Draws what the tables of the measures page say. The tables stay: for paper, for readers, and without scripts.
"use strict";

(() => {
  const WIDEST = 640;
  const HEIGHT = 230;
  const NARROW = 74;
  const HOUR = 3600;
  const DAY = 24 * HOUR;
  const WHOLE = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));
  const SPANS = [0.25, 0.5, ...WHOLE];
  const drawn = [];
  let onPaper = false;

  // Colours follow the scheme of the page; on paper they are ink.
  function colour(name, ink) {
    return onPaper ? ink : getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }
  const ink = () => colour("--ink", "#000");
  const quiet = () => colour("--quiet", "#333");
  const line = () => colour("--line", "#bbb");
  const bar = () => colour("--accent", "#555");

  function amounts(block, rows) {
    const number = (text) => (text === undefined ? null : Number(text));
    return [...block.querySelectorAll(rows)].map((row) => ({
      label: row.querySelector("th").textContent.trim(),
      said: row.querySelector("td").firstChild.textContent.trim(),
      amount: number(row.dataset.n),
      beyond: number(row.dataset.m),
    }));
  }

  // Times are counted in hours or days, so that the axis has round numbers.
  function unit(block, found) {
    if (block.dataset.unit !== "s") return { size: 1, words: block.dataset.unit };
    const most = Math.max(...found.map((one) => Math.max(one.amount, one.beyond)));
    return most >= 3 * DAY ? { size: DAY, words: "days" } : { size: HOUR, words: "hours" };
  }

  function wrapped(label) {
    return label.replace(/ (?=\S{3})/g, "\n");
  }

  // What a bar stands for is written above it: nobody has to read it off the axis, or to see its colour.
  function said(found) {
    return (plot) => {
      const { ctx } = plot;
      ctx.save();
      ctx.fillStyle = ink();
      ctx.strokeStyle = colour("--card", "#fff");
      ctx.lineWidth = 4 * devicePixelRatio;
      ctx.lineJoin = "round";
      ctx.textAlign = "center";
      ctx.textBaseline = "bottom";
      ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
      found.forEach((one, at) => {
        if (one.amount === null) return;
        const x = plot.valToPos(at, "x", true);
        const y = plot.valToPos(plot.data[1][at], "y", true) - 5 * devicePixelRatio;
        ctx.strokeText(one.said, x, y);
        ctx.fillText(one.said, x, y);
      });
      ctx.restore();
    };
  }

  const bars = () => [{}, { stroke: bar, fill: bar, width: 0, paths: uPlot.paths.bars({ size: [0.6, 72] }), points: { show: false } }];

  // Told apart by being whole or dashed, not by colour; a period of which there is nothing to say is a gap.
  const lines = () => [
    {},
    { stroke: bar, width: 2, spanGaps: false, points: { show: true, size: 6, fill: bar } },
    { stroke: quiet, width: 1.5, dash: [5, 4], spanGaps: false, points: { show: false } },
  ];

  function options(found, scale, width, series) {
    const slanted = (width - 70) / found.length < NARROW;
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: quiet, font, ticks: { stroke: line, size: 4 } };
    return {
      width,
      height: HEIGHT + (slanted ? 50 : 0),
      padding: [20, 10, 0, slanted ? 45 : 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: [-0.6, found.length - 0.4] },
        y: { range: (plot, least, most) => [0, scale.words === "%" ? 112 : Math.max(most, 1 / scale.size) * 1.15] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          splits: () => found.map((one, at) => at),
          values: () => found.map((one) => (slanted ? one.label : wrapped(one.label))),
          rotate: slanted ? 40 : 0,
          size: slanted ? 100 : 50,
        },
        { ...axis, incrs: scale.size === 1 ? WHOLE : SPANS, grid: { stroke: line, width: 1 }, label: scale.words, labelFont: font, size: 56 },
      ],
      series: series(),
      hooks: { draw: [said(found)] },
    };
  }

  function draw(block, rows, series, columns) {
    const found = amounts(block, rows);
    if (found.filter((one) => one.amount !== null).length < 2) return;
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("aria-hidden", "true");
    block.prepend(place);
    const scale = unit(block, found);
    const width = () => Math.max(240, Math.min(WIDEST, place.clientWidth || block.clientWidth));
    const scaled = (column) => found.map((one) => (one[column] === null ? null : one[column] / scale.size));
    const data = [found.map((one, at) => at), ...columns.map(scaled)];
    const make = () => new uPlot(options(found, scale, width(), series), data, place);
    drawn.push({ plot: make(), at: width(), width, make });
  }

  function again(always) {
    for (const one of drawn) {
      if (!always && one.at === one.width()) continue;
      one.at = one.width();
      one.plot.destroy();
      one.plot = one.make();
    }
  }

  document.querySelectorAll("[data-plot]").forEach((block) => draw(block, "tbody tr[data-n]", bars, ["amount"]));
  document.querySelectorAll("[data-trend]").forEach((block) => draw(block, "tbody tr", lines, ["amount", "beyond"]));
  addEventListener("resize", () => again(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => again(true));
  addEventListener("beforeprint", () => { onPaper = true; again(true); });
  addEventListener("afterprint", () => { onPaper = false; again(true); });
})();
