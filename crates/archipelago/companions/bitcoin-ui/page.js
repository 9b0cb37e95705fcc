// The page of the bitcoin RPC viewer: asks the read-only calls one after the other and shows what the node says.

import { ask, bytes, count, duration, element, fill, noteGood, now, Pace, repeat, say, timeSince, trouble, virtualBytes } from "./companion.js";

const NAME = "the Bitcoin node";
const STARTING = -28; // RPC_IN_WARMUP
// Blocks come every 10 minutes. Two hours without one happen once in three years.
const STALE_S = 2 * 3600;
const pace = new Pace();

/** The `result` of a call, or undefined. */
async function result(method) {
  const answer = await ask(`api/${method}`);
  return answer.ok ? answer.body?.result : undefined;
}

function troubleOf(answer) {
  const error = answer.body?.error;
  if (error?.code === STARTING) {
    return { state: "wait", title: "The node is starting", text: `It says: ${error.message}`, steps: ["Wait: starting takes some minutes, and hours after it was not shut down cleanly"] };
  }
  if (error === "not configured") {
    return {
      state: "bad",
      title: "Not configured",
      text: "This page does not know where the node is and how to log in to it.",
      steps: ["Have the configuration written: companion reconcile", "If it is still missing, see why: companion status"],
    };
  }
  if (error === "credentials refused") {
    return {
      state: "bad",
      title: "Credentials refused",
      text: "The node runs, but it does not accept the user and password of this page. They were probably changed.",
      steps: ["Have the configuration written again: companion reconcile", "If that does not help, compare rpcuser and rpcauth in the node's bitcoin.conf"],
    };
  }
  if (error === "access refused") {
    return {
      state: "bad",
      title: "Access refused",
      text: "The node does not let this page make its calls.",
      steps: ["See rpcallowip and rpcwhitelist in the node's bitcoin.conf"],
    };
  }
  if (answer.status === 502 && error === "backend unreachable") {
    return {
      state: "bad",
      title: "The node is down",
      text: "Nothing takes connections at the node's RPC address. It is stopped, or still starting.",
      steps: ["Start Bitcoin, or wait if it was just started", "If it does not stay up, read its log"],
    };
  }
  if (typeof error?.message === "string") {
    return { state: "bad", title: "The node reports an error", text: error.message, steps: ["Read the log of the node"] };
  }
  return trouble(answer, NAME);
}

async function refresh() {
  const answer = await ask("api/getblockchaininfo", { urgent: true });
  const chain = answer.ok ? answer.body?.result : undefined;
  if (!Number.isFinite(chain?.blocks)) {
    say(troubleOf(answer));
    noteGood(false);
    return;
  }
  // A node that synchronises takes seconds for each call: what is known is shown immediately.
  showChain(chain);
  say(stateOf(chain));
  noteGood(true);

  const network = await result("getnetworkinfo");
  const peers = network?.connections ?? (await result("getconnectioncount"));
  showNetwork(network, peers);
  showWarnings(chain.warnings, network?.warnings);
  say(stateOf(chain, peers));
  showPool(await result("getmempoolinfo"));
  const totals = await result("getnettotals");
  fill({ received: bytes(totals?.totalbytesrecv), sent: bytes(totals?.totalbytessent) });
  fill({ uptime: duration(await result("uptime")) });
  showIndexes(await result("getindexinfo"));
}

function stateOf(chain, peers) {
  if (peers === 0) {
    return { state: "wait", title: "Running, without peers", text: "The node is connected to nobody and learns of no new blocks.", steps: ["Check the network connection of this machine"] };
  }
  const left = chain.headers - chain.blocks;
  if (chain.initialblockdownload || left > 2) {
    const behind = left > 0 ? `${count(left)} blocks are left. ${pace.words(1 - progressOf(chain))}` : "It is still looking for the newest blocks.";
    return { state: "wait", title: "Running, synchronising", text: behind, steps: [] };
  }
  const age = now() / 1000 - chain.time;
  if (age > STALE_S && chain.chain !== "regtest") {
    return {
      state: "wait",
      title: "Running, but no new block for a long time",
      text: `Block ${count(chain.blocks)} is ${duration(age)} old, and one comes every ten minutes. The node may be cut off from the network.`,
      steps: ["Check the network connection and the clock of this machine", "Compare the height with that of another node", "If others are ahead, restart Bitcoin and read its log"],
    };
  }
  return { state: "good", title: "Running and up to date", text: `Block ${count(chain.blocks)} is the newest.`, steps: [] };
}

function progressOf(chain) {
  return Math.min(1, Math.max(0, Number(chain.verificationprogress) || 0));
}

function showChain(chain) {
  const names = { main: "Mainnet", test: "Testnet 3", testnet4: "Testnet 4", signet: "Signet", regtest: "Regtest" };
  const progress = progressOf(chain);
  // Rounded down: 99.99 % must not read as done.
  const percent = `${(Math.floor(progress * 10_000) / 100).toFixed(2)}\u00a0%`;
  // The node estimates, so that its progress always stays a little below 1.
  const complete = !chain.initialblockdownload && chain.blocks === chain.headers;
  fill({
    chain: names[chain.chain] ?? chain.chain,
    blocks: count(chain.blocks),
    headers: count(chain.headers),
    verified: complete ? "all" : percent,
    time: timeSince(chain.time),
    disk: bytes(chain.size_on_disk),
    pruned: chain.pruned ? `yes, from block ${count(chain.pruneheight) ?? "?"}` : "no",
  });
  const bar = document.getElementById("progress");
  bar.value = complete ? 1 : progress;
  bar.textContent = percent;
}

/**
 * The product behind a user agent (BIP 14): "/Satoshi:28.1.0/Knots:20250305/" → "Bitcoin Knots 28.1 (20250305)". Another
 * one is shown as it is.
 */
function productOf(agent) {
  if (typeof agent !== "string") {
    return undefined;
  }
  const match = /^\/Satoshi:(\d+(?:\.\d+)+)(\([^/]*\))?\/(?:(\w+):([\w.]+)\/)?$/.exec(agent);
  if (match === null) {
    return agent.replaceAll("/", " ").trim();
  }
  const [, number, comment, fork, edition] = match;
  // Releases have been called by two numbers since 22.0, and by three after a correction of a correction.
  const version = /^\d\d+\.\d+\.0$/.test(number) ? number.slice(0, -2) : number;
  return [`Bitcoin ${fork ?? "Core"} ${version}`, edition && `(${edition})`, comment].filter(Boolean).join(" ");
}

function showNetwork(network, peers) {
  const reachable = network?.networks?.filter((one) => one.reachable).map((one) => one.name).join(", ");
  fill({
    software: productOf(network?.subversion),
    peers: count(peers),
    incoming: count(network?.connections_in),
    outgoing: count(network?.connections_out),
    reachable: network?.networkactive === false ? "switched off" : reachable,
  });
}

function showPool(pool) {
  const used = bytes(pool?.usage);
  const most = bytes(pool?.maxmempool);
  // The node counts in BTC per 1000 virtual bytes, people in satoshi per virtual byte.
  const fee = Number.isFinite(pool?.mempoolminfee) ? `${Number((pool.mempoolminfee * 100_000).toFixed(3))}\u00a0sat/vB` : undefined;
  fill({
    transactions: count(pool?.size),
    vsize: virtualBytes(pool?.bytes),
    memory: used && most ? `${used} of ${most}` : used,
    fee,
  });
}

function showIndexes(indexes) {
  const list = document.getElementById("indexes-list");
  const note = document.getElementById("indexes-note");
  const entries = Object.entries(indexes ?? {});
  list.replaceChildren(
    ...entries.flatMap(([name, index]) => [
      element("dt", name),
      element("dd", index?.synced ? `up to date (${count(index.best_block_height) ?? "?"})` : `at block ${count(index?.best_block_height) ?? "?"}`),
    ]),
  );
  note.textContent = indexes === undefined ? "The node does not say." : "The node keeps no optional indexes.";
  note.hidden = entries.length > 0;
}

// A string until Bitcoin Core 28, a list since.
function showWarnings(...sources) {
  const warnings = [...new Set(sources.flat().filter((one) => typeof one === "string" && one !== ""))];
  document.getElementById("warnings-list").replaceChildren(...warnings.map((one) => element("li", one)));
  document.getElementById("warnings").hidden = warnings.length === 0;
}

repeat(refresh);
