"""What a verdict of the risk manager says, in words: what was measured, in its unit, and the limit.

A verdict keeps a rule's name and two bare numbers, whose unit is the rule's own: a share of equity, a count,
a correlation, a price. Rules that ask whether something is there have numbers that tell a person nothing.

>>> why_of("sector", 0.9167, 0.25).replace("\N{NO-BREAK SPACE}", " ")
'the sector would be 91.7 % of equity, at most 25.0 %'
"""

from __future__ import annotations

import math
from typing import Final

from simulator.types import SignalStrength
from twinstep.dashboard.words import percent, price

__all__ = ["PLAIN", "why_of"]

_SHARES: Final = {
    "risk_per_trade": "the loss at the stop would be", "heat": "portfolio heat would be",
    "sector": "the sector would be", "position_size": "the position would be",
    "gross_exposure": "gross exposure would be", "net_exposure": "net exposure would be",
    "buying_power": "it would tie up", "net_delta": "beta-weighted delta would be",
    "gamma": "gamma would be", "theta": "theta received a day would be", "vega": "vega would be",
    "daily_loss_halt": "entries are halted; loss of the day", "drawdown_halt": "entries are halted; drawdown",
}  # fmt: skip
_COUNTS: Final = {
    "max_positions": "positions and orders there", "symbol_cap": "positions and orders in the symbol",
    "strategy_cap": "positions and orders of the strategy", "capacity": "places taken",
    "min_quantity": "the risk is enough for",
}  # fmt: skip
_RATIOS: Final = {"correlation": "correlation", "min_reward_risk": "reward : risk", "min_score": "score"}
_LEVELS: Final = {"invalid_stop": "stop", "invalid_target": "target"}
PLAIN: Final = {
    "admitted": "", "close_accepted": "a signal closed what was there", "killed": "a person killed trading",
    "reducing": "a person allows exits only", "no_bar": "the symbol has no usable bar",
    "same_side_open": "a position or order on this side is there already",
    "opposite_side_open": "a position or order on the other side is there",
    "exit_on_this_bar": "a position in the symbol ends on this bar",
    "no_stop": "neither stop nor quantity: nothing to size by",
    "cooldown": "a pause after losses in a row",
    "correlation_unknown": "too few closes in common to know its correlation",
    "nothing_to_close": "nothing is held in the symbol", "invalid_quantity": "its quantity is not above 0",
    "invalid_price": "the expected price is not above 0", "delisted": "the symbol is no longer traded",
    "no_equity": "nothing is left to risk", "no_quote": "a leg has no usable quote",
    "min_credit": "the premium is too small for what it risks",
    "not_covered": "no shares are held that would cover the sold call",
}  # fmt: skip
"""Rules whose numbers say nothing, in words."""
_LEAST: Final = ("min_reward_risk", "min_score", "min_strength", "min_quantity")
"""Rules that ask for so much; all others allow so much."""


def why_of(rule: str, value: float | None, limit: float | None) -> str:
    """Return why a rule decided as it did; "" where there is nothing to say.

    Parameters
    ----------
    rule
        Name of the rule that decided, "" for what was simply admitted.
    value, limit
        As the verdict has them; None: unknown.
    """
    if rule in PLAIN or not rule:
        return PLAIN.get(rule, "")
    name = rule.replace("_", " ")
    if value is None or limit is None or not math.isfinite(value):
        return name
    bound = "at least" if rule in _LEAST else "at most"
    if rule in _SHARES:
        return f"{_SHARES[rule]} {_share(value)} of equity, {bound} {_share(limit)}"
    if rule in _COUNTS:
        return f"{_COUNTS[rule]}: {value:,.0f}, {bound} {limit:,.0f}"
    if rule in _RATIOS:
        digits = 0 if rule == "min_score" else 2
        return f"{_RATIOS[rule]} {value:.{digits}f}, {bound} {limit:.{digits}f}"
    if rule in _LEVELS:
        return f"the {_LEVELS[rule]} {price(value)} is on the wrong side of {price(limit)}"
    if rule == "min_strength":
        return f"strength {_strength(value)}, {bound} {_strength(limit)}"
    return f"{name}: {value:,.4g}, limit {limit:,.4g}"


def _share(fraction: float) -> str:
    """Return a share of equity: Greeks are so small that a tenth of a percent says nothing."""
    shown = 100.0 * fraction
    digits = 1 if abs(shown) >= 10.0 else 2 if abs(shown) >= 1.0 or shown == 0.0 else 3
    return percent(shown, digits)


def _strength(value: float) -> str:
    try:
        return SignalStrength(int(value)).label.replace("_", " ").lower()
    except ValueError:
        return f"{value:g}"
