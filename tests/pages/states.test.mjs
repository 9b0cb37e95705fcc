// Every page × every state of its backend × every look: the words, a silent console, the policy, accessibility, a picture.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, describe, test } from "node:test";

import { accessibility, launch, open } from "./browser.mjs";
import { backend, SECRETS, serve, stop } from "./servers.mjs";
import { LOOKS, PAGES, STATES } from "./states.mjs";

const PICTURES = resolve(process.env.PAGES_OUTPUT ?? join(import.meta.dirname, "../../target/pages"));
mkdirSync(PICTURES, { recursive: true });

const browser = await launch();
after(async () => {
  await browser.close();
  stop();
});

const POLICY = /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; .*trusted-types 'none'$/;

describe("each page says what its backend is like", { concurrency: 3 }, () => {
  for (const [context, state, mode, title, words = []] of STATES) {
    test(`${context} ${state}`, async () => {
      const at = await backend(mode);
      const { url } = await serve(context, { ...PAGES[context](at), ...(context === "bitcoin-ui" && SECRETS) });
      await Promise.all(Object.keys(LOOKS).map(async (look) => {
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

/** Waits until the page has heard of its backend, and asks nothing more. */
async function settled(page) {
  const heard = () => !document.getElementById("status-title").textContent.endsWith("…");
  await page.waitForFunction(heard, null, { timeout: 60_000 });
  await page.waitForLoadState("networkidle", { timeout: 120_000 });
}

async function says(page, title, words) {
  assert.match(await page.locator("#status-title").textContent(), title);
  const shown = await page.locator("body").innerText();
  for (const word of words) {
    assert.match(shown, word);
  }
  assert.equal(await page.locator("main img, main script, main iframe").count(), 0, "the backend's markup is text");
  assert.ok(!(await page.content()).includes("canary"), "no secret");
}
