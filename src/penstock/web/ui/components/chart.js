/** The curve of the last minutes: running, waiting, and the loads as bands behind them. */

import { timeOfDay } from "../format.js";
import { WINDOW_S } from "../history.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { onThemeChange } from "../theme.js";
import uPlot from "../vendor/uplot.module.js";

const HEIGHT_PX = 168;
const FONT = "11px Inter, system-ui, sans-serif";
const COUNT_STEPS = [1, 2, 5]
  .flatMap((step) => [0, 1, 2, 3, 4].map((power) => step * 10 ** power))
  .sort((a, b) => a - b);

/** @param {{history: import("../history.js").History, clock: import("../clock.js").Clock}} props */
export function Chart({ history, clock }) {
  const frame = useRef(/** @type {HTMLElement|null} */ (null));
  const [pointed, setPointed] = useState("");
  useEffect(() => drawn(frame.current, history, clock, setPointed), [history, clock]);
  return html`
    <figure class="chart">
      <div ref=${frame} class="chart-frame" role="img" aria-label="Running and waiting, last 10 minutes"></div>
      <figcaption>
        ${pointed || "last 10 minutes"}<span class="swatch ink-load" aria-hidden="true"></span>load
      </figcaption>
    </figure>`;
}

/** Draws into the frame until the returned function is called. */
function drawn(frame, history, clock, setPointed) {
  const inks = readInks(frame);
  const plot = new uPlot(plotOptions(frame.clientWidth, history, inks, setPointed), [[], [], []], frame);
  const redraw = () => {
    const now_s = clock.now();
    plot.setData(
      /** @type {any} */ ([history.times.concat(now_s), held(history.waiting), held(history.running)]),
      false,
    );
    plot.setScale("x", { min: now_s - WINDOW_S, max: now_s });
  };
  const resize = new ResizeObserver(() => plot.setSize({ width: frame.clientWidth, height: HEIGHT_PX }));
  resize.observe(frame);
  const stops = [
    clock.subscribe(redraw),
    onThemeChange(() => {
      Object.assign(inks, readInks(frame));
      plot.redraw(false, true);
    }),
    () => resize.disconnect(),
    () => plot.destroy(),
  ];
  redraw();
  return () => stops.forEach((stop) => stop());
}

/** The last value holds until now. */
function held(values) {
  return values.concat(values.at(-1) ?? null);
}

/** A canvas knows no custom properties: the colours are read from elements that wear them. */
function readInks(frame) {
  const probe = document.createElement("span");
  frame.append(probe);
  const ink = (name) => {
    probe.className = `ink-${name}`;
    return getComputedStyle(probe).color;
  };
  const inks = {
    running: ink("running"),
    waiting: ink("waiting"),
    load: ink("load"),
    text: ink("text"),
    grid: ink("grid"),
  };
  probe.remove();
  return inks;
}

function plotOptions(width, history, inks, setPointed) {
  const axis = {
    stroke: () => inks.text,
    font: FONT,
    ticks: { show: false },
    grid: { stroke: () => inks.grid, width: 1 },
  };
  const curve = (ink, fillAlpha) => ({
    stroke: () => inks[ink],
    fill: () => faded(inks[ink], fillAlpha),
    width: 1.5,
    points: { show: false },
    paths: uPlot.paths.stepped?.({ align: 1 }),
  });
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, Math.max(4, Math.ceil((max ?? 0) * 1.2))] } },
    axes: [
      {
        ...axis,
        size: 24,
        incrs: [60, 120, 300],
        space: 56,
        values: (_plot, times) => times.map((time) => timeOfDay(time).slice(0, 5)),
      },
      { ...axis, size: 34, incrs: COUNT_STEPS, space: 32 },
    ],
    series: [{}, curve("waiting", 0.12), curve("running", 0.16)],
    hooks: {
      drawClear: [(plot) => drawLoads(plot, history.loads, inks)],
      setCursor: [(plot) => setPointed(pointedWords(plot, history.loads))],
    },
  };
}

function faded(color, alpha) {
  return color.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

function drawLoads(plot, loads, inks) {
  const { ctx, bbox } = plot;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px Inter, system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  let labelled = bbox.left;
  for (const load of loads) {
    const x = Math.max(bbox.left, plot.valToPos(load.start_s, "x", true));
    const end = load.end_s === null ? right : Math.min(right, plot.valToPos(load.end_s, "x", true));
    if (end < bbox.left || x > right) continue;
    ctx.fillStyle = faded(inks.load, 0.22);
    ctx.fillRect(x, bbox.top, Math.max(2 * devicePixelRatio, end - x), bbox.height);
    const label = load.model.length > 24 ? `${load.model.slice(0, 23)}…` : load.model;
    const width = ctx.measureText(label).width;
    const at = Math.min(x + 3 * devicePixelRatio, right - width);
    if (at < labelled) continue;
    ctx.fillStyle = inks.load;
    ctx.fillText(label, at, bbox.top + 2 * devicePixelRatio);
    labelled = at + width + 6 * devicePixelRatio;
  }
  ctx.restore();
}

function pointedWords(plot, loads) {
  const index = plot.cursor.idx;
  if (index == null || plot.cursor.left < 0 || plot.data[1][index] == null) return "";
  const time_s = plot.data[0][index];
  const loading = loads
    .filter((load) => load.start_s <= time_s && (load.end_s ?? Infinity) >= time_s)
    .map((load) => load.model);
  const tail = loading.length ? `, loading ${loading.join(", ")}` : "";
  return `${timeOfDay(time_s)}: ${plot.data[2][index]} running, ${plot.data[1][index]} waiting${tail}`;
}
