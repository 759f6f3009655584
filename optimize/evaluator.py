"""Scoring parameter sets: one call, one row per set, the cost of the simulator and not of Python.

Every set becomes a lane of the compiled loop that sweeps run (`simulator.sweep`), over a window of the bars.
Signals are computed on `bars[:last]`, so nothing after the window can reach them; those before `first` are
dropped, so the bars before it warm indicators, correlations and average true ranges and trade nothing. Equal
sets are run once, and work that two sets have in common is done once (`optimize.evaluating.sharing`).

>>> from simulator import load_bars
>>> from strategies import strategy_class
>>> bars = load_bars("synthetic:2x300?seed=1")
>>> table = evaluate(bars, strategy_class("sma-cross")(), [{"fast": 5}, {"fast": 10}], first=100)
>>> table["fast"].tolist(), table["sessions"].tolist()
([5, 10], [200, 200])
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from optimize.evaluating.making import key_of, maker_of
from optimize.evaluating.sharing import SignalCache
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import DEFAULT_RISK, backtest
from simulator.errors import ConfigError, StrategyError
from simulator.kernel.dtypes import ACCOUNT, METRICS
from simulator.results.metrics import metrics_from_accumulators
from simulator.setup import check_bars
from simulator.signals import Signals
from simulator.sweeps import Lanes, run_lanes_over

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.results import Result
    from simulator.risk_limits import RiskLimits

__all__ = ["Evaluator", "Rules", "evaluate", "window_of"]

_KEPT_METRICS: Final = 100_000
"""Lanes an `Evaluator` remembers, about 90 MB; what is beyond is computed again."""

_WORST: Final = frozenset(
    {"max_drawdown", "longest_drawdown", "longest_win", "longest_loss", "streak", "peak_session"}
)
"""Accumulators that are the largest of several parts; the others are sums."""


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

    Parameters
    ----------
    bars, strategy, rules
        As in `evaluate`.
    without
        Stretches of rows (first, last + 1) that figures must not see, such as what a cross-validation tests.
        A window is then what remains of it: each part is run by itself, from cash, and what is open at its
        end is marked at its last close. Sums and counts of the parts are added, returns follow each other,
        falls and streaks are the worst of a part.
    """

    def __init__(
        self, bars: Bars, strategy: Any, rules: Rules, *, without: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.bars = bars
        self.rules = rules
        self.strategy = strategy
        self.without = _stretches(bars, without)
        self._make = maker_of(strategy)
        self._caches: dict[int, SignalCache] = {}
        self._cut: dict[int, Bars] = {}
        self._known: dict[tuple[Any, ...], Lanes] = {}
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
        return self.metrics_over(sets, self.parts(first, last))

    def metrics_over(
        self, sets: Sequence[Mapping[str, Any]], parts: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        """Return the metrics of sets over several windows together, as over what `without` leaves of one."""
        if not len(sets):
            return []
        strange = [one for one in sets if not isinstance(one, Mapping)]
        if strange:
            raise ConfigError(
                f"a parameter set is {strange[0]!r}; write it as a mapping from names to values",
                code="CONFIG_SWEEP",
            )
        made = [self._make(parameters) for parameters in sets]
        keys = [key_of(one, parameters) for one, parameters in zip(made, sets, strict=True)]
        joined = _joined([self._lanes(dict(zip(keys, made, strict=True)), *part) for part in parts])
        place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        columns = metrics_from_accumulators(joined.metrics, joined.account, self.bars.sessions_per_year)
        lists = {name: values.tolist() for name, values in columns.items()}
        return [{name: values[place[key]] for name, values in lists.items()} for key in keys]

    def returns(
        self, parameters: Mapping[str, Any], *, first: int | None = None, last: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the session returns of one set over a window, shape (sessions,)."""
        found = []
        for begin, end in self.parts(first, last):
            result = self.result([(parameters, begin, end)])
            # sessions before the window earned nothing, because nothing was held
            before = int(self.bars.session_no[begin] - self.bars.session_no[0])
            found.append(np.asarray(result.returns.to_numpy(), np.float64)[before:])
        return np.concatenate(found)

    def result(self, parts: Sequence[tuple[Mapping[str, Any], int, int]]) -> Result:
        """Return one backtest in which sets take turns: each gives the signals of its own window.

        Parameters
        ----------
        parts
            (parameters, first, last) in order of time, without overlap. Positions stay open from one window
            to the next, as they would for who changes parameters while trading. The signals of a window are
            computed on `bars[:last]`.

        Returns
        -------
        Result
            Over `bars[:last of the last part]`; before the first window nothing is traded.
        """
        windows = [window_of(self.bars, first, last) for _, first, last in parts]
        if not windows or any(end > after for (_, end), (after, _) in itertools.pairwise(windows)):
            raise ConfigError(
                f"the windows {windows} cannot take turns; they are one or more, in order, without overlap",
                code="OPTIMIZE_WINDOW",
            )
        bars = self._until(windows[-1][1])
        found = []
        for (parameters, _, _), (begin, end) in zip(parts, windows, strict=True):
            signals = self._cache(end).signals(self._make(parameters))
            rows = signals.aligned(self._until(end))["row"]
            found.append(_chosen(signals, (rows >= begin) & (rows < end)))
        together = found[0] if len(found) == 1 else Signals.concat(found)
        rules = self.rules
        return backtest(
            bars, together, cash=rules.cash, risk=rules.risk, costs=rules.costs, conventions=rules.conventions
        )

    def parts(self, first: int | None = None, last: int | None = None) -> list[tuple[int, int]]:
        """Return what remains of a window after `without`, in order; OPTIMIZE_WINDOW where nothing does."""
        begin, end = window_of(self.bars, first, last)
        found, at = [], begin
        for low, high in [*self.without, (end, end)]:
            if at < min(low, end):
                found.append((at, min(low, end)))
            at = max(at, high)
        if not found:
            raise ConfigError(
                f"nothing remains of rows {begin} to {end} without {self.without}", code="OPTIMIZE_WINDOW"
            )
        return found

    def _lanes(self, wanted: Mapping[Any, Any], begin: int, end: int) -> Lanes:
        """Return the final records of strategies by key, over a window, in order."""
        fresh = {key: made for key, made in wanted.items() if (begin, end, key) not in self._known}
        found = {key: self._known[begin, end, key] for key in wanted if key not in fresh}
        if fresh:
            cache = self._cache(end)
            rules = self.rules
            ran = run_lanes_over(
                self.bars, [cache.signals(made) for made in fresh.values()], cash=rules.cash,
                risks=[rules.risk], costs=[Costs.of(rules.costs)],
                conventions=[Conventions.of(rules.conventions)], threads=rules.threads, begin=begin, end=end,
            )  # fmt: skip
            self.lanes_run += len(fresh)
            for index, key in enumerate(fresh):
                row = slice(index, index + 1)
                found[key] = Lanes(ran.metrics[row], ran.account[row])
            if len(self._known) + len(fresh) <= _KEPT_METRICS:
                self._known |= {(begin, end, key): found[key] for key in fresh}
        return Lanes(
            np.concatenate([found[key].metrics for key in wanted]),
            np.concatenate([found[key].account for key in wanted]),
        )

    def _cache(self, end: int) -> SignalCache:
        if end not in self._caches:
            self._caches[end] = SignalCache(self._until(end))
        return self._caches[end]

    def _until(self, end: int) -> Bars:
        if end == len(self.bars):
            return self.bars
        if end not in self._cut:
            self._cut[end] = self.bars[:end]
        return self._cut[end]


def window_of(bars: Bars, first: int | None, last: int | None) -> tuple[int, int]:
    """Return the window's rows as (begin, end); OPTIMIZE_WINDOW where it is empty or outside the bars."""
    check_bars(bars)
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


def _stretches(bars: Bars, without: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    try:
        pairs = [(first, last) for first, last in without]
    except (TypeError, ValueError):
        raise ConfigError(
            f"without is {without!r}; give stretches of rows as pairs: [(first, last + 1), ...]",
            code="OPTIMIZE_WINDOW",
        ) from None
    return sorted(window_of(bars, first, last) for first, last in pairs)


def _joined(parts: Sequence[Lanes]) -> Lanes:
    """Return the records of lanes over several parts as if they were one run."""
    if len(parts) == 1:
        return parts[0]
    metrics, account = parts[-1].metrics.copy(), parts[-1].account.copy()
    for name in metrics.dtype.names or ():
        values = np.stack([part.metrics[name] for part in parts])
        metrics[name] = values.max(axis=0) if name in _WORST else values.sum(axis=0)
    for name in ("fees", "halted_sessions"):
        account[name] = np.sum([part.account[name] for part in parts], axis=0)
    growth = [part.account["equity"] / part.account["initial_cash"] for part in parts]
    account["equity"] = account["initial_cash"] * np.prod(growth, axis=0)
    return Lanes(metrics, account)


def _chosen(signals: Signals, kept: npt.NDArray[np.bool_]) -> Signals:
    return Signals(
        signals.records[kept], signals.symbols, tags=signals.tags, strategies=signals.strategies,
        sectors=signals.sectors, packages=signals.packages, legs=signals.legs,
    )  # fmt: skip


def _metric_names() -> list[str]:
    none: npt.NDArray[np.void] = np.zeros(1, METRICS)
    return list(metrics_from_accumulators(none, np.zeros(1, ACCOUNT), 252.0))
