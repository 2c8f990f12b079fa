// The page: a form, the job that is shown, and the list of jobs.

import { setToken } from "./api.js";
import { id } from "./dom.js";
import { show } from "./job.js";
import { list } from "./jobs.js";
import { showProblem } from "./problem.js";
import { connect } from "./submit.js";

const refresh = () => list(open, showProblem).catch(showProblem);

/** Shows a job; its name is in the address, so that it can be kept as a bookmark. */
async function open(name) {
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  refresh();
  show(name, refresh);
}

function openAddressed() {
  const name = location.hash.slice(1);
  if (/^job_[0-9a-f]+$/.test(name)) open(name);
}

id("access").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(id("token").value.trim());
  id("access").hidden = true;
  showProblem(null);
  refresh();
  openAddressed();
});
window.addEventListener("hashchange", openAddressed);
connect(open, showProblem);
refresh();
openAddressed();
