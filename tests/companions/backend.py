"""Stands in for what is behind the companions: a node's RPC, lnd's REST over TLS, electrs' figures, an Electrum port.

How it answers stands in the file `mode` of the directory given, what it was asked is added to `seen`. The ports that it
took are written to `ports` once it listens. Loopback only.
"""

import http.server
import json
import pathlib
import socketserver
import ssl
import sys
import threading
import time

HOME = pathlib.Path(sys.argv[1])
EVIL = {"WWW-Authenticate": 'Basic realm="jsonrpc"', "Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*"}
RESULTS = {
    "getblockchaininfo": {
        "chain": "main", "blocks": 870000, "headers": 870000, "verificationprogress": 0.999998, "time": 1764000000,
        "initialblockdownload": False, "size_on_disk": 689000000000, "pruned": False, "warnings": [],
    },
    "getnetworkinfo": {
        "subversion": "/Satoshi:28.1.0/", "connections": 11, "connections_in": 1, "connections_out": 10,
        "networkactive": True, "warnings": [],
        "networks": [{"name": "ipv4", "reachable": True}, {"name": "onion", "reachable": True},
                     {"name": "i2p", "reachable": False}],
    },
    "getmempoolinfo": {"size": 41234, "bytes": 18200000, "usage": 96000000, "maxmempool": 300000000,
                       "mempoolminfee": 0.00001},
    "getnettotals": {"totalbytesrecv": 12345678901, "totalbytessent": 2345678901},
    "getindexinfo": {"txindex": {"synced": True, "best_block_height": 870000}},
    "getconnectioncount": 11,
    "uptime": 273784,
}
METRICS = """# HELP index_height Indexed block height
# TYPE index_height gauge
index_height{type="tip"} 870000
mempool_txs_count{fee_rate="[   0,   1)"} 12
mempool_txs_count{fee_rate="[   1,   2)"} 30
mempool_txs_vsize{fee_rate="[   0,   1)"} 8400
process_resident_memory_bytes 412000000
"""
ERRORS = {"401": 401, "403": 403, "404": 404, "503": 503, "redirect": 302}


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, kind, body):
        self.send_response(status)
        for name, value in EVIL.items():
            self.send_header(name, value)
        if status == 302:
            self.send_header("Location", "http://elsewhere.example/")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # nginx waits no longer in the mode `slow`
            self.close_connection = True

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        mode = (HOME / "mode").read_text().strip()
        seen = {"line": self.requestline, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        with (HOME / "seen").open("a") as log:
            log.write(json.dumps(seen) + "\n")
        if mode == "slow":
            time.sleep(2)
        if mode in ERRORS:
            self.answer(ERRORS[mode], "text/html", b"<h1>the backend's own words</h1>")
        elif mode == "warmup":
            error = {"result": None, "error": {"code": -28, "message": "Loading block index… 41%"}, "id": "companion"}
            self.answer(500, "application/json", json.dumps(error).encode())
        elif self.command == "GET" and self.path == "/metrics":
            self.answer(200, "text/plain", METRICS.encode())
        elif self.command == "GET" and self.path == "/v1/state":
            self.answer(200, "application/json", b'{"state":"SERVER_ACTIVE"}')
        else:
            answer = {"result": RESULTS.get(json.loads(body)["method"]), "error": None, "id": "companion"}
            self.answer(200, "application/json", json.dumps(answer).encode())

    do_GET = do_POST = do_PUT = do_HEAD = do_any

    def log_message(self, *_):
        pass


class Electrum(socketserver.StreamRequestHandler):
    """Notes what it is sent up to the end of the connection; the modes `talkative` and `closing` answer at once."""

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


plain = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend))
tls = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(HOME / "cert.pem", HOME / "key.pem")
tls.socket = context.wrap_socket(tls.socket, server_side=True)
electrum = serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Electrum))
ports = f"{plain} {serve(tls)} {electrum}\n"
(HOME / "ports.new").write_text(ports)
(HOME / "ports.new").rename(HOME / "ports")
threading.Event().wait()
