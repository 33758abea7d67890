// Asks for the page's figures again and again, shows them, and says of which time they are.

import * as asking from "./ask.js";
import * as fleet from "./fleet.js";
import * as freshness from "./freshness.js";
import * as lists from "./lists.js";
import * as underway from "./underway.js";
import * as visitors from "./visitors.js";
import { time, zone } from "./words.js";
import * as worst from "./worst.js";

const EVERY = 2000; // milliseconds between two questions
const LIMIT = 10000; // milliseconds to wait for an answer
const TICK = 1000; // milliseconds between two looks at the clock

let state = null; // the last answer
let came = 0; // when it came
let silence = ""; // why none has come since, in words
let paused = 0; // since when, 0: not paused
let announced = ""; // the last reason of silence that a screen reader was told
let over = false; // true once the deploy that has opened this page has ended
let timer = 0;

async function look() {
  if (!paused) {
    try {
      const answer = await asking.ask("state.json", LIMIT);
      if (!paused) show(answer);
    } catch (error) {
      silence = error.message;
      tell();
    }
  }
  clearTimeout(timer);
  if (!over) timer = setTimeout(look, EVERY);
}

function show(answer) {
  const news = fleet.news(state?.hosts ?? [], answer.hosts);
  state = answer;
  came = Date.now();
  silence = "";
  over = Boolean(state.own?.result);
  document.querySelector("#app").textContent = state.app;
  underway.show(state.underway, state.own);
  visitors.show(state.visitors, state.marks);
  lists.show(state);
  tell();
  if (news.length) document.querySelector("#news").textContent = news.join(". ");
}

/** Say how old the figures are by now. What is no longer asked is shown as of then. */
function tell() {
  const seconds = Math.max(0, (Date.now() - came) / 1000);
  const stale = why(seconds);
  if (stale || state) worst.show(state, stale);
  if (stale !== announced) document.querySelector("#news").textContent = announced = stale;
  if (!state) return;
  document.querySelector("#age").textContent = state.saved ? "" : fleet.age(state.hosts, seconds);
  fleet.show(state.hosts, stale && time(state.now), state.now + seconds);
  freshness.show(state, state.now + (state.saved ? 0 : seconds));
}

/** Return why nothing is new any more, or "". */
function why(seconds) {
  if (state?.saved) return `saved at ${time(state.now)}: nothing here is new any more`;
  if (over) return "this deploy has ended: nothing here is new any more";
  if (paused) return `paused since ${time(paused / 1000)}`;
  return silence || (state && seconds * 1000 > LIMIT + EVERY ? "slipway view does not answer" : "");
}

function pause(event) {
  paused = paused ? 0 : Date.now();
  event.target.setAttribute("aria-pressed", String(Boolean(paused)));
  tell();
  if (!paused) look();
}

function begin() {
  asking.takeKey();
  look();
}

document.querySelector("#zone").textContent = `times of ${zone()}`;
document.querySelector("#pause").addEventListener("click", pause);
document.querySelector("#visitors fieldset").addEventListener("change", visitors.again);
addEventListener("resize", visitors.again);
const saved = document.getElementById("state");
if (saved) {
  show(JSON.parse(saved.textContent));
} else {
  addEventListener("hashchange", begin); // a new key was put into the address of this tab
  setInterval(tell, TICK);
  begin();
}
