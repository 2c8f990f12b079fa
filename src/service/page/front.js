// The points of a finished job: compare them, pick one, download its proxy.

import { download } from "./api.js";
import { front as chart } from "./chart.js";
import { h, number, percent, table } from "./dom.js";

/** The front of a job from its report; `fail` is told what goes wrong. */
export function frontOf(path, report, fail) {
  const points = report.pareto ?? [];
  const metric = report.metric ?? "metric";
  const source = report.source?.metric;
  let selected = (points.find((p) => p.chosen) ?? points[0])?.number;
  const box = h("div", { class: "front" });
  const picture = h("figure");
  const button = h("button", { type: "button", id: "download-point", click: () => fetchPoint() });
  const fetchPoint = () => download(`${path}/artifacts/pareto/${selected}/proxy.onnx`, `proxy-${selected}.onnx`).catch(fail);

  function pick(number_) {
    selected = number_;
    const point = points.find((p) => p.number === selected);
    for (const input of box.querySelectorAll("input[type=radio]")) input.checked = Number(input.value) === selected;
    picture.replaceChildren(chart(points, report.count, metric, source, selected, pick));
    button.textContent = `Download the proxy of point ${selected} (${number(point.ebops)} EBOPs, ${number(point.luts)} LUTs)`;
  }

  const row = (p) => {
    const radio = h("input", {
      type: "radio",
      name: "point",
      id: `point-${p.number}`,
      value: p.number,
      change: () => pick(p.number),
    });
    return [
      h(
        "span",
        { class: "choice" },
        radio,
        h("label", { for: `point-${p.number}` }, `${p.number}${p.chosen ? " (chosen)" : ""}`),
      ),
      number(p.ebops),
      percent(p.ebops, report.start_ebops),
      number(p.luts),
      number(p.metric),
      number(p.metric_error),
      Number.isFinite(source) ? number(p.metric - source) : "–",
      number(p.loss),
      number(p.epoch),
    ];
  };
  const columns = ["point", "EBOPs", "of the start", "LUTs", metric, "± (standard error)", "against the source", "loss", "epoch"];
  box.append(
    h("h3", {}, "Pareto front"),
    h(
      "p",
      {},
      "Every trade-off found, joined by a line. Pick a point in the table or in the drawing; dashed: the model sent. ",
      report.choice?.why ? `Chosen: ${report.choice.why}.` : "",
    ),
    picture,
    table("Points of the front", columns, points.map(row)),
    h("p", {}, button),
  );
  if (points.length) pick(selected);
  return box;
}
