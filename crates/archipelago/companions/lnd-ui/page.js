// The page of lnd: the state of its start, for which lnd requires no macaroon; with a read-only macaroon also its balances,
// its channels, and whether it is synchronised.

import { ask, count, element, fill, noteGood, repeat, say, timeSince, trouble } from "./companion.js";

// The largest ones; the others are counted.
const MOST_CHANNELS = 50;

const STATES = {
  WAITING_TO_START: ["wait", "lnd waits to start", "Another lnd of a cluster leads; this one stands by.", []],
  NON_EXISTING: ["wait", "lnd has no wallet yet", "It runs and waits for a wallet to be made.", ["Make one: lncli create"]],
  LOCKED: ["wait", "The wallet is locked", "lnd runs, but does nothing on the network until its wallet is unlocked.", ["Unlock it: lncli unlock"]],
  UNLOCKED: ["wait", "lnd is starting", "The wallet is unlocked; the calls for wallets and channels are not ready yet.", ["Wait: this takes some minutes"]],
  RPC_ACTIVE: ["wait", "lnd is starting", "It takes calls, but waits for its chain backend or its peers.", ["Wait: this takes some minutes", "If it stays so, see whether the Bitcoin node is up to date"]],
  SERVER_ACTIVE: ["good", "lnd is running", "Its wallet is open and it is on the network.", []],
};

function troubleOf(answer) {
  if (answer.status === 502 && answer.body?.error === "backend unreachable") {
    return {
      state: "bad",
      title: "lnd is down, or not reachable from here",
      text: "Nothing takes connections where this page looks for its REST API.",
      steps: [
        "Start lnd, or wait if it was just started",
        "If lnd runs: it must listen on 127.0.0.1:8080 (restlisten=localhost:8080), or [node] lnd in catalog.toml says where",
      ],
    };
  }
  if (answer.status === 404) {
    return { state: "bad", title: "This lnd does not report its state", text: "Something answers at its address, but it does not know this question. lnd does since 0.13.", steps: ["See what listens at the address of [node.lnd] in catalog.toml"] };
  }
  return trouble(answer, "lnd");
}

async function refresh() {
  const answer = await ask("api/state", { urgent: true });
  const state = answer.ok ? answer.body?.state : undefined;
  if (typeof state !== "string") {
    say(troubleOf(answer));
    noteGood(false);
    return;
  }
  const [kind, title, text, steps] = STATES[state] ?? ["wait", "lnd runs", "It reports a state that this page does not know.", []];
  fill({ state });
  say({ state: kind, title, text, steps });
  noteGood(true);
  if (state === "SERVER_ACTIVE" || state === "RPC_ACTIVE") {
    await showWallet(state === "SERVER_ACTIVE");
  } else {
    showNote("Balances and channels are shown when lnd runs.");
  }
}

/** What needs the macaroon; without one, why it is not shown. */
async function showWallet(active) {
  const answer = await ask("api/getinfo");
  const info = answer.body;
  if (info?.error === "no macaroon") {
    const missing = "this page has no macaroon. To show them to everybody who can open this page, name lnd's readonly.macaroon in catalog.toml: [node.lnd] macaroon_file. lnd makes that file together with its wallet";
    showNote(`Balances and channels are not shown: ${text(info.hint) ?? missing}.`);
    return;
  }
  if (!answer.ok || typeof info?.identity_pubkey !== "string") {
    showNote(`Balances and channels are not shown: ${failure(answer)}`);
    return;
  }
  showNode(info);
  if (active && info.synced_to_chain === false) {
    say({ state: "wait", title: "lnd is running, synchronising", text: `It is at block ${count(info.block_height) ?? "?"} and catches up with the Bitcoin node.`, steps: [] });
  }
  const [wallet, balance, channels] = [await ask("api/wallet"), await ask("api/balance"), await ask("api/channels")];
  showBalances(wallet.body, balance.body);
  showChannels(channels);
  document.getElementById("wallet-note").hidden = true;
  for (const section of document.querySelectorAll("[data-needs=macaroon]")) {
    section.hidden = false;
  }
}

/** Why a call that needs the macaroon has no result: only lnd's own words, or its 401 or 403, blame the macaroon. */
function failure({ body }) {
  const message = text(body?.message);
  const words = message === undefined ? "" : ` lnd says: ${message}`;
  if (["credentials refused", "access refused"].includes(body?.error) || /macaroon|caveat|verification failed|permission denied/i.test(message)) {
    return `the macaroon was not accepted.${words}`;
  }
  return message === undefined ? "lnd did not answer this call." : `this call failed.${words}`;
}

function showNote(text) {
  const note = document.getElementById("wallet-note");
  note.textContent = text;
  note.hidden = false;
  for (const section of document.querySelectorAll("[data-needs=macaroon]")) {
    section.hidden = true;
  }
}

function showNode(info) {
  const yes = (flag) => (flag === true ? "up to date" : flag === false ? "not yet" : undefined);
  fill({
    alias: text(info.alias),
    software: typeof info.version === "string" ? `lnd ${info.version.split(" ")[0]}` : undefined,
    height: count(info.block_height),
    header: timeSince(number(info.best_header_timestamp)),
    chain: yes(info.synced_to_chain),
    graph: yes(info.synced_to_graph),
    peers: count(info.num_peers),
  });
}

function showBalances(wallet, balance) {
  fill({
    confirmed: sats(wallet?.confirmed_balance),
    unconfirmed: sats(wallet?.unconfirmed_balance),
    local: sats(balance?.local_balance?.sat),
    remote: sats(balance?.remote_balance?.sat),
    pending: sats(balance?.pending_open_local_balance?.sat),
  });
}

function showChannels(answer) {
  const channels = answer.ok ? answer.body?.channels : undefined;
  const isKnown = Array.isArray(channels);
  const all = isKnown ? channels.filter((one) => typeof one === "object" && one !== null) : [];
  all.sort((one, other) => (number(other.capacity) || 0) - (number(one.capacity) || 0));
  const rows = all.slice(0, MOST_CHANNELS).map((channel) => {
    const row = document.createElement("tr");
    const name = element("th", text(channel.peer_alias) ?? short(channel.remote_pubkey));
    name.scope = "row";
    name.append(element("small", channel.active === true ? "active" : "inactive"));
    row.append(name, ...[channel.capacity, channel.local_balance, channel.remote_balance].map((value) => element("td", count(number(value)) ?? "–")));
    return row;
  });
  document.getElementById("channels-rows").replaceChildren(...rows);
  document.getElementById("channels-table").hidden = rows.length === 0;
  const active = all.filter((one) => one.active === true).length;
  const more = all.length > rows.length ? ` The ${rows.length} largest are shown.` : "";
  const note = all.length === 0 ? "There are no open channels." : `${count(all.length)} open, ${count(active)} active; amounts in satoshi.${more}`;
  document.getElementById("channels-note").textContent = isKnown ? note : `Channels are not shown: ${failure(answer)}`;
}

// lnd writes 64-bit numbers as texts.
function number(value) {
  return typeof value === "string" && /^-?\d{1,16}$/.test(value) ? Number(value) : Number.isFinite(value) ? value : undefined;
}

function sats(value) {
  const amount = count(number(value));
  return amount === undefined ? undefined : `${amount}\u00a0sat`;
}

function text(value) {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function short(key) {
  return typeof key === "string" ? `${key.slice(0, 8)}…\u200b${key.slice(-4)}` : "unknown";
}

repeat(refresh);
