"""What a shadow tells: its own fills beside those of the real account, in the same symbols and time.

Whoever shadows a strategy usually trades the same symbols by hand. Both are shown with what they bought and
sold, at which average, and what that is worth now; neither is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from simulator.brokerage import Execution

__all__ = ["Done", "ShadowLine", "ShadowStatus", "lines_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one account did in one symbol.

    Attributes
    ----------
    fills
        Number of executions.
    bought, sold
        Shares or contracts, above 0.
    bought_at, sold_at
        Average prices, None without any.
    held
        What these executions leave, signed; of a position from before it knows nothing.
    result
        Currency: what came in less what was paid, fees too, and what is left at the price now; None where
        something is left and has no price.
    """

    fills: int = 0
    bought: float = 0.0
    bought_at: float | None = None
    sold: float = 0.0
    sold_at: float | None = None
    fees: float = 0.0
    held: float = 0.0
    result: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowLine:
    """A symbol: what the shadow did in it, and what the real account did since the shadow began."""

    symbol: str
    shadow: Done
    real: Done


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStatus:
    """How a shadow stands.

    Attributes
    ----------
    broker, account, real_money
        Who is shadowed, and whether that login is one of real money, read and nothing else.
    since, at
        When the book was opened, and when this was asked.
    looked
        When the market was last looked at, None for never.
    computed, sent
        Orders that came into the book, and that went to the broker: none.
    working
        Of them, how many work.
    lines
        By symbol; all that orders named.
    unquoted, late
        Symbols of which there was no quote to trade at, and whose quotes say that they are late and therefore
        match nothing.
    problem
        Why the real account could not be read, "" where it was.
    """

    broker: str
    account: str
    real_money: bool
    since: datetime
    at: datetime
    looked: datetime | None
    computed: int
    working: int
    lines: tuple[ShadowLine, ...]
    unquoted: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    problem: str = ""
    sent: int = 0

    def plain(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        found = asdict(self)
        for name in ("since", "at", "looked"):
            found[name] = None if found[name] is None else found[name].isoformat()
        found["lines"] = list(found["lines"])
        return found | {"unquoted": list(self.unquoted), "late": list(self.late)}

    def __str__(self) -> str:
        kind = "real-money" if self.real_money else "paper"
        told = [
            f"shadow of {self.broker}, {kind} account {self.account}, since {self.since:%Y-%m-%d %H:%M} UTC: "
            f"{self.computed} orders computed, {self.sent} sent, {self.working} working"
        ]
        for line in self.lines:
            told.append(f"  {line.symbol:<21} shadow {_words(line.shadow)}")
            told.append(f"  {'':<21} real   {_words(line.real)}")
        if self.unquoted:
            told.append(f"  no quote: {', '.join(self.unquoted)}")
        if self.late:
            told.append(f"  late quotes, which match nothing: {', '.join(self.late)}")
        if self.problem:
            told.append(f"  the real account could not be read: {self.problem}")
        return "\n".join(told)


def lines_of(
    symbols: Iterable[str],
    shadow: Iterable[Execution],
    real: Iterable[Execution],
    price: Callable[[str], float | None],
) -> tuple[ShadowLine, ...]:
    """Return a line by symbol; executions in other symbols are left out."""
    ours, theirs = _by_symbol(shadow), _by_symbol(real)
    return tuple(
        ShadowLine(
            symbol=symbol,
            shadow=_done(ours.get(symbol, ()), price(symbol)),
            real=_done(theirs.get(symbol, ()), price(symbol)),
        )
        for symbol in sorted(set(symbols))
    )


def _by_symbol(executions: Iterable[Execution]) -> Mapping[str, list[Execution]]:
    found: dict[str, list[Execution]] = {}
    for one in executions:
        found.setdefault(one.symbol, []).append(one)
    return found


def _done(executions: Iterable[Execution], price: float | None) -> Done:
    some = list(executions)
    units = {1: 0.0, -1: 0.0}
    paid = {1: 0.0, -1: 0.0}
    cash = fees = 0.0
    multiplier = 1.0
    for one in some:
        units[one.side] += one.quantity
        paid[one.side] += one.quantity * one.price
        cash -= one.side * one.quantity * one.price * one.multiplier + one.fees
        fees += one.fees
        multiplier = one.multiplier
    held = units[1] - units[-1]
    held = 0.0 if abs(held) < 1e-9 else held  # what rounding leaves
    known = price is not None and math.isfinite(price)
    return Done(
        fills=len(some), bought=units[1], bought_at=paid[1] / units[1] if units[1] else None,
        sold=units[-1], sold_at=paid[-1] / units[-1] if units[-1] else None, fees=fees, held=held,
        result=cash if not held else cash + held * multiplier * (price or 0.0) if known else None,
    )  # fmt: skip


def _words(done: Done) -> str:
    if not done.fills:
        return "nothing"
    parts = [
        f"{word} {amount:g} at {price:,.4f}"
        for word, amount, price in (
            ("bought", done.bought, done.bought_at),
            ("sold", done.sold, done.sold_at),
        )
        if price is not None
    ]
    result = "unknown" if done.result is None else f"{done.result:+,.2f}"
    return f"{', '.join(parts)}; holds {done.held:+g}; result {result}"
