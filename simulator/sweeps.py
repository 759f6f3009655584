"""Sweeps: many parameter sets over the same bars, lanes of one compiled loop, spread over threads.

A lane is a backtest without its logs: metrics are accumulated inside, by the same step. Strategies compute
signals per parameter set; lanes may also differ in limits, costs or conventions.

>>> from simulator import Signals, load_bars, sweep
>>> bars = load_bars("synthetic:2x120?seed=1")
>>> len(sweep(bars, [Signals.empty(bars), Signals.empty(bars)]))
2
"""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.commands import no_commands
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, prepare, signals_of
from simulator.errors import ConfigError, StrategyError
from simulator.kernel._jit import kernel_jit, self_healing
from simulator.kernel.dtypes import ACCOUNT, METRICS
from simulator.kernel.loops import LANES, run_lanes
from simulator.kernel.state import Lane, allocate_logs
from simulator.kernel.views import lanes_of, view_of
from simulator.ran import ran_of, rules_of
from simulator.setup import check_bars, market_view_of, params_of, room_for, state_of
from simulator.signals import Signals
from simulator.trials import tell, trials_of_metrics

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.risk_limits import RiskLimits
    from simulator.types import TrialSink

__all__ = ["Lanes", "expand_grid", "run_lanes_over", "sweep"]

# Lanes per call into compiled code, so that a progress bar moves and an interrupt is heard.
_BATCH: Final = 256


def sweep(
    bars: Bars,
    strategy: Any,
    grid: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]] | None = None,
    *,
    cash: float = 100_000.0,
    risk: RiskLimits | None = DEFAULT_RISK,
    costs: Costs | str | None = None,
    conventions: str | Conventions = "realistic",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    sink: TrialSink | None = None,
) -> pd.DataFrame:
    """Run every parameter set and return one row each: the parameters, then the metrics.

    Parameters
    ----------
    bars
        The market.
    strategy
        A strategy (class or instance, made anew as `type(strategy)(**parameters)`), a function from bars and
        parameters to signals, or a list of `Signals`: one lane each.
    grid
        Values by parameter name (all combinations), or a list of parameter sets.
    threads
        Threads to use; by default one per processor. The answer does not depend on it.
    progress
        Called with lanes done and lanes in all.
    sink
        Whoever counts trials: told of every lane, as `backtest` does.
    """
    import pandas as pd

    from simulator.results.metrics import metrics_from_accumulators

    if isinstance(strategy, (list, tuple)) and grid is None:
        sets: list[dict[str, Any]] = [{"lane": index} for index in range(len(strategy))]
        made: list[Any] = list(strategy)
        for index, part in enumerate(made):
            if not isinstance(part, Signals):
                raise ConfigError(f"lane {index} is {type(part).__name__}, not Signals", code="CONFIG_SWEEP")
        signals: list[Signals] = made
        ran = [ran_of(one) for one in made] if sink is not None else []
    else:
        sets = expand_grid(grid or {})
        make = _maker(strategy)
        made = [make(parameters) for parameters in sets]
        # before they make signals: some keep what they have seen
        ran = [ran_of(one) for one in made] if sink is not None else []
        signals = [signals_of(one, bars) for one in made]
    lanes = Lanes(np.zeros(len(signals), METRICS), np.zeros(len(signals), ACCOUNT))
    try:
        run_lanes_over(
            bars, signals, cash=cash, risks=[risk], costs=[Costs.of(costs)],
            conventions=[Conventions.of(conventions)], threads=threads, progress=progress, into=lanes,
        )  # fmt: skip
    finally:
        # what has run when a sweep is interrupted has been looked at
        ended = np.flatnonzero(lanes.ended)
        if sink is not None and ended.size:
            found = metrics_from_accumulators(
                lanes.metrics[ended], lanes.account[ended], bars.sessions_per_year
            )
            rules = rules_of(cash=cash, risk=risk, costs=costs, conventions=conventions)
            tell(
                sink,
                trials_of_metrics(
                    [ran[lane] for lane in ended], found, bars, rules=rules,
                    signals=[signals[lane] for lane in ended],
                ),
            )  # fmt: skip
    table = metrics_from_accumulators(lanes.metrics, lanes.account, bars.sessions_per_year)
    given: dict[str, Any] = {name: [parameters.get(name) for parameters in sets] for name in _names(sets)}
    if given.keys().isdisjoint(table):
        return pd.DataFrame({**given, **table})
    return pd.concat([pd.DataFrame(given), pd.DataFrame(table)], axis=1)


class Lanes:
    """Final records of every lane: `metrics` and `account`, and whether it has `ended`, shape (lanes,)."""

    def __init__(self, metrics: npt.NDArray[np.void], account: npt.NDArray[np.void]) -> None:
        self.metrics = metrics
        self.account = account
        self.ended = np.zeros(len(metrics), np.bool_)


def run_lanes_over(
    bars: Bars,
    signals: Sequence[Signals],
    *,
    cash: float,
    risks: Sequence[RiskLimits | None],
    costs: Sequence[Costs],
    conventions: Sequence[Conventions],
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    begin: int = 0,
    end: int | None = None,
    into: Lanes | None = None,
) -> Lanes:
    """Run lanes over rows `begin` to, not including, `end`; by default over all bars.

    `risks`, `costs` and `conventions` have one value for all lanes, or one per lane. Bars before `begin` stay
    in view of correlations and average true ranges; their signals are passed over. `into` takes the records,
    also of a run that is interrupted.
    """
    count = len(signals)
    stop = len(bars) if end is None else end
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"threads is {threads!r}; it is a whole number, at least 1", code="CONFIG_THREADS")
    market_view = market_view_of(check_bars(bars))
    given = _prepared(signals, bars, risks)
    lanes = lanes_of(given)
    lanes_of_params = max(len(risks), len(costs), len(conventions))
    if lanes_of_params not in (1, count):
        raise ConfigError(
            f"{lanes_of_params} sets of rules for {count} lanes; give one, or one per lane",
            code="CONFIG_LANES",
        )
    params = np.concatenate(
        [
            params_of(
                cash,
                risks[i % len(risks)],
                costs[i % len(costs)],
                conventions[i % len(conventions)],
                raw=bars.raw,
            )
            for i in range(lanes_of_params)
        ]
    )
    commands, command_start = no_commands(len(bars))
    found = Lanes(np.zeros(count, METRICS), np.zeros(count, ACCOUNT)) if into is None else into
    capacity = max(room_for(risk, len(bars.symbols)) for risk in risks)

    def work(first: int, last: int) -> None:
        state = state_of(capacity, bars)
        logs = allocate_logs(0, 0, 0, 0, 0)
        run_lanes(
            view_of(state), view_of(logs), market_view, params, lanes, commands, command_start,
            found.metrics, found.account, first, last, begin, stop, LANES,
        )  # fmt: skip
        found.ended[first:last] = True

    if count:
        workers = min(threads or os.cpu_count() or 1, count)
        _spread(work, count, workers, progress)
    return found


def _spread(
    work: Callable[[int, int], None],
    count: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    # Several shares per thread, since lanes differ in how much they trade; with a progress bar, batches.
    shares = 4 * workers if workers > 1 else 1
    size = _BATCH if progress or count > 64 * _BATCH else -(-count // shares)
    parts = [(first, min(first + size, count)) for first in range(0, count, size)]
    if not getattr(run_lanes, "signatures", True):
        # the first lane alone compiles, or loads, the code once for all threads
        self_healing(kernel_jit, lambda: work(0, 1))
    done = 0
    if workers == 1:
        for first, last in parts:
            work(first, last)
            done += last - first
            if progress:
                progress(done, count)
        return
    with ThreadPoolExecutor(workers) as pool:
        for part, _ in zip(parts, pool.map(lambda part: work(*part), parts), strict=True):
            done += part[1] - part[0]
            if progress:
                progress(done, count)


def _prepared(signals: Sequence[Signals], bars: Bars, risks: Sequence[RiskLimits | None]) -> list[Lane]:
    risk = None if any(risk is None for risk in risks) else risks[0]
    once: dict[int, Lane] = {}
    for part in signals:
        if id(part) not in once:
            once[id(part)] = part.lane(prepare(part, bars, risk))
    return [once[id(part)] for part in signals]


def expand_grid(grid: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values, or the given sets as they are."""
    if not isinstance(grid, Mapping) and (
        isinstance(grid, str)
        or not isinstance(grid, Sequence)
        or not all(isinstance(parameters, Mapping) for parameters in grid)
    ):
        raise ConfigError(
            f"the grid is {grid!r}; give values by parameter name, {{'fast': [5, 10]}}, or a list of such "
            "sets",
            code="CONFIG_GRID",
        )
    if isinstance(grid, Mapping):
        values = {}
        for name, given in grid.items():
            options = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
            if not options:
                raise ConfigError(f"parameter {name!r} has no values", code="CONFIG_GRID")
            values[name] = options
        return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    return [dict(parameters) for parameters in grid]


def _maker(strategy: Any) -> Callable[[dict[str, Any]], Any]:
    if hasattr(strategy, "signals"):
        kind = strategy if isinstance(strategy, type) else type(strategy)
        return lambda parameters: kind(**parameters)
    if callable(strategy):
        signature = inspect.signature(strategy)

        def bound(parameters: dict[str, Any]) -> Callable[[Bars], Signals]:
            try:
                signature.bind(None, **parameters)
            except TypeError as error:
                name = getattr(strategy, "__name__", "the function")
                raise StrategyError(f"{name}: {error}", code="STRATEGY_PARAM_UNKNOWN") from None
            return partial(strategy, **parameters)

        return bound
    raise ConfigError(
        f"{strategy!r} can not be swept; give a strategy, a function or a list of Signals",
        code="CONFIG_SWEEP",
    )


def _names(sets: Sequence[Mapping[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for parameters in sets:
        names.update(dict.fromkeys(parameters))
    return list(names)
