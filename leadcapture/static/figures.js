// Draws each chart from the table below it, so that both say the same. Colours are the tokens of
// the stylesheet; each series has a pattern too, so that nobody needs to tell colours apart.
"use strict";

(() => {
  const HEIGHT = 240;
  const TILE = 8;
  const PATTERNS = [
    () => {},
    (pen) => { pen.moveTo(-2, 2); pen.lineTo(2, -2); pen.moveTo(0, 8); pen.lineTo(8, 0); pen.moveTo(6, 10); pen.lineTo(10, 6); },
    (pen) => { pen.rect(1, 1, 2, 2); pen.rect(5, 5, 2, 2); },
    (pen) => { pen.moveTo(0, 2); pen.lineTo(8, 2); pen.moveTo(0, 6); pen.lineTo(8, 6); },
    (pen) => { pen.moveTo(2, 0); pen.lineTo(2, 8); pen.moveTo(6, 0); pen.lineTo(6, 8); },
    (pen) => { pen.moveTo(0, 0); pen.lineTo(8, 8); pen.moveTo(8, 0); pen.lineTo(0, 8); },
  ];

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const tile = (number) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = TILE;
    const pen = canvas.getContext("2d");
    pen.fillStyle = token(`--plot-${number + 1}`);
    pen.fillRect(0, 0, TILE, TILE);
    pen.strokeStyle = token("--panel");
    pen.lineWidth = 1.5;
    pen.beginPath();
    PATTERNS[number](pen);
    pen.stroke();
    return canvas;
  };

  const read = (table) => ({
    names: [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent.trim()),
    labels: [...table.tBodies[0].rows].map((row) => row.cells[0].dataset.label),
    columns: [...table.tHead.rows[0].cells].slice(1).map((_, at) =>
      [...table.tBodies[0].rows].map((row) => {
        const value = row.cells[at + 1].dataset.value;
        return value === undefined ? null : Number(value);
      })),
  });

  // A number of minutes as the tables say it: 45 min, 2 hr 5 min, 76 hr.
  const lengthOf = (number, { minutes, hours }) => {
    const whole = Math.floor(number / 60);
    const told = whole ? [hours.replace("{}", whole)] : [];
    if (number % 60 || !whole) told.push(minutes.replace("{}", number % 60));
    return told.join(" ");
  };

  const axes = (labels, units, most) => {
    // From two hours on, each line of the chart is a full hour.
    const isLong = units.minutes && most >= 120;
    const say = (value) => {
      if (!units.minutes || !value) return value;
      return isLong ? lengthOf(value, units) : units.minutes.replace("{}", value);
    };
    const shared = {
      stroke: token("--muted"),
      font: `12px ${token("--sans")}`,
      ticks: { show: false },
    };
    return [
      {
        ...shared,
        grid: { show: false },
        space: 56,
        incrs: [1, 2, 3, 4, 7, 14, 28, 56, 112],
        values: (_, splits) => splits.map((at) => labels[at] ?? ""),
      },
      {
        ...shared,
        // "1000 hr" must stand there whole: without its first digit it would say something else.
        size: units.minutes ? 76 : 56,
        grid: { stroke: token("--hair"), width: 1 },
        incrs: isLong
          ? [60, 120, 240, 480, 720, 1440, 2880, 7200, 14400, 28800]
          : [1, 2, 5, 10, 20, 30, 60, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000],
        values: (_, splits) => splits.map(say),
      },
    ];
  };

  const legend = {
    markers: {
      fill: (plot, at) => plot.series[at].marker,
      width: 0,
    },
  };

  const said = (values, units) => (_plot, _raw, _series, at) => {
    if (at === null || at === undefined) return "";
    const value = values[at];
    return value === null ? "–" : units.minutes ? lengthOf(value, units) : value;
  };

  // Each series stands on those before it; the highest is drawn first, behind the others.
  const stack = ({ names, labels, columns }) => {
    const sums = labels.map(() => 0);
    const tops = columns.map((values) => values.map((value, at) => (sums[at] += value ?? 0)));
    const series = names.map((name, number) => {
      const canvas = tile(number);
      return {
        label: name,
        paths: uPlot.paths.bars({ size: [0.75, 40] }),
        points: { show: false },
        fill: (plot) => plot.ctx.createPattern(canvas, "repeat"),
        marker: `url(${canvas.toDataURL()})`,
        value: said(columns[number], {}),
      };
    });
    return { tops: tops.reverse(), series: series.reverse() };
  };

  const responses = ({ names, columns }, units) => {
    // Of the table's columns: median and 90 %.
    const [, median, most] = columns;
    const canvas = tile(0);
    const ink = token("--plot-2");
    return {
      tops: [median, most],
      series: [
        {
          label: names[1],
          paths: uPlot.paths.bars({ size: [0.6, 40] }),
          points: { show: false },
          fill: (plot) => plot.ctx.createPattern(canvas, "repeat"),
          marker: `url(${canvas.toDataURL()})`,
          value: said(median, units),
        },
        {
          label: names[2],
          stroke: ink,
          width: 2,
          dash: [6, 4],
          points: { show: true, size: 7, stroke: ink, fill: token("--panel") },
          marker: ink,
          value: said(most, units),
        },
      ],
    };
  };

  const draw = (box) => {
    const table = document.querySelector(`[data-series="${box.dataset.plot}"]`);
    const told = read(table);
    const units = box.dataset;
    const { tops, series } = units.kind === "stack" ? stack(told) : responses(told, units);
    const count = told.labels.length;
    const heading = table.tHead.rows[0].cells[0].textContent.trim();
    const said_day = (_plot, _raw, _series, at) => told.labels[at] ?? "";
    box.replaceChildren();
    return new uPlot({
      width: Math.max(box.clientWidth, 200),
      height: HEIGHT,
      scales: {
        x: { time: false, range: [-0.5, count - 0.5] },
        y: { range: (_plot, _least, most) => [0, Math.max(most * 1.05, 1)] },
      },
      series: [{ label: heading, value: said_day }, ...series],
      axes: axes(told.labels, units, Math.max(...tops.flat())),
      legend,
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    }, [told.labels.map((_, at) => at), ...tops], box);
  };

  const boxes = [...document.querySelectorAll("[data-plot]")];
  const plots = new Map();
  const drawAll = () => {
    for (const box of boxes) {
      plots.get(box)?.destroy();
      plots.set(box, draw(box));
    }
  };

  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  const follow = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = plots.get(target);
      const width = Math.max(target.clientWidth, 200);
      if (plot && plot.width !== width) plot.setSize({ width, height: HEIGHT });
    }
  });
  for (const box of boxes) follow.observe(box);
})();
