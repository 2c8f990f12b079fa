// A new conversion: files, what is in the model, what to aim for, and off it goes.

import { json } from "./api.js";
import { h, id, number } from "./dom.js";

const DATA = ["calibration", "train", "validation"];
/** Range of the slider, as powers of ten; the upper end follows the model. */
const SMALLEST = 1.5;
let largest = 5;

/** Connects the form; `open` shows a job, `fail` is told what goes wrong. */
export function connect(open, fail) {
  const form = id("submit");
  id("model").addEventListener("change", () => inspect(fail));
  connectDrop(fail);
  connectTarget();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fail(null);
    const button = id("convert");
    button.disabled = true;
    id("sending").textContent = "sending the files …";
    try {
      const job = await json("v1/jobs", { method: "POST", body: parts() });
      await open(job.id);
    } catch (error) {
      fail(error);
    } finally {
      button.disabled = false;
      id("sending").textContent = "";
    }
  });
}

/** A file under the type that the service takes. */
const binary = (file) => new File([file], file.name, { type: "application/octet-stream" });

function parts() {
  const body = new FormData();
  for (const part of ["model", ...DATA]) {
    const file = id(part).files[0];
    if (file) body.append(part, binary(file));
  }
  body.append("config", JSON.stringify(config()));
  return body;
}

function config() {
  const made = { epochs: id("epochs").valueAsNumber, seed: id("seed").valueAsNumber };
  const goal = document.querySelector("input[name=goal]:checked").value;
  if (goal === "target_ebops") made.target_ebops = id("ebops").valueAsNumber;
  if (goal === "target_luts") made.target_luts = id("luts").valueAsNumber;
  if (goal === "max_metric_drop") made.max_metric_drop = id("drop-metric").valueAsNumber;
  const text = id("config").value.trim();
  if (!text) return made;
  let given;
  try {
    given = JSON.parse(text);
  } catch (error) {
    throw new Error(`The settings are not JSON: ${error.message}`);
  }
  return { ...made, ...given };
}

/** Shows what is in the model before anything runs. */
async function inspect(fail) {
  const box = id("inspection");
  const file = id("model").files[0];
  if (!file) return box.replaceChildren();
  fail(null);
  box.replaceChildren(h("p", {}, "looking into the model …"));
  const body = new FormData();
  body.append("model", binary(file));
  try {
    const found = await json("v1/inspect", { method: "POST", body });
    box.replaceChildren(...inspection(found));
    id("convert").disabled = found.supported === false;
    if (found.supported) range(found);
  } catch (error) {
    box.replaceChildren();
    fail(error);
  }
}

function inspection(found) {
  const operators = Object.entries(found.operators ?? {})
    .map(([name, count]) => `${name} × ${count}`)
    .join(", ");
  const facts = h(
    "p",
    {},
    `${number(found.bytes)} bytes, ${number(found.parameters ?? 0)} parameters. Operators: ${operators || "none"}.`,
  );
  if (found.supported) {
    const ebops =
      found.ebops === undefined ? "" : ` As annotated it has ${number(found.ebops)} EBOPs, about ${number(found.luts)} LUTs.`;
    const notes = (found.notes ?? []).map((n) => h("li", {}, `${n.node ? `${n.node}: ` : ""}${n.message}`));
    return [
      h("p", { class: "good" }, h("strong", {}, "Supported."), ebops),
      facts,
      notes.length ? h("ul", {}, notes) : null,
    ].filter(Boolean);
  }
  const nodes = (found.unsupported ?? []).map((n) => h("li", {}, h("code", {}, n.name), ` (${n.op}): ${n.reason}`));
  return [
    h("p", { class: "notice" }, h("strong", {}, "Not supported. "), found.reason ?? "These nodes cannot be converted:"),
    h("ul", {}, nodes),
    facts,
  ];
}

/** The slider's end: EBOPs of the file, or what some bits for each weight and its input would come to. */
function range(found) {
  const guess = found.ebops ?? 16 * (found.parameters ?? 0);
  largest = Math.max(SMALLEST + 1, Math.log10(Math.max(guess, 1)));
  id("ebops").valueAsNumber = Math.max(1, Math.round(10 ** (largest - 1)));
  id("ebops").dispatchEvent(new Event("input"));
  id("goal-none").checked = true;
}

function connectTarget() {
  const [count, slider, choice] = [id("ebops"), id("ebops-slider"), id("goal-ebops")];
  const spoken = () => slider.setAttribute("aria-valuetext", `${count.value} EBOPs`);
  slider.addEventListener("input", () => {
    const value = 10 ** (SMALLEST + ((largest - SMALLEST) * slider.value) / slider.max);
    count.value = Number(value.toPrecision(2));
    choice.checked = true;
    spoken();
  });
  count.addEventListener("input", () => {
    const share = (Math.log10(Math.max(1, count.valueAsNumber || 1)) - SMALLEST) / (largest - SMALLEST);
    slider.value = slider.max * Math.min(1, Math.max(0, share));
    choice.checked = true;
    spoken();
  });
  id("drop-metric").addEventListener("input", () => {
    id("goal-drop").checked = true;
  });
  count.dispatchEvent(new Event("input"));
  id("goal-none").checked = true;
}

/** Files dropped anywhere in the form go where their names say. */
function connectDrop(fail) {
  const area = id("submit");
  const mark = (on) => id("drop").classList.toggle("over", on);
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  area.addEventListener("dragleave", () => mark(false));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    for (const file of event.dataTransfer.files) {
      const part = partOf(file.name);
      if (!part) {
        fail(new Error(`${file.name}: models are .onnx, data .npz or .npy`));
        continue;
      }
      const held = new DataTransfer();
      held.items.add(file);
      id(part).files = held.files;
      if (part === "model") inspect(fail);
    }
  });
}

function partOf(name) {
  if (/\.onnx$/i.test(name)) return "model";
  if (!/\.np[yz]$/i.test(name)) return null;
  if (/train/i.test(name)) return "train";
  return /val/i.test(name) ? "validation" : "calibration";
}
