// Turns numbers into words.

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

/** Return such as "3 minutes" for 190 seconds. */
export function duration(seconds) {
  for (const [unit, length] of UNITS) {
    const number = Math.floor(seconds / length);
    if (number >= 1) return `${number} ${unit}${number > 1 ? "s" : ""}`;
  }
  return `${Math.max(0, Math.round(seconds))} s`;
}

/** Return the time of a moment in seconds, by the reader's clock, with the day unless that is today. */
export function time(at) {
  const moment = new Date(at * 1000);
  const clock = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const today = moment.toDateString() === new Date().toDateString();
  return today ? clock : `${moment.toLocaleDateString([], { day: "numeric", month: "short" })} ${clock}`;
}

/** Return the name of the zone of all times on the page. */
export function zone() {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Return the time of a moment, or a host's own words for it. */
export function moment(since) {
  return typeof since === "number" ? time(since) : since;
}

export function cut(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** Return such as "3.2 GB". */
export function bytes(number) {
  for (const [unit, size] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6]]) {
    if (number >= size) return `${(number / size).toPrecision(number / size < 10 ? 2 : 3)} ${unit}`;
  }
  return `${Math.round(number / 1e3)} KB`;
}

export function milliseconds(number) {
  if (number === null) return "–";
  return number < 1000 ? `${number} ms` : `${(number / 1000).toFixed(1)} s`;
}

/** Return such as "12" or "0.4". */
export function rate(number) {
  return number >= 10 || number === 0 ? String(Math.round(number)) : number.toPrecision(1);
}

export function plural(number, noun) {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}
