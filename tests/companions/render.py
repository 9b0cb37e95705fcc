#!/usr/bin/env python3
"""Renders the nginx template of a companion, as crates/archipelago does, and prints it.

usage: render CONTEXT [NAME=VALUE...]

A value is JSON, or a text where it is not. `listen_port` may be ADDRESS:PORT, so that a test stays on loopback; the page's
files are served from the context itself. Needs Jinja2 (python3-jinja2).
"""

import json
import pathlib
import re
import sys

import jinja2

CONTEXTS = pathlib.Path(__file__).resolve().parents[2] / "crates/archipelago/companions"
DEFAULTS = {
    "bitcoin-ui": {"listen_port": 18081, "rpc_address": "127.0.0.1:8332", "authorization": ""},
    "lnd-ui": {"listen_port": 80, "lnd_address": "169.254.1.2:8080", "host_loopback": "169.254.1.2", "macaroon": "", "macaroon_problem": ""},
    "electrs-ui": {
        "listen_port": 18082,
        "metrics_address": "127.0.0.1:4224",
        "electrum_address": "127.0.0.1:50001",
        "electrum_port": 50001,
        "onion_address": "",
    },
    "fedimint-ui": {
        "listen_port": 18084,
        "rpc_address": "127.0.0.1:8332",
        "guardian_address": "127.0.0.1:8177",
        "guardian_port": 8177,
    },
}
COMMON = {
    "host_names": [],
    "frame_ancestors": [],
    "listen_ipv6": False,
    "bitcoin_port": 18081,
    "electrs_port": 18082,
    "lnd_port": 18083,
    "fedimint_port": 18084,
}


def nginx_quote(text):
    """As `nginx_quote` of adapter-hooks."""
    if re.search(r"[$\x00-\x1f\x7f]", text):
        raise ValueError(f"nginx has no spelling for {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def rendered(context, values):
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["nginx_quote"] = nginx_quote
    template = (CONTEXTS / context / "nginx.conf.j2").read_text()
    return environment.from_string(template).render({**COMMON, **DEFAULTS[context], **values})


def on_loopback(text, context):
    """Loopback for IPv6 as well, and the files of the image from the context."""
    text = re.sub(r"listen \[::\]:127\.0\.0\.1:(\d+)", r"listen [::1]:\1", text)
    port = re.search(r"listen 127\.0\.0\.1:(\d+)", text)
    ipv6 = CONTEXTS / context / "ipv6.conf"
    if port and ipv6.exists() and pathlib.Path("/proc/sys/net/ipv6").exists():
        listen = re.sub(r"\[::\]:\d+", f"[::1]:{port[1]}", ipv6.read_text().strip())
        text = re.sub(r"include /proc/sys/net/ipv6/\S+;", listen, text)
    return text.replace("/usr/share/nginx/html", str(CONTEXTS / context))


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    context, *settings = sys.argv[1:]
    values = {name: value(text) for name, text in (setting.split("=", 1) for setting in settings)}
    sys.stdout.write(on_loopback(rendered(context, values), context))
