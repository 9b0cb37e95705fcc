"""Stands in for what is behind the companions: a node's RPC, lnd's REST over TLS, electrs' figures, an Electrum port, the
Guardian of Fedimint, and the page of the Bitcoin node.

How it answers stands in the file `mode` of the directory given, what it was asked is added to `seen`. The ports that it
took are written to `ports` once it listens. Loopback only. A good answer is that of `answers/`.

modes: good; slow (2 s), slowest (8 s); warmup, warmup-script (with markup), syncing, stale; no-height (electrs 0.12); of lnd alone: no-calls (but the
state), no-channels, no-permission (for channels); an HTTP status (401, 403, 404, 503), redirect; hostile: html, text, huge,
cut, script (markup), types; of the Electrum port alone: closing, talkative.
"""

import http.server
import json
import pathlib
import re
import socketserver
import ssl
import sys
import threading
import time

HOME = pathlib.Path(sys.argv[1])
ANSWERS = pathlib.Path(__file__).parent / "answers"
BITCOIN = json.loads((ANSWERS / "bitcoin.json").read_text())
LND = json.loads((ANSWERS / "lnd.json").read_text())
ELECTRS = (ANSWERS / "electrs.txt").read_text()
EVIL = {"WWW-Authenticate": 'Basic realm="jsonrpc"', "Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*"}
ERRORS = {"401": 401, "403": 403, "404": 404, "503": 503, "redirect": 302}
DELAYS = {"slow": 2, "slowest": 8}
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
MACAROON = "0201036c6e64"  # what lnd accepts: these six bytes, as hexadecimal digits
STARTED = time.time()


def bitcoin(method, mode):
    """The result of a call; its times are now."""
    result = BITCOIN.get(method)
    if method == "getblockchaininfo":
        result = {**result, "time": int(time.time()) - 720}
        if mode == "syncing":
            elapsed = time.time() - STARTED
            result |= {
                "blocks": 402113, "initialblockdownload": True, "time": 1457000000,
                "verificationprogress": 0.4 + elapsed * 0.0001,
            }
        elif mode == "stale":
            result["time"] = int(time.time()) - 4 * 3600
    if mode == "syncing" and method == "getindexinfo":
        result = {"txindex": {"synced": False, "best_block_height": 400000}}
    return encoded(result, mode)


def encoded(answer, mode):
    """The answer, hostile in the modes that are."""
    return {"script": marked, "types": mixed}.get(mode, lambda answer: answer)(answer)


def marked(answer):
    """The answer with markup in each of its texts, and a text for each number that a page only prints."""
    if isinstance(answer, str):
        return answer + MARKUP
    if isinstance(answer, list):
        return [marked(one) for one in answer] or [MARKUP]
    if isinstance(answer, dict):
        return {key: marked(one) for key, one in answer.items()}
    return answer


# What decides whether a page goes on to the rest.
KEPT = ("blocks", "headers", "identity_pubkey")


def mixed(answer):
    """The answer with values of other types than it should have."""
    if isinstance(answer, dict):
        return {key: one if key in KEPT else mixed(one) for key, one in answer.items()}
    if isinstance(answer, list):
        return [None, 7, "text", *map(mixed, answer)]
    return {"text": 7} if isinstance(answer, (bool, int, float)) else 7


def electrs(mode):
    text = re.sub(r"(?m)^(process_start_time_seconds) .*", rf"\1 {int(time.time()) - 93784}", ELECTRS)
    if mode == "syncing":
        text = text.replace('index_height{type="tip"} 870000', 'index_height{type="tip"} 402113')
    if mode == "no-height":
        text = re.sub(r"(?m)^.*index_height.*\n", "", text)
    if mode == "script":
        text = f'{MARKUP} 1\nmempool_txs_count{{fee_rate="{MARKUP}"}} 3\n' + text
    return text


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, kind, body, length=None):
        self.send_response(status)
        for name, value in EVIL.items():
            self.send_header(name, value)
        if status == 302:
            self.send_header("Location", "http://elsewhere.example/")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        try:
            self.end_headers()
            self.wfile.write(body)
        except (ConnectionError, ssl.SSLError):  # nginx waits no longer, or takes no more
            self.close_connection = True

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        mode = (HOME / "mode").read_text().strip()
        seen = {"line": self.requestline, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        with (HOME / "seen").open("a") as log:
            log.write(json.dumps(seen) + "\n")
        time.sleep(DELAYS.get(mode, 0))
        if mode in ERRORS:
            self.answer(ERRORS[mode], "text/html", b"<h1>the backend's own words</h1>")
        elif mode == "html":
            self.answer(200, "text/html", f"<!doctype html><h1>own words</h1>{MARKUP}".encode())
        elif mode == "text":
            self.answer(200, "application/json", f"{{not JSON {MARKUP}".encode())
        elif mode == "huge":
            self.answer(200, "application/json", b'{"result":"' + b"x" * 64_000_000 + b'"}')
        elif mode == "cut":
            self.answer(200, "application/json", b'{"result":{"blocks":1,', length=4096)
            self.close_connection = True
        else:
            self.good(mode, body)

    def has_macaroon(self):
        return self.headers.get("Grpc-Metadata-macaroon") == MACAROON

    def good(self, mode, body):
        if self.command == "GET" and self.path == "/":
            self.answer(200, "text/html", b"<!doctype html><title>Guardian</title><h1>The Guardian itself</h1>")
        elif self.command == "GET" and self.path == "/metrics":
            self.answer(200, "text/plain", electrs(mode).encode())
        elif self.command == "GET" and self.path in LND and self.path != "/v1/state" and not self.has_macaroon():
            refusal = {"code": 2, "message": "verification failed: signature mismatch after caveat verification", "details": []}
            self.answer(500, "application/json", json.dumps(refusal).encode())
        elif self.command == "GET" and self.path in LND and (message := lnd_failure(self.path, mode)):
            self.answer(500, "application/json", json.dumps({"code": 2, "message": message, "details": []}).encode())
        elif self.command == "GET" and self.path in LND:
            self.answer(200, "application/json", json.dumps(lnd(self.path, mode)).encode())
        elif mode in ("warmup", "warmup-script"):
            message = "Loading block index… 41%" + (MARKUP if mode == "warmup-script" else "")
            error = {"result": None, "error": {"code": -28, "message": message}, "id": "companion"}
            self.answer(500, "application/json", json.dumps(error).encode())
        else:
            method = self.path.removeprefix("/api/") if self.command == "GET" else json.loads(body)["method"]
            answer = {"result": bitcoin(method, mode), "error": None, "id": "companion"}
            self.answer(200, "application/json", json.dumps(answer).encode())

    do_GET = do_POST = do_PUT = do_HEAD = do_any

    def log_message(self, *_):
        pass


def lnd_failure(path, mode):
    """What lnd says when this call alone fails, if it does."""
    if mode == "no-calls" and path != "/v1/state" or mode == "no-channels" and path == "/v1/channels":
        return "context deadline exceeded"
    return "permission denied" if mode == "no-permission" and path == "/v1/channels" else None


def lnd(path, mode):
    answer = LND[path]
    if path == "/v1/state" and mode == "warmup":
        answer = {"state": "LOCKED"}
    elif path == "/v1/getinfo":
        answer = {**answer, "best_header_timestamp": str(int(time.time()) - 720)}
        if mode == "syncing":
            answer |= {"block_height": 402113, "synced_to_chain": False, "synced_to_graph": False}
    # The page shows balances only once lnd runs, so its state stays what it is.
    isolated = path == "/v1/state" and mode in ("script", "types")
    return answer if isolated else encoded(answer, mode)


class Electrum(socketserver.StreamRequestHandler):
    """Notes what it is sent up to the end of the connection; the modes `talkative` and `closing` answer immediately."""

    def handle(self):
        mode = (HOME / "mode").read_text().strip()
        if mode == "closing":
            return
        if mode == "talkative":
            self.wfile.write(b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"},"id":null}\n')
        said = self.rfile.read()
        with (HOME / "electrum").open("a") as log:
            log.write(json.dumps({"bytes": len(said), "lines": said.count(b"\n")}) + "\n")


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Threaded(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # a client that hangs up is no event here


plain = serve(Threaded(("127.0.0.1", 0), Backend))
tls = Threaded(("127.0.0.1", 0), Backend)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(HOME / "cert.pem", HOME / "key.pem")
tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
electrum = serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Electrum))
ports = f"{plain} {serve(tls)} {electrum}\n"
(HOME / "ports.new").write_text(ports)
(HOME / "ports.new").rename(HOME / "ports")
threading.Event().wait()
