// The page of the bitcoin RPC viewer: asks the read-only calls one after the other and shows what the node says.

import { ask, bytes, count, duration, element, fill, noteGood, repeat, say, trouble } from "./companion.js";

const NAME = "The Bitcoin node";
const STARTING = -28; // RPC_IN_WARMUP

/** The `result` of a call, or undefined. Asks nothing where the first call already failed. */
async function result(method) {
  const answer = await ask(`api/${method}`);
  return answer.ok ? answer.body?.result : undefined;
}

function troubleOf(answer) {
  const error = answer.body?.error;
  if (error?.code === STARTING) {
    return { state: "wait", title: "The node is starting", text: `It says: ${error.message}`, steps: ["Wait: this page asks again by itself"] };
  }
  if (error === "not configured") {
    return {
      state: "bad",
      title: "Not configured",
      text: "This page has not been told where the node is and how to log in to it.",
      steps: ["Have the configuration written: companion reconcile", "Should it still be missing, see why: companion status"],
    };
  }
  if (error === "credentials refused") {
    return {
      state: "bad",
      title: "Credentials refused",
      text: "The node runs, but it does not accept the user and password of this page. They were probably changed.",
      steps: ["Have the configuration written again: companion reconcile", "Should it persist, compare rpcuser and rpcauth in the node's bitcoin.conf"],
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
      text: "Nothing takes connections at the node's RPC address. It is stopped, or has not come so far in starting.",
      steps: ["Start Bitcoin, or wait if it was just started", "Should it not stay up, read its log"],
    };
  }
  if (typeof error?.message === "string") {
    return { state: "bad", title: "The node reports an error", text: error.message, steps: ["Read the log of the node"] };
  }
  return trouble(answer, NAME);
}

async function round() {
  const answer = await ask("api/getblockchaininfo");
  const chain = answer.ok ? answer.body?.result : undefined;
  if (!Number.isFinite(chain?.blocks)) {
    say(troubleOf(answer));
    noteGood(false);
    return;
  }
  const network = await result("getnetworkinfo");
  const pool = await result("getmempoolinfo");
  const totals = await result("getnettotals");
  const indexes = await result("getindexinfo");
  const uptime = await result("uptime");
  const peers = network?.connections ?? (await result("getconnectioncount"));

  showChain(chain);
  showNetwork(network, totals, uptime, peers);
  showPool(pool);
  showIndexes(indexes);
  showWarnings(chain.warnings, network?.warnings);
  say(stateOf(chain, peers));
  noteGood(true);
}

function stateOf(chain, peers) {
  if (peers === 0) {
    return { state: "wait", title: "Running, without peers", text: "The node is connected to nobody and learns of no new blocks.", steps: ["Check the network connection of this machine"] };
  }
  const left = chain.headers - chain.blocks;
  if (chain.initialblockdownload || left > 2) {
    const behind = left > 0 ? `${count(left)} blocks are left.` : "It is still looking for the newest blocks.";
    return { state: "wait", title: "Running, synchronising", text: behind, steps: [] };
  }
  return { state: "good", title: "Running and up to date", text: `Block ${count(chain.blocks)} is the newest.`, steps: [] };
}

function showChain(chain) {
  const names = { main: "Mainnet", test: "Testnet 3", testnet4: "Testnet 4", signet: "Signet", regtest: "Regtest" };
  const progress = Math.min(1, Math.max(0, Number(chain.verificationprogress) || 0));
  // Rounded down: 99.99 % must not read as done.
  const percent = `${(Math.floor(progress * 10_000) / 100).toFixed(2)}\u00a0%`;
  // The node estimates, so that its progress stays a little below 1 for ever.
  const complete = !chain.initialblockdownload && chain.blocks === chain.headers;
  fill({
    chain: names[chain.chain] ?? chain.chain,
    blocks: count(chain.blocks),
    headers: count(chain.headers),
    verified: complete ? "all" : percent,
    time: Number.isFinite(chain.time) ? new Date(chain.time * 1000).toLocaleString() : undefined,
    disk: bytes(chain.size_on_disk),
    pruned: chain.pruned ? `yes, from block ${count(chain.pruneheight) ?? "?"}` : "no",
  });
  const bar = document.getElementById("progress");
  bar.value = complete ? 1 : progress;
  bar.textContent = percent;
}

function showNetwork(network, totals, uptime, peers) {
  const reachable = network?.networks?.filter((one) => one.reachable).map((one) => one.name).join(", ");
  fill({
    software: network?.subversion?.replaceAll("/", " ").trim(),
    uptime: duration(uptime),
    peers: count(peers),
    incoming: count(network?.connections_in),
    outgoing: count(network?.connections_out),
    reachable: network?.networkactive === false ? "switched off" : reachable,
    received: bytes(totals?.totalbytesrecv),
    sent: bytes(totals?.totalbytessent),
  });
}

function showPool(pool) {
  const used = bytes(pool?.usage);
  const most = bytes(pool?.maxmempool);
  // The node counts in BTC per 1000 virtual bytes, people in satoshi per virtual byte.
  const fee = Number.isFinite(pool?.mempoolminfee) ? `${Number((pool.mempoolminfee * 100_000).toFixed(3))}\u00a0sat/vB` : undefined;
  fill({
    transactions: count(pool?.size),
    vsize: Number.isFinite(pool?.bytes) ? `${count(pool.bytes)}\u00a0vB` : undefined,
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

repeat(round);
