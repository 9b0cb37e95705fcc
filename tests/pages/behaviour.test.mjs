// What a page does over time: a slow backend, one that ends and comes back, and what people get who ask for something else.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { accessibility, launch, open, settled, wordsOf } from "./browser.mjs";
import { AUTHORIZATION, backend, change, MACAROON, serve, stop } from "./servers.mjs";
import { PAGES, PICTURES } from "./states.mjs";

let browser;
const homes = [];

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser.close();
  stop();
});

async function served(context, at, values) {
  const server = await serve(context, { ...PAGES[context](at), ...values });
  homes.push(server.home, at.home);
  return server.url;
}

describe("20 concurrent loads are good when a call takes 8 s", () => {
  for (const [context, good] of [["bitcoin-ui", /^Running and up to date$/], ["lnd-ui", /^lnd is running$/], ["electrs-ui", /^Running$/]]) {
    test(context, async () => {
      const url = await served(context, await backend("slowest"));
      const titles = await Promise.all(Array.from({ length: 20 }, async () => {
        const { context: browsing, page } = await open(browser, url);
        // Each title that the page ever has.
        const seen = await page.evaluate(() => new Promise((done) => {
          const titles = [];
          const note = () => {
            const title = document.getElementById("status-title").textContent;
            if (!title.endsWith("…")) {
              titles.push(title);
              done(titles);
            }
          };
          new MutationObserver(note).observe(document.getElementById("status-title"), { childList: true });
          note();
        }));
        await browsing.close();
        return seen;
      }));
      assert.equal(titles.length, 20);
      for (const title of titles.flat()) {
        assert.match(title, good);
      }
    });
  }
});

test("a page says since when nothing answers, also after a reload, and recovers by itself", async () => {
  const at = await backend("good, then ending");
  const url = await served("bitcoin-ui", at);
  const { page, faults } = await open(browser, url);
  await settled(page);
  assert.ok(await page.locator("#next").isHidden());
  assert.match(await page.locator("#last-good").textContent(), /^Updated \d+\ss ago$/);

  change(at, "401");
  await page.getByText("Credentials refused").waitFor({ timeout: 30_000 });
  const next = page.locator("#next");
  const since = (text) => /^No good answer since (.*?) \(/.exec(text)?.[1];
  const first = since(await next.textContent());
  assert.ok(first, await next.textContent());
  assert.match(await page.locator("#last-good").textContent(), /^Figures of \d+\ss ago$/);
  await page.screenshot({ path: join(PICTURES, "bitcoin-ui-lost.png"), fullPage: true });
  await page.reload();
  await page.getByText("Credentials refused").waitFor({ timeout: 30_000 });
  assert.equal(since(await next.textContent()), first);

  change(at, "good");
  await page.getByText("Running and up to date").waitFor({ timeout: 30_000 });
  assert.ok(await next.isHidden());
  assert.deepEqual(faults, []);
});

describe("the waiting page", () => {
  let at;
  let url;
  let guardian;

  before(async () => {
    at = await backend("503, the Guardian");
    guardian = `http://${at.plain}/`;
    const values = { guardian_address: at.plain, guardian_port: Number(at.plain.split(":")[1]), frame_ancestors: [guardian.slice(0, -1)] };
    url = await served("fedimint-ui", await backend("good"), values);
  });

  async function isThere(page) {
    await page.waitForURL(guardian, { timeout: 40_000 });
    assert.match(await page.locator("h1").textContent(), /^The Guardian itself$/);
  }

  test("goes over when the Guardian answers, and waits again when it is down", async () => {
    const { page, faults } = await open(browser, url);
    await settled(page);
    assert.equal(await page.locator("#status-title").textContent(), "Waiting for the Guardian");
    change(at, "good");
    await isThere(page);
    await page.goto(url);
    await isThere(page);
    change(at, "503");
    const response = await page.goto(url);
    assert.deepEqual([response.status(), page.url()], [200, url]);
    await settled(page);
    assert.deepEqual(faults.filter((fault) => !fault.startsWith(`request: ${guardian}`)), []);
  });

  test("stays for the first answer, so that one that comes and goes makes no loop", async () => {
    change(at, "good");
    const { page } = await open(browser, `${url}index.html`);
    await page.getByRole("heading", { name: "The Guardian answers" }).waitFor();
    await page.screenshot({ path: join(PICTURES, "fedimint-ui-answers.png"), fullPage: true });
    assert.equal(page.url(), `${url}index.html`);
    await isThere(page);
  });

  test("goes over without scripts", async () => {
    change(at, "503");
    const browsing = await browser.newContext({ javaScriptEnabled: false });
    const page = await browsing.newPage();
    await page.goto(url);
    assert.match(await page.locator("main").innerText(), /does not answer yet[^]*needs JavaScript[^]*Try now/);
    await page.screenshot({ path: join(PICTURES, "fedimint-ui-no-scripts.png"), fullPage: true });
    change(at, "good");
    await isThere(page);
  });

  test("goes over in a frame", async () => {
    change(at, "503");
    const page = await browser.newPage();
    await page.goto(guardian);
    await page.evaluate((src) => {
      const frame = document.createElement("iframe");
      frame.src = src;
      document.body.append(frame);
    }, url);
    const inside = page.frameLocator("iframe");
    await inside.getByRole("heading", { name: "Waiting for the Guardian", exact: true }).waitFor();
    change(at, "good");
    await inside.getByText("The Guardian itself").waitFor({ timeout: 40_000 });
  });
});

test("the time left of a synchronisation is estimated", async () => {
  const { page } = await open(browser, await served("bitcoin-ui", await backend("syncing")));
  await page.getByText(/About .* to go at the present pace/).waitFor({ timeout: 60_000 });
  await page.screenshot({ path: join(PICTURES, "bitcoin-ui-estimate.png"), fullPage: true });
});

test("people get a page when they are refused", async () => {
  const url = await served("lnd-ui", await backend("good"));
  const other = url.replace("127.0.0.1", "other.example");
  for (const [address, words] of [[other, /unknown host name/i], [`${url}nothing`, /not found/i], [`${url}api/state`, /cross-site request refused/i]]) {
    const { page, response, faults } = await open(browser, address);
    assert.match(response.headers()["content-type"], /^text\/html/);
    assert.match(await wordsOf(page), words);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector(".refusal")).borderLeftStyle), "solid", "its style came");
    const other = faults.filter((fault) => !/status of (421|404|403)|^request/.test(fault));
    assert.deepEqual(other, []);
    assert.deepEqual(await accessibility(page), []);
    await page.screenshot({ path: join(PICTURES, `refused-${response.status()}.png`) });
  }
});

test("a hostile name in the address bar comes back nowhere", async () => {
  const url = await served("bitcoin-ui", await backend("good"));
  const names = ["<script>alert(1)</script>", "a\"b", "x'onload=y", "$host", "${args}", "-", "..", "%00", "localhost@evil.example", "x".repeat(5000)];
  for (const name of names) {
    for (const headers of [{}, { accept: "text/html" }]) {
      const answer = await raw(url, name, headers);
      assert.match(answer, /^HTTP\/1\.1 (400|421) /, name);
      const body = answer.slice(answer.indexOf("\r\n\r\n"));
      assert.ok(name.length < 3 || !body.includes(name), body);
      assert.ok(!answer.includes("canary"));
    }
  }
});

/** A request with any Host that bytes can spell; the whole answer. */
async function raw(url, host, headers) {
  const { connect } = await import("node:net");
  const { port } = new URL(url);
  const lines = ["GET / HTTP/1.1", `Host: ${host}`, "Connection: close", ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
  return new Promise((done, fail) => {
    let text = "";
    connect(port, "127.0.0.1")
      .on("data", (part) => { text += part; })
      .on("end", () => done(text))
      .on("error", fail)
      .write(`${lines.join("\r\n")}\r\n\r\n`);
  });
}

// The last one: it reads what the others left.
test("no log of a server holds a secret", () => {
  let logs = 0;
  for (const home of homes.filter(Boolean)) {
    for (const name of readdirSync(home).filter((file) => /^(stderr|error\.log)$/.test(file))) {
      logs += 1;
      const text = readFileSync(join(home, name), "utf8");
      assert.ok(![AUTHORIZATION, "canary", MACAROON].some((secret) => text.includes(secret)), text);
    }
  }
  assert.ok(logs > 4, `${logs} logs were read`);
});
