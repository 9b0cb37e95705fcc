#!/usr/bin/env python3
"""Writes into the build contexts what they share, since a context cannot reach outside itself.

usage: share.py [--check]     with --check: changes nothing, names the files that differ, and ends with 1

`companions/shared` has the style and script of all pages, and the parts of the nginx templates, which go between the lines
`# shared: NAME` and `# end of shared: NAME`. `default.conf` is the rendering of the template for a default node.
"""

import pathlib
import re
import sys

sys.dont_write_bytecode = True
import render  # noqa: E402

CONTEXTS = render.CONTEXTS
SHARED = CONTEXTS / "shared"
PAGE = ("companion.css", "companion.js")


def with_parts(template):
    """The template with the present text of each shared part."""

    def part(match):
        return f"{match[1]}\n{(SHARED / f'nginx.{match[2]}').read_text()}{match[3]}\n"

    pattern = r"(?ms)^( *# shared: (\w+))\n.*?^( *# end of shared: \2)\n"
    text, count = re.subn(pattern, part, template)
    if count != len(list(SHARED.glob("nginx.*"))):
        raise SystemExit(f"a template has {count} shared parts")
    return text


def main():
    check = sys.argv[1:] == ["--check"]
    different = []

    def write(path, text):
        if not path.exists() or path.read_text() != text:
            different.append(path.relative_to(CONTEXTS))
            if not check:
                path.write_text(text)

    for context in sorted(render.DEFAULTS):
        for name in PAGE:
            write(CONTEXTS / context / name, (SHARED / name).read_text())
        template = CONTEXTS / context / "nginx.conf.j2"
        write(template, with_parts(template.read_text()))
        if not (check and different):
            write(CONTEXTS / context / "default.conf", render.rendered(context, {}))
    for path in different:
        print(f"{path} {'differs' if check else 'written'}")
    return 1 if check and different else 0


sys.exit(main())
