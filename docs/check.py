"""Checks the built site: links, pictures and pages are there, nothing is loaded from elsewhere. `make docs` calls it.

Zensical checks links between pages. It does not check pictures, links that leave docs/, and pages that the navigation
names or lacks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.loaded, self.anchors = path, list[str](), list[str](), set[str]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes that lead somewhere."""
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in {"img", "script", "source"} and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in {"stylesheet", "icon", "preconnect"}:
            self.loaded.append(found["href"])


def problems(site: Path) -> Iterator[str]:
    """Everything that is wrong with a site, a sentence each."""
    yield from navigation_problems()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    for path, page in pages.items():
        name = path.relative_to(site)
        for url in page.loaded:
            if urlsplit(url).netloc:
                yield f"{name}: loads {url} from elsewhere; put it into docs/"
        for url in [*page.links, *page.loaded]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site.resolve()) or not target.exists():
                yield f"{name}: leads to {url}, which is not part of the site"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors | {"__"}:
                yield f"{name}: leads to {url}, and that page has no such heading"


def navigation_problems() -> Iterator[str]:
    """Pages that the navigation names and that are not there, and pages that it lacks."""
    docs = ROOT / "docs"
    named = set(_named(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    there = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    yield from (f"mkdocs.yml: names {page}, which is not there" for page in sorted(named - there))
    yield from (f"docs/{page}: is in no part of the navigation of mkdocs.yml" for page in sorted(there - named))


def _named(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for each in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from _named(each)


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "every link, picture and page is there")
    sys.exit(1 if found else 0)
