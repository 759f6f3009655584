"""The state of a portfolio, the logs it writes, and the market it sees.

`State` is everything that one bar hands to the next: arrays of the records in `dtypes`, nothing else. Its
bytes are its identity. `Logs` are buffers with a count each; a capacity of 0 switches a log off. `Market`
is read only. Positions and orders live in slots; `open_slots` and `order_slots` list those in use, oldest
first, so that a bar costs what is open and working, not what exists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.kernel import codes
from simulator.kernel.dtypes import (
    ACCOUNT,
    ADD,
    COUNTS,
    EQUITY,
    EVENT,
    FILL,
    LEG,
    METRICS,
    ORDER,
    PACKAGE,
    POSITION,
    SIGNAL,
    SLOT,
    SYMBOL,
    TARGET,
    TRADE,
    VERDICT,
)

__all__ = [
    "LOG_NAMES",
    "OPTION_FIELDS",
    "Lane",
    "Logs",
    "Market",
    "State",
    "allocate_logs",
    "allocate_state",
    "each_bar",
    "from_bytes",
    "joined",
    "to_bytes",
]

Records = npt.NDArray[np.void]

OPTION_FIELDS: Final = ("packages", "legs", "plan_packages", "plan_legs")
LOG_NAMES: Final = ("fills", "trades", "verdicts", "events", "equity")


class State(NamedTuple):
    """What one bar hands to the next.

    `targets` and `adds` belong to the position of the same slot (four targets, the fourth for a scale-out;
    two adds), `plans` to the order of the same slot; so do `packages` and `legs`, `plan_packages` and
    `plan_legs`, which have no room where no options are quoted.
    """

    account: Records  # (1,)
    metrics: Records  # (1,)
    positions: Records  # (P,)
    targets: Records  # (P, 4)
    adds: Records  # (P, 2)
    open_slots: Records  # (P,) slots in use by positions, oldest first
    orders: Records  # (O,)
    plans: Records  # (O,) the admitted signals
    order_slots: Records  # (O,) slots in use by orders, oldest first
    symbols: Records  # (S,)
    packages: Records  # (P,) or (0,)
    legs: Records  # (P, 4) or (0, 4)
    plan_packages: Records  # (O,) or (0,)
    plan_legs: Records  # (O, 4) or (0, 4)


class Logs(NamedTuple):
    """Buffers that the step appends to; `counts` holds the rows written to each, in this order.

    A row of `equity` stands for as many bars as its `bars` says; `each_bar` gives every bar its own.
    """

    fills: Records
    trades: Records
    verdicts: Records
    events: Records
    equity: Records
    counts: Records  # (1,)


class Market(NamedTuple):
    """What is known of the market: bars, calendar, history for correlations, corporate actions."""

    bars: Records  # (T, S) BAR: the panel of `Bars`, seen as records
    clock: Records  # (T + 1,) CLOCK
    returns: Records  # (S, D) VALUE: log returns from session to session, NaN where unknown
    spread: Records  # (T, S) VALUE, or (0, 0)
    instruments: Records  # (S,)
    actions: Records  # (A,)
    parts: Records  # (Td, S) BAR: lower-timeframe bars; without any, `bars` itself
    volatility: Records  # (T, S) VALUE: IV index as a fraction, or (0, 0)
    rates: Records  # (T,) VALUE: risk-free rate as a fraction, or (0,)
    yields: Records  # (S,) VALUE: dividend yield as a fraction, or (0,)
    surfaces: Records  # (S, K) VALUE: parameters of the modelled surface, or (0, 0)
    quotes: Records  # (Q,) QUOTE, or (0,)
    quote_start: Records  # (T + 1,) SLOT: first quote of each bar, or (0,)


class Lane(NamedTuple):
    """One lane's signals, sorted by `row`, and the option packages that they name."""

    signals: Records  # (N,)
    packages: Records  # (M,)
    legs: Records  # (M, 4)


def allocate_state(positions: int, orders: int, symbols: int, *, options: bool = False) -> State:
    """Return an empty state with room for so many positions, orders and symbols."""
    p, o = (positions, orders) if options else (0, 0)
    account = np.zeros(1, ACCOUNT)
    account["schema_version"] = codes.SCHEMA_VERSION
    return State(
        account=account,
        metrics=np.zeros(1, METRICS),
        positions=np.zeros(positions, POSITION),
        targets=np.zeros((positions, 4), TARGET),
        adds=np.zeros((positions, 2), ADD),
        open_slots=np.zeros(positions, SLOT),
        orders=np.zeros(orders, ORDER),
        plans=np.zeros(orders, SIGNAL),
        order_slots=np.zeros(orders, SLOT),
        symbols=np.zeros(symbols, SYMBOL),
        packages=np.zeros(p, PACKAGE),
        legs=np.zeros((p, 4), LEG),
        plan_packages=np.zeros(o, PACKAGE),
        plan_legs=np.zeros((o, 4), LEG),
    )


def allocate_logs(fills: int, trades: int, verdicts: int, events: int, equity: int) -> Logs:
    """Return empty logs with the given capacities in rows; 0 switches a log off."""
    return Logs(
        fills=np.empty(fills, FILL),
        trades=np.empty(trades, TRADE),
        verdicts=np.empty(verdicts, VERDICT),
        events=np.empty(events, EVENT),
        equity=np.empty(equity, EQUITY),
        counts=np.zeros(1, COUNTS),
    )


def joined(parts: Sequence[Records]) -> Records:
    """Return records of one dtype, one after the other.

    NumPy joins records field by field, which takes ten times as long as joining their bytes.
    """
    return np.concatenate([part.view(np.uint8) for part in parts]).view(parts[0].dtype)


def each_bar(equity: Records) -> Records:
    """Return an equity log with one row per bar."""
    rows = np.repeat(equity, equity["bars"])
    rows["bars"] = 1
    return rows


def to_bytes(state: State) -> bytes:
    """Serialise a state: shapes, then the arrays as they lie in memory."""
    shapes = repr([array.shape for array in state]).encode()
    return len(shapes).to_bytes(4, "little") + shapes + b"".join(array.tobytes() for array in state)


def from_bytes(data: bytes) -> State:
    """Rebuild a state from `to_bytes`.

    Raises `EngineError` for another schema version or bytes that do not fit.
    """
    import ast

    from simulator.errors import EngineError

    empty = allocate_state(0, 0, 0)
    try:
        head = int.from_bytes(data[:4], "little")
        shapes: list[tuple[int, ...]] = ast.literal_eval(data[4 : 4 + head].decode())
        offset = 4 + head
        arrays: list[npt.NDArray[Any]] = []
        for shape, like in zip(shapes, empty, strict=True):
            count = int(np.prod(shape))
            array = np.frombuffer(data, like.dtype, count, offset).reshape(shape).copy()
            offset += array.nbytes
            arrays.append(array)
    except (ValueError, TypeError, SyntaxError, UnicodeDecodeError) as error:
        raise EngineError(
            f"these {len(data)} bytes are no saved state: {error}", code="ENGINE_STATE"
        ) from error
    state = State(*arrays)
    version = int(state.account["schema_version"][0])
    if version != codes.SCHEMA_VERSION or offset != len(data):
        raise EngineError(
            f"the saved state has schema {version}, this engine reads {codes.SCHEMA_VERSION}",
            code="ENGINE_SCHEMA",
        )
    return state


def fingerprint(state: State) -> str:
    """SHA-256 of a state, hexadecimal."""
    return hashlib.sha256(to_bytes(state)).hexdigest()
