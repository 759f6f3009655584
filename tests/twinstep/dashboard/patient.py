"""A strategy for a replay that a person watches: three entries in the first days, and then a long wait.

Each has a stop far below and a target far above, so that what waits for a person goes on being wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from strategies import OnBarStrategy

if TYPE_CHECKING:
    from simulator.context import Context

__all__ = ["Patient"]

_WANTED: Final = {"2000-03-07": "AAPL", "2000-03-09": "IBM", "2000-03-13": "MSFT"}
"""By the day of the bundled stocks on which it is wanted."""


class Patient(OnBarStrategy):
    """Buys by the calendar: 20 shares, 40 % to the stop and 100 % to the target."""

    name = "patient"

    def on_bar(self, context: Context) -> None:
        """Buy what this day has."""
        symbol = _WANTED.get(str(np.datetime_as_string(context.time, unit="D")))
        if symbol is not None:
            close = context.value(symbol)
            context.buy(symbol, qty=20, stop=0.6 * close, target=2.0 * close)
