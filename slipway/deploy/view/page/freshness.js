// Says of which time the page's parts are.

import { time } from "./words.js";

const FRESH = 60; // seconds

/** Say for each part of the page of when it is, if that is long ago. `now`: in seconds by the hosts' askers' clock. */
export function show(state, now) {
  const parts = { ...state.sources, visitors: state.visitors };
  for (const [part, { asked }] of Object.entries(parts)) {
    document.querySelector(`#${part} .as-of`).textContent = asOf(asked, now);
  }
}

/** Return such as "as of 16:59", or "web3 as of 16:59" if the other hosts were asked since; "" if all were. */
export function asOf(asked, now) {
  const old = Object.entries(asked).filter(([, at]) => now - at > FRESH);
  if (!old.length) return "";
  const since = `as of ${time(Math.min(...old.map(([, at]) => at)))}`;
  return old.length === Object.keys(asked).length ? since : `${old.map(([name]) => name).join(", ")} ${since}`;
}
