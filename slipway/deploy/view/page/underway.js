// Shows a deploy or rollback that is under way, as a table of steps and hosts. Of the deploy that has opened this page,
// shows what its hosts wait for, too, and how it ended.

import { element } from "./dom.js";

const MARKS = { start: "…", done: "✓", failed: "✗" };
const WORDS = { start: "runs", done: "done", failed: "failed" };

export function show(underway, own) {
  const section = document.querySelector("#underway");
  section.hidden = !underway && !own;
  document.querySelector("#underway-title").textContent = own?.result ? "This deploy has ended" : title(underway);
  section.classList.toggle("back", isTakeback(underway));
  const cause = document.querySelector("#cause");
  cause.textContent = isTakeback(underway) ? underway.takeback || "no cause is told" : "";
  cause.hidden = !cause.textContent;
  section.querySelector(".scroll").hidden = !underway?.steps.length;
  section.querySelector("table").replaceChildren(...(underway ? grid(underway) : []));
  const lines = own ? [...own.notes, ...own.lines] : [];
  section.querySelector("ul").replaceChildren(...lines.map((line) => element("li", {}, line)));
  const result = section.querySelector("pre");
  result.textContent = own?.result ?? "";
  result.hidden = !result.textContent;
}

function isTakeback(underway) {
  return Boolean(underway) && underway.takeback !== null;
}

function title(underway) {
  if (!underway) return "This deploy begins";
  const by = underway.by === "-" ? "" : ` by ${underway.by}`;
  const what = isTakeback(underway) ? `takeback: ${underway.action}` : underway.action;
  return `${what} ${underway.tag}${by}, ${Math.round(underway.seconds)} s`;
}

function grid(underway) {
  const hosts = Object.keys(underway.hosts);
  const head = element("tr", {}, ["step", ...hosts].map((name) => element("th", { scope: "col" }, name)));
  const rows = underway.steps.map((step) => element("tr", {}, element("th", { scope: "row" }, step), hosts.map((host) => cell(underway.hosts[host][step]))));
  return [element("thead", {}, head), element("tbody", {}, rows)];
}

function cell(step) {
  if (!step) return element("td", {});
  return element("td", { class: step.state }, `${MARKS[step.state]} `, element("span", { class: "unseen" }, WORDS[step.state]), ` ${step.seconds.toFixed(1)} s`);
}
