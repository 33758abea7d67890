// Says the worst of what the page shows, in its first line and in the tab's title.

import { element } from "./dom.js";
import { cut, plural, time } from "./words.js";

const MARKS = { problem: "▲", unknown: "○", answers: "●", well: "●" };
const NAMED = 2; // problems in the first line
const LONGEST = 60; // letters of the title

/** `state`: what is shown, null if there is nothing yet; `stale`: why nothing is new any more, or "". */
export function show(state, stale) {
  const known = state ? worst(state) : { kind: "unknown", lines: [] };
  const { kind, lines } = stale ? { kind: "unknown", lines: [stale, ...(known.kind === "problem" ? known.lines : [])] } : known;
  const more = lines.length > NAMED ? `; ${plural(lines.length - NAMED, "problem")} more` : "";
  const line = document.querySelector("#worst");
  line.className = kind;
  line.replaceChildren(element("span", { class: "mark", "aria-hidden": "true" }), lines.slice(0, NAMED).join("; ") + more);
  document.title = `${MARKS[kind]} ${state?.app ?? "Servers"}: ${cut(lines[0], LONGEST)}`;
}

/** Return the kind of the worst, and a line for each that is not well. */
function worst(state) {
  const bad = [...silent(state.hosts), ...takeback(state.underway), ...problems(state.hosts)];
  if (bad.length) return { kind: "problem", lines: bad };
  const unknown = [...state.hosts.filter((host) => host.state === "unknown").map(why), ...uncounted(state)];
  if (unknown.length) return { kind: "unknown", lines: unknown };
  if (state.hosts.some((host) => host.closed)) return { kind: "unknown", lines: ["visitors get the maintenance page"] };
  const under = state.underway ? [`${state.underway.action} of ${state.underway.tag} is under way`] : [];
  const all = state.hosts.every((host) => host.state === "well");
  return all ? { kind: "well", lines: [...under, "all is well"] } : { kind: "answers", lines: [...under, "no problem is known"] };
}

function silent(hosts) {
  return hosts.filter((host) => host.state === "silent").map((host) => `${host.name}: silent since ${time(host.since)}`);
}

function takeback(underway) {
  return underway && underway.takeback !== null ? [`takeback of ${underway.tag}: ${underway.takeback || "no cause is told"}`] : [];
}

function problems(hosts) {
  return hosts.filter((host) => host.state === "problem").flatMap((host) => host.problems.map(({ text }) => `${host.name}: ${text}`));
}

function why(host) {
  return `${host.name}: ${host.silent || `unknown, ${host.unknown.join(", ")}`}`;
}

function uncounted(state) {
  return state.swarm ? [] : state.visitors.unknown.map(({ host, why }) => `visitors of ${host} are unknown: ${why}`);
}
