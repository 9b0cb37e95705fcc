// Every page × every state of its backend × every look: the words, a silent console, the policy, accessibility, a picture.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { accessibility, launch, open, settled, wordsOf } from "./browser.mjs";
import { backend, MACAROON, serve, stop } from "./servers.mjs";
import { isLookalike, LOOKS, PAGES, PICTURES, STATES } from "./states.mjs";

const browser = await launch();
after(async () => {
  await browser.close();
  stop();
});

const POLICY = /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; .*trusted-types 'none'$/;

// Those that wait for their backend begin first.
const waits = ([, state]) => state === "slow" || state === "busy";
const order = [...STATES.filter(waits), ...STATES.filter((row) => !waits(row))];

describe("each page says what its backend is like", { concurrency: 5 }, () => {
  for (const [context, state, mode, title, words, values] of order) {
    test(`${context} ${state}`, async () => {
      const at = await backend(mode);
      const { url } = await serve(context, { ...PAGES[context](at), ...values });
      const looks = isLookalike(state) ? ["desktop"] : Object.keys(LOOKS);
      await Promise.all(looks.map(async (look) => {
        const { context: browsing, page, faults, response } = await open(browser, url, LOOKS[look]);
        assert.match(response.headers()["content-security-policy"], POLICY);
        await settled(page);
        await page.screenshot({ path: join(PICTURES, `${context}-${state}-${look}.png`), fullPage: true });
        await says(page, title, words);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        assert.ok(!wide, `${look}: nothing is wider than the screen`);
        assert.deepEqual(faults, [], look);
        assert.deepEqual(await accessibility(page), [], look);
        await browsing.close();
      }));
    });
  }
});

async function says(page, title, words) {
  assert.match(await page.locator("#status-title").textContent(), title);
  const shown = await wordsOf(page);
  for (const word of words) {
    assert.match(shown, word);
  }
  assert.equal(await page.locator("main img, main script, main iframe").count(), 0, "the backend's markup is text");
  const source = await page.content();
  assert.ok(!source.includes("canary") && !source.includes(MACAROON), "no secret");
}
