// Shared by the companions' pages: asking this page's own server, saying what came of it, and asking again.
// Text reaches the page through textContent alone.

const REFRESH_MS = 10_000;
// Longer than nginx waits for the backend, so that the reason comes from nginx.
const GIVE_UP_MS = 25_000;
// How long a call waits for its turn at a backend that has too many of them.
const TURN_MS = 30_000;
// Far above any answer of a backend: some thousand channels of lnd.
const LONGEST = 4 << 20;

/**
 * Asks one path of this server, and again while the backend is busy. Never throws: `{ok, status, body}` where `body` is
 * parsed JSON, or the text when `as` is "text", and `status` is 0 when this server itself did not answer. A call that
 * others wait for is `urgent`: it comes first when there are too many.
 */
export async function ask(path, { as = "json", urgent = false } = {}) {
  const end = Date.now() + TURN_MS;
  for (;;) {
    const answer = await askOnce(path, as);
    const isBusy = answer.status === 503 && answer.body?.error === "backend busy";
    if (!isBusy || Date.now() > end) {
      return answer;
    }
    await new Promise((resume) => setTimeout(resume, (urgent ? 500 : 4000) * (1 + Math.random())));
  }
}

async function askOnce(path, as) {
  let response;
  try {
    response = await fetch(path, {
      headers: { "X-Requested-With": "companion" },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    setClock(response.headers.get("Date"));
    const text = await textOf(response);
    const json = as === "json" || !response.ok;
    return { ok: response.ok, status: response.status, body: json ? parsed(text) : text };
  } catch {
    return { ok: false, status: response?.status ?? 0, body: undefined };
  }
}

/** The text of an answer; an error for a longer one than any backend gives. */
async function textOf(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true });
    if (text.length > LONGEST) {
      await reader.cancel();
      throw new Error("too long");
    }
  }
  return text;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What every page says alike when `answer` is no good: `{state, title, text, steps}`. `name` is the backend's. */
export function trouble(answer, name) {
  const reason = answer.body?.error;
  if (answer.status === 0) {
    return {
      state: "bad",
      title: "The server of this page does not answer",
      text: `Nothing is known about ${name} meanwhile.`,
      steps: ["See whether the companion runs: companion status"],
    };
  }
  if (answer.status === 503 && reason === "backend busy") {
    return { state: "wait", title: `${capital(name)} is busy`, text: "It has too many calls waiting.", steps: [] };
  }
  if (answer.status === 504) {
    return {
      state: "wait",
      title: `${capital(name)} does not answer in time`,
      text: "Something is listening, or a firewall drops the packets, but no answer came. Heavy work, such as a first synchronisation, is the usual cause.",
      steps: ["Wait a minute", `If it stays, read the log of ${name}`],
    };
  }
  if (answer.status === 403) {
    return {
      state: "bad",
      title: "This page may not ask",
      text: typeof answer.body?.hint === "string" ? `${reason}: ${answer.body.hint}.` : "The server refused the request of this page.",
      steps: ["Open the page directly, by its own address, without a proxy in front"],
    };
  }
  return {
    state: "bad",
    title: `${capital(name)} gave an answer that this page does not understand`,
    text: typeof reason === "string" ? `Status ${answer.status}: ${reason}.` : `Status ${answer.status}.`,
    steps: [`Read the log of ${name}`],
  };
}

// A name stands in the middle of sentences, and here at the beginning. lnd is written small.
function capital(name) {
  return name.startsWith("the ") ? `The ${name.slice(4)}` : name;
}

/** Shows the state of the backend; screen readers hear it once per change. */
export function say({ state, title, text, steps }) {
  const box = document.getElementById("status-box");
  const heading = document.getElementById("status-title");
  const list = document.getElementById("status-steps");
  box.dataset.state = state;
  replaceText(heading, title);
  replaceText(document.getElementById("status-text"), text);
  if (list.dataset.steps !== steps.join("\n")) {
    list.dataset.steps = steps.join("\n");
    list.replaceChildren(...steps.map((step) => element("li", step)));
  }
  list.hidden = steps.length === 0;
}

// A live region speaks on every change of its nodes, even to the same words.
function replaceText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Makes an element that holds `text`. */
export function element(name, text) {
  const node = document.createElement(name);
  node.textContent = text;
  return node;
}

/** Writes figures, or elements, into the `data-field` places of the page; an unknown one is shown as a dash. */
export function fill(figures) {
  for (const [field, value] of Object.entries(figures)) {
    const node = document.querySelector(`[data-field="${field}"]`);
    if (value instanceof Node) {
      node.replaceChildren(value);
      continue;
    }
    replaceText(node, value === undefined || value === null || value === "" ? "–" : String(value));
  }
}

const lastGood = { at: undefined, figures: false };
let failingSince = recalled("failing"); // since when no answer is good
let nextAt;

/** What this tab stored under `key`, so that a page that is loaded again within a minute goes on counting. */
export function recalled(key) {
  try {
    const { value, seen } = JSON.parse(sessionStorage.getItem(key));
    return Date.now() - seen < 60_000 ? value : undefined;
  } catch {
    return undefined; // nothing is stored, or a frame may not store
  }
}

/** Stores `value` under `key` for this tab. */
export function store(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify({ value, seen: Date.now() }));
  } catch {
    // a frame that may not store
  }
}

/** Notes whether this answer was good, and whether it held figures; figures of an earlier one stay, dimmed. */
export function noteGood(good, figures = true) {
  if (good) {
    lastGood.at = Date.now();
    lastGood.figures = figures;
  }
  failingSince = good ? undefined : (failingSince ?? Date.now());
  nextAt = Date.now() + REFRESH_MS;
  store("failing", failingSince);
  const place = document.getElementById("figures");
  place.hidden = !lastGood.figures;
  place.dataset.age = good ? "new" : "old";
  showTimes();
}

// What changes by the second stands outside of the live region.
function showTimes() {
  const { at, figures } = lastGood;
  const ofFigures = failingSince !== undefined && figures ? "Figures of" : "Updated";
  replaceText(document.getElementById("last-good"), at === undefined ? "Not updated yet" : `${ofFigures} ${ago((Date.now() - at) / 1000)}`);
  const next = document.getElementById("next");
  next.hidden = failingSince === undefined;
  if (failingSince !== undefined) {
    const since = `${new Date(failingSince).toLocaleTimeString()} (${duration((Date.now() - failingSince) / 1000)})`;
    const wait = nextAt === undefined ? "Asking again now" : `This page asks again in ${Math.max(0, Math.ceil((nextAt - Date.now()) / 1000))}\u00a0s`;
    replaceText(next, `No good answer since ${since}. ${wait}; nothing has to be reloaded.`);
  }
  for (const node of document.querySelectorAll("time[data-at]")) {
    replaceText(node, ago(now() / 1000 - Number(node.dataset.at)));
  }
}

/** Runs `refresh` now and 10 s after each end of it; a page that nobody sees rests. */
export function repeat(refresh) {
  let timer;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (running || document.hidden) {
      return;
    }
    running = true;
    nextAt = undefined;
    try {
      await refresh();
    } catch {
      // An answer of another shape than any backend gives.
      say({ state: "bad", title: "The backend gave an answer that this page does not understand", text: "A part of it has another form than it should.", steps: ["Read the log of the backend"] });
      noteGood(false);
    } finally {
      running = false;
      nextAt = Date.now() + REFRESH_MS;
      timer = setTimeout(run, REFRESH_MS);
    }
  };
  document.addEventListener("visibilitychange", run);
  setInterval(showTimes, 1000);
  run().then(showPages);
}

const PAGES = { bitcoin: "Bitcoin node", electrs: "Electrum indexer", lnd: "Lightning node", fedimint: "Fedimint Guardian" };

/** Links to the other pages of this node that are there. */
async function showPages() {
  const place = document.getElementById("pages");
  const ports = await ask("api/page/ports");
  for (const [page, name] of Object.entries(PAGES)) {
    const port = ports.ok ? ports.body[page] : undefined;
    if (page === document.body.dataset.page || !Number.isInteger(port)) {
      continue;
    }
    const answer = await ask(`api/page/${port}`, { as: "text" });
    if (answer.ok && answer.body.includes("<svg")) {
      const link = element("a", name);
      link.href = `http://${location.hostname}:${port}/`;
      place.append(link);
      place.hidden = false;
    }
  }
}

// The clock of the node, which the times of its answers are of: that of this device may be wrong.
let clockAhead = 0;

function setClock(date) {
  const ahead = Date.parse(date) - Date.now();
  if (Number.isFinite(ahead)) {
    clockAhead = ahead;
  }
}

/** Now by the clock of the node, in milliseconds. */
export function now() {
  return Date.now() + clockAhead;
}

/** An element that says how long ago `seconds` since 1970 were, and keeps saying it; the time itself on hover. */
export function timeSince(seconds) {
  if (!Number.isFinite(seconds) || Math.abs(seconds) > 8e9) {
    return undefined;
  }
  const node = element("time", ago(now() / 1000 - seconds));
  node.dateTime = new Date(seconds * 1000).toISOString();
  node.title = new Date(seconds * 1000).toLocaleString();
  node.dataset.at = String(seconds);
  return node;
}

function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${duration(whole >= 60 && whole < 3600 ? whole - (whole % 60) : whole)} ago`;
}

/** Estimates how long something takes that has `left` to go, from the pace since the page was opened. */
export class Pace {
  #seen = [];

  /** Seconds, or undefined before there is a pace. */
  left(left) {
    const at = Date.now() / 1000;
    this.#seen.push({ at, left });
    this.#seen = this.#seen.filter((one) => at - one.at < 900);
    const [first] = this.#seen;
    const done = first.left - left;
    return at - first.at >= 8 && done > 0 ? (left / done) * (at - first.at) : undefined;
  }

  /** The same in words. */
  words(left) {
    const seconds = this.left(left);
    return seconds === undefined ? "How long it takes is known in a minute." : `About ${duration(seconds)} to go at the present pace.`;
  }
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 1234567 → "1,234,567"; what is not a number gives undefined. */
export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : undefined;
}

/** Bytes with a decimal unit: 1500000 → "1.5 MB". */
export function bytes(value) {
  return scaled(value, ["B", "kB", "MB", "GB", "TB"]);
}

/** Virtual bytes in the same way: 18200000 → "18.2 MvB". */
export function virtualBytes(value) {
  return scaled(value, ["vB", "kvB", "MvB", "GvB"]);
}

function scaled(value, units) {
  if (!Number.isFinite(value)) {
    return undefined;
  }
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${short.format(value)}\u00a0${units[unit]}`;
}

/** Seconds in the two largest units: 93784 → "1 d 2 h". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) {
    return undefined;
  }
  const parts = [["y", 31_557_600], ["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  if (first === -1) {
    return "0 s";
  }
  return parts
    .slice(first, first + 2)
    .map(([unit, size], index) => [unit, Math.floor(index === 0 ? seconds / size : (seconds % parts[first][1]) / size)])
    .filter(([, amount], index) => index === 0 || amount > 0)
    .map(([unit, amount]) => `${amount}\u00a0${unit}`)
    .join(" ");
}
