"""What is known of a trade before it is entered, as numbers: the features of the model of trade quality.

The same few measures are taken of a closed trade, of a recommendation in the journal, of an opportunity that
a scan has just found, and of a signal, so that what was learned from the one can be said of the other. What
is not known is NaN; nothing is guessed here. Measures are free of size and price: a share of a width, a
percent of the entry, a rank; 70 contracts in one symbol and 1 in another look alike.

Of options: `iv_rank` (0 to 100), `iv` (fraction), `dte` (calendar days), `delta` (largest absolute delta of a
sold leg, per unit; a delta typed in by hand counts where it is at most 1 and no leg has one),
`credit_to_width`, `probability` (of profit, by the quotes), `score` (0 to 100). Of shares: `score`,
`strength` (1 to 4), `reward_risk`, `risk_percent` (of the entry, to the stop), `side`. The name of the
strategy comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from simulator.opportunity import Opportunity
from simulator.types import TradingSignal

if TYPE_CHECKING:
    from journal.records import Recommendation

__all__ = ["MEASURES", "kind_of", "measures_of", "snapshot_of"]

MEASURES: Final[Mapping[str, tuple[str, ...]]] = {
    "option": ("iv_rank", "iv", "dte", "delta", "credit_to_width", "probability", "score"),
    "stock": ("score", "strength", "reward_risk", "risk_percent", "side"),
}
"""Names of the measures by kind of trade, in their order."""


def kind_of(proposal: Opportunity | TradingSignal | Recommendation) -> str:
    """Return "option" or "stock"."""
    if isinstance(proposal, Opportunity):
        return "option"
    return "stock" if isinstance(proposal, TradingSignal) else proposal.kind


def snapshot_of(proposal: Opportunity | TradingSignal | Recommendation) -> tuple[list[float], str]:
    """Return the measures of a proposal, NaN where unknown, and the name of its strategy."""
    if isinstance(proposal, Opportunity):
        return measures_of("option", _of_opportunity(proposal)), proposal.strategy
    if isinstance(proposal, TradingSignal):
        return measures_of("stock", _of_signal(proposal)), proposal.signal_type
    columns = {
        name: getattr(proposal, name)
        for name in (
            "side", "entry_price", "stop_price", "target_price", "width", "dte", "iv", "iv_rank", "delta",
            "probability", "score", "strength",
        )
    }  # fmt: skip
    columns["leg_delta"] = _largest((leg.side, leg.kind, leg.delta) for leg in proposal.legs)
    columns["delta"] = None  # of a recommendation it is that of the whole package
    return measures_of(proposal.kind, columns), proposal.strategy


def measures_of(kind: str, columns: Mapping[str, Any]) -> list[float]:
    """Return the measures of a row of the journal's tables; `leg_delta` stands for its legs."""
    known = {name: _number(columns.get(name)) for name in _COLUMNS}
    entry = known["entry_price"]
    if kind == "option":
        typed = abs(known["delta"])
        return [
            known["iv_rank"],
            known["iv"],
            known["dte"],
            known["leg_delta"] if not math.isnan(known["leg_delta"]) else typed if typed <= 1 else math.nan,
            _ratio(entry if known["side"] < 0 else math.nan, known["width"]),
            known["probability"],
            known["score"],
        ]
    risk = abs(entry - known["stop_price"])
    return [
        known["score"],
        known["strength"],
        _ratio(abs(known["target_price"] - entry), risk),
        100.0 * _ratio(risk, entry),
        known["side"],
    ]


_COLUMNS: Final = (
    "side", "entry_price", "stop_price", "target_price", "width", "dte", "iv", "iv_rank", "delta",
    "leg_delta", "probability", "score", "strength",
)  # fmt: skip


def _of_opportunity(opp: Opportunity) -> dict[str, Any]:
    return {
        "side": -1 if opp.credit >= 0 else 1,
        "entry_price": abs(opp.credit),
        "width": opp.width,
        "dte": opp.dte,
        "iv": opp.iv,
        "iv_rank": opp.iv_rank,
        "leg_delta": _largest((leg.side, leg.kind, leg.delta) for leg in opp.legs),
        "probability": opp.probability_of_profit,
        "score": opp.score,
    }


def _of_signal(signal: TradingSignal) -> dict[str, Any]:
    return {
        "side": signal.side,
        "entry_price": signal.entry_price,
        "stop_price": signal.stop_loss,
        "target_price": signal.target_price,
        "score": signal.score,
        "strength": int(signal.strength),
    }


def _largest(legs: Any) -> float | None:
    """Return the largest absolute delta of sold options, None where none is known."""
    deltas = [abs(_number(delta)) for side, kind, delta in legs if side < 0 and kind in ("call", "put")]
    return max((delta for delta in deltas if not math.isnan(delta)), default=None)


def _number(value: Any) -> float:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
