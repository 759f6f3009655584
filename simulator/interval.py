"""The interval: every trade of a run again, its entry held fixed, under every convention.

The entries (bar, price, quantity) stay as they were; what a bar does not say, the order of its prices, is
decided in every possible way, and each trade's lowest and highest outcome is kept. Exits that no convention
decides, by a signal or a person, stay fixed too. Beside it the whole run under "worst" and under "best".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.conventions import CHOICES, Conventions
from simulator.kernel import codes
from simulator.kernel.dtypes import SIGNAL
from simulator.results.interval import IntervalReport
from simulator.signals import Signals

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.engine import Run

__all__ = ["interval_runner"]

Records = npt.NDArray[np.void]

# Far more than any trade costs: with entries fixed, money is not in question.
_AMPLE_CASH: Final = 1e15
# Exits that happened for reasons outside the bar's path.
_FIXED_EXITS: Final = (
    codes.EXIT_SIGNAL,
    codes.EXIT_DAILY_LOSS,
    codes.EXIT_DRAWDOWN,
    codes.EXIT_KILL_SWITCH,
    codes.EXIT_MANUAL,
)
_QUESTIONS: Final = ("collision", "target_gap", "trail_rule", "entry_bar", "stop_gap", "limit_gap")
_SAME_MONEY: Final = 1e-9


def interval_runner(bars: Bars, signals: Signals, run: Run) -> Callable[[], IntervalReport]:
    """Return a function that makes the interval of a finished run when it is asked for."""
    rules: dict[str, Any] = {
        "cash": float(run.params["cash"][0]),
        "risk": run.risk,
        "costs": run.costs,
        "commands": run.given_commands,
        "capacity": len(run.state.positions),
    }
    base = run.conventions

    def make() -> IntervalReport:
        return _interval(bars, signals, base, rules)

    return make


def _interval(bars: Bars, signals: Signals, base: Conventions, rules: dict[str, Any]) -> IntervalReport:
    import pandas as pd

    from simulator.engine import Run

    def whole(conventions: Conventions) -> Any:
        run = Run(bars, signals, conventions=conventions, **rules)
        run.advance()
        return run, run.result()

    run, result = whole(base)
    every, fills = result.raw.trades, result.raw.fills
    # packages of options, and shares that come of them, see no path inside a bar: nothing about them is open
    asks = run.records["package"][every["signal"]] == 0
    trades = every[asks]
    plan = _fixed_entries(run.records, trades, fills, run.risk)
    pnl = [every["pnl"]]
    r = [every["r_multiple"]]
    tried = _combinations(base, run.records) if len(trades) else []
    for conventions in tried:
        answer = _answer(bars, plan, trades, conventions, rules)
        for values, field in ((pnl, "pnl"), (r, "r_multiple")):
            values.append(every[field].copy())
            values[-1][asks] = answer[field]
    lowest, highest = np.min(pnl, axis=0), np.max(pnl, axis=0)
    span = np.maximum(1.0, np.abs(every["pnl"])) * _SAME_MONEY
    frame = pd.DataFrame(
        {
            "trade": every["id"],
            "symbol": np.array(bars.symbols, dtype=object)[every["sym"]],
            "entry_time": pd.to_datetime(every["entry_ts"], unit="ns", utc=True),
            "pnl": every["pnl"],
            "r": every["r_multiple"],
            "pnl_min": lowest,
            "pnl_max": highest,
            "r_min": np.min(r, axis=0),
            "r_max": np.max(r, axis=0),
            "depends": highest - lowest > span,
        }
    )
    return IntervalReport(
        frame=frame,
        worst=whole(Conventions.profile("worst").replace(name="worst"))[1].metrics,
        best=whole(Conventions.profile("best").replace(name="best"))[1].metrics,
        base=result.metrics,
        profile=base.name,
        conventions=tuple(" ".join(f"{q}={getattr(c, q)}" for q in _QUESTIONS) for c in tried),
    )


def _combinations(base: Conventions, records: Records) -> list[Conventions]:
    # Every answer to every question; trailing rules only where something trails.
    trails = bool((~np.isnan([records[f"trail_{kind}"] for kind in ("percent", "amount", "atr")])).any())
    values = [
        [getattr(base, q)] if q == "trail_rule" and not trails else list(CHOICES[q]) for q in _QUESTIONS
    ]
    return [
        base.replace(same_side="add", volume_cap=0.0, **dict(zip(_QUESTIONS, point, strict=True)))
        for point in itertools.product(*values)
    ]


def _fixed_entries(records: Records, trades: Records, fills: Records, risk: Any) -> Records:
    # One signal per trade that enters exactly where the trade did.
    plan = np.zeros(len(trades), SIGNAL)
    by_position: dict[int, list[np.void]] = {}
    for fill in fills:
        by_position.setdefault(int(fill["position"]), []).append(fill)
    phases = {0: codes.ENTRY_FIXED_OPEN, 1: codes.ENTRY_FIXED_BAR, 2: codes.ENTRY_FIXED_CLOSE}
    longest = 0 if risk is None or risk.max_days_in_trade is None else risk.max_days_in_trade
    for index, trade in enumerate(trades):
        mine = by_position[int(trade["id"])]
        entries = [fill for fill in mine if fill["kind"] == codes.KIND_ENTRY]
        qty = float(sum(fill["qty"] for fill in entries))
        plan[index] = records[trade["signal"]]
        record = plan[index]
        by_limit = record["entry"] in (codes.ENTRY_LIMIT, codes.ENTRY_STOP_LIMIT)
        record["entry"] = phases[int(trade["entry_phase"])]
        record["entry_price"] = sum(fill["qty"] * fill["price"] for fill in entries) / qty
        record["limit_price"] = record["entry_price"] if by_limit else np.nan
        record["qty"] = qty
        record["tif"], record["valid_bars"], record["oco"] = codes.TIF_GTC, 0, 0
        record["row"] = trade["entry_row"] - (trade["entry_phase"] != codes.AT_CLOSE)
        record["forced_ts"] = 0
        given = int(record["max_days"])
        record["max_days"] = min(given, longest) if given and longest else max(given, longest)
        if trade["exit_reason"] in _FIXED_EXITS:
            last = mine[-1]
            at_close = last["rule"] == codes.PRICE_CLOSE
            record["forced_ts"] = trade["exit_ts"]
            record["forced_phase"] = codes.ENTRY_FIXED_CLOSE if at_close else codes.ENTRY_FIXED_OPEN
            record["forced_price"] = last["price"]
            record["forced_reason"] = trade["exit_reason"]
    return plan


def _answer(
    bars: Bars, plan: Records, trades: Records, conventions: Conventions, rules: dict[str, Any]
) -> Records:
    # The trades again under other conventions, in the order of the base run.
    from simulator.engine import Run

    order = np.argsort(plan["row"], kind="stable")
    records = plan[order]
    records["ts"] = bars.ts[records["row"]]
    signals = Signals(records, bars.symbols, sectors=bars.sector_names)
    run = Run(
        bars, signals, cash=_AMPLE_CASH, risk=None, costs=rules["costs"], conventions=conventions,
        capacity=len(plan) + 1,
    )  # fmt: skip
    run.advance()
    result = run.result().raw.trades
    found = np.empty(len(plan), result.dtype)
    found[order[result["signal"]]] = result
    return found
