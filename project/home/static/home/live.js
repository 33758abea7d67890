// Keeps "What is running" fresh while somebody looks: asks for the section every few seconds and puts in what changed.
"use strict";

const EVERY = 5000, PATIENCE = 8000; // milliseconds
const section = document.getElementById("running");
const byId = (id) => document.getElementById(id);

function replace(fresh) {
  const old = byId(fresh.id);
  if (!old) return byId("part-release").parentElement.append(fresh);
  if (old.outerHTML === fresh.outerHTML) return;
  const selection = getSelection();
  if (!selection.isCollapsed && selection.containsNode(old, true)) return; // somebody is about to copy it
  old.replaceWith(fresh);
}

function show(page) {
  const fresh = page.getElementById("running");
  section.dataset.state = fresh.dataset.state;
  document.querySelector(".sky").dataset.state = fresh.dataset.state;
  const tally = page.getElementById("tally").textContent;
  if (byId("tally").textContent !== tally) byId("tally").textContent = tally; // read aloud, so only where it changed
  for (const part of section.querySelectorAll(".part")) if (!page.getElementById(part.id)) part.remove();
  fresh.querySelectorAll(".part").forEach(replace);
}

async function refresh() {
  try {
    const answer = await fetch(section.dataset.url, { signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 404) return location.reload(); // signed out meanwhile
    if (!answer.ok) throw new Error(answer.status);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    byId("lost").hidden = true;
  } catch {
    byId("lost").hidden = false;
  }
}

let busy = false;
async function tick() {
  if (document.hidden || busy) return;
  busy = true;
  await refresh();
  busy = false;
}

setInterval(tick, EVERY);
document.addEventListener("visibilitychange", tick);
