// Asks for the page's figures again and again, and shows them.

import * as fleet from "./fleet.js";
import * as lists from "./lists.js";
import * as underway from "./underway.js";
import * as visitors from "./visitors.js";

const EVERY = 2000; // milliseconds

let hosts = [];
let paused = false;
let over = false; // true once the deploy that has opened this page has ended

async function look() {
  if (!paused) {
    try {
      const answer = await fetch("state.json");
      if (!answer.ok) throw new Error(await answer.text());
      show(await answer.json());
    } catch {
      document.querySelector("#age").textContent = "slipway view has ended: nothing here is new any more";
    }
  }
  if (!over) setTimeout(look, EVERY);
}

function show(state) {
  document.title = document.querySelector("#app").textContent = state.app;
  document.querySelector("#age").textContent = fleet.age(state.hosts);
  underway.show(state.underway, state.own);
  fleet.show(state.hosts);
  visitors.show(state.visitors, state.marks);
  lists.show(state);
  const news = fleet.news(hosts, state.hosts);
  if (news.length) document.querySelector("#news").textContent = news.join(". ");
  hosts = state.hosts;
  over = Boolean(state.own?.result);
  if (over) document.querySelector("#age").textContent = "this deploy has ended: nothing here is new any more";
}

document.querySelector("#pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
});
document.querySelector("#visitors fieldset").addEventListener("change", visitors.again);
addEventListener("resize", visitors.again);
const saved = document.getElementById("state");
if (saved) show(JSON.parse(saved.textContent));
else look();
