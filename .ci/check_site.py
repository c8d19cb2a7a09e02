# SPDX-License-Identifier: MIT
"""Check that links, anchors and images within the built documentation lead somewhere.

python .ci/check_site.py docs/_build/html
"""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.add(attributes[name])


def problems(root):
    read = cache(Page)
    n_links = 0
    for path in sorted(root.rglob("*.html")):
        page = path.relative_to(root)
        if page.parts[0] == "_static":  # templates of the theme
            continue
        for link in sorted(read(path).links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            n_links += 1
            target = (path.parent / unquote(parts.path)).resolve()
            target = path if not parts.path else target
            if not target.is_file():
                yield f"{page}: {link} leads to no file"
            elif (
                parts.fragment
                and target.suffix == ".html"
                and unquote(parts.fragment) not in read(target).anchors
            ):
                yield f"{page}: {link} leads to no anchor"
    if n_links == 0:
        yield f"{root} holds no pages"


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1]).resolve()))
    print(*found, sep="\n")
    sys.exit(bool(found))
