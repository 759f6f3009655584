"""A strategy that looks at its own positions, bar by bar: hold the strongest stocks, and switch slowly.

Signals that depend on nothing but prices are better written as `signals(bars)`: that is faster, and
`twinstep lookahead` can prove it. This one depends on what it holds, so it implements `on_bar(context)`; the
same step and the same risk manager decide what becomes of its orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator import RiskLimits, backtest, load_bars
from strategies import Int, OnBarStrategy, param

if TYPE_CHECKING:
    from simulator.context import Context

COLUMNS = [
    "symbol",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "exit_reason",
    "pnl",
    "r_multiple",
]


class Rotation(OnBarStrategy):
    """Once a month, leave what is no longer among the strongest and enter what is."""

    name = "rotation"

    @dataclass(frozen=True)
    class Params:
        """Lengths in bars."""

        lookback: int = param(120, Int(40, 240, 20), minimum=1, help="bars over which strength is measured")
        every: int = param(21, Int(5, 63, 1), minimum=1, help="bars between two looks")
        hold: int = param(2, Int(1, 3, 1), minimum=1, help="stocks to hold")

    params: Params

    @property
    def warmup(self) -> int:
        """Bars before strength is known."""
        return self.params.lookback + 1

    def on_bar(self, context: Context) -> None:
        """Compare what is strongest with what is held."""
        if context.row % self.params.every:
            return
        symbols = context.bars.symbols
        strength = {
            symbol: context.value(symbol) / context.value(symbol, back=self.params.lookback)
            for symbol in symbols
        }
        rising = [symbol for symbol in symbols if strength[symbol] > 1.0]  # false for a missing bar, too
        strongest = sorted(rising, key=lambda symbol: -strength[symbol])[: self.params.hold]
        for symbol in symbols:
            held = context.position(symbol) != 0
            if held and symbol not in strongest:
                context.close(symbol)
            elif symbol in strongest and not held:
                context.buy(symbol, stop_percent=12.0)


def main() -> None:
    """Run it without the 30-day limit of the default risk limits, which would end every holding."""
    bars = load_bars("sample:stocks", start="2005-01-01")
    result = backtest(bars, Rotation(), risk=RiskLimits(max_days_in_trade=None), costs="ibkr-fixed")
    print(result.summary())
    print(result.trades[COLUMNS].tail(5).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
