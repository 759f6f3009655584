"""The arithmetic of a trade: what its fills come to, what it risked, and what was kept of it.

Everything here is pure. `summarise` turns the fills of a trade into the sums kept beside it, always from all
fills and with exact summation, so that the order in which parts were closed cannot matter. Conventions:

- Average cost. The entry price is the average over all that was entered; an addition after a partial exit
  moves it for the closed part too. The sum at the end is the cash that changed hands.
- `side` is +1 for bought and -1 for sold, prices of packages are never negative at entry.
- R is profit after fees over `initial_risk`. For packages that is the largest loss where the payoff bounds
  it, wherever a stop may stand, also of a cash-secured put, which loses most at a price of 0; where nothing
  bounds it, the distance to a stop; else the risk that the recommendation stated; else None: nothing says
  what was at risk. For shares it is the distance to the stop, else the recommendation's risk, else None.
- Money is decimal and floats are not: what three exits bring to exactly 0 must not be a loss of 1.4e-14. Sums
  are rounded to 13 significant digits of the cash they are made of (`tidy`).

>>> package_bounds([(-1, "put", 95.0, 1.0), (1, "put", 90.0, 1.0)], credit=1.9)
(1.9, 3.1)
>>> close_code("50% profit rule"), close_code("Stop loss"), close_code("21 DTE")
('profit_target', 'stop', 'dte')
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from simulator.types import ExitReason

__all__ = [
    "Cash",
    "Sums",
    "capture_percent",
    "close_code",
    "days_between",
    "occ_symbol",
    "package_bounds",
    "slippage",
    "summarise",
    "tidy",
    "was_all",
]

DAY: Final = 86_400 * 1_000_000_000
"""Nanoseconds of a day."""

_ROUNDING: Final = 1e-9
"""Relative size of a remainder that is rounding and not a position."""

_DIGITS: Final = 13
"""Digits that are kept of a sum: a double has 15, and the products and sums of a trade cost less than two."""


class Cash(NamedTuple):
    """What the sums need of a fill; `side` is that of the fill."""

    effect: str
    side: int
    quantity: float
    price: float
    multiplier: float
    fees: float


class Sums(NamedTuple):
    """Columns of `trades` that sum up its fills."""

    entry_price: float
    exit_price: float | None
    fees: float
    gross_pnl: float
    pnl: float


def summarise(
    side: int,
    multiplier: float,
    fills: Iterable[Cash],
    *,
    open_quantity: float,
    quantity: float | None = None,
) -> Sums:
    """Return prices and profit of a trade from its fills.

    Parameters
    ----------
    side, multiplier
        Those of the trade.
    fills
        All of them. Opening fills may be of packages or of single legs: only their cash counts.
    open_quantity
        Packages or shares that are still open.
    quantity
        Packages or shares that were entered, in the units of `open_quantity`; None where every opening fill
        is of whole packages, and then it is their sum. Fills of single legs, and shares that were split
        since, cannot be added up to it.

    Gross profit is the cash of closing fills and of those with no effect on the position (dividends), less
    the entry value of what is closed. Legs that were closed singly count their cash at once, and their share
    of the entry when the whole package is closed.

    All amounts are rounded as `tidy` says, so what nets to nothing is exactly 0.
    """
    entered: list[float] = []
    paid: list[float] = []
    closing: list[float] = []
    other: list[float] = []
    fees: list[float] = []
    for fill in fills:
        value = fill.price * fill.quantity * fill.multiplier
        fees.append(fill.fees)
        if fill.effect == "open":
            entered.append(fill.quantity)
            paid.append(fill.side * side * value)
        elif fill.effect == "close":
            closing.append(-fill.side * value)
        else:
            other.append(-fill.side * value)
    if quantity is None:
        quantity = math.fsum(entered)
    closed = quantity - open_quantity
    entry_value = math.fsum(paid)
    if was_all(closed, 0.0, quantity):
        closed_value, exit_price = 0.0, None
    else:
        closed_value = entry_value if open_quantity == 0 else entry_value * (closed / quantity)
        per_unit = [value / (closed * multiplier) for value in closing]
        exit_price = tidy(side * math.fsum(closing) / (closed * multiplier), *per_unit)
    cash = [*closing, *other, -side * closed_value]
    moved = [*closing, *other, *paid]
    size = quantity * multiplier
    return Sums(
        tidy(entry_value / size, *(value / size for value in paid)),
        exit_price,
        tidy(math.fsum(fees), *fees),
        tidy(math.fsum(cash), *moved),
        tidy(math.fsum([*cash, *(-fee for fee in fees)]), *moved, *fees),
    )


def tidy(value: float, *terms: float) -> float:
    """Return a sum of decimal terms without the rounding errors of binary arithmetic.

    Parameters
    ----------
    value
        The sum, or a product where no terms are given.
    terms
        What it was summed from; 13 significant digits of their total size are kept.

    >>> tidy(0.1 + 0.2 - 0.3, 0.1, 0.2, -0.3), tidy(3.1 * 700)
    (0.0, 2170.0)
    """
    scale = math.fsum(map(abs, terms)) if terms else abs(value)
    if scale == 0 or not math.isfinite(scale):
        return value
    # + 0.0: no negative zero
    return round(value, _DIGITS - 1 - math.floor(math.log10(scale))) + 0.0


def was_all(amount: float, whole: float, scale: float) -> bool:
    """Tell whether two quantities differ by rounding only, measured against `scale`."""
    return abs(amount - whole) <= _ROUNDING * max(scale, 1e-300)


def capture_percent(
    kind: str, side: int, gross: float, entry_value: float, max_profit: float | None
) -> float | None:
    """Return the gross profit kept in percent of the credit, or of the largest profit of a debit package.

    None for shares, for a debit package without a bounded profit, and where nothing was received.
    """
    if kind != "option":
        return None
    whole = entry_value if side < 0 else max_profit
    return tidy(100.0 * gross / whole) if whole is not None and whole > 0 else None


def slippage(side: int, price: float, mid: float | None, quantity: float, multiplier: float) -> float | None:
    """Return currency lost against the midpoint at entry; negative is a fill better than it."""
    size = quantity * multiplier
    return None if mid is None else tidy(side * (price - mid) * size, price * size, mid * size)


def days_between(start: int, end: int) -> float:
    """Return calendar days between the UTC dates of two stamps."""
    return float(end // DAY - start // DAY)


def package_bounds(
    legs: Sequence[tuple[int, str, float, float]], credit: float
) -> tuple[float | None, float | None]:
    """Return largest profit and largest loss at expiry per unit of the underlying, None where unbounded.

    Parameters
    ----------
    legs
        Side, kind ("call" or "put"), strike and ratio of options that expire together.
    credit
        Received per unit of the underlying; negative is a debit.

    The payoff is linear between strikes, so its extremes lie at 0, at a strike, or beyond the highest one.
    """
    points = [0.0, *(strike for _, _, strike, _ in legs)]

    def profit(spot: float) -> float:
        return credit + math.fsum(
            side * ratio * max(0.0, strike - spot if kind == "put" else spot - strike)
            for side, kind, strike, ratio in legs
        )

    values = [profit(spot) for spot in points]
    slope = math.fsum(side * ratio for side, kind, _, ratio in legs if kind == "call")
    best = None if slope > 0 else _cents(max(values))
    worst = None if slope < 0 else _cents(max(0.0, -min(values)))
    return best, worst


def occ_symbol(root: str, expiry: str, kind: str, strike: float) -> str:
    """Return the canonical symbol of an option: root, date, C or P, strike in thousandths, without padding.

    >>> occ_symbol("SPY", "2020-02-21", "put", 95.0)
    'SPY200221P00095000'
    """
    date = expiry.replace("-", "")[2:]
    return f"{root}{date}{kind[0].upper()}{round(strike * 1000):08d}"


def close_code(text: str) -> str:
    """Return the exit reason that a free text means: a label of `simulator.types.ExitReason`, or "other".

    A label itself is taken as it is. Of several words the first rule that matches counts: a stop before a
    profit, so that "stopped out of the profit run" is a stop.
    """
    words = " ".join(re.findall(r"[a-z0-9%]+", text.lower()))
    plain = words.replace(" ", "_")
    if plain in _LABELS:
        return plain
    for pattern, code in _RULES:
        if re.search(pattern, words):
            return code
    return "manual" if not words else "other"


_LABELS: Final = frozenset(reason.label for reason in ExitReason if reason)

_RULES: Final = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"\bassign|\bexercis|called away|\bput to me", "assignment"),
        (r"\broll", "roll"),
        (r"\bkill", "kill_switch"),
        (r"daily loss", "daily_loss"),
        (r"drawdown", "drawdown"),
        (r"\btrail", "trail"),
        (r"break ?even", "breakeven"),
        (r"\btimed? (based )?(stop|exit)", "time"),
        (r"(?<!\bnot )(?<!\bnon )(?<!\bnever )\bstop(s|ped|loss)?\b|\bsl\b|max(imum)? loss|"
         r"\bloss (limit|rule)|\bcut (the |my )?loss", "stop"),
        (r"\bdte\b|days? (to|before|until|till) exp|\b\d+ ?dte", "dte"),
        (r"expire|expiry|expiration|worthless", "expiry"),
        (r"scal(e|ed|ing) out|partial", "scale_out"),
        (r"^(?!.*\b(loss|losing|lost|down|gave back|given back|"
         r"of (the |my )?(position|contracts|shares|size))\b).*("
         r"\d ?%.*(profit|credit|max|rule|target)|\bprofits?\b.*\d ?%|"
         r"\b(closed?|bought|took|take|taken|taking|hit|reached|exit|exited|out|captured?|kept)"
         r"( it| out| off| back)?( at| for| with)? \d+( \d+)? ?%)|"
         r"profit (target|rule|taking)|(take|took|taking) (the |my |some )?profits?\b|\bmax(imum)? profit|"
         r"\bprofits? (taken|locked)|\btp\d?\b", "profit_target"),
        (r"\btargets?\b", "target"),
        (r"\btime\b|max(imum)? days|too long", "time"),
        (r"\bdelta\b|\btested\b", "delta"),
        (r"delist", "delisted"),
        (r"uncovered|cover (is )?gone", "uncovered"),
        (r"end of (the )?data", "end_of_data"),
        (r"\bsignal|reversal", "signal"),
        (r"\bmanual|by hand|discretion", "manual"),
    )
)  # fmt: skip


def _cents(value: float) -> float:
    # strikes and credits are decimals: 5.0 - 1.9 is 3.1, not 3.0999999999999996
    return round(value, 10)
