// Shows errors, work, releases and data as lists.

import { element, update } from "./dom.js";
import { duration, plural, time } from "./words.js";

export function show(state) {
  showErrors(state.errors);
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
  return [`${timer.role} on ${timer.host}: ${timer.state}`, timer.health].filter(Boolean).join(", ");
}

// ---- errors ----

function showErrors(errors) {
  const unknown = errors.unknown.map((name) => ({ id: `unknown-${name}`, unknown: name }));
  const groups = errors.groups.length + unknown.length ? [...errors.groups, ...unknown] : [{ id: "none" }];
  update(document.querySelector("#errors ul"), groups, (group) => group.id, errorGroup);
}

function errorGroup(group) {
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
      element("ul", {}, group.latest.map(([at, id, what, release]) => element("li", {}, [time(at), id, release, what].filter(Boolean).join(" ")))),
      element("p", {}, element("code", {}, `slipway errors ${group.id}`)),
    ),
  );
}

// ---- releases ----

function showReleases(releases) {
  update(document.querySelector("#releases ul"), releases, (entry) => `${entry.at} ${entry.outcome}`, release);
}

function release(entry) {
  const outcome = entry.outcome === "committed" ? "" : ` ${entry.outcome}`;
  const more = [entry.by === "-" ? "" : `by ${entry.by}`, entry.settings ? `settings: ${entry.settings}` : "", entry.cause];
  return element(
    "li",
    { class: outcome ? "failed" : "committed" },
    `${time(entry.at)} ${entry.action} ${entry.tag}${outcome}, ${Math.round(entry.seconds)} s, ${plural(entry.hosts.length, "host")}`,
    element("span", { class: "about" }, more.filter(Boolean).join("; ")),
  );
}
