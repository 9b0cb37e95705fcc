// The page of lnd: shows the one thing that lnd tells without a macaroon, how far it has come in starting.

import { ask, fill, noteGood, repeat, say, trouble } from "./companion.js";

const STATES = {
  WAITING_TO_START: ["wait", "lnd waits to start", "Another lnd of a cluster leads; this one stands by.", []],
  NON_EXISTING: ["wait", "lnd has no wallet yet", "It runs and waits for a wallet to be made.", ["Make one: lncli create"]],
  LOCKED: ["wait", "The wallet is locked", "lnd runs, but does nothing on the network until its wallet is unlocked.", ["Unlock it: lncli unlock"]],
  UNLOCKED: ["wait", "lnd is starting", "The wallet is unlocked; the calls for wallets and channels are not ready yet.", ["Wait: this page asks again by itself"]],
  RPC_ACTIVE: ["wait", "lnd is starting", "It takes calls, but waits for its chain backend or its peers.", ["Wait: this page asks again by itself", "Should it stay so, see whether the Bitcoin node is up to date"]],
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
    return { state: "bad", title: "This lnd does not tell its state", text: "Something answers at its address, but it does not know this question. lnd does since 0.13.", steps: ["See what listens at the address of [node.lnd] in catalog.toml"] };
  }
  return trouble(answer, "lnd");
}

async function round() {
  const answer = await ask("api/state");
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
}

repeat(round);
