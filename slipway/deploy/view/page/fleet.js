// Draws the servers as boxes.

import { element, shape, update } from "./dom.js";
import { bytes, duration, rate } from "./words.js";

export function show(hosts) {
  update(document.querySelector("#fleet ul"), hosts, (host) => host.name, box);
}

function box(host) {
  const state = host.silent ? "silent" : host.problems.length ? "problem" : "well";
  return element(
    "li",
    { class: `host ${state}` },
    element("h3", {}, host.name, " ", element("span", { class: "kinds" }, host.kinds.join(", "))),
    element("p", { class: "state" }, element("span", { class: "mark", "aria-hidden": "true" }), words(host, state)),
    host.problems.length ? problems(host) : null,
    processes(host),
    host.pulse ? machine(host) : null,
    host.kinds.some((kind) => kind === "web" || kind === "balancer") ? visitors(host) : null,
    host.notes.map((note) => element("p", { class: "note" }, note)),
  );
}

function words(host, state) {
  if (state === "silent") return `${host.silent}; silent for ${duration(host.silence)}`;
  if (state === "well") return "well";
  return host.problems.length === 1 ? "1 problem" : `${host.problems.length} problems`;
}

function problems(host) {
  return element("ul", { class: "problems" }, host.problems.map((text) => element("li", {}, text)));
}

function processes(host) {
  const lines = [...host.processes, ...host.services].map((process) => {
    const since = process.since.replace(/^\S+ (\d\d:\d\d).*/, "since $1");
    const words = [["role", process.role], ["release", process.release], ["words", named(process)], ["since", since === "-" ? "" : since]];
    return element(
      "li",
      { class: process.role === "old" ? "old" : null },
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
  const known = new Set(before.flatMap(told));
  return hosts.flatMap(told).filter((text) => !known.has(text));
}

function told(host) {
  return (host.silent ? [host.silent] : host.problems).map((text) => `${host.name}: ${text}`);
}

/** Return how old the oldest figure is, in words. */
export function age(hosts) {
  const ages = hosts.filter((host) => !host.silent && host.age !== null).map((host) => host.age);
  return ages.length ? `figures are up to ${duration(Math.max(...ages))} old` : "no host has answered yet";
}
