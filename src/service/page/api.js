// Requests to the service this page came from. The token stays in this tab.

const KEY = "hgq-onnx token";

export const token = () => sessionStorage.getItem(KEY) ?? "";
export const setToken = (value) => sessionStorage.setItem(KEY, value);

/** An answer that is no success, with its problem document. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the service answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

/** An answer; paths are relative to the page, so the service may stand behind a prefix. */
export async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  let answer;
  try {
    answer = await fetch(path.replace(/^\//, ""), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { title: "No answer", detail: "The service cannot be reached." });
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ title: answer.statusText }));
    throw new Refused(answer.status, problem);
  }
  return answer;
}

export const json = async (path, options) => (await request(path, options)).json();

/** Saves what is at `path` as a file. */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await request(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // the browser has begun to read it by then
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
