# mypy: ignore-errors
# ruff: noqa
"""The moving-average cross in vectorbt, as it was: signals shifted to the next open, a stop and a target."""

from __future__ import annotations

import pandas as pd
import vectorbt as vbt


def trades(frame: pd.DataFrame) -> pd.DataFrame:
    """Run it over one symbol's bars and return its trades."""
    fast, slow = vbt.MA.run(frame["close"], 20), vbt.MA.run(frame["close"], 50)
    entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    portfolio = vbt.Portfolio.from_signals(
        frame["close"],
        entries=entries.vbt.signals.fshift(1),
        exits=exits.vbt.signals.fshift(1),
        price=frame["open"],
        open=frame["open"],
        high=frame["high"],
        low=frame["low"],
        size=100,
        sl_stop=0.05,
        tp_stop=0.10,
        stop_entry_price="fillprice",
        init_cash=1_000_000,
        freq="1D",
    )
    return portfolio.trades.records_readable


if __name__ == "__main__":
    from simulator import load_bars

    print(trades(load_bars("sample:stocks").frame("IBM")).tail())
