"""A recommendation that somebody typed in, as the values that the scanner and the signal generator make.

Of a package only legs and price are known, so its profit, loss and break-evens are those of its expiry, and
what takes a model (probability, Greeks, margin) stays unknown. Legs must end together: what a calendar can
bring takes a model too, so a calendar is logged as a trade or found by the scanner.

>>> legs = [OptionLeg(-1, "put", 95.0, date(2026, 2, 20)), OptionLeg(1, "put", 90.0, date(2026, 2, 20))]
>>> worst, best, even = bounds(legs, credit=1.85, spot=math.nan, multiplier=100.0)
>>> round(worst, 2), round(best, 2), even
(-315.0, 185.0, (93.15,))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from simulator.errors import ConfigError
from simulator.opportunity import Opportunity, OptionLeg, Sizing
from simulator.types import SignalStrength, TradingSignal

__all__ = ["bounds", "opportunity", "signal", "size"]

_UNKNOWN = math.nan


def opportunity(
    symbol: str,
    strategy: str,
    legs: Sequence[Mapping[str, Any]],
    *,
    credit: float,
    iv_rank: float | None,
    spot: float | None,
    multiplier: float,
    notes: str,
) -> Opportunity:
    """Return a package that was typed in.

    Raises
    ------
    ConfigError
        CLI_LEGS for legs that end on different days.
    """
    several = tuple(OptionLeg(**{**leg, "expiry": date.fromisoformat(leg["expiry"])}) for leg in legs)
    days = sorted({leg.expiry for leg in several})
    if len(days) > 1:
        raise ConfigError(
            f"legs end on {days[0]} and {days[-1]}; what they can bring takes a model. Log the trade, or let "
            "the scanner find it",
            code="CLI_LEGS",
        )
    now = datetime.now(UTC)
    worst, best, even = bounds(several, credit=credit, spot=spot or _UNKNOWN, multiplier=multiplier)
    strikes = sorted({leg.strike for leg in several if leg.kind != "shares"})
    bounded = math.isfinite(worst) and len(strikes) > 1
    return Opportunity(
        symbol=symbol, strategy=strategy, legs=several, expiry=days[0], dte=(days[0] - now.date()).days,
        as_of=now, spot=spot or _UNKNOWN, credit=credit, mid_credit=_UNKNOWN,
        width=max(high - low for low, high in pairwise(strikes)) if bounded else None, max_profit=best,
        max_loss=-worst, break_evens=even, probability_of_profit=_UNKNOWN, probability_basis="unknown",
        expected_value=_UNKNOWN, margin=_UNKNOWN, buying_power=_UNKNOWN,
        risk=-worst if math.isfinite(worst) else _UNKNOWN, risk_basis="max loss", iv=_UNKNOWN,
        iv_rank=iv_rank, delta=_UNKNOWN, theta=_UNKNOWN, vega=_UNKNOWN, score=_UNKNOWN, grade="quoted",
        multiplier=multiplier, notes=(notes,) if notes else (),
    )  # fmt: skip


def size(found: Opportunity, contracts: int) -> Sizing:
    """Return a size that was typed in; how much of the account it takes is unknown."""
    return Sizing(
        contracts=contracts, total_credit=found.credit * found.multiplier * contracts,
        max_loss=found.max_loss * contracts if contracts else 0.0, risk=found.risk * contracts,
        buying_power=_UNKNOWN, account_percent=_UNKNOWN, heat_percent=_UNKNOWN, rule="by hand", limits={},
        reasons=("typed in",), account_size=_UNKNOWN,
    )  # fmt: skip


def signal(
    symbol: str,
    strategy: str,
    *,
    side: int,
    quantity: int,
    price: float,
    stop: float,
    target: float,
    sector: str | None,
    notes: str,
) -> TradingSignal:
    """Return a signal in shares that was typed in."""
    now = datetime.now(UTC)
    risk, reward = abs(price - stop), abs(target - price)
    return TradingSignal(
        signal_id=f"{symbol}-{now:%Y%m%dT%H%M%S%f}", ticker=symbol, side=side, entry_price=price,
        stop_loss=stop, target_price=target, position_size=quantity, strength=SignalStrength.MODERATE,
        risk_amount=risk * quantity, reward_amount=reward * quantity,
        risk_reward_ratio=reward / risk if risk else math.inf, signal_type=strategy, created_at=now,
        sector=sector, notes=notes,
    )  # fmt: skip


def bounds(
    legs: Sequence[OptionLeg], *, credit: float, spot: float, multiplier: float
) -> tuple[float, float, tuple[float, ...]]:
    """Return the worst and the best profit at expiry per package, and where it is nothing.

    Profit is a line between strikes, so they, 0 and the slope above the last strike say everything.
    """
    shares = sum(leg.side * leg.ratio for leg in legs if leg.kind == "shares")
    paid = shares * spot if shares else 0.0
    strikes = sorted({leg.strike for leg in legs})
    points = sorted({0.0, *strikes})
    slope = sum(leg.side * leg.ratio for leg in legs if leg.kind in ("call", "shares"))
    points.append(points[-1] + max(1.0, points[-1]) * 1_000)  # far beyond any break-even
    profits = [credit - paid + sum(leg.value_at(point) for leg in legs) for point in points]
    even = []
    for (low, high), (one, two) in zip(pairwise(points), pairwise(profits), strict=True):
        if one * two < 0:
            even.append(round(low + (high - low) * one / (one - two), 10))
        elif one == 0 and low > 0:
            even.append(low)
    held = profits[:-1]
    worst = -math.inf if slope < 0 else min(held)
    best = math.inf if slope > 0 else max(held)
    return worst * multiplier, best * multiplier, tuple(even)
