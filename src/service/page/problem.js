// What went wrong, for people: the service's problem documents.

import { token } from "./api.js";
import { h, id } from "./dom.js";

/** Shows a problem in `box`; nothing for null. Where a token is needed, asks for one. */
export function showProblem(error, box = id("problem")) {
  if (!error) return box.replaceChildren();
  if (error.status === 401) {
    id("access").hidden = false;
    id("token").focus();
    // nobody has done anything wrong yet
    if (!token()) return;
  }
  const problem = error.problem ?? {};
  const nodes = (problem.nodes ?? []).map((n) => h("li", {}, h("code", {}, n.name), ` (${n.op}): ${n.reason}`));
  const faults = (problem.faults ?? []).map((f) => h("li", {}, f));
  const items = nodes.concat(faults);
  const title = h("strong", {}, `${problem.title ?? "Not done"}. `);
  box.replaceChildren(
    h("div", { class: "notice" }, h("p", {}, title, problem.detail ?? error.message), items.length ? h("ul", {}, items) : null),
  );
  box.scrollIntoView({ block: "nearest" });
}
