"""The site: built without a warning, from this machine alone, with every page in its navigation.

The build takes most of a minute and is marked slow, with all that needs its pages; what makes a link dead or
a page unreachable is also looked for in the Markdown itself, which takes a second.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import unquote

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)")
SEARCHES: Final = {
    "trailing stop": {"orders", "conventions"},
    "bracket": {"orders"},
    "iv rank": {"scanner", "premium"},
    "kill switch": {"kill_switch"},
    "sector": {"risk"},
    "slippage": {"conventions", "live"},
    "tax": {"tax_lots"},
    "resume": {"paper", "optimize"},
    "walk-forward": {"walk_forward"},
}
"""What a trader types, and the pages that have to be among the first three."""
WIDTHS: Final = (1280, 1024, 390)
MOST_BYTES: Final = 150_000


def configuration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_conf", DOCS / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(file: Path) -> str:
    return re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(file: Path) -> set[str]:
    """Return the anchors of a page's headings, as every viewer of Markdown makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,4} (.+)$", prose(file), re.MULTILINE):
        plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for picture, words, target, anchor in LINK.findall(prose(page)):
        file = page if not target else (page.parent / unquote(target)).resolve()
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name}: {target}#{anchor}"
        assert words.strip(), f"{page.name}: {'a picture' if picture else 'a link'} without words, {target}"


def test_every_page_is_in_the_navigation_once_and_in_a_group() -> None:
    trees = configuration().navigation((DOCS / "index.md").read_text(encoding="utf-8"))
    groups = re.findall(r":caption: (.+)", trees)
    assert groups == [
        "Start", "Backtest and tune", "Sell premium", "Trade on paper", "Trade at a broker",
        "Watch, approve, stop", "Journal and learning", "Rules and conventions", "Statistics",
        "From another framework", "Reference",
    ]  # fmt: skip
    listed = re.findall(r"^([a-z0-9_]+)$", trees, re.MULTILINE)
    assert sorted(listed) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


def test_the_home_is_the_readme_and_its_links_are_those_of_the_site() -> None:
    home = configuration().home(
        "# Where\n\n## Start\n\n[the README](../README.md), [a](a.md)",
        "# Twinstep\n\n[x](docs/x.md), [y](examples/y.py), [z](https://z.example)",
    )
    assert home.startswith("# Twinstep\n\n[x](x.md), [y](../examples/y.py), [z](https://z.example)")
    assert "\n## Where\n" in home
    assert "[the README](#twinstep), [a](a.md)" in home
    assert ":caption: Start\n\na\n" in home


def test_the_index_names_pages_by_what_is_searched_for() -> None:
    words = configuration().words(
        "| trade at once | [a](a.md): stops, `twinstep x`; [the b](b.md), gaps |\n| go | [up](../README.md) |"
    )
    assert words == {"a": ["a", "at", "once", "stops", "trade", "twinstep", "x"], "b": ["b", "gaps", "the"]}
    known = configuration().words((DOCS / "index.md").read_text(encoding="utf-8"))
    assert sorted(known) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")
    for query, pages in SEARCHES.items():
        for page in pages:  # the search knows that "stops" is "stop"
            said = {word.removesuffix("s") for word in known[page]}
            assert set(re.split(r"[ -]", query)) <= said, f"{query}: {page}"


def test_pictures_are_small() -> None:
    large = [file.name for file in DOCS.glob("pictures/*") if file.stat().st_size > MOST_BYTES]
    assert large == []


def test_what_is_built_by_others_shows_no_constructor_and_loading_comes_first() -> None:
    from simulator import Bars, RiskLimits
    from simulator.types import Entry

    made = configuration()
    asked = (Bars, Entry, RiskLimits)
    shown = [made.signature(None, "class", "", one, None, "(x)", None)[0] for one in asked]
    assert shown == [None, None, "(x)"]
    told = made.names((DOCS / "api_simulator.md").read_text(encoding="utf-8"))
    listed = re.findall(r"^### (\w+)$", told.split("\n## simulator.bars")[0], re.MULTILINE)
    assert listed[:2] == ["load_bars", "backtest"]
    assert listed.index("sweep") < listed.index("Bars")


class Addresses(HTMLParser):
    """Collects what a page loads, as opposed to where a reader may click."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video", "audio", "embed"}:
            self.loaded += [given.get("src") or "", *(given.get("srcset") or "").split()]
        if tag == "link" and given.get("rel") != "canonical":
            self.loaded.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once for all who look at its pages."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "2", "-b", "html",
         "-d", folder / "tree", DOCS, folder / "site"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "site"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    assert len(pages) > len(list(DOCS.glob("*.md")))
    for page in pages:
        parser = Addresses()
        parser.feed(page.read_text(encoding="utf-8"))
        assert [one for one in parser.loaded if re.match(r"(?:\w+:)?//", one)] == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", sheet.read_text(encoding="utf-8")), (
            sheet
        )
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    assert {"conventions", "risk", "api_simulator"} <= set(found["docnames"])
    assert 'id="simulator.backtest"' in (site / "api_simulator.html").read_text(encoding="utf-8")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium; .ci/run installs it")
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
def test_no_page_is_wider_than_the_window(site: Path, served: str, browser: Any) -> None:
    page = browser.new_page()
    # the theme lets the text scroll by itself on a phone, which is as bad
    asked = "[document.documentElement, document.querySelector('.content')]"
    wide = []
    for file in sorted(site.glob("*.html")):
        page.goto(f"{served}/{file.name}", wait_until="load")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate(f"{asked}.some((one) => one !== null && one.scrollWidth > one.clientWidth)"):
                wide.append((file.stem, width))
    page.close()
    assert wide == []


@pytest.mark.slow
def test_what_a_trader_searches_is_among_the_first_three(served: str, browser: Any) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda one: complaints.append(str(one)))
    for query, pages in SEARCHES.items():
        page.goto(f"{served}/search.html?q={query.replace(' ', '+')}")
        page.locator(".search-summary", has_text="finished").wait_for()
        links = [link.get_attribute("href") for link in page.locator("ul.search > li > a").all()[:3]]
        assert pages <= {link.partition(".html")[0] for link in links}, f"{query}: {links}"
    page.close()
    assert complaints == []
