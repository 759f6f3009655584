"""What every page has to be: usable by a screen reader in light and dark, and on a phone, in one visit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe

__all__ = ["look_over", "without_script"]

LOOKS: Final = (("light", 1180), ("light", 720), ("dark", 390))
"""Theme and width: a desk's screen, half of it, and a phone."""
LISTENED: Final = (1180, 390)
"""Widths at which axe runs: it takes seconds where a page has many links."""
SERIOUS: Final = {"serious", "critical"}
"""What axe must not find."""
RUN: Final = """(part) => axe.run(part, {resultTypes: ["violations"]}).then((found) =>
  found.violations.map((one) => ({
    rule: one.id, impact: one.impact, nodes: one.nodes.map((node) => `${node.html} ${node.failureSummary}`),
  })))"""


def look_over(page: Any, address: str, *, part: str = "html") -> None:
    """Load a page once: it scrolls one way at every width, and axe finds nothing serious in its part."""
    page.set_viewport_size({"width": LOOKS[0][1], "height": 800})
    assert page.goto(address, wait_until="load").ok
    page.evaluate(Axe().axe_script)
    for theme, width in LOOKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=theme)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{address} is {wide} wide on {width}"
        if width in LISTENED:
            found = [one for one in page.evaluate(RUN, part) if one["impact"] in SERIOUS]
            assert found == [], f"{address} in {theme}, {width} wide"


@contextmanager
def without_script(page: Any) -> Iterator[None]:
    """Let no script of a page run meanwhile."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        yield
    finally:
        session.send("Emulation.setScriptExecutionDisabled", {"value": False})
        session.detach()
