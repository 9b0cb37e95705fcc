// The page of the Electrum indexer: the few figures that electrs publishes, else whether the Electrum port is open.

import { ask, bytes, count, duration, fill, noteGood, repeat, say, trouble } from "./companion.js";

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

/** The figures of electrs, or of the electrs that mempool runs; undefined when `text` holds no height. */
function figuresOf(text) {
  const sums = samples(text);
  const height = sums.get("index_height") ?? sums.get("tip_height");
  if (height === undefined) {
    return undefined;
  }
  const started = sums.get("process_start_time_seconds");
  return {
    height: count(height),
    transactions: count(sums.get("mempool_txs_count") ?? sums.get("mempool_count")),
    vsize: sums.has("mempool_txs_vsize") ? `${count(sums.get("mempool_txs_vsize"))}\u00a0vB` : undefined,
    memory: bytes(sums.get("process_resident_memory_bytes") ?? sums.get("process_memory_rss")),
    uptime: started === undefined ? undefined : duration(Date.now() / 1000 - started),
  };
}

async function round() {
  const answer = await ask("api/metrics", "text");
  const figures = answer.ok ? figuresOf(answer.body) : undefined;
  if (answer.status === 0) {
    say(trouble(answer, "the indexer"));
    noteGood(false);
    return;
  }
  const port = await ask("api/listening");
  const listening = port.ok ? port.body?.listening : undefined;
  if (figures === undefined) {
    say(withoutFigures(answer, listening));
    noteGood(listening === true, false);
    return;
  }
  fill({ ...figures, port: listening === undefined ? undefined : listening ? "open" : "closed" });
  say(withFigures(figures, listening));
  noteGood(true);
}

function withFigures(figures, listening) {
  if (listening === false) {
    return {
      state: "wait",
      title: "Running, not open for wallets yet",
      text: `Indexed up to block ${figures.height}; the Electrum port is closed.`,
      steps: ["Wait: the first indexing takes hours", "Should it stay so, read the log of the indexer"],
    };
  }
  return {
    state: "good",
    title: "Running",
    text: `Indexed up to block ${figures.height}. Whether that is the newest block, the page of the Bitcoin node tells.`,
    steps: [],
  };
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
        "Should it not stay up, read its log",
        "If it runs: [node.electrs] in catalog.toml says where this page looks for it",
      ],
    };
  }
  return trouble(answer.ok ? { status: answer.status, body: { error: "no figures that this page knows" } } : answer, "The indexer");
}

repeat(round);
