// One job: what it does now, its curves while it trains, and what it made.

import { download, json, token } from "./api.js";
import { curve } from "./chart.js";
import { h, id, number } from "./dom.js";
import { follow } from "./events.js";
import { frontOf } from "./front.js";
import { showProblem } from "./problem.js";

/** Least time between two drawings: an epoch may take a millisecond. */
const REDRAW = 200;

let watching = null;

/** Shows a job and follows it; `changed` is called when its state is another one. */
export async function show(name, changed) {
  watching?.abort();
  watching = new AbortController();
  const { signal } = watching;
  const path = `v1/jobs/${name}`;
  const section = id("job");
  const state = h("strong", { id: "state" }, "…");
  const doing = h("span", { id: "doing" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Epochs" });
  const charts = h("div", { class: "charts", id: "charts" });
  const notes = h("ul", { class: "notes", hidden: true });
  const result = h("div", { id: "result" });
  const cancel = h(
    "button",
    { type: "button", click: () => json(path, { method: "DELETE" }).then(changed).catch(showProblem) },
    "Cancel",
  );
  const title = h("h2", { id: "job-title", tabindex: "-1" }, "Job ", h("code", {}, name));
  section.replaceChildren(title, h("p", { role: "status" }, state, " ", doing), bar, h("p", {}, cancel), notes, charts, result);
  section.hidden = false;
  title.focus();

  const epochs = [];
  let timer = null;
  const draw = () => {
    timer = null;
    if (epochs.length < 2) return;
    const points = (field) => epochs.map((e) => [e.epoch, e[field]]);
    charts.replaceChildren(
      h("figure", {}, curve(points("loss"), "epoch", "loss", "c2", true)),
      h("figure", {}, curve(points("metric"), "epoch", "metric", "c1", false)),
      h("figure", {}, curve(points("ebops"), "epoch", "EBOPs", "c3", true)),
    );
  };
  const each = (kind, data) => {
    if (kind === "state") {
      state.textContent = data.state;
      doing.textContent = "";
    } else if (kind === "stage") {
      doing.textContent = data.steps ? `${data.stage}: step ${data.step} of ${data.steps}` : data.stage;
    } else if (kind === "epoch") {
      epochs.push(data);
      bar.max = data.epochs;
      bar.value = data.epoch;
      const figures = `metric ${number(data.metric)}, ${number(Math.round(data.ebops))} EBOPs${data.luts === undefined ? "" : `, ${number(data.luts)} LUTs`}`;
      doing.textContent = `epoch ${data.epoch} of ${data.epochs}: ${figures}`;
      timer ??= setTimeout(draw, REDRAW);
    } else if (kind === "note") {
      notes.hidden = false;
      notes.append(h("li", {}, data.message));
    }
  };
  try {
    await follow(
      path,
      each,
      () => {
        doing.textContent = "connection lost, trying again";
      },
      signal,
    );
    if (signal.aborted) return;
    clearTimeout(timer);
    draw();
    changed();
    cancel.parentElement.hidden = true;
    bar.hidden = true;
    await ended(path, state, result);
  } catch (error) {
    if (!signal.aborted) showProblem(error);
  }
}

/** What is left of a job that has ended. */
async function ended(path, state, result) {
  const job = await json(path);
  state.textContent = job.state;
  if (job.error) return showProblem({ problem: job.error }, result);
  if (!job.artifacts?.length) return;
  const report = await json(`${path}/artifacts/report.json`);
  if (job.target_met === false)
    result.append(h("p", { class: "notice" }, h("strong", {}, "The target was not met. "), job.unmet));
  const of = (what, from, to) =>
    h("div", {}, h("dt", {}, what), h("dd", {}, h("strong", {}, number(to)), " from ", number(from)));
  const checked = report.verification ?? {};
  result.append(
    h(
      "dl",
      { class: "figures" },
      of("EBOPs", report.start_ebops, report.ebops),
      of("LUTs, estimated", report.start_luts, report.luts),
      of(report.metric ?? "metric", report.source?.metric, report.proxy?.metric),
      h(
        "div",
        {},
        h("dt", {}, "mismatches"),
        h("dd", {}, h("strong", {}, number(checked.mismatches)), ` on ${number(checked.samples)} samples`),
      ),
    ),
    downloads(path),
    frontOf(path, report, showProblem),
  );
  if (report.warnings?.length) {
    result.append(
      h("h3", {}, "Warnings"),
      h(
        "ul",
        {},
        report.warnings.map((w) => h("li", {}, h("code", {}, w.code), `: ${w.node ? `${w.node}: ` : ""}${w.message}`)),
      ),
    );
  }
}

function downloads(path) {
  const file = (name, text) =>
    h("button", { type: "button", click: () => download(`${path}/artifacts/${name}`, name).catch(showProblem) }, text);
  // with a token a link alone would be refused
  const open = token()
    ? null
    : h("a", { href: `${path}/artifacts/report.html`, target: "_blank", rel: "noopener" }, "Open the report");
  return h(
    "p",
    { class: "buttons" },
    file("proxy.onnx", "Download the proxy"),
    file("report.html", "Download the report"),
    file("report.json", "report.json"),
    open,
  );
}
