// Shows a deploy or rollback that is under way, as a table of steps and hosts.

import { element } from "./dom.js";

const MARKS = { start: "…", done: "✓", failed: "✗" };
const WORDS = { start: "runs", done: "done", failed: "failed" };

export function show(underway) {
  const section = document.querySelector("#underway");
  section.hidden = !underway;
  if (!underway) return;
  const by = underway.by === "-" ? "" : ` by ${underway.by}`;
  document.querySelector("#underway-title").textContent = `${underway.action} ${underway.tag}${by}, ${Math.round(underway.seconds)} s`;
  const hosts = Object.keys(underway.hosts);
  const head = element("tr", {}, ["step", ...hosts].map((name) => element("th", { scope: "col" }, name)));
  const rows = underway.steps.map((step) => element("tr", {}, element("th", { scope: "row" }, step), hosts.map((host) => cell(underway.hosts[host][step]))));
  section.querySelector("table").replaceChildren(element("thead", {}, head), element("tbody", {}, rows));
}

function cell(step) {
  if (!step) return element("td", {});
  return element("td", { class: step.state }, `${MARKS[step.state]} `, element("span", { class: "unseen" }, WORDS[step.state]), ` ${step.seconds.toFixed(1)} s`);
}
