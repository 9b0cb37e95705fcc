// Each page in each state of its backend: how it is served, and the words that it must show.

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

import { AUTHORIZATION, MACAROON } from "./servers.mjs";

/** Where the pictures go. */
export const PICTURES = resolve(process.env.PAGES_OUTPUT ?? join(import.meta.dirname, "../../target/pages"));
mkdirSync(PICTURES, { recursive: true });

/** Tor's name of a service is 56 letters. */
export const ONION = `${"a2".repeat(28)}.onion:50001`;

/** What the template of a page knows about a backend. */
export const PAGES = {
  "bitcoin-ui": (at) => ({ rpc_address: at.plain, authorization: AUTHORIZATION }),
  "lnd-ui": (at) => ({ lnd_address: at.tls, macaroon: MACAROON }),
  "electrs-ui": (at) => ({ metrics_address: at.plain, electrum_address: at.electrum, electrum_port: Number(at.electrum.split(":")[1]), onion_address: ONION }),
  // A node with its page, which the stand-in is too; the Guardian is down.
  "fedimint-ui": (at) => ({ rpc_address: at.plain, bitcoin_port: Number(at.plain.split(":")[1]), guardian_address: "127.0.0.1:1" }),
};

const UNUSABLE = ["html", "text", "huge", "cut"];

/** Whether a state looks like another one: it is opened on a screen alone. */
export function isLookalike(state) {
  return /^unusable-(text|huge|cut)$/.test(state);
}

function without(words) {
  return new RegExp(`^(?![^]*${words.source})`);
}

/** `[page, name of the state, mode of the backend, title, other words, other variables of the template]` */
export const STATES = [
  ["bitcoin-ui", "up", "good", /^Running and up to date$/, [/870,000/, /Bitcoin Core 29\.0/, /12 min ago/, /18\.2 MvB/]],
  ["bitcoin-ui", "down", "down", /^The node is down$/, [/Start Bitcoin/, /No good answer since .* asks again in/]],
  ["bitcoin-ui", "wrong-password", "401", /^Credentials refused$/, [/companion reconcile/]],
  ["bitcoin-ui", "starting", "warmup", /^The node is starting$/, [/Loading block index/]],
  ["bitcoin-ui", "slow", "slowest", /^Running and up to date$/, [/870,000/, /txindex/]],
  ["bitcoin-ui", "syncing", "syncing", /synchronising$/, [/467,887 blocks are left/, /to go|is known/]],
  ["bitcoin-ui", "stale", "stale", /^Running, but no new block for a long time$/, [/is 4 h old/, /Compare the height/]],
  ["bitcoin-ui", "busy", "503", /^The Bitcoin node is busy$/, []],
  ["bitcoin-ui", "no-configuration", "good", /^Not configured$/, [/companion reconcile/], { authorization: "" }],
  ["bitcoin-ui", "markup", "script", /^Running/, [/<img src=x/]],
  ["bitcoin-ui", "mixed-types", "types", /does not understand$/, []],
  ...UNUSABLE.map((mode) => ["bitcoin-ui", `unusable-${mode}`, mode, /does not understand$|does not answer in time$/, []]),

  ["lnd-ui", "up", "good", /^lnd is running$/, [/1,200,000 sat/, /3,400,000 sat/, /3 open, 2 active/, /lnd 0\.19\.0-beta/, /12 min ago/]],
  ["lnd-ui", "no-macaroon", "good", /^lnd is running$/, [/this page has no macaroon/, /macaroon_file/], { macaroon: "" }],
  ["lnd-ui", "unreadable-macaroon", "good", /^lnd is running$/, [/not shown: no permission to read it\./], { macaroon: "", macaroon_problem: "no permission to read it" }],
  ["lnd-ui", "wrong-macaroon", "good", /^lnd is running$/, [/macaroon was not accepted/, /signature mismatch/], { macaroon: "00ff" }],
  ["lnd-ui", "no-calls", "no-calls", /^lnd is running$/, [/not shown: this call failed\. lnd says: context deadline/, without(/macaroon/)]],
  ["lnd-ui", "no-channels", "no-channels", /^lnd is running$/, [/1,200,000 sat/, /not shown: this call failed/, without(/no open channels/)]],
  ["lnd-ui", "no-permission", "no-permission", /^lnd is running$/, [/1,200,000 sat/, /macaroon was not accepted\. lnd says: permission denied/]],
  ["lnd-ui", "down", "down", /^lnd is down/, [/Start lnd/, /No good answer since/]],
  ["lnd-ui", "refused", "401", /^Credentials refused|does not understand$/, []],
  ["lnd-ui", "locked", "warmup", /wallet is locked$/, [/lncli unlock/]],
  ["lnd-ui", "slow", "slowest", /^lnd is running$/, [/1,200,000 sat/]],
  ["lnd-ui", "syncing", "syncing", /^lnd is running, synchronising$/, [/402,113/]],
  ["lnd-ui", "markup", "script", /^lnd is running$/, [/<img src=x/]],
  ["lnd-ui", "mixed-types", "types", /^lnd is running$/, [/State\sSERVER_ACTIVE/]],
  ...UNUSABLE.map((mode) => ["lnd-ui", `unusable-${mode}`, mode, /does not understand$|does not answer in time$/, []]),

  ["electrs-ui", "up", "good", /^Running$/, [/870,000/, /127\.0\.0\.1:\d+:t/, /a2a2\.onion:50001:t/]],
  ["electrs-ui", "down", "down", /^The indexer is down$/, [/Start the indexer/, /No good answer since/]],
  ["electrs-ui", "no-figures", "401", /offers no figures$/, []],
  ["electrs-ui", "slow", "slowest", /^Running$/, [/870,000/]],
  ["electrs-ui", "syncing", "syncing", /^Running/, [/402,113/]],
  ["electrs-ui", "no-height", "no-height", /^Running$/, [/does not publish its height/, /412 MB/]],
  ["electrs-ui", "markup", "script", /^Running/, [/870,000/]],
  ...UNUSABLE.map((mode) => ["electrs-ui", `unusable-${mode}`, mode, /offers no figures$/, []]),

  ["fedimint-ui", "up", "good", /^Waiting for the Guardian$/, [/up to date at block 870,000/, /Guardian\s+no answer since/, /opens by itself/, /Start Fedimint/]],
  ["fedimint-ui", "down", "down", /^Waiting for the Bitcoin node$/, [/Bitcoin node\s+no answer since/, /Start Bitcoin/]],
  ["fedimint-ui", "starting", "warmup", /^Waiting for the Bitcoin node$/, [/Bitcoin node\s+starting/, /Loading block index/]],
  ["fedimint-ui", "syncing", "syncing", /^Waiting for the Bitcoin node$/, [/synchronising, 4\d\.\d\d %/]],
  ["fedimint-ui", "no-page", "401", /^Waiting for the Guardian$/, [/Bitcoin node\s+answers/]],
  ["fedimint-ui", "slow", "slowest", /^Waiting for the Guardian$/, [/870,000/]],
  ["fedimint-ui", "markup", "warmup-script", /^Waiting for the Bitcoin node$/, [/<img src=x/]],
  ["fedimint-ui", "mixed-types", "types", /^Waiting for the/, [without(/object Object/)]],
  ...["html", "huge"].map((mode) => ["fedimint-ui", `unusable-${mode}`, mode, /^Waiting for the Guardian$/, [/Bitcoin node\s+answers/]]),
];

/** The looks: a screen, a phone, and the screen in the dark. */
export const LOOKS = {
  desktop: { viewport: { width: 1200, height: 900 }, colorScheme: "light" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: "light" },
  dark: { viewport: { width: 1200, height: 900 }, colorScheme: "dark" },
};
