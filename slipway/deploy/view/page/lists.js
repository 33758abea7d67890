// Shows errors, work, releases and data as lists.

import { element, update } from "./dom.js";
import { duration, plural, time } from "./words.js";

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
  showErrors(state.errors, !state.saved);
  const work = [...celery(state.work.celery), ...state.work.tasks, ...state.work.timed.map(byTheClock)];
  fill("work", work, "no tasks, and nothing runs by the clock");
  showReleases(state.releases);
  const data = state.data.flatMap((each) => [`${each.host}: ${each.text}`, each.note].filter(Boolean));
  fill("data", data, "no backups: docs/backup.md");
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
  const times = ["last", "next"].filter((name) => timer[name]).map((name) => `${name} ${timer[name]}`);
  return [`${timer.role} on ${timer.host}: ${timer.state}`, timer.health, ...times].filter(Boolean).join(", ");
}

// ---- errors ----

function showErrors(errors, live) {
  const unknown = errors.unknown.map((name) => ({ id: `unknown-${name}`, unknown: name }));
  const groups = errors.groups.length + unknown.length ? [...errors.groups, ...unknown] : [{ id: "none" }];
  update(document.querySelector("#errors ul"), groups, (group) => group.id, (group) => errorGroup(group, live));
}

function errorGroup(group, live) {
  if (group.id === "none") return element("li", {}, "none since the live release");
  if (group.unknown) return element("li", {}, `unknown on ${group.unknown}, which has not told them yet`);
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
    const answer = await fetch(`lines.json?request=${encodeURIComponent(id)}&at=${at.toFixed(3)}`);
    return answer.ok ? (await answer.json()).join("\n") || "no lines are left" : `not known: ${answer.status}`;
  } catch {
    return "slipway view has ended";
  }
}

// ---- releases ----

function showReleases(releases) {
  update(document.querySelector("#releases ul"), releases, (entry) => `${entry.at} ${entry.outcome}`, release);
}

function release(entry) {
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
