"""What figures were measured on, in words: the bars, their window, and the rules of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.conventions import Conventions
from simulator.costs import Costs

if TYPE_CHECKING:
    from optimize.evaluator import Rules
    from simulator.bars import Bars
    from simulator.results.raw import RawRun

__all__ = ["market_facts", "market_head"]

_ORIGINS = {
    "real": "real prices",
    "synthetic": "SYNTHETIC: a seeded model, not a market",
    "user": "given by the user",
}


def market_head(bars: Bars, first: int = 0, last: int | None = None) -> dict[str, str]:
    """Return `origin`, which says "modelled" where options are, and the `span` of a window in words."""
    end = len(bars) if last is None else last
    modelled = bars.options is not None and bars.options.grade == "modelled"
    names = ", ".join(bars.symbols[:6]) + (
        f" and {len(bars.symbols) - 6} more" if len(bars.symbols) > 6 else ""
    )
    days = f"{bars.index[first]:%Y-%m-%d} to {bars.index[end - 1]:%Y-%m-%d}"
    return {
        "origin": "modelled" if modelled else bars.origin,
        "span": f"{names} · {end - first:,} bars, {days}",
    }


def market_facts(bars: Bars, window: tuple[int, int], rules: Rules | RawRun) -> list[tuple[str, str]]:
    """Return the market and the rules as names with values."""
    first, last = window
    return [
        ("Data", bars.name),
        ("Origin", _ORIGINS.get(bars.origin, bars.origin)),
        ("Data fingerprint", bars.fingerprint[:16]),
        ("Window", f"rows {first:,} to {last:,} of {len(bars):,}"),
        ("Calendar", f"{bars.calendar}, {bars.sessions_per_year:g} sessions per year"),
        ("Initial cash", f"{rules.cash:,.2f}"),
        ("Conventions", Conventions.of(rules.conventions).name),
        ("Costs", Costs.of(rules.costs).name),
        ("Risk manager", "off" if rules.risk is None else "on"),
    ]
