"""The engine: a backtest is the kernel's loop over history, and nothing more.

`backtest` takes bars and a strategy (or signals), and returns a `Result`. `Run` is the same in the open: it
holds the state, the logs and the market, advances bar by bar or in one go, and answers with the same bytes
either way.

>>> from simulator import backtest, load_bars
>>> result = backtest(load_bars("synthetic:3x120?seed=1"), lambda bars: Signals.empty(bars))
>>> len(result.trades)
0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import stamp
from simulator.books import Books
from simulator.commands import Command, align_commands
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import ConfigError, SignalError, StrategyError
from simulator.kernel._jit import ENGINE_HASH, kernel_jit, self_healing
from simulator.kernel.history import average_true_range
from simulator.kernel.state import LOG_NAMES, State
from simulator.kernel.views import lanes_of
from simulator.ran import ran_of
from simulator.risk_limits import RiskLimits
from simulator.setup import check_bars, market_of, market_view_of, params_of, slots_of, state_of
from simulator.signals import Signals
from simulator.trials import tell, trial_of_run

if TYPE_CHECKING:
    from simulator.approval import Approval
    from simulator.bars import Bars
    from simulator.results import Result
    from simulator.types import OnBarStrategy, Strategy, TrialSink

    Tradable = Strategy | OnBarStrategy | Signals | Callable[[Bars], Signals] | Sequence[Strategy]

__all__ = ["DEFAULT_RISK", "Run", "backtest", "prepare", "signals_of", "warm"]

ATR_PERIOD: Final = 14
DEFAULT_RISK: Final = RiskLimits()
# Bars per call into compiled code, which cannot be interrupted: about a tenth of a second of work.
_STRIDE: Final = 1_000_000


def backtest(
    bars: Bars,
    strategy: Tradable,
    *,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    commands: Sequence[Command] | None = None,
    chunk: int | None = None,
    capacity: int | None = None,
    log: bool = True,
    approval: Approval | None = None,
    sink: TrialSink | None = None,
) -> Result:
    """Run a strategy, or signals, over bars.

    Parameters
    ----------
    bars
        The market; see `load_bars`.
    strategy
        Signals, a strategy with `signals(bars)` or `on_bar(context)`, several strategies for one account, or
        a function from bars to signals.
    cash
        Money at the start, in currency.
    risk
        Limits of the risk manager; None switches it off and takes `qty` as given.
    costs
        `Costs`, a preset's name, or None for none.
    conventions
        A profile's name or `Conventions`.
    commands
        What a person did on the way: closes, kills, deposits.
    chunk
        Bars per chunk: the same run in pieces, the state carried across. The result is the same.
    capacity
        Slots for positions and, as many, for orders; by default what the risk limits or the symbols need.
    log
        Whether to log fills, trades, verdicts, events and equity; metrics come either way.
    approval
        A person who is asked before a signal reaches the account; see `simulator.approval`. What was said is
        in `result.reviewed`.
    sink
        Whoever counts trials, such as `optimize.TrialLedger`: told of this run. Where it cannot store that,
        a warning says so (OPTIMIZE_NOT_COUNTED), and the result is not lost.

    Returns
    -------
    Result
        Trades, equity, verdicts and metrics, worked out when asked for.

    Raises
    ------
    SignalError
        Signals that do not fit the bars, or lack `qty` while the risk manager is off.
    ConfigError
        Impossible cash, limits, costs or conventions.
    """
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1):
        raise ConfigError(
            f"chunk is {chunk!r}; it is a whole number of bars, at least 1", code="CONFIG_CHUNK"
        )
    if approval is not None:
        from simulator.approval import refuse_on_bar

        refuse_on_bar(strategy)
    # before it runs: some keep what they have seen
    ran = None if sink is None else ran_of(strategy)
    if hasattr(strategy, "on_bar") and not isinstance(strategy, type) and not hasattr(strategy, "signals"):
        from simulator.context import run_on_bar

        result = run_on_bar(
            bars, cast("OnBarStrategy", strategy), cash=cash, risk=risk, costs=costs, conventions=conventions,
            commands=commands, capacity=capacity,
        )  # fmt: skip
    else:
        signals = signals_of(strategy, bars)
        reviewed = None if approval is None else approval.review(signals, bars)
        run = Run(
            bars, signals if reviewed is None else reviewed.signals, cash=cash, risk=risk, costs=costs,
            conventions=conventions, commands=commands, capacity=capacity, log=log,
        )  # fmt: skip
        stride = chunk or _STRIDE
        for begin in range(0, len(bars), stride):
            run.advance(min(begin + stride, len(bars)))
        result = run.result()
        result.reviewed = reviewed
    if sink is not None:
        given = list(commands or ()) or None
        # more slots than a run needs change nothing
        short = capacity if capacity and capacity < slots_of(None, risk, len(bars.symbols)) else None
        tell(sink, [trial_of_run(result, ran, approval=approval, commands=given, capacity=short)])
    return result


# A buffer of this size, 29 MB, is one that the C library keeps for the next run; memory that comes fresh from
# the system costs more than what is written there.
_EQUITY_ROWS: Final = 600_000


class Run:
    """A run in progress: state, logs and market, advanced in one go, in pieces, or bar by bar."""

    def __init__(
        self,
        bars: Bars,
        signals: Signals,
        *,
        cash: float = 100_000.0,
        risk: RiskLimits | None = DEFAULT_RISK,
        costs: Costs | str | None = None,
        conventions: str | Conventions = "realistic",
        commands: Sequence[Command] | None = None,
        capacity: int | None = None,
        log: bool = True,
    ) -> None:
        self.bars = check_bars(bars)
        self.signals = signals
        self.risk = risk
        self.costs = Costs.of(costs)
        self.conventions = Conventions.of(conventions)
        self.params = params_of(cash, risk, self.costs, self.conventions, raw=bars.raw)
        self.market = market_of(bars)
        self.records = prepare(signals, bars, risk)
        self.given_commands = commands
        self.commands, self.command_start = align_commands(commands, bars)
        slots = slots_of(capacity, risk, len(bars.symbols))
        self._market_view = market_view_of(bars)
        self.books = Books(
            state_of(slots, bars),
            self.params,
            self._market_view,
            self._rows(slots) if log else None,
        )
        self.at = 0
        self._lanes = lanes_of([signals.lane(self.records)])

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by column."""
        return self.bars.symbols

    @property
    def state(self) -> State:
        """The account's state."""
        return self.books.state

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each bar's signals begin in `records`, shape (T + 1,)."""
        return np.searchsorted(self.records["row"], np.arange(len(self.bars) + 1)).astype(np.int64)

    def advance(self, until: int | None = None) -> None:
        """Run the loop up to (not including) bar `until`, by default to the end."""
        end = len(self.bars) if until is None else min(until, len(self.bars))
        if end > self.at:
            self.books.loop(self._market_view, self._lanes, self.commands, self.command_start, self.at, end)
            self.at = end

    def step(self) -> int:
        """Advance by one bar, as a live session does; returns the step's code."""
        code = self.step_with(self.records[self.offsets[self.at] : self.offsets[self.at + 1]])
        self.at += 1
        return code

    def step_with(self, records: npt.NDArray[np.void]) -> int:
        """Step bar `at` with these signals, and stay there: for `on_bar` strategies."""
        lanes = lanes_of([self.signals.lane(records)])
        return self.books.step(self._market_view, lanes, self.commands, self.command_start, self.at)

    def fingerprint(self) -> str:
        """SHA-256 of the state."""
        return self.books.fingerprint()

    def result(self) -> Result:
        """Close the books on a copy, and return what has happened so far."""
        from simulator.interval import interval_runner
        from simulator.results import RawRun, Result

        metrics, open_trades = self.books.close()
        logs = {name: self.books.written(name) for name in LOG_NAMES}
        equity_runs = logs.pop("equity")
        closed_trades = logs.pop("trades")
        raw = RawRun(
            bars=self.bars,
            signals=self.signals,
            cash=float(self.params["cash"][0]),
            risk=self.risk,
            costs=self.costs,
            conventions=self.conventions,
            **logs,
            closed_trades=closed_trades,
            open_trades=open_trades if self.books.keeps_logs else open_trades[:0],
            equity_runs=equity_runs,
            metrics=metrics,
            account=self.state.account.copy(),
            tags=self.signals.tags,
            strategies=self.signals.strategies,
            engine_hash=ENGINE_HASH,
            interval_runner=interval_runner(self.bars, self.signals, self) if self.books.keeps_logs else None,
        )
        return Result(raw)

    def _rows(self, slots: int) -> dict[str, int]:
        # What a run of so many signals usually writes; more only costs another piece.
        signals, bars = len(self.records), len(self.bars)
        rows = 4096 + 6 * signals + 40 * slots
        return {
            "fills": rows,
            "trades": 1024 + signals + 2 * slots,
            "verdicts": 64 + signals,
            "events": rows,
            "equity": min(bars + 1, _EQUITY_ROWS),
        }


def signals_of(strategy: Any, bars: Bars) -> Signals:
    """Return the signals of whatever can be traded: signals, a strategy, several, or a function."""
    if isinstance(strategy, Signals):
        return strategy
    if isinstance(strategy, (list, tuple)):
        parts: list[Signals] = []
        for part in strategy:
            signals = signals_of(part, bars)
            parts.append(_named(signals, str(getattr(part, "name", f"strategy{len(parts)}"))))
        return Signals.concat(parts)
    if isinstance(strategy, type):
        raise StrategyError(
            f"{strategy.__name__} is a class; make an instance of it: {strategy.__name__}()",
            code="STRATEGY_TYPE",
        )
    if hasattr(strategy, "signals"):
        signals = strategy.signals(check_bars(bars))
    elif callable(strategy):
        signals = strategy(check_bars(bars))
    else:
        hint = "; Signals.from_frame(...) makes signals of it" if hasattr(strategy, "columns") else ""
        raise StrategyError(
            f"a {type(strategy).__name__} is no strategy: it has neither signals(bars) nor on_bar(context)"
            + hint,
            code="STRATEGY_TYPE",
        )
    if not isinstance(signals, Signals):
        raise StrategyError(
            f"{getattr(strategy, 'name', strategy)!r} returned {type(signals).__name__} instead of Signals",
            code="STRATEGY_SIGNALS",
        )
    return signals


def _named(signals: Signals, name: str) -> Signals:
    # A strategy's signals carry its name, unless they already name one.
    if signals.strategies != ("",):
        return signals
    records = signals.records.copy()
    records["strategy"] = 1
    return Signals(
        records, signals.symbols, tags=signals.tags, strategies=("", name), sectors=signals.sectors,
        checked_stops=signals.checked_stops, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip


def prepare(signals: Signals, bars: Bars, risk: RiskLimits | None) -> npt.NDArray[np.void]:
    """Align signals with bars, and give those that need an ATR the bars' own.

    Returns SIGNAL records with rows of `bars`, sorted by row. The answer is kept with the signals, because a
    sweep asks again and again.
    """
    ready = signals.ready_for(bars)
    if ready is None:
        records = _with_atr(signals.aligned(bars), bars)
        named = int(records["package"].max(initial=0))
        if named > len(signals.packages):
            # compiled code would read beyond the table
            raise SignalError(
                f"a signal names package {named - 1}, the signals hold {len(signals.packages)}; were they "
                "copied without packages=... and legs=...?",
                code="SIGNAL_PACKAGE",
            )
        ready = signals.keep_ready(bars, records, _lacking(records))
    records, lacking = ready
    if len(signals.packages) and bars.options is None:
        raise SignalError(
            "the signals trade option packages, and the bars know nothing of options; give them quotes or a "
            "surface: bars.with_options(OptionMarket.modelled(bars, ...))",
            code="SIGNAL_NO_OPTIONS",
        )
    if risk is None and lacking >= 0:
        raise SignalError(
            f"signal {lacking} ({bars.symbols[records['sym'][lacking]]} at "
            f"{stamp(int(records['ts'][lacking]))}) has no qty, and with risk=None nothing sizes it; give a "
            "qty column (inf: all buying power), or RiskLimits",
            code="SIGNAL_QTY",
        )
    return records


def _lacking(records: npt.NDArray[np.void]) -> int:
    # First signal that only the risk manager can size, or -1.
    lacking = np.isnan(records["qty"]) & (records["side"] != 0)
    return int(np.argmax(lacking)) if lacking.any() else -1


def _with_atr(records: npt.NDArray[np.void], bars: Bars) -> npt.NDArray[np.void]:
    wants = (~np.isnan(records["stop_atr"]) | ~np.isnan(records["trail_atr"])) & np.isnan(records["atr"])
    if wants.any():
        records = records.copy()
        market = market_of(bars).bars
        for sym in np.unique(records["sym"][wants]):
            mine = wants & (records["sym"] == sym)
            values = self_healing(kernel_jit, partial(average_true_range, market, int(sym), ATR_PERIOD))
            records["atr"][mine] = values[records["row"][mine]]
    return records


def warm() -> None:
    """Compile the engine, or load it, so that workers started later find it in the cache."""
    from simulator.bars import load_bars

    bars = load_bars("synthetic:1x4?seed=1")
    run = Run(bars, Signals.empty(bars))
    run.step()
    run.advance()
