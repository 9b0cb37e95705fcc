// The page of the Electrum indexer: the few figures that electrs publishes, how far it is behind the node, else whether the
// Electrum port is open; and where wallets connect to.

import { ask, bytes, count, duration, fill, noteGood, now, Pace, repeat, say, trouble, virtualBytes } from "./companion.js";
import { encode } from "./uqr.js";

const pace = new Pace();

/**
 * Prometheus' text format: the samples of each name added up over their labels. Releases of electrs begin their names
 * with `electrs_` or not; of several heights the tip's counts.
 */
function samples(text) {
  const sums = new Map();
  for (const line of text.split("\n")) {
    const match = /^(?:electrs_)?([A-Za-z_:][\w:]*)(\{.*\})?\s+(\S+)/.exec(line);
    const value = match === null ? NaN : Number(match[3]);
    const isOther = match?.[1] === "index_height" && match[2] !== undefined && !match[2].includes('"tip"');
    if (Number.isFinite(value) && !isOther) {
      sums.set(match[1], (sums.get(match[1]) ?? 0) + value);
    }
  }
  return sums;
}

/** The figures of electrs, or of the electrs that mempool runs, without a height since 0.12; undefined when there are none. */
function figuresOf(text) {
  const sums = samples(text);
  const height = sums.get("index_height") ?? sums.get("tip_height");
  if (height === undefined && !sums.has("mempool_txs_count") && !sums.has("mempool_count")) {
    return undefined;
  }
  const started = sums.get("process_start_time_seconds");
  return {
    height,
    transactions: count(sums.get("mempool_txs_count") ?? sums.get("mempool_count")),
    vsize: sums.has("mempool_txs_vsize") ? virtualBytes(sums.get("mempool_txs_vsize")) : undefined,
    memory: bytes(sums.get("process_resident_memory_bytes") ?? sums.get("process_memory_rss")),
    uptime: started === undefined ? undefined : duration(now() / 1000 - started),
  };
}

async function refresh() {
  const answer = await ask("api/metrics", { as: "text", urgent: true });
  const figures = answer.ok ? figuresOf(answer.body) : undefined;
  if (answer.status === 0) {
    say(trouble(answer, "the indexer"));
    noteGood(false);
    return;
  }
  const port = await ask("api/listening", { urgent: true });
  const listening = port.ok ? port.body?.listening : undefined;
  await showConnection(listening);
  if (figures === undefined) {
    say(withoutFigures(answer, listening));
    noteGood(listening === true, false);
    return;
  }
  const { height, ...others } = figures;
  fill({ ...others, height: count(height), port: listening === undefined ? undefined : listening ? "open" : "closed" });
  noteGood(true);
  const tip = await tipOfTheNode();
  fill({ tip: count(tip), behind: tip === undefined || height === undefined ? undefined : behind(tip - height) });
  say(withFigures(height, tip, listening));
}

/** The newest block of the node, which its page shows if it is there. */
async function tipOfTheNode() {
  const answer = await ask("api/tip");
  const { blocks, headers } = answer.body?.result ?? {};
  return Number.isFinite(blocks) && Number.isFinite(headers) ? Math.max(blocks, headers) : undefined;
}

function behind(lag) {
  return lag <= 0 ? "not at all" : lag === 1 ? "1 block" : `${count(lag)} blocks`;
}

function withFigures(height, tip, listening) {
  if (height === undefined) {
    return {
      state: listening === false ? "wait" : "good",
      title: listening === false ? "Running, not open for wallets yet" : "Running",
      text: "This release of electrs does not publish its height. It opens the Electrum port when it has caught up.",
      steps: [],
    };
  }
  const lag = tip === undefined ? undefined : tip - height;
  if (lag > 1) {
    const closed = listening === false ? " The Electrum port opens when it is done." : "";
    return {
      state: "wait",
      title: "Running, indexing",
      text: `Indexed up to block ${count(height)}, ${behind(lag)} behind the node. ${pace.words(lag)}${closed}`,
      steps: [],
    };
  }
  if (listening === false) {
    return {
      state: "wait",
      title: "Running, not open for wallets yet",
      text: `Indexed up to block ${count(height)}; the Electrum port is closed.`,
      steps: ["Wait: the first indexing takes hours", "If it stays so, read the log of the indexer"],
    };
  }
  const newest = lag === undefined
    ? "Whether that is the newest block is not known: the page of the Bitcoin node is not there to show it."
    : "That is the newest block of the node.";
  return {
    state: "good",
    title: lag === undefined ? "Running" : "Running and up to date",
    text: `Indexed up to block ${count(height)}. ${newest}`,
    steps: [],
  };
}

// Where wallets connect to is a setting, and the name of the node the one in the address bar.
async function showConnection(listening) {
  const place = document.getElementById("connect");
  if (place.hidden) {
    const { body } = await ask("api/connect");
    if (!Number.isInteger(body?.port)) {
      return;
    }
    showAddress("local", `${location.hostname}:${body.port}:t`);
    const onion = typeof body.onion === "string" && body.onion !== "" ? `${body.onion}:t` : undefined;
    document.getElementById("tor").hidden = onion === undefined;
    if (onion !== undefined) {
      showAddress("onion", onion);
    }
    place.hidden = false;
  }
  document.getElementById("connect-closed").hidden = listening !== false;
}

function showAddress(id, text) {
  document.getElementById(`${id}-address`).textContent = text;
  document.getElementById(`${id}-code`).replaceChildren(codeOf(text));
}

/** A QR code: one path with a square for each dark module. */
function codeOf(text) {
  const { data, size } = encode(text, { ecc: "M", border: 4 });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `QR code of ${text}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const squares = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")));
  path.setAttribute("d", squares.join(""));
  svg.append(path);
  return svg;
}

function withoutFigures(answer, listening) {
  if (listening === true) {
    return {
      state: "good",
      title: "Reachable, but offers no figures",
      text: "The Electrum port takes connections. Nothing more is known: ElectrumX publishes no figures, and electrs only at its monitoring_addr, which metrics_address of [node.electrs] in catalog.toml names.",
      steps: [],
    };
  }
  if (listening === false && answer.status === 502) {
    return {
      state: "bad",
      title: "The indexer is down",
      text: "Neither its Electrum port nor its figures can be reached.",
      steps: [
        "Start the indexer, or wait if it was just started: ElectrumX opens its port only when it has caught up",
        "If it does not stay up, read its log",
        "If it runs: [node.electrs] in catalog.toml says where this page looks for it",
      ],
    };
  }
  return trouble(answer.ok ? { status: answer.status, body: { error: "no figures that this page knows" } } : answer, "the indexer");
}

repeat(refresh);
