# mypy: ignore-errors
# ruff: noqa
"""The moving-average cross in backtesting.py, as it was: a stop and a target, closed by the cross back."""

from __future__ import annotations

import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover


def average(values: pd.Series, length: int) -> pd.Series:
    """Return the simple moving average."""
    return pd.Series(values).rolling(length).mean()


class SmaCross(Strategy):
    """Buys 100 when the 20-day average crosses above the 50-day one."""

    def init(self) -> None:
        self.fast = self.I(average, self.data.Close, 20)
        self.slow = self.I(average, self.data.Close, 50)

    def next(self) -> None:
        close = self.data.Close[-1]
        if crossover(self.fast, self.slow) and not self.position:
            self.buy(size=100, sl=0.95 * close, tp=1.10 * close)
        elif crossover(self.slow, self.fast) and self.position:
            self.position.close()


def trades(frame: pd.DataFrame) -> pd.DataFrame:
    """Run it over one symbol's bars and return its trades."""
    named = frame.dropna().tz_localize(None).rename(columns=str.capitalize)
    return Backtest(named, SmaCross, cash=1_000_000, finalize_trades=True).run()["_trades"]


if __name__ == "__main__":
    from simulator import load_bars

    print(trades(load_bars("sample:stocks").frame("IBM")).tail())
