"""Scoring parameter sets: one call, one row per set, the cost of the simulator and not of Python.

Every set becomes a lane of the compiled loop that sweeps run (`simulator.sweep`), over a window of the bars.
Signals are computed on `bars[:last]`, so nothing after the window can reach them; those before `first` are
dropped, so the bars before it warm indicators, correlations and average true ranges and trade nothing. Equal
sets are run once, and work that two sets have in common is done once (`optimize.sharing`).

>>> from simulator import load_bars
>>> from strategies import strategy_class
>>> bars = load_bars("synthetic:2x300?seed=1")
>>> table = evaluate(bars, strategy_class("sma-cross")(), [{"fast": 5}, {"fast": 10}], first=100)
>>> table["fast"].tolist(), table["sessions"].tolist()
([5, 10], [200, 200])
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from optimize.sharing import SignalCache
from simulator.commands import no_commands
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, backtest, prepare, signals_of
from simulator.errors import ConfigError, StrategyError
from simulator.kernel._jit import kernel_jit, self_healing
from simulator.kernel.dtypes import ACCOUNT, METRICS
from simulator.kernel.loops import LANES, run_lanes
from simulator.kernel.state import allocate_logs
from simulator.kernel.views import lanes_of, view_of
from simulator.results.metrics import metrics_from_accumulators
from simulator.setup import check_bars, market_view_of, params_of, room_for, state_of
from simulator.signals import Signals

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits

__all__ = ["Evaluator", "Rules", "evaluate", "window_of"]

_KEPT_METRICS: Final = 200_000
"""Rows of metrics an `Evaluator` remembers, about 60 MB; what is beyond is computed again."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What every set is run under; the defaults are those of `simulator.sweep`.

    Attributes
    ----------
    cash
        Cash at the start, in the currency of the account.
    risk
        Limits of the risk manager; None switches it off, and signals then need a quantity of their own.
    costs, conventions
        A preset's name or an object.
    threads
        Threads of the compiled loop; by default one per processor. The answer does not depend on it.
    """

    cash: float = 100_000.0
    risk: RiskLimits | None = DEFAULT_RISK
    costs: Costs | str | None = None
    conventions: Conventions | str = "realistic"
    threads: int | None = None


def evaluate(
    bars: Bars,
    strategy: Any,
    sets: Sequence[Mapping[str, Any]],
    *,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: Conventions | str = "realistic",
    first: int | None = None,
    last: int | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Run every parameter set over a window and return one row each: the parameters, then the metrics.

    Parameters
    ----------
    bars
        The market, with the bars before and after the window.
    strategy
        A strategy (instance: parameters that a set does not name keep the instance's values; class: its
        defaults), or a function from bars and parameters to signals.
    sets
        Parameter sets; rows come back in this order, equal sets with equal rows.
    cash, risk, costs, conventions, threads
        As in `simulator.sweep`; `risk=None` switches the risk manager off.
    first, last
        The window: rows `first` up to, not including, `last`; by default all bars. Trading starts flat, with
        `cash`, and signals known at the close of row `first` are the first that count.

    Returns
    -------
    DataFrame, (sets, parameters + metrics)
        The columns of `simulator.sweep`. A metric that is not defined, such as the Sharpe ratio of a set that
        never traded, is NaN.

    Raises
    ------
    ConfigError
        OPTIMIZE_WINDOW for a window outside the bars, or empty.
    StrategyError
        STRATEGY_PARAM_UNKNOWN, STRATEGY_PARAM_VALUE: a set that the strategy does not accept.
    """
    rules = Rules(cash=cash, risk=risk, costs=costs, conventions=conventions, threads=threads)
    return Evaluator(bars, strategy, rules).table(sets, first=first, last=last)


class Evaluator:
    """Scores sets again and again on the same bars, and remembers what it has seen.

    A study uses one for all its batches: a set that a sampler proposes twice is run once, and signals are
    computed once per window's end.
    """

    def __init__(self, bars: Bars, strategy: Any, rules: Rules) -> None:
        self.bars = bars
        self.rules = rules
        self.strategy = strategy
        self._make = _maker(strategy)
        self._caches: dict[int, SignalCache] = {}
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.lanes_run = 0

    def accepts(self, parameters: Mapping[str, Any]) -> StrategyError | None:
        """Return the error with which the strategy refuses a combination of values, None if it accepts.

        Raises `StrategyError` for what is wrong with any values: an unknown parameter.
        """
        try:
            self._make(parameters)
        except StrategyError as error:
            if error.code != "STRATEGY_PARAM_VALUE":
                raise
            return error
        return None

    def table(
        self, sets: Sequence[Mapping[str, Any]], *, first: int | None = None, last: int | None = None
    ) -> pd.DataFrame:
        """Return parameters and metrics of sets over a window; see `evaluate`."""
        import pandas as pd

        rows = self.metrics(sets, first=first, last=last)
        names = list(dict.fromkeys(name for parameters in sets for name in parameters))
        given = pd.DataFrame({name: [parameters.get(name) for parameters in sets] for name in names})
        table = pd.DataFrame(rows, columns=_metric_names() if not rows else None)
        return pd.concat([given, table], axis=1)

    def metrics(
        self, sets: Sequence[Mapping[str, Any]], *, first: int | None = None, last: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the metrics of sets over a window, one dictionary each, in order."""
        begin, end = window_of(self.bars, first, last)
        made = [self._make(parameters) for parameters in sets]
        keys = [(begin, end, _key(one, parameters)) for one, parameters in zip(made, sets, strict=True)]
        found = {key: self._known[key] for key in keys if key in self._known}
        fresh = {key: one for key, one in zip(keys, made, strict=True) if key not in found}
        if fresh:
            cache = self._caches.get(end)
            if cache is None:
                cache = self._caches[end] = SignalCache(
                    self.bars if end == len(self.bars) else self.bars[:end]
                )
            signals = [cache.signals(one) for one in fresh.values()]
            rows = _run(self.bars, signals, begin, end, self.rules)
            self.lanes_run += len(rows)
            found |= dict(zip(fresh, rows, strict=True))
            if len(self._known) + len(rows) <= _KEPT_METRICS:
                self._known |= dict(zip(fresh, rows, strict=True))
        return [dict(found[key]) for key in keys]

    def returns(
        self, parameters: Mapping[str, Any], *, first: int | None = None, last: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the session returns of one set over a window, shape (sessions,)."""
        begin, end = window_of(self.bars, first, last)
        bars = self.bars if end == len(self.bars) else self.bars[:end]
        signals = signals_of(self._make(parameters), bars)
        inside = signals.aligned(bars)["row"] >= begin
        kept = Signals(
            signals.records[inside], signals.symbols, tags=signals.tags, strategies=signals.strategies,
            sectors=signals.sectors, packages=signals.packages, legs=signals.legs,
        )  # fmt: skip
        rules = self.rules
        result = backtest(
            bars, kept, cash=rules.cash, risk=rules.risk, costs=rules.costs, conventions=rules.conventions
        )
        before = int(bars.session_no[begin] - bars.session_no[0])
        # sessions before the window earned nothing, because nothing was held
        return np.asarray(result.returns.to_numpy(), np.float64)[before:]


def window_of(bars: Bars, first: int | None, last: int | None) -> tuple[int, int]:
    """Return the window's rows as (begin, end); OPTIMIZE_WINDOW where it is empty or outside the bars."""
    begin, end = 0 if first is None else first, len(bars) if last is None else last
    for name, row in (("first", begin), ("last", end)):
        if isinstance(row, bool) or not isinstance(row, (int, np.integer)):
            raise ConfigError(f"{name} is {row!r}; it is a row of the bars", code="OPTIMIZE_WINDOW")
    if not 0 <= begin < end <= len(bars):
        raise ConfigError(
            f"the window of rows {begin} to {end} is empty or outside the {len(bars)} bars of {bars.name}",
            code="OPTIMIZE_WINDOW",
        )
    return int(begin), int(end)


def _run(bars: Bars, signals: Sequence[Signals], begin: int, end: int, rules: Rules) -> list[dict[str, Any]]:
    # The lanes of `simulator.sweep`, over a part of the bars: what comes before `begin` stays in view of
    # correlations and average true ranges, and the loop passes over its signals.
    market = market_view_of(check_bars(bars))
    count = len(signals)
    once: dict[int, Any] = {}
    for part in signals:
        if id(part) not in once:
            once[id(part)] = part.lane(prepare(part, bars, rules.risk))
    # `given` must outlive the run: lanes hold addresses
    given = [once[id(part)] for part in signals]
    lanes = lanes_of(given)
    params = params_of(
        rules.cash, rules.risk, Costs.of(rules.costs), Conventions.of(rules.conventions), raw=bars.raw
    )
    commands, command_start = no_commands(len(bars))
    metrics, account = np.zeros(count, METRICS), np.zeros(count, ACCOUNT)
    capacity = room_for(rules.risk, len(bars.symbols))

    def work(start: int, stop: int) -> None:
        state = state_of(capacity, bars)
        logs = allocate_logs(0, 0, 0, 0, 0)
        run_lanes(
            view_of(state), view_of(logs), market, params, lanes, commands, command_start,
            metrics, account, start, stop, begin, end, LANES,
        )  # fmt: skip

    _spread(work, count, rules.threads, lambda: self_healing(kernel_jit, lambda: work(0, 1)), run_lanes)
    columns = metrics_from_accumulators(metrics, account, bars.sessions_per_year)
    lists = {name: values.tolist() for name, values in columns.items()}
    return [{name: values[lane] for name, values in lists.items()} for lane in range(count)]


def _spread(work: Any, count: int, threads: int | None, compile_once: Any, entry: Any) -> None:
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"threads is {threads!r}; it is a whole number, at least 1", code="CONFIG_THREADS")
    if not getattr(entry, "signatures", True):
        compile_once()
    workers = min(threads or os.cpu_count() or 1, count)
    if workers == 1:
        work(0, count)
        return
    # several shares per thread: lanes differ in how much they trade
    edges = np.unique(np.linspace(0, count, min(count, 4 * workers) + 1).astype(int)).tolist()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


def _maker(strategy: Any) -> Any:
    """Return a function from a parameter set to a strategy, or to a function of the bars."""
    if isinstance(strategy, type) and hasattr(strategy, "signals"):
        return lambda parameters: strategy(**parameters)
    if hasattr(strategy, "signals"):
        fixed = strategy.parameters() if hasattr(strategy, "parameters") else {}
        return lambda parameters: type(strategy)(**{**fixed, **parameters})
    if callable(strategy):
        return lambda parameters: _Bound(strategy, dict(parameters))
    raise ConfigError(
        f"{strategy!r} cannot be scored; give a strategy with signals(bars), or a function from bars and "
        "parameters to Signals",
        code="CONFIG_SWEEP",
    )


class _Bound:
    """A function of bars with its parameters given."""

    def __init__(self, function: Any, parameters: dict[str, Any]) -> None:
        try:
            inspect.signature(function).bind(None, **parameters)
        except TypeError as error:
            name = getattr(function, "__name__", "the function")
            raise StrategyError(f"{name}: {error}", code="STRATEGY_PARAM_UNKNOWN") from None
        self._function, self._parameters = function, parameters

    def __call__(self, bars: Bars) -> Any:
        return self._function(bars, **self._parameters)


def _key(made: Any, parameters: Mapping[str, Any]) -> Any:
    # parameters as the strategy holds them: 5 and 5.0 are the same length, True and 1 are not
    values = made.parameters() if hasattr(made, "parameters") else parameters
    return tuple(sorted((name, type(value).__name__, _frozen(value)) for name, value in values.items()))


def _frozen(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _metric_names() -> list[str]:
    none: npt.NDArray[np.void] = np.zeros(1, METRICS)
    return list(metrics_from_accumulators(none, np.zeros(1, ACCOUNT), 252.0))
