"""Commands: what a person does to a running account, recorded so that a replay does it too.

>>> Command("2020-03-16", "kill").kind
'kill'
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError, UnknownNameError, did_you_mean
from simulator.kernel.dtypes import COMMAND
from simulator.types import CommandKind

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Command", "align_commands"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command, carried out at the start of the first bar at or after `time`.

    Parameters
    ----------
    time
        A session date or an aware time.
    kind
        "close" (a symbol, at the open or at `value`), "close_all", "kill", "reduce", "arm", "deposit"
        (`value` in currency, negative to withdraw), "cancel" (a symbol's working entries).
    symbol
        For "close" and "cancel".
    value
        Price of a manual close, or the amount of a deposit.
    """

    time: str | datetime
    kind: str
    symbol: str | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        names = [kind.label for kind in CommandKind]
        if self.kind not in names:
            raise UnknownNameError(
                f"no command {self.kind!r}.{did_you_mean(self.kind, names)}", code="NAME_COMMAND"
            )
        if self.kind in ("close", "cancel") and self.symbol is None:
            raise ConfigError(f"command {self.kind!r} needs a symbol", code="CONFIG_COMMAND")
        given: Any = self.value
        if given is not None and (isinstance(given, bool) or not isinstance(given, Real)):
            raise ConfigError(
                f"the value of command {self.kind!r} is {given!r}, not a number", code="CONFIG_COMMAND"
            )
        value = None if given is None else float(given)
        if self.kind == "deposit" and (value is None or not np.isfinite(value)):
            raise ConfigError(
                f"command 'deposit' needs a finite value, and has {value}", code="CONFIG_COMMAND"
            )
        if self.kind == "close" and value is not None and not 0.0 < value < np.inf:
            raise ConfigError(
                f"command 'close' has the price {value:g}; it is above 0 and finite, or absent: the open",
                code="CONFIG_COMMAND",
            )


def align_commands(
    commands: Sequence[Command] | None, bars: Bars
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    """Return COMMAND records sorted by bar, and their start offsets per bar, shape (T + 1,)."""
    given = [] if commands is None else list(commands)
    if not given:
        return no_commands(len(bars))
    strange = [command for command in given if not isinstance(command, Command)]
    if strange:
        raise ConfigError(
            f"commands must be a list of Command, and there is {strange[0]!r} among them",
            code="CONFIG_COMMAND",
        )
    records = np.zeros(len(given), COMMAND)
    kinds = {kind.label: int(kind) for kind in CommandKind}
    for index, command in enumerate(given):
        row = int(np.searchsorted(bars.ts, _nanoseconds(command.time)))
        if row >= len(bars):
            raise ConfigError(
                f"command {command.kind!r} at {command.time} is after the last bar",
                code="CONFIG_COMMAND_TIME",
            )
        sym = -1
        if command.symbol is not None:
            if command.symbol not in bars.symbols:
                near = did_you_mean(str(command.symbol), bars.symbols)
                raise UnknownNameError(
                    f"the bars have no symbol {command.symbol!r}.{near}", code="NAME_SYMBOL"
                )
            sym = bars.symbols.index(command.symbol)
        value = np.nan if command.value is None else command.value
        records[index] = (row, index + 1, kinds[command.kind], sym, value)
    records = records[np.argsort(records["row"], kind="stable")]
    offsets = np.searchsorted(records["row"], np.arange(len(bars) + 1)).astype(np.int64)
    return records, offsets


def _nanoseconds(time: str | datetime) -> int:
    import pandas as pd

    try:
        stamp = pd.Timestamp(time) if isinstance(time, (str, date, np.datetime64)) else None
    except ValueError as error:
        raise ConfigError(
            f"command time {time!r} cannot be read: {error}", code="CONFIG_COMMAND_TIME"
        ) from error
    if stamp is None or pd.isna(stamp):
        raise ConfigError(
            f"command time {time!r} is neither a date nor an aware time", code="CONFIG_COMMAND_TIME"
        )
    if stamp.tzinfo is None:
        if stamp != stamp.normalize():
            raise ConfigError(
                f"command time {time} has no time zone; a date may be naive, a time may not",
                code="CONFIG_NAIVE_TIME",
            )
        stamp = stamp.tz_localize("UTC")
    return int(stamp.tz_convert("UTC").as_unit("ns").value)


@functools.lru_cache(maxsize=8)
def no_commands(length: int) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    """Return empty command records and offsets for so many bars; the same ones every time, never written."""
    return np.zeros(0, COMMAND), np.zeros(length + 1, np.int64)
