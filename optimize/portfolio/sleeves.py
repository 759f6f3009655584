"""Sleeves: what a strategy, or a symbol, earns in an account of its own.

Weights are found from the returns that each sleeve would have alone, under the same limits and costs as the
whole. In one account sleeves compete for slots, heat and buying power, so their sum is not the account.

>>> from simulator import load_bars
>>> from strategies import DonchianBreakout, SmaCross
>>> bars = load_bars("synthetic:2x300?seed=1")
>>> list(sleeve_returns(bars, [SmaCross(), DonchianBreakout()]).columns)
['sma-cross', 'donchian-breakout']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from simulator.engine import DEFAULT_RISK, backtest, signals_of
from simulator.errors import ConfigError, did_you_mean
from simulator.signals import Signals

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.risk_limits import RiskLimits

__all__ = ["By", "sleeve_names", "sleeve_returns", "sleeve_signals"]

By = Literal["strategy", "symbol", "both"]


def sleeve_returns(
    bars: Bars,
    strategies: Any,
    *,
    by: By = "strategy",
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: Conventions | str = "realistic",
) -> pd.DataFrame:
    """Run each sleeve in an account of its own and return its session returns.

    Parameters
    ----------
    bars
        The market.
    strategies
        A strategy, or several; of one name, the later get a number.
    by
        "strategy": one sleeve each, over all symbols. "symbol": one per symbol of the bars, all strategies
        together. "both": one per strategy and symbol, named "strategy/symbol".
    cash, risk, costs, conventions
        As in `simulator.backtest`, the same for every sleeve.

    Returns
    -------
    DataFrame (sessions, sleeves)
        Simple returns by session date; 0 where nothing was held.

    Raises
    ------
    ConfigError
        OPTIMIZE_WEIGHTS for a `by` that does not exist, or no strategy.
    """
    import pandas as pd

    found = {}
    for name, signals in sleeve_signals(bars, strategies, by=by).items():
        result = backtest(bars, signals, cash=cash, risk=risk, costs=costs, conventions=conventions)
        found[name] = result.returns
    return pd.DataFrame(found)


def sleeve_signals(bars: Bars, strategies: Any, *, by: By = "strategy") -> dict[str, Signals]:
    """Return the signals of each sleeve by its name, those of strategies under the strategy's name."""
    check_by(by)
    named = sleeve_names(strategies)
    made = {name: _renamed(signals_of(strategy, bars), name) for name, strategy in named.items()}
    if by == "strategy":
        return made
    if by == "symbol":
        together = Signals.concat(list(made.values()))
        return {symbol: _of_symbol(together, symbol) for symbol in bars.symbols}
    return {
        f"{name}/{symbol}": _of_symbol(signals, symbol)
        for name, signals in made.items()
        for symbol in bars.symbols
    }


def sleeve_names(strategies: Any) -> dict[str, Any]:
    """Return strategies by name; of equal names the second is "name 2"."""
    several = list(strategies) if isinstance(strategies, Sequence) else [strategies]
    if not several:
        raise ConfigError("there is no strategy to weigh; give one or several", code="OPTIMIZE_WEIGHTS")
    named: dict[str, Any] = {}
    for strategy in several:
        name = str(getattr(strategy, "name", getattr(strategy, "__name__", "strategy")))
        number, unique = 1, name
        while unique in named:
            number += 1
            unique = f"{name} {number}"
        named[unique] = strategy
    return named


def check_by(by: str) -> None:
    """Raise `ConfigError` OPTIMIZE_WEIGHTS for a kind of sleeve that does not exist."""
    if by not in get_args(By):
        raise ConfigError(
            f"there are no sleeves by {by!r}.{did_you_mean(str(by), get_args(By))}", code="OPTIMIZE_WEIGHTS"
        )


def scales_of(signals: Signals, scales: Mapping[str, float], by: By) -> npt.NDArray[np.float64]:
    """Return what each signal's sleeve is scaled by, shape (signals,); of sleeves without a scale NaN.

    Parameters
    ----------
    signals
        Of one account, as `sleeve_signals` by strategy and `Signals.concat` make them.
    """
    records = signals.records
    table = np.full((len(signals.strategies), len(signals.symbols)), np.nan)
    for place, strategy in enumerate(signals.strategies):
        for column, symbol in enumerate(signals.symbols):
            name = {"strategy": strategy, "symbol": symbol}.get(by, f"{strategy}/{symbol}")
            table[place, column] = scales.get(name, np.nan)
    return np.asarray(table[records["strategy"], records["sym"]])


def kept(signals: Signals, which: npt.NDArray[np.bool_]) -> Signals:
    """Return those of the signals that are wanted."""
    records = signals.records[which].copy()
    records["row"] = -1
    return Signals(
        records, signals.symbols, tags=signals.tags, strategies=signals.strategies, sectors=signals.sectors,
        checked_stops=signals.checked_stops, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip


# Parts


def _of_symbol(signals: Signals, symbol: str) -> Signals:
    column = signals.symbols.index(symbol) if symbol in signals.symbols else -1
    return kept(signals, signals.records["sym"] == column)


def _renamed(signals: Signals, name: str) -> Signals:
    records = signals.records.copy()
    records["strategy"] = 1
    return Signals(
        records, signals.symbols, tags=signals.tags, strategies=("", name), sectors=signals.sectors,
        checked_stops=signals.checked_stops, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip
