// The pages of one node, at the ports that they have there: what one of them knows of the others.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

import jsQR from "jsqr";

import { launch, open, settled, wordsOf } from "./browser.mjs";
import { backend, change, serve, stop } from "./servers.mjs";
import { ONION, PAGES, PICTURES } from "./states.mjs";

const PORTS = { "bitcoin-ui": 18081, "electrs-ui": 18082, "lnd-ui": 18083, "fedimint-ui": 18084 };
let browser;
let at;

before(async () => {
  browser = await launch();
  at = { ...(await backend("good")), bitcoin: (await backend("good, separate")).plain };
});
after(async () => {
  await browser.close();
  stop();
});

async function shown(context, host = "127.0.0.1") {
  const opened = await open(browser, `http://${host}:${PORTS[context]}/`);
  await settled(opened.page);
  return opened;
}

test("a page links only to those that are there", async () => {
  await serve("electrs-ui", PAGES["electrs-ui"](at), PORTS["electrs-ui"]);
  const alone = await shown("electrs-ui");
  assert.ok(await alone.page.locator("#pages").isHidden());
  assert.match(await wordsOf(alone.page), /Whether that is the newest block is not known/);

  await serve("bitcoin-ui", { ...PAGES["bitcoin-ui"](at), rpc_address: at.bitcoin, host_names: ["node.example"] }, PORTS["bitcoin-ui"]);
  await serve("lnd-ui", { ...PAGES["lnd-ui"](at), host_loopback: "127.0.0.1", host_names: ["node.example"] }, PORTS["lnd-ui"]);
  await serve("fedimint-ui", { ...PAGES["fedimint-ui"](at), bitcoin_port: PORTS["bitcoin-ui"], host_names: ["node.example"] }, PORTS["fedimint-ui"]);
  const links = (...ports) => ports.map((port) => `http://node.example:${port}/`);
  const expected = {
    "bitcoin-ui": links(18082, 18083, 18084),
    "lnd-ui": links(18081, 18082, 18084),
    "fedimint-ui": links(18081, 18082, 18083),
  };
  for (const [context, others] of Object.entries(expected)) {
    const { page, faults } = await shown(context, "node.example");
    await page.locator("#pages a").nth(2).waitFor();
    assert.deepEqual(await page.locator("#pages a").evaluateAll((all) => all.map(({ href }) => href)), others);
    await page.screenshot({ path: join(PICTURES, `${context}-links.png`), fullPage: true });
    assert.deepEqual(faults, []);
  }
});

test("the indexer's page says how far it is behind the node", async () => {
  const { page } = await shown("electrs-ui");
  assert.match(await wordsOf(page), /Running and up to date[^]*That is the newest block of the node[^]*Behind\s+not at all/);
  change(await backend("good"), "syncing");
  await page.reload();
  await settled(page);
  assert.match(await wordsOf(page), /Running, indexing[^]*467,887 blocks behind the node/);
  await page.screenshot({ path: join(PICTURES, "electrs-ui-behind.png"), fullPage: true });
  change(await backend("good"), "good");
});

test("the QR codes hold the addresses for wallets", async () => {
  const { page } = await shown("electrs-ui");
  const port = at.electrum.split(":")[1];
  for (const [id, expected] of [["local", `127.0.0.1:${port}:t`], ["onion", `${ONION}:t`]]) {
    assert.equal(await page.locator(`#${id}-address`).textContent(), expected);
    const code = await page.locator(`#${id}-code path`).evaluate((path) => ({
      size: path.ownerSVGElement.viewBox.baseVal.width,
      squares: path.getAttribute("d").slice(1).split("M").map((square) => square.split("h")[0].split(" ").map(Number)),
    }));
    assert.equal(decoded(code), expected);
  }
});

/** What a camera reads: each module is four pixels wide. */
function decoded({ size, squares }) {
  const width = size * 4;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [x, y] of squares) {
    for (let pixel = 0; pixel < 16; pixel += 1) {
      const offset = ((y * 4 + (pixel >> 2)) * width + x * 4 + (pixel & 3)) * 4;
      pixels.fill(0, offset, offset + 3);
    }
  }
  return jsQR(pixels, width, width)?.data;
}

test("the encoder of QR codes is the one of its package", () => {
  const read = (path) => readFileSync(resolve(import.meta.dirname, path), "utf8");
  const vendored = read("../../crates/archipelago/companions/electrs-ui/uqr.js");
  const [notice, code] = vendored.split("\n*/\n");
  assert.equal(code, read("node_modules/uqr/dist/index.mjs"));
  assert.ok(notice.endsWith(read("node_modules/uqr/LICENSE").trim()));
});
