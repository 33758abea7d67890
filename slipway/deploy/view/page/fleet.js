// Draws the servers as boxes.

import { element, shape, update } from "./dom.js";
import { asOf } from "./freshness.js";
import { bytes, duration, moment, plural, rate, time } from "./words.js";

/** Show the hosts. `at`: when nothing is new any more, the time of what is shown, else ""; `now`: see freshness.js. */
export function show(hosts, at, now) {
  const boxes = hosts.map((host) => ({ ...host, age: 0, facts_age: 0, words: words(host, at, now), stale: Boolean(at) }));
  update(document.querySelector("#fleet ul"), boxes, (host) => host.name, box);
}

function box(host) {
  return element(
    "li",
    { class: `host ${host.stale ? "stale" : host.state}` },
    element("h3", {}, host.name, " ", element("span", { class: "kinds" }, host.kinds.join(", "))),
    element("p", { class: "state" }, element("span", { class: "mark", "aria-hidden": "true" }), host.words),
    host.problems.length ? problems(host) : null,
    processes(host),
    host.pulse ? machine(host) : null,
    host.kinds.some((kind) => kind === "web" || kind === "balancer") ? visitors(host) : null,
    host.notes.map((note) => element("p", { class: "note" }, note)),
  );
}

function words(host, at, now) {
  if (host.state === "silent") return `${host.silent}; silent since ${time(host.since)}`;
  if (host.silent) return host.silent;
  const about = host.asked === null ? "" : asOf({ [host.name]: host.asked }, now);
  return [stateWords(host), at ? `at ${at}` : about && `, ${about}`].filter(Boolean).join(" ").replace(" ,", ",");
}

function stateWords(host) {
  if (host.state === "problem") return plural(host.problems.length, "problem");
  if (host.state === "unknown") return `unknown: ${host.unknown.join(", ")}`;
  return host.state === "answers" ? "answers; more was not asked" : "well";
}

function problems(host) {
  const line = ({ text, since }) => element("li", {}, text, element("span", { class: "about" }, `since ${time(since)}`));
  return element("ul", { class: "problems" }, host.problems.map(line));
}

function processes(host) {
  const lines = [...host.processes, ...host.services].map((process) => {
    const since = process.since === null ? "" : `since ${moment(process.since)}`;
    const words = [["role", process.role], ["release", process.release], ["words", named(process)], ["since", since]];
    return element(
      "li",
      { class: ["old", "new"].includes(process.role) ? process.role : null },
      words.filter(([, text]) => text).flatMap(([name, text]) => [element("span", { class: name }, text), " "]),
    );
  });
  return lines.length ? element("ul", { class: "processes" }, lines) : null;
}

/** Return the state, with the slot of a process that has one. */
function named(process) {
  return process.slot === "a" || process.slot === "b" ? `slot ${process.slot}, ${process.state}` : process.state;
}

function machine(host) {
  const { load, cpus, memory, disks } = host.pulse;
  const parts = [`load ${load.toFixed(1)} of ${cpus}`, `memory ${bytes(memory.free)} free`];
  for (const [path, space] of Object.entries(disks)) parts.push(`${path} ${bytes(space.free)} free`);
  return element("p", { class: "machine" }, parts.join(" · "));
}

/** Draw requests a second of the last 15 minutes as a small line. */
function visitors(host) {
  if (host.rates === null) return element("p", { class: "rate" }, "requests a second: unknown");
  const most = Math.max(...host.rates, 1);
  const points = host.rates.map((number, at) => `${(at / (host.rates.length - 1)) * 100},${20 - (number / most) * 18}`);
  const now = host.rates.at(-1);
  return element(
    "p",
    { class: "rate" },
    shape("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, shape("polyline", { points: points.join(" ") })),
    `${rate(now)} requests a second`,
  );
}

/** Return what to announce: problems that were not there before. */
export function news(before, hosts) {
  const known = new Set(before.flatMap(told).map(([id]) => id));
  return hosts.flatMap(told).filter(([id]) => !known.has(id)).map(([, text]) => text);
}

/** Return an id, which stays while a problem's numbers change, and the text of each problem. */
function told(host) {
  if (host.silent) return [[`${host.name}: ${host.silent}`, `${host.name}: ${host.silent}`]];
  return host.problems.map(({ id, text }) => [`${host.name}: ${id}`, `${host.name}: ${text}`]);
}

/** Return how old the oldest figure is, in words. `seconds`: since the figures came to this page. */
export function age(hosts, seconds) {
  const ages = hosts.filter((host) => !host.silent && host.age !== null).map((host) => host.age);
  return ages.length ? `figures are up to ${duration(Math.max(...ages) + seconds)} old` : "no host answers";
}
