// Each page in each state of its backend: how it is served, and the words that it must show.

/** What the template of a page is told about a backend. */
export const PAGES = {
  "bitcoin-ui": (at) => ({ rpc_address: at.plain }),
  "lnd-ui": (at) => ({ lnd_address: at.tls }),
  "electrs-ui": (at) => ({ metrics_address: at.plain, electrum_address: at.electrum }),
};

/** `[page, name of the state, mode of the backend, title, other words, words that may not stand there]` */
export const STATES = [
  ["bitcoin-ui", "up", "good", /Running and up to date/, [/870,000/]],
  ["bitcoin-ui", "down", "down", /The node is down/, [/Start Bitcoin/]],
  ["bitcoin-ui", "wrong-password", "401", /Credentials refused/, [/companion reconcile/]],
  ["bitcoin-ui", "starting", "warmup", /The node is starting/, [/Loading block index/]],
  ["bitcoin-ui", "slow", "slowest", /Running and up to date/, [/870,000/]],
  ["bitcoin-ui", "syncing", "syncing", /synchronising/, [/467,887 blocks/]],
  ["bitcoin-ui", "busy", "503", /busy/, []],
  ["bitcoin-ui", "html", "html", /does not understand/, []],
  ["bitcoin-ui", "not-json", "text", /does not understand/, []],
  ["bitcoin-ui", "huge", "huge", /does not understand/, []],
  ["bitcoin-ui", "cut-off", "cut", /does not understand/, []],
  ["bitcoin-ui", "markup", "script", /Running/, [/<img src=x/]],

  ["lnd-ui", "up", "good", /lnd is running/, [/SERVER_ACTIVE/]],
  ["lnd-ui", "down", "down", /lnd is down/, [/Start lnd/]],
  ["lnd-ui", "wrong-password", "401", /does not understand/, []],
  ["lnd-ui", "locked", "warmup", /wallet is locked/, [/lncli unlock/]],
  ["lnd-ui", "slow", "slowest", /lnd is running/, []],
  ["lnd-ui", "syncing", "syncing", /lnd is starting/, []],
  ["lnd-ui", "html", "html", /does not understand/, []],
  ["lnd-ui", "not-json", "text", /does not understand/, []],
  ["lnd-ui", "huge", "huge", /does not understand/, []],
  ["lnd-ui", "cut-off", "cut", /does not understand/, []],
  ["lnd-ui", "markup", "script", /lnd runs/, [/<img src=x/]],

  ["electrs-ui", "up", "good", /Running/, [/870,000/]],
  ["electrs-ui", "down", "down", /The indexer is down/, [/Start the indexer/]],
  ["electrs-ui", "wrong-password", "401", /offers no figures/, []],
  ["electrs-ui", "slow", "slowest", /Running/, [/870,000/]],
  ["electrs-ui", "syncing", "syncing", /Running/, [/402,113/]],
  ["electrs-ui", "html", "html", /offers no figures/, []],
  ["electrs-ui", "not-json", "text", /offers no figures/, []],
  ["electrs-ui", "huge", "huge", /offers no figures/, []],
  ["electrs-ui", "cut-off", "cut", /offers no figures/, []],
  ["electrs-ui", "markup", "script", /Running/, [/870,000/]],
];

/** The looks: a screen, a phone, and the screen in the dark. */
export const LOOKS = {
  desktop: { viewport: { width: 1200, height: 900 }, colorScheme: "light" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: "light" },
  dark: { viewport: { width: 1200, height: 900 }, colorScheme: "dark" },
};
