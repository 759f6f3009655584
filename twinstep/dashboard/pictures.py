"""Pictures of every page, as a browser draws them: wide and on a phone, light and dark.

A dashboard is started on a free port, a Chromium of this machine logs in by a link, as a person would, and
each page is photographed whole. Nothing leaves the machine, and nothing on the pages is pressed.

>>> take_pictures("trade_journal.db", "pictures")                      # doctest: +SKIP
[PosixPath('pictures/journal-desktop-dark.png'), ...]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from simulator.errors import ConfigError, MissingExtraError
from simulator.results.pdf import find_chromium
from twinstep.dashboard.reading.desk import desks_of
from twinstep.dashboard.server import Dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["SIZES", "THEMES", "pages_of", "take_pictures"]

SIZES: Final = {"desktop": (1280, 800), "phone": (390, 844)}
"""Width and height of the window in pixels; a picture is as long as its page."""
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_LOADING_SECONDS: Final = 60.0


def take_pictures(
    journal: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    switches: str | os.PathLike[str] | None = None,
    session: str | None = None,
    tell: Callable[[Path], object] = lambda picture: None,
) -> list[Path]:
    """Photograph every page of a journal's dashboard, and return the files.

    Parameters
    ----------
    journal, session
        Of the dashboard.
    folder
        Of the pictures; made where it is not there, and pictures of the same name are replaced.
    switches
        Folder of the kill switch; beside the journal by default.
    tell
        Called with each picture.

    Raises
    ------
    MissingExtraError
        DASHBOARD_BROWSER without playwright, or without a Chromium on this machine.
    ConfigError
        CLI_WRITE where the pictures cannot be written.
    """
    place = Path(folder)
    with _chromium() as browser, Dashboard(journal, folder=switches, session=session) as dashboard:
        try:
            place.mkdir(parents=True, exist_ok=True)
            return list(_photographed(browser, dashboard, place, tell))
        except OSError as error:
            raise ConfigError(
                f"pictures cannot be written to {place}: {error.strerror}; name another folder",
                code="CLI_WRITE",
            ) from error


def pages_of(page: Page, url: str) -> dict[str, str]:
    """Return every page that the menu leads to and one of each kind behind it: name and address."""
    page.goto(url)
    found = {
        one.inner_text().split("\n")[0].strip().lower().replace(" ", "-").rstrip("-0123456789"): one
        for one in page.locator("nav.menu a").all()
    }
    pages = {name: f"{url}{link.get_attribute('href')}" for name, link in found.items()}
    for name, where, selector in _BEHIND:
        page.goto(f"{url}{where}")
        link = page.locator(selector).first
        if link.count():
            pages[name] = f"{url}{link.get_attribute('href')}"
    page.goto(f"{url}/runs")
    runs = [one.get_attribute("href") or "" for one in page.locator(_RUN).all()]
    if len(runs) > 1:
        first, second = (one.rsplit("/", 1)[1] for one in runs[:2])
        pages["compare"] = f"{url}/runs/compare?a={first}&b={second}"
    return pages


_RUN: Final = "tbody th a[href^='/runs/']"
_BEHIND: Final = (
    ("trade", "/journal?outcome=closed", "tbody th a[href^='/trades/']"),
    ("trade-open", "/journal?outcome=open", "tbody th a[href^='/trades/']"),
    ("run", "/runs", _RUN),
)
"""Name, the page that leads there, and the link on it."""


def _photographed(
    browser: Browser, dashboard: Dashboard, folder: Path, tell: Callable[[Path], object]
) -> Iterator[Path]:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{dashboard.url}/login")
    yield from _pair(page, "login", folder, tell)
    page.goto(dashboard.link())
    desks_of(dashboard.reader).load().wait(_LOADING_SECONDS)
    for name, address in pages_of(page, dashboard.url).items():
        page.goto(address)
        yield from _pair(page, name, folder, tell)
    context.close()


def _pair(page: Page, name: str, folder: Path, tell: Callable[[Path], object]) -> Iterator[Path]:
    """Photograph a page in every size and theme."""
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.reload()  # the script brings what is shown into sight
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            file = folder / f"{name}-{size}-{theme}.png"
            page.screenshot(path=file, full_page=True)
            tell(file)
            yield file


@contextmanager
def _chromium() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtraError(
            "pictures need playwright, which is not installed: pip install 'twinstep[browser]'",
            code="DASHBOARD_BROWSER",
        ) from error
    try:
        path = find_chromium()
    except ConfigError as error:
        raise MissingExtraError(
            f"pictures need a Chromium: {error.args[0]}", code="DASHBOARD_BROWSER"
        ) from error
    with sync_playwright() as playwright:
        # a container's root has no sandbox, and the only pages opened are our own
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()
