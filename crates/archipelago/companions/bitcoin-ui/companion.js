// Shared by the companions' pages: asking this page's own server, saying what came of it, and asking again.
// The same file in each build context. Text reaches the page through textContent alone.

const REFRESH_MS = 10_000;
// Longer than nginx waits for the backend, so that the reason comes from nginx.
const GIVE_UP_MS = 25_000;
// Far above any answer of a backend.
const LONGEST = 1 << 20;

/**
 * Asks one path of this server. Never throws: `{ok, status, body}` where `body` is parsed JSON, or the text when
 * `as` is "text", and `status` is 0 when this server itself did not answer.
 */
export async function ask(path, as = "json") {
  let response;
  try {
    response = await fetch(path, {
      headers: { "X-Requested-With": "companion" },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    const text = await textOf(response);
    const json = as === "json" || !response.ok;
    return { ok: response.ok, status: response.status, body: json ? parsed(text) : text };
  } catch {
    return { ok: false, status: response?.status ?? 0, body: undefined };
  }
}

/** The text of an answer; an error for a longer one than any backend gives. */
async function textOf(response) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of response.body) {
    text += decoder.decode(part, { stream: true });
    if (text.length > LONGEST) {
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
      title: "This page's own server does not answer",
      text: `The figures below are old. Nothing is known about ${name}.`,
      steps: ["See whether the companion runs: companion status"],
    };
  }
  if (answer.status === 503 && reason === "backend busy") {
    return { state: "wait", title: `${name} is busy`, text: "It has too many calls waiting. This page asks again by itself.", steps: [] };
  }
  if (answer.status === 504) {
    return {
      state: "wait",
      title: `${name} does not answer in time`,
      text: "Something is listening, or a firewall drops the packets, but no answer came. Heavy work, such as a first synchronisation, is the usual cause.",
      steps: ["Wait a minute: this page asks again by itself", `If it stays, read the log of ${name}`],
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
    title: `${name} gave an answer that this page does not understand`,
    text: typeof reason === "string" ? `Status ${answer.status}: ${reason}.` : `Status ${answer.status}.`,
    steps: [`Read the log of ${name}`],
  };
}

/** Shows the state of the backend; screen readers hear it once per change. */
export function say({ state, title, text, steps }) {
  const box = document.getElementById("status");
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

/** Writes figures into the `data-field` places of the page; an unknown one is shown as a dash. */
export function fill(figures) {
  for (const [field, value] of Object.entries(figures)) {
    const node = document.querySelector(`[data-field="${field}"]`);
    replaceText(node, value === undefined || value === null || value === "" ? "–" : String(value));
  }
}

const lastGood = { at: undefined, figures: false };

/** Notes whether this round's answer was good, and whether it held figures; figures of an earlier one stay, dimmed. */
export function noteGood(good, figures = true) {
  if (good) {
    lastGood.at = new Date();
    lastGood.figures = figures;
  }
  const place = document.getElementById("figures");
  place.hidden = !lastGood.figures;
  place.dataset.age = good ? "new" : "old";
  const old = !good && lastGood.figures ? " – the figures are from then" : "";
  replaceText(
    document.getElementById("last-good"),
    lastGood.at === undefined ? "No good answer yet" : `Last good answer: ${lastGood.at.toLocaleTimeString()}${old}`,
  );
}

/** Runs `round` now and 10 s after each end of it; a page that nobody sees rests. */
export function repeat(round) {
  let timer;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (running || document.hidden) {
      return;
    }
    running = true;
    try {
      await round();
    } finally {
      running = false;
      timer = setTimeout(run, REFRESH_MS);
    }
  };
  document.addEventListener("visibilitychange", run);
  run();
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 1234567 → "1,234,567"; what is not a number gives undefined. */
export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : undefined;
}

/** Bytes with a decimal unit: 1500000 → "1.5 MB". */
export function bytes(value) {
  if (!Number.isFinite(value)) {
    return undefined;
  }
  const units = ["B", "kB", "MB", "GB", "TB"];
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
  const parts = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
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
