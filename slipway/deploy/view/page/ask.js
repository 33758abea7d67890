// Asks `slipway view`, and says in words why it has no answer. The key is in the page's address once, and then in the
// storage of this tab and port alone: other servers on this machine, which would get a cookie, do not get it.

const KEY = "slipway view";
const ENDED = "slipway view has ended: nothing here is new any more";

/** Take the key out of the address. */
export function takeKey() {
  const key = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!key) return;
  sessionStorage.setItem(KEY, key);
  history.replaceState(null, "", location.pathname);
}

/** Return the answer within so many milliseconds, or throw an Error whose message says why there is none. */
export async function ask(path, limit) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
  try {
    const answer = await fetch(path, { headers, signal: AbortSignal.timeout(limit) });
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text);
    throw new Refusal(answer.status, text);
  } catch (error) {
    throw new Error(words(error));
  }
}

class Refusal extends Error {
  constructor(status, text) {
    super(text.split("\n")[0].slice(0, 200));
    this.status = status;
  }
}

function words(error) {
  if (error instanceof Refusal && error.status === 403) return "this page has no key: open the address that slipway view has printed last";
  if (error instanceof Refusal) return `slipway view failed (${error.status}): ${error.message}`;
  if (error.name === "TimeoutError") return "slipway view does not answer";
  return error instanceof SyntaxError ? "another program answers in place of slipway view" : ENDED;
}
