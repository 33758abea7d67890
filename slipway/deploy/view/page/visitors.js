// Draws the visitors' requests: how many by status, and how long they took.

import { element, shape } from "./dom.js";
import { milliseconds, plural, rate, time } from "./words.js";

const CLASSES = [
  ["5", "errors (5xx)"],
  ["4", "refused (4xx)"],
  ["3", "elsewhere (3xx)"],
  ["2", "answered (2xx)"],
];
const HEIGHT = 110;
const LEFT = 46; // for the axis
const BOTTOM = 18;
const ROWS = 3; // of the marks' words
const LETTER = 7; // pixels, or fewer

let last = null;

export function show(visitors, marks) {
  last = { visitors, marks };
  const span = chosen(visitors);
  const shown = marks.filter((mark) => mark.at >= span.points[0].at);
  figure("requests", "requests a second", CLASSES, (width) => requests(span, shown, width));
  figure("times", "time to answer", [["median", "median"], ["p99", "99 %"]], (width) => times(span, shown, width));
  document.querySelector("#visitors .figures").textContent = summary(visitors, span);
  table(span, shown);
}

/** Draw again, as the width or the chosen span has changed. */
export function again() {
  if (last) show(last.visitors, last.marks);
}

function chosen(visitors) {
  const seconds = Number(document.querySelector("#visitors input:checked").value);
  return visitors.spans.find((span) => span.seconds === seconds);
}

function summary(visitors, span) {
  const share = span.answers ? (100 * span.errors) / span.answers : 0;
  const parts = [plural(span.answers, "request"), `${plural(span.errors, "error")} (${share.toPrecision(2)} %)`];
  if (visitors.hosts.length === visitors.unknown.length && !span.answers) parts.splice(0);
  if (!visitors.hosts.length) parts.push("unknown: no host counts them");
  if (!visitors.complete) parts.push("still reading older logs");
  parts.push(...visitors.unknown.map(({ host, why }) => `unknown on ${host}: ${why}`));
  return parts.join(", ");
}

function figure(id, title, names, draw) {
  const node = document.getElementById(id);
  const keys = names.map(([key, text]) => element("span", { class: `key k${key}` }, text));
  node.replaceChildren(element("figcaption", {}, title, element("span", {}, keys)), draw(node.clientWidth));
}

// ---- drawing ----

function requests(span, marks, width) {
  const sums = span.points.map((point) => CLASSES.reduce((sum, [key]) => sum + point[key] / span.step, 0));
  const most = roundedUp(Math.max(...sums, 1));
  const step = (width - LEFT) / span.points.length;
  const bars = span.points.flatMap((point, at) => stack(point, at, step, most * span.step));
  return drawing(span, marks, width, most, rate, bars);
}

function stack(point, at, step, most) {
  let top = HEIGHT;
  return CLASSES.filter(([key]) => point[key]).map(([key]) => {
    const height = Math.max(1, (point[key] / most) * HEIGHT);
    top -= height;
    return shape("rect", { class: `k${key}`, x: LEFT + at * step, y: top, width: Math.max(1, step - 1), height });
  });
}

function times(span, marks, width) {
  const most = roundedUp(Math.max(...span.points.map((point) => point.p99 ?? 0), 10));
  const step = (width - LEFT) / span.points.length;
  const lines = ["median", "p99"].map((key) => shape("path", { class: `k${key}`, d: path(span.points, key, step, most) }));
  return drawing(span, marks, width, most, milliseconds, lines);
}

/** Return a path with a gap where there are no answers. */
function path(points, key, step, most) {
  let pen = "M";
  return points
    .map((point, at) => {
      if (point[key] === null) {
        pen = "M";
        return "";
      }
      const place = `${pen}${(LEFT + (at + 0.5) * step).toFixed(1)},${(HEIGHT - (point[key] / most) * HEIGHT).toFixed(1)}`;
      pen = "L";
      return place;
    })
    .join("");
}

function drawing(span, marks, width, most, label, parts) {
  const height = HEIGHT + BOTTOM;
  return shape(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    [0, most / 2, most].map((value) => shape("text", { x: LEFT - 6, y: HEIGHT - (value / most) * (HEIGHT - 10), class: "level" }, label(value))),
    shape("line", { class: "axis", x1: LEFT, x2: width, y1: HEIGHT, y2: HEIGHT }),
    parts,
    named(marks, span, width).map(marked),
    hours(span, width),
  );
}

/** Give each mark's words the first row in which they cover no others. Where there is none, only the table has them. */
function named(marks, span, width) {
  const ends = Array(ROWS).fill(0);
  return [...marks].sort((one, other) => one.at - other.at).map((mark) => {
    const x = place(mark.at, span, width);
    const length = mark.text.length * LETTER;
    const left = Math.min(x + 3, width - length);
    const row = ends.findIndex((end) => end <= left);
    if (row >= 0) ends[row] = left + length;
    return { ...mark, x, left, row };
  });
}

function marked({ kind, text, x, left, row }) {
  return shape(
    "g",
    { class: `mark ${kind.replace(" ", "-")}` },
    shape("line", { x1: x, x2: x, y1: 0, y2: HEIGHT }),
    row >= 0 ? shape("text", { x: left, y: 10 + 12 * row }, text) : null,
  );
}

function place(at, span, width) {
  const begin = span.points[0].at;
  return LEFT + ((at - begin) / (span.points.length * span.step)) * (width - LEFT);
}

function hours(span, width) {
  const number = width > 600 ? 5 : 3;
  return Array.from({ length: number }, (_, part) => {
    const point = span.points[Math.floor((part * (span.points.length - 1)) / (number - 1))];
    const anchor = part === 0 ? "start" : part === number - 1 ? "end" : "middle";
    return shape("text", { x: place(point.at, span, width), y: HEIGHT + BOTTOM - 4, "text-anchor": anchor }, time(point.at));
  });
}

/** Return the next number of the form 1, 2 or 5 with zeros. */
function roundedUp(number) {
  const size = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((factor) => factor * size).find((candidate) => candidate >= number);
}

// ---- the same as a table ----

function table(span, marks) {
  const names = ["time", ...CLASSES.map(([, text]) => `${text} a second`), "median", "99 %", "what happened"];
  const head = element("tr", {}, names.map((name) => element("th", { scope: "col" }, name)));
  const rows = span.points.map((point) => row(point, span.step, marks.filter((mark) => mark.at >= point.at && mark.at < point.at + span.step)));
  document.querySelector("#visitors table").replaceChildren(element("thead", {}, head), element("tbody", {}, rows.reverse()));
}

function row(point, step, marks) {
  const cells = [...CLASSES.map(([key]) => rate(point[key] / step)), milliseconds(point.median), milliseconds(point.p99), marks.map((mark) => mark.text).join(", ")];
  return element("tr", {}, element("th", { scope: "row" }, time(point.at)), cells.map((text) => element("td", {}, text)));
}
