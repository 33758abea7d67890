// Shows errors, work, releases and data as lists.

import { element, update } from "./dom.js";
import { ask } from "./ask.js";
import { duration, moment, plural, time } from "./words.js";

const LOG = 70000; // milliseconds that the hosts may take to find a request's lines

const lines = new Map(); // the request whose lines were asked for → its lines

export function show(state) {
  if (state.swarm) showSwarm(state.swarm);
  else showHosts(state);
}

/** Show what can be had of Docker Swarm. */
function showSwarm(releases) {
  fill("errors", [], "not on Swarm: see slipway logs --level error");
  fill("work", [], "not on Swarm");
  fill("releases", releases, "none");
  fill("data", [], "not on Swarm: make your own backups");
}

function showHosts(state) {
  const unknown = Object.fromEntries(Object.entries(state.sources).map(([part, source]) => [part, source.unknown.map(unknownOn)]));
  showErrors(state.errors.groups, unknown.errors, !state.saved);
  const work = [...celery(state.work.celery), ...state.work.tasks, ...state.work.timed.map(byTheClock)];
  fill("work", [...work, ...unknown.work], "no tasks, and nothing runs by the clock");
  showReleases(state.releases, unknown.releases);
  fill("data", [...state.data.flatMap(backup), ...unknown.data], "no backups: docs/backup.md");
}

function unknownOn({ host, why }) {
  return `unknown on ${host}: ${why}`;
}

function backup({ host, until, drill, note }) {
  const newest = until === null ? "no backup yet" : `backup up to ${time(until)}`;
  const drilled = drill ? `, drilled ${time(drill.at)}: ${plural(drill.rows, "row")}, back in ${Math.round(drill.restored)} s` : "";
  return [`${host}: ${newest}${drilled}`, note].filter(Boolean);
}

/** Show texts as a list, or one text in place of an empty list. */
function fill(id, texts, nothing) {
  const items = texts.length ? texts : [nothing];
  update(document.querySelector(`#${id} ul`), items, (text) => text, (text) => element("li", {}, text));
}

function celery(work) {
  if (!work) return [];
  const waiting = Object.entries(work.waiting).map(([queue, number]) => `${number} in ${queue}`);
  const ages = ["worker", "beat"].filter((name) => work[name] !== null).map((name) => `${name} ${duration(work[name])} ago`);
  return [
    `waiting: ${waiting.join(", ") || "none"}; dead: ${work.dead}`,
    ages.length ? `last heartbeats: ${ages.join(", ")}` : "no heartbeat is known",
  ];
}

function byTheClock(timer) {
  const times = ["last", "next"].filter((name) => timer[name]).map((name) => `${name} ${moment(timer[name])}`);
  return [`${timer.role} on ${timer.host}: ${timer.state}`, timer.health, ...times].filter(Boolean).join(", ");
}

// ---- errors ----

function showErrors(groups, unknown, live) {
  const texts = groups.length + unknown.length ? unknown : ["none since the live release"];
  const items = [...groups, ...texts.map((text) => ({ id: text, only: text }))];
  update(document.querySelector("#errors ul"), items, (group) => group.id, (group) => errorGroup(group, live));
}

function errorGroup(group, live) {
  if (group.only) return element("li", {}, group.only);
  const title = [group.title, group.place].filter(Boolean).join(" ");
  const about = `${group.count} × ${time(group.first)} to ${time(group.last)}, ${group.roles.join(", ")} on ${group.hosts.join(", ")}`;
  return element(
    "li",
    {},
    element(
      "details",
      { id: `error-${group.id}` },
      element("summary", { id: `error-${group.id}-head` }, group.seen_before ? "" : element("strong", {}, "new "), title, group.message ? `: ${group.message}` : "", element("span", { class: "about" }, about)),
      group.text ? element("pre", { tabindex: "0" }, group.text) : null,
      element("ul", {}, group.latest.map((visit) => request(group, visit, live))),
      element("p", {}, element("code", {}, `slipway errors ${group.id}`)),
    ),
  );
}

/** Return a request or task with an error. If the page is live, its lines can be asked for. */
function request(group, [at, id, what, release], live) {
  const text = [time(at), id, release, what].filter(Boolean).join(" ");
  if (!live || !id) return element("li", {}, text);
  const shown = element("pre", { tabindex: "0", hidden: !lines.has(id) }, lines.get(id));
  const button = element("button", { type: "button", id: `lines-${group.id}-${id}` }, "its log");
  button.addEventListener("click", async () => {
    lines.set(id, await logOf(id, at));
    shown.textContent = lines.get(id);
    shown.hidden = false;
  });
  return element("li", {}, text, " ", element("code", {}, `slipway logs --request ${id}`), " ", button, shown);
}

async function logOf(id, at) {
  try {
    const found = await ask(`lines.json?request=${encodeURIComponent(id)}&at=${at.toFixed(3)}`, LOG);
    return found.join("\n") || "no lines are left";
  } catch (error) {
    return error.message;
  }
}

// ---- releases ----

function showReleases(releases, unknown) {
  const texts = releases.length + unknown.length ? unknown : ["none yet"];
  const items = [...releases, ...texts.map((text) => ({ at: text, only: text }))];
  update(document.querySelector("#releases ul"), items, (entry) => `${entry.at} ${entry.outcome}`, release);
}

function release(entry) {
  if (entry.only) return element("li", {}, entry.only);
  const outcome = entry.outcome === "committed" ? "" : ` ${entry.outcome}`;
  const named = ["settings", "migrations"].filter((name) => entry[name]).map((name) => `${name}: ${entry[name]}`);
  const more = [entry.by === "-" ? "" : `by ${entry.by}`, ...named, entry.cause];
  return element(
    "li",
    { class: outcome ? "failed" : "committed" },
    `${time(entry.at)} ${entry.action} ${entry.tag}${outcome}, ${Math.round(entry.seconds)} s, ${plural(entry.hosts.length, "host")}`,
    element("span", { class: "about" }, more.filter(Boolean).join("; ")),
  );
}
