"""The bounds of a scan: every number that lets a candidate pass or rejects it, checked when it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Final, Literal

from simulator.errors import ConfigError, known_fields, warn
from strategies.earnings import SHIFT_DAYS
from strategies.scanner_strategies import SCAN_STRATEGIES, ScanStrategy, scan_strategies

__all__ = ["FILTERS", "ScanSettings"]

FILTERS: Final = {
    "blacklist": "the symbol is excluded",
    "iv_rank": "IV rank is below the least, or unknown",
    "dte": "no expiry lies within the days to expiry",
    "earnings": "earnings fall before expiry",
    "back_dte": "no later expiry lies within the days behind the front one",
    "delta": "no strike has a delta within least and most",
    "width": "no strike lies one width further out",
    "quote": "a leg has no bid, or its quote is missing, locked or crossed",
    "spread": "the quoted spread of a sold leg is too wide",
    "open_interest": "a leg has too little open interest",
    "credit": "the credit is too small, or a calendar costs nothing",
    "credit_to_width": "the credit is too small for the width",
    "upside": "the credit does not cover the sold call spread",
    "buying_power": "a package ties up too much",
    "probability": "the probability of profit is too low",
    "expected_value": "the expected value is too low",
    "score": "the score is too low",
}
"""Filters by name, in the order in which they are asked; the first that rejects is logged."""

_MONTH_SIDE: Final = 15
"""Days on both sides of the target where the bounds are not given: together one month of expiries."""

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "min_iv_rank": (0.0, 100.0),
    "target_dte": (1.0, 1500.0),
    "min_dte": (1.0, 1500.0),
    "max_dte": (1.0, 1500.0),
    "min_credit": (0.0, math.inf),
    "min_credit_to_width": (0.0, 1.0),
    "min_open_interest": (0.0, math.inf),
    "max_spread_share": (0.0, math.inf),
    "min_probability": (0.0, 1.0),
    "min_expected_value": (-math.inf, math.inf),
    "min_score": (0.0, 100.0),
    "min_delta": (0.0, 1.0),
    "max_delta": (0.0, 1.0),
    "max_buying_power": (0.0, math.inf),
    "min_back_days": (1.0, 1500.0),
    "max_back_days": (1.0, 1500.0),
    "earnings_buffer_days": (0.0, 1000.0),
    "earnings_shift_days": (0.0, 45.0),
    "min_track_trades": (1.0, math.inf),
}
_WHOLE: Final = (
    "target_dte", "min_dte", "max_dte", "min_back_days", "max_back_days", "earnings_buffer_days",
    "earnings_shift_days", "min_track_trades",
)  # fmt: skip


@known_fields("scanner setting", code="CONFIG_SCANNER")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """Bounds of a scan; a bound of None does not apply.

    Parameters
    ----------
    min_iv_rank
        Least IV rank, 0 to 100; 0 asks for none, and takes unknown ranks too.
    unknown_iv_rank
        What an unknown IV rank does: "reject" or "allow".
    target_dte, min_dte, max_dte
        Calendar days to expiry that are best, and the least and most; 15 on both sides where not given. Of
        calendars it is the front expiry.
    min_back_days, max_back_days
        Calendar days from the front to the back expiry of calendars; each expiry within is a candidate.
    strategies
        Names from `SCAN_STRATEGIES`, or `ScanStrategy` values.
    widths
        Widths of spreads in currency; None takes `widths_pct`.
    widths_pct
        Widths in percent of the underlying, each brought to the nearest listed strike.
    min_credit
        Least credit per unit of the underlying, in currency; it must be above 0 in any case. Calendars, which
        cost a debit, are not asked.
    min_credit_to_width
        Least credit as a share of the width, for strategies whose every sold option is covered.
    min_open_interest
        Least open interest of every leg, in contracts; unknown passes, with a note.
    max_spread_share
        Widest quoted spread of a sold leg as a share of its midpoint.
    min_probability
        Least probability of profit, 0 to 1.
    min_expected_value
        Least expected value per package in currency.
    max_buying_power
        Most buying power of one package in currency.
    min_score
        Least score, 0 to 100.
    min_delta, max_delta
        Least and most absolute delta of options sold by delta, within those of each strategy.
    earnings_buffer_days
        Days after expiry that must be free of earnings too.
    earnings_shift_days
        Days to either side of earnings that are expected and not announced.
    min_track_trades
        Closed trades from which a symbol's record counts in the ranking.

    Raises
    ------
    ConfigError
        CONFIG_SCANNER for an unknown setting, or one outside its range.
    UnknownNameError
        NAME_STRATEGY for a strategy that does not exist.
    """

    min_iv_rank: float = 50.0
    unknown_iv_rank: Literal["reject", "allow"] = "reject"
    target_dte: int = 45
    min_dte: int | None = None
    max_dte: int | None = None
    min_back_days: int = 21
    max_back_days: int = 49
    strategies: tuple[str | ScanStrategy, ...] = tuple(SCAN_STRATEGIES)
    widths: tuple[float, ...] | None = None
    widths_pct: tuple[float, ...] = (0.4, 1.0, 2.0)
    min_credit: float = 0.10
    min_credit_to_width: float = 0.15
    min_open_interest: float = 100.0
    max_spread_share: float | None = 0.30
    min_probability: float = 0.50
    min_expected_value: float | None = None
    max_buying_power: float | None = None
    min_score: float | None = None
    min_delta: float | None = None
    max_delta: float | None = None
    earnings_buffer_days: int = 0
    earnings_shift_days: int = SHIFT_DAYS
    min_track_trades: int = 2

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
                raise _wrong(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")
            if name in _WHOLE and not float(value).is_integer():
                raise _wrong(f"{name} is {value!r}; it must be a whole number")
        if self.unknown_iv_rank not in ("reject", "allow"):
            raise _wrong(f"unknown_iv_rank is {self.unknown_iv_rank!r}; use 'reject' or 'allow'")
        if not self.dte_bounds[0] <= self.target_dte <= self.dte_bounds[1]:
            raise _wrong(f"target_dte {self.target_dte} is outside min_dte and max_dte, {self.dte_bounds}")
        low, high = self.delta_bounds
        if low > high:
            raise _wrong(f"min_delta {low:g} is above max_delta {high:g}")
        if self.min_back_days > self.max_back_days:
            raise _wrong(f"min_back_days {self.min_back_days} is above max_back_days {self.max_back_days}")
        for name in ("widths", "widths_pct"):
            given = getattr(self, name)
            if given is None and name == "widths":
                continue
            values = tuple(given) if isinstance(given, (tuple, list)) else (given,)
            if not values or not all(isinstance(v, Real) and 0 < float(v) < math.inf for v in values):
                raise _wrong(f"{name} is {given!r}; give widths above 0")
            object.__setattr__(self, name, tuple(float(v) for v in values))
        object.__setattr__(self, "strategies", scan_strategies(self.strategies))
        if 0 < self.min_iv_rank < 1:
            warn(
                f"min_iv_rank is {self.min_iv_rank:g}; IV rank goes from 0 to 100, so half is 50",
                code="CONFIG_PERCENT_LOOKS_LIKE_FRACTION",
            )

    @property
    def dte_bounds(self) -> tuple[int, int]:
        """Least and most days to expiry."""
        low = max(1, self.target_dte - _MONTH_SIDE) if self.min_dte is None else self.min_dte
        high = self.target_dte + _MONTH_SIDE if self.max_dte is None else self.max_dte
        return int(low), int(high)

    @property
    def delta_bounds(self) -> tuple[float, float]:
        """Least and most absolute delta of options sold by delta, 0 and 1 where there is no limit."""
        return (
            0.0 if self.min_delta is None else float(self.min_delta),
            1.0 if self.max_delta is None else float(self.max_delta),
        )

    @property
    def chosen(self) -> tuple[ScanStrategy, ...]:
        """The strategies as values."""
        return scan_strategies(self.strategies)


_OPTIONAL: Final = frozenset(spec.name for spec in fields(ScanSettings) if "None" in str(spec.type))


def _wrong(what: str) -> ConfigError:
    return ConfigError(f"scanner setting {what}", code="CONFIG_SCANNER")
