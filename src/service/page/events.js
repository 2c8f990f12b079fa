// Server-sent events by fetch, since EventSource sends no token; a connection that is lost is taken up after the last event.

import { json, request } from "./api.js";

const PAUSE = 1000;
const LONGEST_PAUSE = 15_000;
const isFinal = (state) => ["succeeded", "failed", "canceled"].includes(state);

/**
 * Calls `each(kind, data)` for every event of the job at `job`, from the first on, until it ends or `signal` does; `lost` when a
 * connection is.
 */
export async function follow(job, each, lost, signal) {
  let last = 0;
  let pause = PAUSE;
  while (!signal.aborted) {
    try {
      const answer = await request(`${job}/events`, { headers: last ? { "Last-Event-ID": String(last) } : {}, signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const event = parse(block);
          if (!event) continue;
          pause = PAUSE;
          last = event.id ?? last;
          each(event.kind, event.data);
          if (event.kind === "state" && isFinal(event.data.state)) return;
        }
      }
      // a job that was answered from the store has no events
      if (isFinal((await json(job, { signal })).state)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    }
    lost();
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

/** One event; nothing for a comment that keeps the connection alive. */
function parse(block) {
  const event = { kind: "message", data: "" };
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    if (at <= 0) continue;
    const [field, value] = [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
    if (field === "id") event.id = Number(value);
    if (field === "event") event.kind = value;
    if (field === "data") event.data += value;
  }
  return event.data ? { ...event, data: JSON.parse(event.data) } : null;
}
