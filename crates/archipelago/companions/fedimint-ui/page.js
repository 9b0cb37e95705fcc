// The page that stands in for the Guardian of Fedimint until it answers: what it waits for, and how that is. It goes over by
// loading itself again: its server then sends the browser to the Guardian.

import { ask, count, duration, fill, noteGood, Pace, recalled, repeat, say, store, trouble } from "./companion.js";

const STARTING = -28; // RPC_IN_WARMUP
const pace = new Pace();
const silentSince = recalled("silent") ?? {};
let isFirst = true;

/** "answers", or since when it does not as far as this tab knows. */
function words(name, answers) {
  silentSince[name] = answers ? undefined : (silentSince[name] ?? Date.now());
  store("silent", silentSince);
  if (answers) {
    return "answers";
  }
  const since = silentSince[name];
  return `no answer since ${new Date(since).toLocaleTimeString()} (${duration((Date.now() - since) / 1000)})`;
}

async function refresh() {
  const answer = await ask("api/guardian", { urgent: true });
  const answers = answer.body?.answers;
  if (typeof answers !== "boolean") {
    say(trouble(answer, "the Guardian"));
    noteGood(false);
    return;
  }
  // The page came because nothing answered a moment ago. So an answer that comes and goes is followed once in 10 s at most.
  if (answers && !isFirst) {
    location.replace("./");
  }
  isFirst = false;
  const { node, ...waiting } = await nodeState();
  fill({ node, guardian: words("guardian", answers) });
  say(answers ? { state: "good", title: "The Guardian answers", text: "It opens in a moment.", steps: [] } : waiting);
  noteGood(true);
}

/** How the node is, and what that means for the Guardian, which does not answer. */
async function nodeState() {
  const tip = await ask("api/tip");
  const { blocks, headers, initialblockdownload, verificationprogress } = tip.body?.result ?? {};
  const isKnown = tip.ok && Number.isFinite(blocks) && Number.isFinite(headers);
  if (isKnown && (initialblockdownload === true || headers - blocks > 2)) {
    const progress = Math.min(1, Math.max(0, Number(verificationprogress) || 0));
    // Rounded down: 99.99 % must not read as done.
    const percent = `${(Math.floor(progress * 10_000) / 100).toFixed(2)}\u00a0%`;
    words("node", true);
    return {
      node: `synchronising, ${percent}`,
      state: "wait",
      title: "Waiting for the Bitcoin node",
      text: `It is synchronising, and Fedimint may start only when that is done. ${pace.words(1 - progress)}`,
      steps: [],
    };
  }
  if (tip.body?.error?.code === STARTING) {
    words("node", true);
    return {
      node: "starting",
      state: "wait",
      title: "Waiting for the Bitcoin node",
      text: `It is starting. It says: ${tip.body.error.message}`,
      steps: ["Wait: starting takes some minutes, and hours after it was not shut down cleanly"],
    };
  }
  const answers = isKnown || (await ask("api/node")).body?.answers === true;
  const node = words("node", answers);
  if (!answers) {
    return {
      node,
      state: "wait",
      title: "Waiting for the Bitcoin node",
      text: "Fedimint needs it, and neither of the two answers.",
      steps: [
        "Start Bitcoin, or wait if it was just started",
        "If it does not stay up, read its log",
        "If it runs: address of [node.bitcoin] in catalog.toml says where this page looks for it",
      ],
    };
  }
  return {
    node: isKnown ? `answers, up to date at block ${count(blocks)}` : node,
    state: "wait",
    title: "Waiting for the Guardian",
    text: "The Bitcoin node answers. Fedimint is stopped, or still starting.",
    steps: [
      "Start Fedimint, or wait if it was just started",
      "If it does not stay up, read its log",
      "If it runs: guardian_address of [node.fedimint] in catalog.toml says where this page looks for it",
    ],
  };
}

repeat(refresh);
