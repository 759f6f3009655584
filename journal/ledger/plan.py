"""What an entry knows about its trade: from the caller, from the recommendation, from the legs, in order.

A recommendation speaks per package or share; a trade is for the whole of it. What a trade can make and lose
follows from its own fill, not from the recommended price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from journal.accounting import package_bounds, tidy
from journal.entry import Entry
from journal.records import Leg, Recommendation
from journal.values import amount, integer, text, unknown
from simulator.errors import DataError, warn
from simulator.opportunity import OptionLeg

__all__ = [
    "Bounds",
    "bounds_of",
    "check_legs",
    "iv_rank_of",
    "mid_price_of",
    "option_legs",
    "snapshot_of",
]


class Bounds(NamedTuple):
    """What a trade can make and lose, and what counts as its risk; currency for the whole trade."""

    max_profit: float | None
    max_loss: float | None
    initial_risk: float | None


_NUMBERS: Final = ("spot", "width", "iv", "iv_rank", "vix", "delta", "score", "probability")
_INTEGERS: Final = ("dte", "strength", "earnings_days")
_TEXTS: Final = ("iv_rank_definition", "grade", "config_hash", "sector", "signal_type", "account")
_RANGES: Final = {
    "iv_rank": (0.0, 100.0),
    "score": (0.0, 100.0),
    "probability": (0.0, 1.0),
    "iv": (0.0, 50.0),
}
_NEVER_NEGATIVE: Final = ("spot", "width", "vix", "iv")


def snapshot_of(
    entry: Entry, recommendation: Recommendation | None, legs: Sequence[Leg | OptionLeg]
) -> dict[str, Any]:
    """Return the columns of `trades` that describe the market and the plan at entry."""
    found: dict[str, Any] = {}
    for name in _NUMBERS:
        found[name] = unknown(name, _first(entry, recommendation, name))
    for name in _INTEGERS:
        value = _first(entry, recommendation, name)
        found[name] = None if value is None else integer(name, value)
    for name in _TEXTS:
        value = _first(entry, recommendation, name)
        found[name] = None if value is None else text(name, value)
    for name in ("stop_price", "target_price"):
        value = unknown(name, _first(entry, recommendation, name))
        found[name] = None if value is None else amount(name, value)
    for name, (low, high) in _RANGES.items():
        _check_range(name, found[name], low, high)
    for name in _NEVER_NEGATIVE:
        _check_range(name, found[name], 0.0, float("inf"))
    if entry.iv_rank is not None:
        iv_rank_of(entry.iv_rank)
    if entry.iv_rank is not None and recommendation is not None and entry.iv_rank_definition is None:
        # a number typed in stands for what the recommendation's stands for
        found["iv_rank_definition"] = recommendation.iv_rank_definition
    expiry = _expiry(entry.expiry)
    if expiry is None and recommendation is not None and not entry.legs:
        expiry = recommendation.expiry
    options = [leg for leg in legs if leg.kind in ("call", "put")]
    if expiry is None and options:
        expiry = min(str(leg.expiry) for leg in options)
    found["expiry"] = expiry
    if found["width"] is None:
        found["width"] = _width(options)
    return found


def iv_rank_of(value: Any) -> float | None:
    """Return an IV rank in percent, None for what is unknown; the value is kept as it is.

    Warns
    -----
    TwinstepWarning
        JOURNAL_PERCENT above 0 and below 1: 0.685 is almost surely 68.5 % written as a fraction.
    """
    rank = unknown("iv_rank", value)
    if rank is not None and 0 < rank < 1:
        warn(
            f"iv_rank is {rank:g}, which is {rank:g} %: IV rank is in percent, 0 to 100. Write "
            f"{100 * rank:g} if a fraction was meant; {rank:g} is stored",
            code="JOURNAL_PERCENT",
        )
    return rank


def mid_price_of(
    entry: Entry, recommendation: Recommendation | None, legs: Sequence[Leg | OptionLeg], side: int
) -> float | None:
    """Return the midpoint at entry per package or share, in the direction of the trade."""
    if entry.mid_price is not None:
        return amount("mid_price", entry.mid_price)
    if recommendation is not None:
        return recommendation.mid_price
    options = [leg for leg in legs if leg.kind in ("call", "put")]
    mids = [_leg_mid(leg) for leg in options]
    if not options or any(mid is None for mid in mids):
        return None
    value = sum(leg.side * leg.ratio * mid for leg, mid in zip(options, mids, strict=True) if mid is not None)
    return max(0.0, round(side * value, 10))


def bounds_of(
    entry: Entry,
    recommendation: Recommendation | None,
    legs: Sequence[Leg | OptionLeg],
    *,
    kind: str,
    side: int,
    price: float,
    quantity: float,
    multiplier: float,
    stop_price: float | None,
    width: float | None,
) -> Bounds:
    """Return what the trade can make and lose at the price that it was filled at."""
    size = quantity * multiplier
    best, worst = _explicit(entry)
    if kind == "option":
        if recommendation is not None and not entry.legs:
            gain = (-side * price - recommendation.credit) * multiplier
            if best is None and recommendation.max_profit is not None:
                best = tidy(max(0.0, recommendation.max_profit + gain) * quantity)
            if worst is None and recommendation.max_loss is not None:
                worst = tidy(max(0.0, recommendation.max_loss - gain) * quantity)
        else:
            profit, loss = _from_legs(legs, side, price, width)
            best = tidy(profit * size) if best is None and profit is not None else best
            worst = tidy(loss * size) if worst is None and loss is not None else worst
    risk: float | None
    if entry.initial_risk is not None:
        risk = amount("initial_risk", entry.initial_risk, above=True)
    elif kind == "option" and worst is not None:
        risk = worst
    elif stop_price is not None and side * (price - stop_price) > 0:
        risk = tidy(abs(price - stop_price) * size, price * size, stop_price * size)
    elif recommendation is not None and recommendation.risk is not None:
        risk = tidy(recommendation.risk * (quantity if kind == "option" else size))
    else:
        risk = None
    return Bounds(best, worst, risk if risk else None)


def option_legs(given: Iterable[OptionLeg | Mapping[str, Any]], expiry: date | str | None) -> list[OptionLeg]:
    """Return legs as `OptionLeg`; mappings may leave the expiry to the entry.

    Raises
    ------
    DataError
        JOURNAL_LEGS for what is no leg.
    """
    return [leg if isinstance(leg, OptionLeg) else _leg_from(leg, expiry) for leg in given]


def _leg_from(given: Mapping[str, Any], expiry: date | str | None) -> OptionLeg:
    if not isinstance(given, Mapping):
        raise DataError(
            f"a leg is {given!r}; it must be an OptionLeg or a mapping with side, kind and strike",
            code="JOURNAL_LEGS",
        )
    names = {item.name for item in fields(OptionLeg)}
    unknown_names = sorted(set(given) - names)
    missing = sorted({"side", "kind", "strike"} - set(given))
    if unknown_names or missing:
        what = f"unknown {unknown_names[0]!r}" if unknown_names else f"no {missing[0]!r}"
        raise DataError(f"leg {dict(given)!r} has {what}", code="JOURNAL_LEGS")
    day = _expiry(given.get("expiry", expiry))
    if day is None:
        raise DataError(f"leg {dict(given)!r} has no expiry, and the entry has none", code="JOURNAL_LEGS")
    return OptionLeg(**{**given, "expiry": date.fromisoformat(day)})


def check_legs(legs: Sequence[OptionLeg]) -> None:
    """Refuse legs that no broker would take.

    Raises
    ------
    DataError
        JOURNAL_LEGS.
    """
    for leg in legs:
        if leg.side not in (-1, 1) or leg.kind not in ("call", "put", "shares"):
            raise DataError(
                f"a leg has side {leg.side!r} and kind {leg.kind!r}; a side is +1 or -1, a kind call, put or "
                "shares",
                code="JOURNAL_LEGS",
            )
        amount("strike of a leg", leg.strike, above=leg.kind != "shares")
        amount("ratio of a leg", leg.ratio, above=True)


def _first(entry: Entry, recommendation: Recommendation | None, name: str) -> Any:
    value = getattr(entry, name)
    return getattr(recommendation, name, None) if value is None else value


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        unit = {"iv_rank": " It is in percent.", "iv": " It is a fraction: 0.2 is 20 %."}.get(name, "")
        bounds = f"{low:g} to {high:g}" if high < float("inf") else f"at least {low:g}"
        raise DataError(f"{name} is {value:g}; it must be {bounds}.{unit}", code="JOURNAL_RANGE")


def _expiry(value: date | str | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.date()
    try:
        return (date.fromisoformat(value) if isinstance(value, str) else value).isoformat()
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"expiry is {value!r}; it must be a date, 2020-02-21", code="JOURNAL_VALUE"
        ) from error


def _leg_mid(leg: Leg | OptionLeg) -> float | None:
    bid, ask = unknown("bid", leg.bid), unknown("ask", leg.ask)
    return None if bid is None or ask is None else (bid + ask) / 2


def _width(options: Sequence[Leg | OptionLeg]) -> float | None:
    widths = []
    for kind in ("call", "put"):
        strikes = {
            side: [leg.strike or 0.0 for leg in options if leg.kind == kind and leg.side == side]
            for side in (-1, 1)
        }
        if strikes[-1] and strikes[1]:
            every = strikes[-1] + strikes[1]
            widths.append(max(every) - min(every))
    return max(widths) if widths else None


def _explicit(entry: Entry) -> tuple[float | None, float | None]:
    best = None if entry.max_profit is None else amount("max_profit", entry.max_profit)
    worst = None if entry.max_loss is None else amount("max_loss", entry.max_loss)
    return best, worst


def _from_legs(
    legs: Sequence[Leg | OptionLeg], side: int, price: float, width: float | None
) -> tuple[float | None, float | None]:
    options = [leg for leg in legs if leg.kind in ("call", "put")]
    if options:
        if len({str(leg.expiry) for leg in options}) > 1 or len(options) < len(legs):
            return None, price if side > 0 and len(options) == len(legs) else None
        return package_bounds(
            [(leg.side, leg.kind, float(leg.strike or 0.0), float(leg.ratio)) for leg in options],
            -side * price,
        )
    if side > 0:
        return (None if width is None else max(0.0, round(width - price, 10))), price
    return price, (None if width is None else max(0.0, round(width - price, 10)))
