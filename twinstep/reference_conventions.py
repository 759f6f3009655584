"""The generated parts of `docs/conventions.md`: every choice as a tiny case, run under every value.

Outcomes come from running the engine, so that the page cannot say what the engine does not do. The bars of an
example are the smallest that tell the values of its choice apart; a test holds them to that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from simulator import Conventions, Costs, Result, Signals, backtest
from simulator.conventions import CHOICES, PROFILES
from twinstep.reference_tables import Columns, Prices, table, tiny

__all__ = ["EXAMPLES", "Example", "profiles", "run_example", "story"]


@dataclass(frozen=True)
class Example:
    """Bars of one symbol after a signal at a close of 100, bought at the open of bar 1 by default."""

    bars: tuple[Prices, ...]
    signal: Columns
    values: tuple[Any, ...] = ()
    later: tuple[tuple[int, int, Columns], ...] = ()  # bar, side, columns of further signals
    levels: dict[str, float] = field(default_factory=dict)
    rules: Columns = field(default_factory=dict)


BRACKET: Final[Columns] = {"stop": 95.0, "target": 110.0}
STOP: Final = {"stop": 95.0}
BOTH: Final = {"target": 110.0, "stop": 95.0}
EXAMPLES: Final[dict[str, list[Example]]] = {
    "collision": [
        Example(((100, 101, 99, 100), (101, 111, 94, 104)), BRACKET, levels=BOTH),
        Example(((100, 101, 99, 100), (105, 111, 94, 98)), BRACKET, levels=BOTH),
    ],
    "target_gap": [Example(((100, 101, 99, 100), (112, 113, 94, 97)), BRACKET, levels=BOTH)],
    "trail_rule": [
        Example(
            ((100, 101, 99, 100), (104, 110, 103, 104.5), (104.5, 106, 100, 101), (101, 101, 98, 98.5)),
            {"trail_amount": 5.0},
        )
    ],
    "stop_and_trail": [
        Example(
            ((100, 101, 99, 100), (100, 100, 97, 99), (99, 100, 94, 95)),
            {"stop": 98.0, "trail_amount": 5.0},
            levels={"stop": 98.0},
        )
    ],
    "entry_bar": [Example(((100, 101, 94, 99), (99, 100, 94, 96)), STOP, levels=STOP)],
    "exit_bar_signal": [
        Example(((100, 101, 99, 100), (101, 102, 94, 96)), STOP, later=((1, 0, {}),), levels=STOP)
    ],
    "same_side": [
        Example(((100, 101, 99, 100), (101, 103, 100, 102)), STOP, later=((1, 1, {"stop": 96.0}),))
    ],
    "opposite_side": [
        Example(((100, 101, 99, 100), (101, 103, 100, 102)), STOP, later=((1, -1, {"stop": 106.0}),))
    ],
    "stop_gap": [Example(((100, 101, 99, 100), (92, 96, 91, 94)), STOP, levels=STOP)],
    "limit_gap": [Example(((100, 101, 99, 100), (112, 113, 108, 109)), BRACKET, levels={"target": 110.0})],
    "stop_slippage": [
        Example(
            ((100, 101, 99, 100), (98, 99, 94, 96)),
            STOP,
            levels=STOP,
            rules={"costs": Costs(slippage_bps=10)},
        )
    ],
    "volume_cap": [
        Example(((100, 101, 99, 100), (101, 102, 100, 101)), {**STOP, "qty": 250.0}, values=(0.0, 0.1))
    ],
}


def profiles() -> str:
    """Return the choices of every profile; what differs from the default is bold."""
    names = list(PROFILES)
    standard = PROFILES["realistic"]
    rows = []
    for choice in (*CHOICES, "volume_cap"):
        cells = []
        for name in names:
            value = getattr(PROFILES[name], choice)
            cells.append(f"{value}" if value == getattr(standard, choice) else f"**{value}**")
        rows.append((f"`{choice}`", *cells))
    return table(("choice", *(f"`{name}`" for name in names)), rows)


def run_example(name: str, value: Any, example: Example) -> Result:
    """Run an example with one choice at a value and the others at their defaults."""
    bars = tiny({"X": ((100.0, 100.0, 100.0, 100.0), *example.bars)})
    rows, sides = [0, *(at for at, _, _ in example.later)], [1, *(side for _, side, _ in example.later)]
    given = [example.signal, *(columns for _, _, columns in example.later)]
    names = {"qty", *(key for columns in given for key in columns)}
    columns = {
        key: [one.get(key, 100.0 if key == "qty" else np.nan) for one in given] for key in sorted(names)
    }
    signals = Signals.from_arrays(bars, rows, 0, sides, **columns)
    chosen = Conventions(**{name: value})
    return backtest(bars, signals, risk=None, conventions=chosen, **example.rules)


def story(result: Result) -> str:
    """Return the fills, and what is open at the end, in words."""
    bar = {time: row for row, time in enumerate(result.raw.bars.index)}
    fills: list[Any] = list(result.fills.itertuples())
    parts = []
    for fill in fills:
        what = "bought" if fill.side > 0 else "sold"
        why = "" if fill.kind in ("entry", "add") else f" ({fill.reason})"
        parts.append(f"{what} {fill.qty:g} at {fill.price:g} in bar {bar[fill.time]}{why}")
    held = sum(fill.qty * fill.side for fill in fills)
    if held:
        parts.append(f"{'long' if held > 0 else 'short'} {abs(held):g} at the end")
    return "; ".join(parts)
