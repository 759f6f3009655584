"""Shadow runs: what a signal that was not traded would have come to, by the same step.

Each signal trades alone, from its own bar, in an account without limits, for the quantity that it was
refused. Nothing here matches or fills: the kernel's loop runs one lane per signal, from the signal's bar to
the end of the bars, and what it logs is the answer, byte for byte what `backtest` gives for that one signal.

Beside its own stops, targets and time exits a signal ends by the next signal of side 0 that would have closed
it, because many strategies leave no other way out. What a person did to the account (closes, kills) is left
out, as is what its own strategy sold against it. Outcomes are causal: with more bars one that is closed, or
never filled, stays what it is; only those that wait or are open go on.

>>> from simulator import Signals, load_bars
>>> bars = load_bars("synthetic:2x60?seed=1")
>>> outcome, = shadow(bars, Signals.from_arrays(bars, [10], 0, 1, stop_percent=5.0, max_bars=5))
>>> outcome.state, outcome.exit_reason
('closed', 'time')
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, prepare
from simulator.errors import ConfigError
from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit, self_healing
from simulator.kernel.dtypes import ACCOUNT, COMMAND, METRICS
from simulator.kernel.loops import CLOSE, OPEN, run_lanes
from simulator.kernel.state import Lane, Logs, allocate_logs
from simulator.kernel.views import lanes_of, view_of
from simulator.setup import check_bars, market_of, params_of, state_of
from simulator.types import ExitReason, Reason

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["RISK_UNIT", "SHADOW_CASH", "STATES", "Outcome", "shadow"]

Records = npt.NDArray[np.void]
Floats = npt.NDArray[np.float64]

SHADOW_CASH: Final = 1e12
"""Cash of each account, currency: so much that money is never in question."""
RISK_UNIT: Final = 2_000.0
"""Currency that a signal without a quantity risks: 2 % of 100,000, the defaults of `backtest`."""
STATES: Final = ("never_filled", "waiting", "open", "closed")
"""How an outcome stands; `waiting` is an entry that still works when the bars end."""

_SLOTS: Final = 16  # one signal, its legs' shares, and room
_ROWS: Final = 256  # of each log; a lane that needs more is run again with more
_ENDED: Final = (codes.ORDER_CANCELLED, codes.ORDER_EXPIRED, codes.ORDER_REJECTED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one signal would have come to.

    Attributes
    ----------
    signal
        Its number among the signals, in their order on the bars.
    symbol, side, ts
        Of the signal; `ts` is the label of its bar, UTC nanoseconds.
    state
        One of `STATES`.
    qty, weight
        Quantity that was run, and which part of what was asked for it is: less than 1 for what was refused of
        a signal that was shrunk.
    entry_ts, entry_price, exit_ts, exit_price, exit_reason
        Of an open one the last mark, and "end_of_data"; 0, NaN and "" where nothing filled. A package that
        was assigned ends with its shares.
    r
        Profit over initial risk; NaN without a stop or loss to measure by.
    pnl, fees, mae, mfe
        Profit net of fees and fees in currency; worst and best excursions as fractions of the entry price.
    bars_held
        Bars in the trade.
    why
        Where nothing filled: the reason, as `simulator.types.Reason` names it.
    trades
        The kernel's TRADE records, rows those of the bars; one, or more where shares came of a package.
    """

    signal: int
    symbol: str
    side: int
    ts: int
    state: str
    qty: float
    weight: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    exit_reason: str
    r: float
    pnl: float
    fees: float
    mae: float
    mfe: float
    bars_held: int
    why: str
    trades: Records

    @property
    def final(self) -> bool:
        """Whether more bars change nothing."""
        return self.state in ("never_filled", "closed")


def shadow(
    bars: Bars,
    signals: Signals,
    chosen: npt.ArrayLike | None = None,
    *,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    max_days: int | None = None,
    risk_unit: float = RISK_UNIT,
) -> list[Outcome]:
    """Run signals one by one, each alone, and return what each would have come to.

    Parameters
    ----------
    bars, signals
        The market, and signals on it.
    chosen
        Which signals: their numbers in order on the bars, or VERDICT records of a run of these signals, which
        also say for what quantity: what was asked less what was granted. All that open something by default.
        Signals of side 0 have no outcome of their own and are passed over, as is what was granted in full.
    costs, conventions
        As in `backtest`. Interest on cash and margin has no part in a trade, and is left out.
    max_days
        Calendar days after which the risk manager would have ended the trade; None is never.
    risk_unit
        Currency that a signal without a quantity risks.

    Raises
    ------
    SignalError, UnknownNameError
        Signals that do not fit the bars.
    ConfigError
        CONFIG_SHADOW for numbers that are no signals, or a risk unit that is not above 0.
    """
    if not (math.isfinite(risk_unit) and risk_unit > 0.0):
        raise ConfigError(f"risk_unit is {risk_unit!r}; it is an amount above 0", code="CONFIG_SHADOW")
    records = prepare(signals, check_bars(bars), DEFAULT_RISK)
    numbers, asked, granted = _chosen(chosen, records)
    if not len(numbers):
        return []
    lanes = _Lanes(bars, signals, records, numbers, asked, granted, max_days, risk_unit)
    runner = _Runner(bars, Costs.of(costs), Conventions.of(conventions))
    return list(runner.run(lanes))


def _chosen(chosen: Any, records: Records) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    # Numbers of signals, what was asked for each (NaN: what it says itself), and what was granted of it.
    if chosen is None:
        numbers = np.arange(len(records))
        asked, granted = np.full(len(numbers), np.nan), np.zeros(len(numbers))
    else:
        given = np.asarray(chosen)
        if given.dtype.names:
            given = given[~(given["granted"] >= given["asked"])]
            numbers, asked = given["signal"].astype(np.int64), given["asked"].astype(np.float64)
            granted = np.nan_to_num(given["granted"].astype(np.float64))
        else:
            numbers = given.astype(np.int64).reshape(-1)
            asked, granted = np.full(len(numbers), np.nan), np.zeros(len(numbers))
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(records)):
        raise ConfigError(
            f"signal {int(numbers[(numbers < 0) | (numbers >= len(records))][0])} is none of the "
            f"{len(records)} signals; verdicts belong to the signals of their own run",
            code="CONFIG_SHADOW",
        )
    opens = records["side"][numbers] != 0
    return numbers[opens], asked[opens], granted[opens]


class _Lanes:
    """One lane per signal: the signal alone, and the signal that would have closed it."""

    def __init__(
        self,
        bars: Bars,
        signals: Signals,
        records: Records,
        numbers: npt.NDArray[np.int64],
        asked: Floats,
        granted: Floats,
        max_days: int | None,
        risk_unit: float,
    ) -> None:
        self.numbers = numbers
        mine = records[numbers]
        own = np.where(np.isfinite(asked), asked, mine["qty"])
        lacking = ~np.isfinite(own)
        if lacking.any():
            own[lacking] = _sized(bars, mine[lacking], risk_unit)
        self.qty = own - granted
        self.weight = self.qty / own
        mine["qty"], mine["oco"] = self.qty, 0
        if max_days:
            days = mine["max_days"]
            mine["max_days"] = np.where(days > 0, np.minimum(days, max_days), max_days)
        self.rows = _first_rows(bars, mine)
        closing = _closing(records, numbers)
        # signal and close side by side; a lane without a close ends before its second record
        self._records = np.repeat(mine, 2)
        closed = closing >= 0
        self._records[1::2][closed] = records[closing[closed]]
        parts = [signals.lane(self._records[2 * k : 2 * k + 1 + int(closed[k])]) for k in range(len(numbers))]
        self._kept: list[Lane] = parts
        self.view = lanes_of(parts)
        self.symbols = [bars.symbols[sym] for sym in mine["sym"]]
        self.sides = mine["side"].tolist()
        self.ts = bars.ts[mine["row"]].tolist()


def _first_rows(bars: Bars, records: Records) -> npt.NDArray[np.int64]:
    # A lane begins with the signal's bar, or with the delisting before it, which no bar after it tells.
    rows = records["row"].astype(np.int64)
    gone = bars.actions[bars.actions["kind"] == codes.ACTION_DELIST]
    for action in gone:
        after = (records["sym"] == action["sym"]) & (rows > action["row"])
        rows[after] = action["row"]
    return rows


def _closing(records: Records, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # The first later signal of side 0 that closes what a signal opens, -1 where there is none.
    found = np.full(len(numbers), -1, np.int64)
    closes = np.flatnonzero(records["side"] == 0)
    if not len(closes):
        return found
    lists: dict[tuple[int, int], npt.NDArray[np.intp]] = {}
    for sym in np.unique(records["sym"][closes]).tolist():
        of_symbol = closes[records["sym"][closes] == sym]
        for strategy in np.unique(records["strategy"][of_symbol]).tolist():
            lists[sym, strategy] = of_symbol[records["strategy"][of_symbol] == strategy]
    for k, number in enumerate(numbers.tolist()):
        # one of the own strategy, or one that names none and closes all
        for strategy in {0, int(records["strategy"][number])}:
            rows = lists.get((int(records["sym"][number]), strategy))
            if rows is None:
                continue
            at = int(np.searchsorted(rows, number, side="right"))
            if at < len(rows) and (found[k] < 0 or rows[at] < found[k]):
                found[k] = rows[at]
    return found


def _sized(bars: Bars, records: Records, risk_unit: float) -> Floats:
    # Quantity at which the distance to the stop is one risk unit, in whole lots, at least one.
    instruments = bars.instruments[records["sym"]]
    close = bars.close[records["row"], records["sym"]]
    limit = np.where(np.isnan(records["limit_price"]), records["entry_price"], records["limit_price"])
    price = np.where(np.isnan(limit), close, limit)
    side = records["side"]
    distances = [
        (price - records["stop"]) * side,
        price * records["stop_percent"] / 100.0,
        records["stop_atr"] * records["atr"],
        price * records["trail_percent"] / 100.0,
        records["trail_amount"],
        records["trail_atr"] * records["atr"],
    ]
    distance = np.fmin.reduce([np.where(one > 0.0, one, np.nan) for one in distances])
    lot = np.where(instruments["lot"] > 0.0, instruments["lot"], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        qty = risk_unit / (distance * instruments["multiplier"])
        qty = np.where(lot > 0.0, np.floor(qty / np.where(lot > 0.0, lot, 1.0)) * lot, qty)
    least = np.where(lot > 0.0, lot, 1.0)
    # packages come one at a time: what one of them can lose is known only when it is opened
    small = ~np.isfinite(qty) | (qty < least) | (records["package"] > 0)
    return np.where(small, np.where(records["package"] > 0, 1.0, least), qty)


class _Runner:
    """State, logs and market, used again for every lane."""

    def __init__(self, bars: Bars, costs: Costs, conventions: Conventions) -> None:
        self._bars = bars
        self._length = len(bars)
        self._params = params_of(SHADOW_CASH, None, costs, conventions, raw=bars.raw)
        # interest reaches the account and no trade; without it an empty account is idle, and bars go by
        self._params["cash_rate"] = self._params["margin_rate"] = 0.0
        self._state = state_of(_SLOTS, bars)
        self._market = market_of(bars)
        self._views = view_of(self._state), view_of(self._market)
        self._starts = np.zeros(self._length + 1, np.int64)
        self._set_logs(_ROWS)

    def _set_logs(self, rows: int) -> None:
        self._rows = rows
        self._logs: Logs = allocate_logs(0, rows, rows, rows, 0)
        self._logs_view = view_of(self._logs)

    def run(self, lanes: _Lanes) -> Iterator[Outcome]:
        """Run the lanes and yield their outcomes."""
        for k, row in enumerate(lanes.rows.tolist()):
            while self._call(lanes.view, k, row, self._length, OPEN) == codes.STEP_LOG_FULL:
                self._set_logs(4 * self._rows)
            yield self._outcome(lanes, k, row)

    def _call(self, lanes: Any, lane: int, begin: int, end: int, mode: int) -> int:
        if mode == OPEN:
            self._logs.counts[0] = 0
        state, market = self._views
        code, _ = self_healing(
            kernel_jit,
            lambda: run_lanes(
                state, self._logs_view, market, self._params, lanes, _NO_COMMANDS, self._starts, _NO_METRICS,
                _NO_ACCOUNTS, lane, lane + 1, begin, end, mode,
            ),
        )  # fmt: skip
        return int(code)

    def _outcome(self, lanes: _Lanes, k: int, row: int) -> Outcome:
        account = self._state.account[0]
        held, working = int(account["n_positions"]), int(account["n_orders"])
        if held:
            self._call(lanes.view, k, self._length, self._length, CLOSE)
        trades = self._logs.trades[: int(self._logs.counts["trades"][0])].copy()
        # rows count from where the lane began
        trades["entry_row"] += row
        trades["exit_row"] += row
        known = (
            int(lanes.numbers[k]), lanes.symbols[k], int(lanes.sides[k]), int(lanes.ts[k]),
        )  # fmt: skip
        size = float(lanes.qty[k]), float(lanes.weight[k])
        if not len(trades):
            state = "waiting" if working else "never_filled"
            why = "" if working else self._why()
            return Outcome(
                *known, state, *size, 0, math.nan, 0, math.nan, "", math.nan, 0.0, 0.0, math.nan, math.nan, 0,
                why, trades,
            )  # fmt: skip
        first, last = trades[np.argmin(trades["id"])], trades[np.argmax(trades["exit_ts"])]
        pnl = float(trades["pnl"].sum())
        risk = float(first["initial_risk"])
        # of one trade the kernel's own figure, to the last bit
        r = float(first["r_multiple"]) if len(trades) == 1 else pnl / risk if risk > 0.0 else math.nan
        return Outcome(
            *known,
            "open" if held or working else "closed",
            *size,
            int(first["entry_ts"]),
            float(first["entry_price"]),
            int(last["exit_ts"]),
            float(last["exit_price"]),
            _EXITS.get(int(last["exit_reason"]), ""),
            r,
            pnl,
            float(trades["fees"].sum()),
            float(first["mae"]),
            float(first["mfe"]),
            int(trades["bars_held"].sum()),
            "",
            trades,
        )

    def _why(self) -> str:
        # The verdict, where that refused the signal as it stands; else what ended its order.
        counts = self._logs.counts
        verdict = self._logs.verdicts[0]
        if not verdict["granted"] > 0.0:
            return _REASONS.get(int(verdict["reason"]), "")
        events = self._logs.events[: int(counts["events"][0])]
        ended = events[np.isin(events["state"], _ENDED)]
        return _REASONS.get(int(ended["reason"][-1]), "") if len(ended) else ""


_EXITS: Final = ExitReason.labels()
_REASONS: Final = Reason.labels()
_NO_COMMANDS: Final = np.zeros(0, COMMAND)
_NO_METRICS: Final = np.zeros(0, METRICS)
_NO_ACCOUNTS: Final = np.zeros(0, ACCOUNT)
