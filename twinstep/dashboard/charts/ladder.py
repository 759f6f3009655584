"""Small pictures, drawn here as SVG: their colours are classes, since a page of ours has no inline style."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from twinstep.account_lines import PositionLine
from twinstep.dashboard.words import price

__all__ = ["ladder"]

WIDTH: Final = 200
HEIGHT: Final = 26
_EDGE: Final = 8


def ladder(one: PositionLine) -> Markup:
    """Return a position between its stop and its target, the entry and the price on the way.

    Good is to the right for shorts, too. Without a stop or a target the line ends where the price is.
    """
    side = 1.0 if one.quantity > 0 else -1.0
    levels = [level for level in (one.stop, one.entry, one.mark, one.target) if level is not None]
    low, high = min(side * level for level in levels), max(side * level for level in levels)
    span = (high - low) or 1.0

    def place(level: float) -> float:
        return round(_EDGE + (WIDTH - 2 * _EDGE) * (side * level - low) / span, 1)

    middle = HEIGHT / 2
    entry, mark = place(one.entry), place(one.mark)
    first, last = min(entry, mark), max(entry, mark)
    tone = "up" if side * (one.mark - one.entry) >= 0 else "down"
    words = [f"entry {price(one.entry)}", f"price {price(one.mark)}"]
    parts = [
        f'<line class="rail" x1="{_EDGE}" x2="{WIDTH - _EDGE}" y1="{middle}" y2="{middle}"/>',
        f'<line class="way {tone}" x1="{first}" x2="{last}" y1="{middle}" y2="{middle}"/>',
        f'<line class="entry" x1="{entry}" x2="{entry}" y1="{middle - 6}" y2="{middle + 6}"/>',
    ]
    for name, level in (("stop", one.stop), ("target", one.target)):
        if level is not None:
            at = place(level)
            parts.append(f'<line class="{name}" x1="{at}" x2="{at}" y1="4" y2="{HEIGHT - 4}"/>')
            words.append(f"{name} {price(level)}")
    parts.append(f'<circle class="mark {tone}" cx="{mark}" cy="{middle}" r="4.5"/>')
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="ladder" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{", ".join(words)}">{"".join(parts)}</svg>'
    )
