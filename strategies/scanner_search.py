"""The search: one candidate per strategy, expiry and width, and the first filter that refuses it.

Of calendars it is one per pair of front and back expiry.

Filters are asked in the order of `FILTERS`, cheap and general ones first, so that a candidate of a symbol
whose IV rank is too low costs nothing and is still on record. A rejected candidate keeps the measure, the
limit and the reason in words; what could not be built (no strike at that delta) has the legs found so far.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from simulator.costs import Costs
from simulator.opportunity import Opportunity, OptionLeg, TrackRecord, describe_legs
from strategies import scanner_measures as measures
from strategies.scanner_calendars import FrontValue, front_value
from strategies.scanner_filters import (
    KnownEarnings,
    Refusal,
    check_back,
    check_expiry,
    check_quotes,
    check_symbol,
    check_terms,
    open_interest,
    width_of,
)
from strategies.scanner_legs import leg_for, session_date
from strategies.scanner_market import Snapshot
from strategies.scanner_settings import ScanSettings
from strategies.scanner_strategies import ScanStrategy
from strategies.scanner_strip import Strip

__all__ = ["Candidate", "score_of", "search"]

SCORE_WEIGHTS: Final = {"iv_rank": 40.0, "probability": 30.0, "return": 20.0, "dte": 10.0}
"""Of the score; without an IV rank the others are scaled up to 100."""
DAYS_A_YEAR: Final = 365.0
_BEYOND_DEBIT: Final = 0.01
"""Of the debit: less than this beyond it is not worth a note."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One row of `OptionsScanner.candidates`."""

    symbol: str
    strategy: str
    legs: str
    strikes: tuple[float, ...]
    expiry: dt.date | None
    dte: int | None
    accepted: bool
    filter: str
    measure: float
    limit: float
    reason: str
    grade: str
    as_of: dt.datetime


class _Search:
    def __init__(
        self,
        snapshot: Snapshot,
        settings: ScanSettings,
        costs: Costs,
        excluded: bool,
        earnings: KnownEarnings,
        past: TrackRecord | None,
    ) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self.costs = costs
        self.excluded = excluded
        self.earnings = earnings
        self.past = past
        # through whole microseconds: a float of nanoseconds since 1970 is not exact
        self.as_of = _EPOCH + dt.timedelta(microseconds=snapshot.ts // 1000)
        self.candidates: list[Candidate] = []

    def run(self) -> Iterator[Opportunity]:
        low, high = self.settings.dte_bounds
        strips = [strip for strip in self.snapshot.strips if low <= strip.dte <= high]
        for strategy in self.settings.chosen:
            if not strips:
                self._try(strategy, None, None)
            for strip in strips:
                for back in self._backs(strip) if strategy.calendar else (None,):
                    seen: set[tuple[float, ...]] = set()
                    for width in self._widths(strip) if strategy.wings else (None,):
                        opportunity = self._try(strategy, strip, width, seen, back)
                        if opportunity is not None:
                            yield opportunity

    def _widths(self, strip: Strip) -> tuple[float, ...]:
        if self.settings.widths is not None:
            return self.settings.widths
        return tuple(share / 100 * strip.spot for share in self.settings.widths_pct)

    def _backs(self, front: Strip) -> list[Strip | None]:
        low, high = self.settings.min_back_days, self.settings.max_back_days
        found: list[Strip | None] = [
            strip
            for strip in self.snapshot.strips
            if low <= strip.expiry - front.expiry <= high and strip.multiplier == front.multiplier
        ]
        return found or [None]  # a candidate without a back expiry is refused, and on record

    def _try(
        self,
        strategy: ScanStrategy,
        strip: Strip | None,
        width: float | None,
        seen: set[tuple[float, ...]] | None = None,
        back: Strip | None = None,
    ) -> Opportunity | None:
        legs: list[OptionLeg] = []
        try:
            check_symbol(self.snapshot, self.settings, excluded=self.excluded)
            strip = check_expiry(strip, self.snapshot, self.settings, self.earnings)
            if strategy.calendar:
                back = check_back(back, strip, self.snapshot, self.settings)
            books = tuple(back if rule.back and back is not None else strip for rule in strategy.legs)
            exact, deltas = self.settings.widths is not None, self.settings.delta_bounds
            for rule, book in zip(strategy.legs, books, strict=True):
                legs.append(leg_for(rule, book, legs, width=width, exact=exact, deltas=deltas))
            key = tuple(leg.strike for leg in legs)
            if seen is not None and key in seen:  # two widths that the same listed strike is nearest to
                return None
            if seen is not None:
                seen.add(key)
            check_quotes(books, legs, self.settings)
            opportunity = self._measured(strategy, books, legs)
            check_terms(strategy, opportunity, self.settings)
        except Refusal as no:
            self._log(strategy, strip, legs, no)
            return None
        self._log(strategy, strip, legs, None)
        return opportunity

    def _measured(
        self, strategy: ScanStrategy, books: Sequence[Strip], legs: Sequence[OptionLeg]
    ) -> Opportunity:
        strip, last = (choose(books, key=lambda book: book.expiry) for choose in (min, max))
        quoted = sum(abs(leg.ratio) * (leg.ask - leg.bid) for leg in legs)
        mid = sum(leg.side * leg.ratio * leg.mid for leg in legs)
        worth = mid + _share(self.costs, len(legs)) * quoted
        shares = sum(leg.side * leg.ratio for leg in legs if leg.kind == "shares") * strip.spot
        ends = measures.extremes(legs)
        units = strip.multiplier
        margin = measures.margin_of(legs, worth, strip.spot, naked=strategy.naked) * units
        fees = self.costs.commission_per_contract * len(legs) + self.costs.commission_per_order
        max_loss = (worth - ends.lowest) * units if ends.bounded_below else math.inf
        defined = strategy.defined and ends.bounded_below
        delta, theta, vega = measures.package_greeks(legs, books)
        rank = None if math.isnan(self.snapshot.iv_rank) else self.snapshot.iv_rank
        highest = ends.highest if ends.bounded_above else math.inf
        front = front_value(legs, books, worth) if strategy.calendar else None
        if front is None:
            edges = measures.break_evens(legs, worth)
            probability = measures.probability_of_profit(legs, worth, strip)
        else:
            edges, probability, highest = front.break_evens, front.probability, front.highest
        buying_power = margin + worth * units + fees
        credit = shares - worth
        return Opportunity(
            symbol=self.snapshot.symbol,
            strategy=strategy.name,
            legs=tuple(legs),
            expiry=session_date(strip.expiry),
            dte=strip.dte,
            as_of=self.as_of,
            spot=strip.spot,
            credit=credit,
            mid_credit=shares - mid,
            width=width_of(legs) if defined and front is None else None,
            max_profit=(highest - worth) * units,
            max_loss=max_loss,
            break_evens=edges,
            probability_of_profit=probability,
            probability_basis=strip.basis,
            expected_value=measures.expected_value(legs, worth, books) * units,
            margin=margin,
            buying_power=buying_power,
            risk=max_loss if defined else min(measures.stress_loss(legs, worth, books) * units, max_loss),
            risk_basis="max loss" if defined else "2 sigma",
            iv=strip.atm_iv,
            iv_rank=rank,
            delta=delta * units,
            theta=theta * units,
            vega=vega * units,
            score=score_of(
                iv_rank=rank, probability=probability, dte=strip.dte, settings=self.settings,
                return_on_buying_power=credit * units / buying_power if buying_power > 0 else 0.0,
            ),
            grade=self.snapshot.grade,
            past=self.past,
            multiplier=units,
            notes=self._notes(books, legs, front, worth),
            rate=last.rate,
            dividend_yield=last.dividend_yield,
            style=last.style,
        )  # fmt: skip

    def _notes(
        self, books: Sequence[Strip], legs: Sequence[OptionLeg], front: FrontValue | None, worth: float
    ) -> tuple[str, ...]:
        notes = list(self.snapshot.notes)
        if front is not None:
            own = ", ".join(
                f"{leg.iv:.1%}"
                for leg, book in zip(legs, books, strict=True)
                if book.expiry > books[0].expiry
            )
            notes.append(
                "maximum profit, break-evens and probability are modelled at the front expiry, with the back "
                f"leg at its own volatility of today ({own})"
            )
            notes.append("the maximum loss is the debit")
            if front.lowest < -_BEYOND_DEBIT * worth:
                notes.append(
                    f"deep in the money a European back leg can be worth up to {-front.lowest:.2f} less than "
                    "the front leg costs, which comes on top of the debit"
                )
        if any(
            leg.kind != "shares" and math.isnan(open_interest(book, leg))
            for leg, book in zip(legs, books, strict=True)
        ):
            notes.append("open interest is unknown")
        if math.isnan(self.snapshot.iv_rank):
            notes.append("IV rank is unknown")
        return tuple(notes)

    def _log(
        self, strategy: ScanStrategy, strip: Strip | None, legs: Sequence[OptionLeg], no: Refusal | None
    ) -> None:
        self.candidates.append(
            Candidate(
                symbol=self.snapshot.symbol,
                strategy=strategy.name,
                legs=describe_legs(legs),
                strikes=tuple(sorted({leg.strike for leg in legs if leg.kind != "shares"})),
                expiry=None if strip is None else session_date(strip.expiry),
                dte=None if strip is None else strip.dte,
                accepted=no is None,
                filter="" if no is None else no.filter,
                measure=math.nan if no is None else float(no.measure),
                limit=math.nan if no is None else float(no.limit),
                reason="" if no is None else no.reason,
                grade=self.snapshot.grade,
                as_of=self.as_of,
            )
        )


def search(
    snapshot: Snapshot,
    settings: ScanSettings,
    *,
    costs: Costs,
    excluded: bool = False,
    earnings: KnownEarnings = ((), ()),
    past: TrackRecord | None = None,
) -> tuple[list[Opportunity], list[Candidate]]:
    """Return what passes of one underlying, unranked, and everything that was looked at.

    Parameters
    ----------
    snapshot
        Quotes of one time.
    settings, costs
        Bounds; the share of the spread that fills give away, and fees.
    excluded
        Whether the symbol is on the blacklist.
    earnings
        Dates, and when each was known (days since 1970-01-01).
    past
        Closed trades of the symbol.
    """
    looking = _Search(snapshot, settings, costs, excluded, earnings, past)
    return list(looking.run()), looking.candidates


def score_of(
    *,
    iv_rank: float | None,
    probability: float,
    return_on_buying_power: float,
    dte: int,
    settings: ScanSettings,
) -> float:
    """Return the score, 0 to 100: a weighted mean of four parts from 0 to 1 (`SCORE_WEIGHTS`).

    IV rank over 100; the probability of profit; the credit over buying power per year, at most 1; and how
    near the expiry is to the target, 1 on it and 0 at the bounds. A debit brings no credit: that part is 0.
    """
    low, high = settings.dte_bounds
    target = settings.target_dte
    reach = max(target - low, high - target, 1)
    parts = {
        "probability": probability,
        "return": min(1.0, max(0.0, return_on_buying_power * DAYS_A_YEAR / max(dte, 1))),
        "dte": max(0.0, 1.0 - abs(dte - target) / reach),
    }
    if iv_rank is not None:
        parts["iv_rank"] = iv_rank / 100
    total = sum(SCORE_WEIGHTS[name] for name in parts)
    return 100 * sum(SCORE_WEIGHTS[name] * part for name, part in parts.items()) / total


def _share(costs: Costs, legs: int) -> float:
    shares = (
        costs.spread_share_1_leg, costs.spread_share_2_legs, costs.spread_share_3_legs,
        costs.spread_share_4_legs,
    )  # fmt: skip
    return shares[legs - 1]
