"""Open packages and books of them: what is known of one, what it can come to, what a sum of Greeks may say.

Prices are per unit of the underlying, amounts in currency for the whole position, volatilities fractions,
times UTC nanoseconds. What is not known is None, never 0; a sum of which a part is unknown is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from twinstep.dashboard.reading.options.market import Greeks, LastBar
from twinstep.dashboard.reading.options.payoff import Diagram, Terms, diagram

__all__ = ["EPOCH", "Book", "LegLine", "OptionPosition", "book_of", "finite", "leg_line", "position_of"]

EPOCH: Final = date(1970, 1, 1)

_WORDS: Final = {1: "call", -1: "put", 0: "shares"}
_UNLIMITED: Final = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class LegLine:
    """One leg.

    Attributes
    ----------
    quantity
        Contracts (or shares) of the whole position, below 0 for sold ones.
    kind
        "call", "put" or "shares".
    dte
        Calendar days to expiry.
    volatility
        As a fraction.
    """

    quantity: float
    kind: str
    strike: float | None
    expiry: date | None
    dte: int | None
    volatility: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionPosition:
    """One open package.

    Attributes
    ----------
    key
        For ids within the page.
    trade
        Its number in the journal, None where it has none yet.
    place
        Which book it is in.
    quantity
        Packages.
    credit
        Of the entry, per unit of the underlying; below 0 a debit. Shares among the legs of a trade that the
        journal has are not in it.
    mark
        In the same sign: what closing would cost (below 0: bring). None: unknown.
    mark_ts
        Of the bar that it comes from.
    modelled
        Whether mark and volatility come from a model.
    share_pct
        Of the credit, or of the most that a debit can make, that is earned by now.
    max_profit, max_loss
        At expiry; infinite where nothing bounds it, None: unknown.
    target, stop
        Results at which rules or plan end it.
    volatility
        Where volatilities come from, in words.
    unknown
        What is not known and why, as sentences.
    """

    key: str
    trade: int | None
    place: str
    symbol: str
    strategy: str
    quantity: float
    size: float
    entry_ts: int
    credit: float
    legs: tuple[LegLine, ...]
    mark: float | None
    mark_ts: int | None
    modelled: bool
    result: float | None
    share_pct: float | None
    share_of: str
    iv_rank: float | None
    max_profit: float | None
    max_loss: float | None
    target: float | None
    stop: float | None
    entry_spot: float | None
    spot: float | None
    greeks: Greeks
    volatility: str
    diagram: Diagram | None
    unknown: tuple[str, ...]

    @property
    def dte(self) -> int | None:
        """Days to the first expiry."""
        return min((leg.dte for leg in self.legs if leg.dte is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Positions of one place and what they come to.

    Attributes
    ----------
    name
        "session paper", "journal, live".
    greeks
        Sums, of shares that the place holds too; None where that of one position is unknown.
    shares
        Of shares that are no leg, which are in the sum; 0 where none are held.
    unknown
        Positions whose Greeks are not known.
    against
        What deltas are weighted against; "" where there are no betas.
    more
        Positions that are not shown.
    """

    name: str
    positions: tuple[OptionPosition, ...]
    greeks: Greeks
    shares: Greeks
    unknown: int
    against: str
    more: int


def position_of(
    last: LastBar | None,
    terms: Terms,
    *,
    key: str,
    place: str,
    symbol: str,
    strategy: str,
    quantity: float,
    entry_ts: int,
    price: float,
    shares_paid: float,
    worth: float | None,
    mark_ts: int | None,
    seen: tuple[str, tuple[float | None, ...]],
    volatility: Any,
    modelled: bool,
    iv_rank: float | None,
    entry_spot: float | None,
    bounds: tuple[float | None, float | None] | None,
    target: float | None,
    stop: float | None,
    unknown: list[str],
    today: int | None = None,
) -> OptionPosition:
    """Return a package as a page shows it.

    Parameters
    ----------
    last
        The bar that values it, None: there is none.
    terms
        Its legs; shares that cover it are among them, and paid for.
    price
        Of the entry, below 0 for a credit; `shares_paid` is what shares cost that are not in it. Both per
        unit of the underlying, as `worth`, which has the shares in it.
    seen
        Where volatilities come from, and delta, gamma, theta and vega of the position.
    volatility
        Of each leg, as `Terms.volatility`.
    today
        From which days to expiry count, days since 1970; None: the day of `terms`.
    bounds
        The most it can make and lose where the plan says; None: what the legs say.
    """
    from journal.accounting import capture_percent

    terms, dated = replace(terms, volatility=volatility), terms.day if today is None else today
    spot = None if last is None else last.spot(symbol)
    result = None if worth is None else finite((worth - terms.paid) * terms.size)
    best, worst = _bounds(terms)
    if bounds is not None:
        # what the journal says goes first, except that it says nothing of what has no bound
        best, worst = (
            own if own is not None else other for own, other in zip(bounds, (best, worst), strict=True)
        )
    shares = float(terms.units[terms.legs["right"] == 0].sum())
    mark = worth
    if mark is not None and shares_paid and spot is not None:
        mark -= shares * spot
    drawn = diagram(terms, entry_spot=entry_spot, spot=spot)
    if drawn is None:
        unknown.append("Its legs end on different days, and the volatility of one that lives on is unknown.")
    share, of_credit = None, price < 0.0 and not shares_paid
    if result is not None:
        bounded = None if best is None else finite(best)
        share = capture_percent("option", -1 if of_credit else 1, result, abs(price) * terms.size, bounded)
    delta, gamma, theta, vega = seen[1]
    weighted = None if last is None else last.weighted(symbol, delta)
    return OptionPosition(
        key=key, trade=int(key[1:]) if key[0] == "t" else None, place=place, symbol=symbol,
        strategy=strategy or "signals", quantity=quantity, size=terms.size, entry_ts=entry_ts,
        credit=-price + 0.0,
        legs=tuple(
            leg_line(units * (quantity if leg["right"] else terms.size), leg, dated, finite(level))
            for units, leg, level in zip(terms.units, terms.legs, volatility, strict=True)
        ),
        mark=None if mark is None else -mark + 0.0, mark_ts=mark_ts, modelled=modelled, result=result,
        share_pct=share, share_of="the credit" if of_credit else "the most it can make", iv_rank=iv_rank,
        max_profit=best, max_loss=worst, target=target, stop=stop, entry_spot=entry_spot, spot=spot,
        greeks=Greeks(delta, weighted, gamma, theta, vega), volatility=seen[0], diagram=drawn,
        unknown=tuple(unknown),
    )  # fmt: skip


def _bounds(terms: Terms) -> tuple[float | None, float | None]:
    """Return the most it can make and lose at expiry, infinite where nothing bounds it."""
    from journal.accounting import package_bounds

    if not terms.alike:
        return None, None
    # shares pay off like a call that is exercised for nothing
    best, worst = package_bounds(
        [
            (1 if units > 0 else -1, "put" if leg["right"] < 0 else "call",
             float(leg["strike"]) if leg["right"] else 0.0, abs(float(units)))
            for leg, units in zip(terms.legs, terms.units, strict=True)
        ],
        -terms.paid,
    )  # fmt: skip
    return tuple(_UNLIMITED if one is None else one * terms.size for one in (best, worst))  # type: ignore[return-value]


def book_of(
    name: str,
    positions: list[OptionPosition],
    last: LastBar | None,
    stocks: list[tuple[str, float]],
    more: int,
) -> Book:
    """Return a book; `stocks` are symbols and shares beside the packages, `more` packages not shown."""
    unknown = sum(not one.greeks.known for one in positions)
    shares = sum(held for _, held in stocks)
    apart = [None if last is None else last.weighted(symbol, held) for symbol, held in stocks]

    def total(values: list[float | None]) -> float | None:
        # a sum of which a part is unknown, or not shown, is unknown
        known = [one for one in values if one is not None]
        return float(sum(known)) if len(known) == len(values) and not more else None

    greeks = [one.greeks for one in positions]
    return Book(
        name=name, positions=tuple(positions), unknown=unknown,
        against="" if last is None else last.against, more=more,
        shares=Greeks(shares, None if None in apart else sum(filter(None, apart)), 0.0, 0.0, 0.0),
        greeks=Greeks(
            delta=total([*(one.delta for one in greeks), shares]),
            beta_dollar_delta=total([*(one.beta_dollar_delta for one in greeks), *apart]),
            gamma=total([one.gamma for one in greeks]),
            theta=total([one.theta for one in greeks]),
            vega=total([one.vega for one in greeks]),
        ),
    )  # fmt: skip


def leg_line(quantity: float, leg: Any, day: int, volatility: float | None) -> LegLine:
    """Return a LEG record as a line, so many contracts or shares of it; `day` is today."""
    right = int(leg["right"])
    return LegLine(
        quantity=float(quantity), kind=_WORDS[right], strike=float(leg["strike"]) if right else None,
        expiry=EPOCH + timedelta(days=int(leg["expiry"])) if right else None,
        dte=int(leg["expiry"]) - day if right else None, volatility=volatility if right else None,
    )  # fmt: skip


def finite(value: Any) -> float | None:
    """Return a number, None for NaN and what has no bound."""
    return float(value) if np.isfinite(value) else None
