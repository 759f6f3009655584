"""The scanner's filters: each looks at one thing and raises a `Refusal` with measure, limit and reason.

They are asked in the order of `FILTERS`, general and cheap ones first. NaN never passes a filter, but where
a bound on something unknown would say nothing: open interest, which many sources lack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.opportunity import Opportunity, OptionLeg
from simulator.options.chain import CALL, PUT
from strategies import scanner_measures as measures
from strategies.earnings import expected_earnings
from strategies.scanner_market import Snapshot
from strategies.scanner_settings import ScanSettings
from strategies.scanner_strategies import ScanStrategy
from strategies.scanner_strip import Strip

__all__ = [
    "KnownEarnings",
    "Refusal",
    "check_back",
    "check_expiry",
    "check_quotes",
    "check_symbol",
    "check_terms",
    "open_interest",
    "width_of",
]


KnownEarnings = tuple[Sequence[int], Sequence[int]]
"""Earnings dates and when each was known, in days since 1970-01-01, in the order of knowing."""


@dataclass(eq=False)
class Refusal(Exception):
    """A filter's no, thrown by whatever it was asked about."""

    filter: str
    measure: float
    limit: float
    reason: str


def check_symbol(snapshot: Snapshot, settings: ScanSettings, *, excluded: bool) -> None:
    """Refuse a symbol on the blacklist, or with too low or too uncertain an IV rank."""
    if excluded:
        raise Refusal("blacklist", math.nan, math.nan, f"{snapshot.symbol} is on the blacklist")
    rank, least = snapshot.iv_rank, settings.min_iv_rank
    if math.isnan(rank):
        if least > 0 and settings.unknown_iv_rank == "reject":
            raise Refusal(
                "iv_rank", rank, least,
                "IV rank is unknown: it takes 252 sessions of implied volatility up to this one "
                "(iv_history=, iv_rank=, or unknown_iv_rank='allow')",
            )  # fmt: skip
    elif rank < least:
        raise Refusal("iv_rank", rank, least, f"IV rank {rank:.1f} is below {least:g}")


def check_expiry(
    strip: Strip | None, snapshot: Snapshot, settings: ScanSettings, earnings: KnownEarnings
) -> Strip:
    """Refuse where there is no expiry in bounds (None), or earnings come before it.

    `earnings` are dates and when each was known; what was known later than the snapshot does not count.
    """
    low, high = settings.dte_bounds
    if strip is None:
        listed = [each.dte for each in snapshot.strips]
        near = min(listed, key=lambda days: max(low - days, days - high), default=None)
        told = "none is listed" if near is None else f"the nearest has {near}"
        limit = float(low if near is not None and near < low else high)
        raise Refusal(
            "dte", math.nan if near is None else float(near), limit,
            f"no expiry in {low} to {high} days; {told}",
        )  # fmt: skip
    last = strip.expiry + settings.earnings_buffer_days
    today = snapshot.session
    spans = expected_earnings(*earnings, np.array([today]), shift_days=settings.earnings_shift_days)
    ahead = [
        (int(span.first[0]), int(span.last[0]), span.projected)
        for span in spans
        if span.active[0] and span.last[0] >= today and span.first[0] <= last
    ]
    if ahead:
        first, end, projected = min(ahead)
        told = f"on {np.datetime64(first, 'D')}"
        if projected:
            told = f"expected from {np.datetime64(first, 'D')} to {np.datetime64(end, 'D')}"
        raise Refusal(
            "earnings", float(max(first - today, 0)), float(last - today),
            f"earnings {told}, before {np.datetime64(last, 'D')}",
        )  # fmt: skip
    return strip


def check_back(back: Strip | None, front: Strip, snapshot: Snapshot, settings: ScanSettings) -> Strip:
    """Refuse a calendar without a later expiry in bounds (None)."""
    if back is None:
        low, high = settings.min_back_days, settings.max_back_days
        behind = [each.expiry - front.expiry for each in snapshot.strips if each.expiry > front.expiry]
        near = min(behind, key=lambda days: max(low - days, days - high), default=None)
        told = "none is listed" if near is None else f"the nearest lies {near} behind"
        limit = float(low if near is not None and near < low else high)
        raise Refusal(
            "back_dte", math.nan if near is None else float(near), limit,
            f"no expiry {low} to {high} days behind the front one; {told}",
        )  # fmt: skip
    return back


def check_quotes(books: Sequence[Strip], legs: Sequence[OptionLeg], settings: ScanSettings) -> None:
    """Refuse quotes that cannot fill, are too wide, or have too little open interest.

    `books` are the strips that the legs come from, one per leg.
    """
    options = [leg for leg in legs if leg.kind != "shares"]
    for leg in options:
        # as the simulator has it: a package fills whole, and never on such a quote
        if not (leg.bid > 0 and leg.ask > leg.bid and math.isfinite(leg.ask)):
            raise Refusal(
                "quote", leg.bid, 0.0, f"{leg} is quoted {leg.bid:g} to {leg.ask:g} and cannot fill"
            )
        if not leg.iv > 0:
            raise Refusal("quote", leg.iv, 0.0, f"the quote of {leg} has no implied volatility")
    widest = settings.max_spread_share
    for leg in options:
        share = (leg.ask - leg.bid) / leg.mid
        if widest is not None and leg.side < 0 and share > widest:
            raise Refusal(
                "spread",
                share,
                widest,
                f"{leg} is quoted {share:.0%} of its midpoint wide, over {widest:.0%}",
            )
    least = settings.min_open_interest
    for leg, strip in zip(legs, books, strict=True):
        count = math.nan if leg.kind == "shares" else open_interest(strip, leg)
        if count < least:
            raise Refusal(
                "open_interest", count, least, f"{leg} has an open interest of {count:g}, below {least:g}"
            )


def check_terms(strategy: ScanStrategy, opp: Opportunity, limits: ScanSettings) -> None:
    """Refuse by what the package brings, ties up and may be expected to earn."""
    if strategy.calendar:
        if not opp.credit < 0:
            raise Refusal(
                "credit", opp.credit, 0.0,
                f"the back leg costs no more than the front one brings ({opp.credit:+.2f}): a wrong quote",
            )  # fmt: skip
    elif not opp.credit > 0 or opp.credit < limits.min_credit:
        raise Refusal(
            "credit", opp.credit, limits.min_credit,
            f"a credit of {opp.credit:.2f} after the spread is below {limits.min_credit:g}",
        )  # fmt: skip
    if opp.width is not None:
        share = opp.credit / opp.width
        if share < limits.min_credit_to_width:
            raise Refusal(
                "credit_to_width", share, limits.min_credit_to_width,
                f"a credit of {opp.credit:.2f} is {share:.1%} of the width of {opp.width:g}, below "
                f"{limits.min_credit_to_width:.1%}",
            )  # fmt: skip
        if opp.credit >= opp.width:
            raise Refusal(
                "credit_to_width", share, 1.0,
                f"a credit of {opp.credit:.2f} for a width of {opp.width:g} is a quote gone wrong",
            )  # fmt: skip
    if strategy.no_upside_risk:
        calls = width_of([leg for leg in opp.legs if leg.kind == "call"])
        if opp.credit < calls:
            raise Refusal(
                "upside", opp.credit, calls,
                f"a credit of {opp.credit:.2f} does not cover the call spread of {calls:g}",
            )  # fmt: skip
    most = math.inf if limits.max_buying_power is None else limits.max_buying_power
    if not math.isfinite(opp.buying_power) or opp.buying_power > most:
        raise Refusal(
            "buying_power",
            opp.buying_power,
            most,
            f"one ties up {opp.buying_power:,.0f}, over {most:,.0f}",
        )
    probability = opp.probability_of_profit
    if not probability >= limits.min_probability:
        raise Refusal(
            "probability", probability, limits.min_probability,
            f"the probability of profit {probability:.1%} is below {limits.min_probability:.1%}",
        )  # fmt: skip
    least = limits.min_expected_value
    if least is not None and not opp.expected_value >= least:
        raise Refusal(
            "expected_value", opp.expected_value, least,
            f"the expected value {opp.expected_value:+.2f} is below {least:g}",
        )  # fmt: skip
    least = limits.min_score
    if least is not None and not opp.score >= least:
        raise Refusal("score", opp.score, least, f"the score {opp.score:.1f} is below {least:g}")


def open_interest(strip: Strip, leg: OptionLeg) -> float:
    """Return the open interest of a leg in contracts; NaN is unknown."""
    kind = CALL if leg.kind == "call" else PUT
    return float(strip.open_interest[(strip.kind == kind) & (strip.strike == leg.strike)][0])


def width_of(legs: Sequence[OptionLeg]) -> float:
    """Return the widest spread: per kind, how far the value can fall between the strikes."""
    widths = [0.0]
    for kind in ("call", "put"):
        side = [leg for leg in legs if leg.kind == kind]
        if side:
            widths.append(-measures.extremes(side).lowest)
    return max(widths)
