// Charts as SVG: points over two axes, each logarithmic where its values ask for it.

import { number, s } from "./dom.js";

const WIDTH = 360;
const HEIGHT = 190;
const [LEFT, RIGHT, TOP, BOTTOM] = [54, WIDTH - 12, 12, HEIGHT - 38];
/** Ratio of the largest and the smallest value from which on an axis is logarithmic, where it may be. */
const LOGARITHMIC = 8;
/** Points that a line is drawn through: more than the screen has columns show nothing. */
const POINTS = 400;

/** A scale from values to coordinates. */
function axis(values, mayBeLog, from, to, whole) {
  let [lo, hi] = values.filter(Number.isFinite).reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  if (lo > hi) [lo, hi] = [0, 1];
  const log = mayBeLog && lo > 0 && hi / lo >= LOGARITHMIC;
  if (lo === hi) {
    const room = lo === 0 ? 1 : Math.abs(lo) * 0.1;
    [lo, hi] = [lo - room, hi + room];
  }
  const share = (v) => (log ? Math.log(v / lo) / Math.log(hi / lo) : (v - lo) / (hi - lo));
  const at = (v) => from + (to - from) * Math.min(1, Math.max(0, share(v)));
  return { at, ticks: log ? logTicks(lo, hi) : ticks(lo, hi, whole ? 1 : 0) };
}

function ticks(lo, hi, least) {
  const rough = (hi - lo) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough);
  const all = [];
  for (let n = Math.ceil(lo / step); n * step <= hi && all.length < 10; n++) all.push(n * step);
  return all;
}

function logTicks(lo, hi) {
  const all = [];
  for (let d = Math.floor(Math.log10(lo)); d <= Math.log10(hi); d++) {
    for (const n of hi / lo < 100 ? [1, 2, 5] : [1]) if (n * 10 ** d >= lo && n * 10 ** d <= hi) all.push(n * 10 ** d);
  }
  return all.filter((_, n) => n % Math.ceil(all.length / 5) === 0);
}

const short = (v) => (Math.abs(v) >= 1e6 ? `${number(v / 1e6)}M` : Math.abs(v) >= 1e4 ? `${number(v / 1e3)}k` : number(v));

function text(x, y, anchor, content) {
  return s("text", { x, y, "text-anchor": anchor }, content);
}

/** The frame of a chart, and its axes. */
function frame(description, xs, ys, xLabel, yLabel, [xLog, yLog], room = 0) {
  const x = axis(xs, xLog, LEFT + room, RIGHT - room, !xLog);
  const y = axis(ys, yLog, BOTTOM - room, TOP + room);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": description });
  for (const v of y.ticks)
    svg.append(s("path", { class: "grid", d: `M${LEFT} ${y.at(v)}H${RIGHT}` }), text(LEFT - 6, y.at(v) + 4, "end", short(v)));
  for (const v of x.ticks)
    svg.append(s("path", { class: "grid", d: `M${x.at(v)} ${TOP}V${BOTTOM}` }), text(x.at(v), BOTTOM + 15, "middle", short(v)));
  svg.append(s("path", { class: "axis", d: `M${LEFT} ${TOP}V${BOTTOM}H${RIGHT}` }), text(RIGHT, BOTTOM + 31, "end", xLabel));
  const turned = `translate(11 ${(TOP + BOTTOM) / 2}) rotate(-90)`;
  svg.append(s("text", { transform: turned, "text-anchor": "middle" }, yLabel));
  return { svg, x, y };
}

const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** A curve through `[x, y]`. */
export function curve(points, xLabel, yLabel, colour, log) {
  const every = Math.ceil(points.length / POINTS);
  const shown = points.filter(([, y], n) => Number.isFinite(y) && (n % every === 0 || n === points.length - 1));
  const last = shown.at(-1);
  const description = `${yLabel} by ${xLabel}${last ? `, now ${number(last[1])}` : ""}`;
  const { svg, x, y } = frame(
    description,
    shown.map((p) => p[0]),
    shown.map((p) => p[1]),
    xLabel,
    yLabel,
    [false, log],
  );
  svg.append(s("path", { class: `line ${colour}`, d: path(shown.map((p) => [x.at(p[0]), y.at(p[1])])) }));
  if (last) svg.append(s("circle", { class: `point ${colour}`, cx: x.at(last[0]), cy: y.at(last[1]), r: 3.5 }));
  return svg;
}

/** The Pareto front: size, counted as `count` says, against the metric; `selected` is a number, `pick` is called with one. */
export function front(points, count, metric, source, selected, pick) {
  const unit = count === "luts" ? "LUTs" : "EBOPs";
  const size = (p) => (count === "luts" ? p.luts : p.ebops);
  const ys = points.map((p) => p.metric).concat(Number.isFinite(source) ? [source] : []);
  const description = `${points.length} models, ${unit} against ${metric}; the table has the numbers and the choice`;
  const { svg, x, y } = frame(
    description,
    points.map(size),
    ys,
    unit,
    metric,
    [true, false],
    8,
  );
  if (Number.isFinite(source)) {
    svg.append(
      s("path", { class: "reference", d: `M${LEFT} ${y.at(source)}H${RIGHT}` }, s("title", {}, `model sent: ${number(source)}`)),
    );
  }
  const joined = points.filter((p) => p.on_front !== false);
  svg.append(s("path", { class: "line c1", d: path(joined.map((p) => [x.at(size(p)), y.at(p.metric)])) }));
  for (const p of points) {
    const [cx, cy] = [x.at(size(p)), y.at(p.metric)];
    const shape =
      p.number === selected
        ? s("path", { class: "chosen", d: `M${cx - 8} ${cy}L${cx} ${cy - 8}L${cx + 8} ${cy}L${cx} ${cy + 8}Z` })
        : s("circle", { class: "point c1", cx, cy, r: 4.5 });
    shape.append(s("title", {}, `point ${p.number}: ${number(p.ebops)} EBOPs, ${number(p.luts)} LUTs, ${metric} ${number(p.metric)}`));
    shape.addEventListener("click", () => pick(p.number));
    svg.append(shape);
  }
  return svg;
}
