// A real Chromium that notes all that a page must not do: errors, dialogs, violations of its policy, other hosts.

import axe from "axe-core";
import { chromium } from "playwright-core";

/** Starts the Chromium of this machine. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", `--host-resolver-rules=MAP *.example 127.0.0.1`] });
}

// What the browser itself writes about an answer of the API that is an error or cut off: the page says more of it.
const ANSWER = /^Failed to load resource: (the server responded with a status of (403|404|500|502|503|504) |net::ERR_CONTENT_LENGTH_MISMATCH)/;

/** Opens `url` in a fresh context. `page`, and `faults`, which grows with each thing that a page must not do. */
export async function open(browser, url, look) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    const fromApi = message.location().url.startsWith(`${url}api/`);
    if (!(fromApi && ANSWER.test(message.text())) && ["error", "warning", "assert"].includes(message.type())) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) {
      faults.push(`request: ${request.url()}`);
    }
  });
  await page.exposeFunction("reportViolation", (text) => faults.push(`policy: ${text}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const response = await page.goto(url);
  return { context, page, faults, response };
}

/** Waits until the page has heard of its backend, and asks nothing more. */
export async function settled(page) {
  const heard = () => !document.getElementById("status-title").textContent.endsWith("…");
  await page.waitForFunction(heard, null, { timeout: 60_000 });
  await page.waitForLoadState("networkidle", { timeout: 120_000 });
}

/** The words of the page, with plain spaces. */
export async function wordsOf(page) {
  return (await page.locator("body").innerText()).replaceAll("\u00a0", " ");
}

/** What axe finds serious in `page`; its own scripts come by the protocol, which the page's policy does not concern. */
export async function accessibility(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical" || impact === "moderate")
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
}
