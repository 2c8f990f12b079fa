// The list of jobs: newest first, page by page.

import { json } from "./api.js";
import { h, id, number, table, unseen } from "./dom.js";

const PAGE = 20;
/** Time between two looks at the list while something in it goes on. */
const PAUSE = 3000;

let timer = null;

/** Shows the list; `open` shows a job, `fail` is told what goes wrong. */
export async function list(open, fail) {
  clearTimeout(timer);
  const again = () => list(open, fail).catch(fail);
  const page = await json(`v1/jobs?limit=${PAGE}`);
  draw(page.jobs, page.next, open, again, fail);
  const busy = page.jobs.some((j) => ["queued", "running"].includes(j.state));
  if (busy) timer = setTimeout(again, PAUSE);
}

function draw(jobs, next, open, again, fail) {
  const box = id("jobs");
  const held = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  if (!jobs.length) return box.replaceChildren(h("p", {}, "None yet."));
  const more = async () => {
    const page = await json(next);
    draw(jobs.concat(page.jobs), page.next, open, again, fail);
  };
  const columns = ["job", "state", "begun", "EBOPs", unseen("show"), unseen("cancel")];
  const made = table(
    "List of jobs",
    columns,
    jobs.map((job) => row(job, open, again, fail)),
  );
  box.replaceChildren(
    made,
    ...(next ? [h("p", {}, h("button", { type: "button", click: () => more().catch(fail) }, "More"))] : []),
  );
  // whoever works with the keyboard stays where they are
  if (held) box.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
}

function row(job, open, again, fail) {
  const goes = ["queued", "running"].includes(job.state);
  const cancel = () => json(`v1/jobs/${job.id}`, { method: "DELETE" }).then(again).catch(fail);
  const about = { "data-key": `show ${job.id}`, "aria-label": `Show job ${job.id}` };
  return [
    h("code", {}, job.id.slice(0, 12)),
    job.state === "succeeded" && job.target_met === false ? "succeeded, target missed" : job.state,
    new Date(job.created_at).toLocaleString(),
    job.ebops !== undefined
      ? number(job.ebops)
      : job.progress?.epoch
        ? `epoch ${job.progress.epoch} of ${job.progress.epochs}`
        : "–",
    h("button", { type: "button", ...about, click: () => open(job.id) }, "Show"),
    goes
      ? h(
          "button",
          { type: "button", "data-key": `cancel ${job.id}`, "aria-label": `Cancel job ${job.id}`, click: cancel },
          "Cancel",
        )
      : "",
  ];
}
