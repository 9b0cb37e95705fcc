// Serves the real pages: nginx with the rendered configuration of a companion, before a stand-in backend. Loopback only.

import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const COMPANIONS = resolve(import.meta.dirname, "../companions");
const WORK = mkdtempSync(join(tmpdir(), "companion-pages-"));
const children = [];

/** The credentials that no page may show: a password, and the macaroon that the stand-in for lnd accepts. */
export const AUTHORIZATION = Buffer.from("viewer:canary-7b0e5d2c61").toString("base64");
export const MACAROON = "0201036c6e64";

execFileSync("openssl", [
  "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=lnd", "-days", "2",
  "-keyout", join(WORK, "key.pem"), "-out", join(WORK, "cert.pem"),
], { stdio: "ignore" });

function start(program, options, home) {
  const log = join(home, "stderr");
  const child = spawn("bash", ["-c", 'exec "$@" 2>"$0"', log, program, ...options], { stdio: "ignore" });
  children.push(child);
  return child;
}

async function until(what, ready, home) {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await ready()) {
      return;
    }
    await pause(50);
  }
  const log = join(home, "stderr");
  throw new Error(`${what} did not start: ${existsSync(log) ? readFileSync(log, "utf8") : "no output"}`);
}

/** Below the ports that systems give to outgoing connections, so that none of those takes a port of a server. */
let next = 20100;

/** A loopback port that nobody listens on. */
async function freePort() {
  for (;;) {
    const port = next;
    next += 1;
    const free = await new Promise((done) => {
      const server = createServer().once("error", () => done(false));
      server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
    });
    if (free) {
      return port;
    }
  }
}

/** tcpmux: nobody listens there, and no program is given it by chance. */
const CLOSED = 1;

const backends = new Map();

/**
 * The addresses of a backend that answers as `mode` says, see `tests/companions/backend.py`: the same one for the same words,
 * of which those behind a comma distinguish them.
 */
export function backend(words) {
  if (!backends.has(words)) {
    backends.set(words, words === "down" ? closed() : started(words.split(",")[0]));
  }
  return backends.get(words);
}

async function closed() {
  const address = `127.0.0.1:${CLOSED}`;
  return { plain: address, tls: address, electrum: address };
}

async function started(mode) {
  const home = mkdtempSync(join(WORK, `backend-${mode}-`));
  cpSync(join(WORK, "key.pem"), join(home, "key.pem"));
  cpSync(join(WORK, "cert.pem"), join(home, "cert.pem"));
  writeFileSync(join(home, "mode"), mode);
  start("python3", [join(COMPANIONS, "backend.py"), home], home);
  await until(`the backend in mode ${mode}`, () => existsSync(join(home, "ports")), home);
  const [plain, tls, electrum] = readFileSync(join(home, "ports"), "utf8").trim().split(" ").map((port) => `127.0.0.1:${port}`);
  return { plain, tls, electrum, home };
}

let served = 0;

/** Serves the page of `context` with the template's variables `values`, at `port` if it is given; its address. */
export async function serve(context, values, at) {
  const port = at ?? await freePort();
  served += 1;
  const home = join(WORK, `nginx-${served}-${context}`);
  mkdirSync(join(home, "conf.d"), { recursive: true });
  const settings = Object.entries({ ...values, listen_port: `127.0.0.1:${port}` })
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const configuration = execFileSync("python3", [join(COMPANIONS, "render.py"), context, ...settings], { encoding: "utf8" });
  writeFileSync(join(home, "conf.d/default.conf"), configuration);
  cpSync(join(COMPANIONS, "nginx.conf"), join(home, "nginx.conf"));
  start("nginx", ["-p", home, "-c", join(home, "nginx.conf")], home);
  const url = `http://127.0.0.1:${port}/`;
  await until(`nginx of ${context}`, () => fetch(url).then(() => true, () => false), home);
  return { url, home };
}

/** Changes how a backend answers from now on. */
export function change(at, mode) {
  writeFileSync(join(at.home, "mode"), mode);
}

/** Ends all that was started, and removes its files. */
export function stop() {
  for (const child of children) {
    child.kill();
  }
  rmSync(WORK, { recursive: true, force: true });
}
