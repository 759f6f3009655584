"""A trial: one parameter set that was run over one stretch of data, and what came of it.

What has been tried decides how much the best is worth, so every run is a trial: backtests by hand, lanes of a
sweep, trials of a study, windows of a walk-forward. A trial's `id` is made of what was run and not of when,
by whom, or with which outcome: the same run reported twice, by a retry, by a second worker, or once as a
backtest and once as a lane, is the same trial. `simulator.ran` has the wording.
Trials that search for the same edge share a `hypothesis`, by default the strategy on its data.

>>> one = Trial(strategy="sma-cross", data="ab12", parameters={"fast": 10}, source="sweep")
>>> one.id == Trial(strategy="sma-cross", data="ab12", parameters={"fast": 10.0}, source="study").id
True
>>> one.hypothesis
'sma-cross on ab12'
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError, did_you_mean, warn
from simulator.ran import Ran, plain, ran_of, rules_of, settled

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.results import Result
    from simulator.signals import Signals
    from simulator.types import TrialSink

__all__ = [
    "SOURCES",
    "Source",
    "Trial",
    "Trials",
    "hypothesis_of",
    "range_of",
    "tell",
    "trial_of_run",
    "trials_of_metrics",
]

Floats = npt.NDArray[np.float64]
Source = Literal["backtest", "sweep", "study", "walk_forward"]

SOURCES: Final[tuple[Source, ...]] = ("backtest", "sweep", "study", "walk_forward")

_SHOWN: Final = 12  # hex digits of a fingerprint that tell data apart
_ID_DIGITS: Final = 32  # 128 bits
_KEPT: Final = ("total_return", "max_drawdown", "trades")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """One run of one parameter set.

    Attributes
    ----------
    strategy, data
        Name of the strategy, and `Bars.fingerprint` of what it ran over.
    parameters
        By name: numbers, words, flags.
    source
        "backtest", "sweep", "study" or "walk_forward".
    hypothesis
        What is searched for; trials with the same one are deflated together. By default strategy and data.
    first_ts, last_ts
        Labels of the first and last bar, UTC ns.
    sharpe, sessions, skewness, kurtosis
        Of the session returns: Sharpe ratio per session (not annual), their number, and their third and
        fourth standardised moment (kurtosis 3 is normal). NaN is not known; a run without trades has no
        Sharpe ratio.
    returns : (sessions,) or None
        Session returns, from which the ledger knows how alike trials are.
    metrics
        Further figures by name.
    rules, version
        What else decides the outcome: limits, costs, conventions (`rules_of`); and the state of the
        strategy's code.
    run
        Which run reported it.
    id
        Of what was run: hypothesis, strategy, data, parameters, bars, rules, version.

    Raises
    ------
    ConfigError
        OPTIMIZE_TRIAL for an unknown source, no strategy, infinite figures, returns that are no series.
    """

    strategy: str
    data: str
    parameters: Mapping[str, Any]
    source: Source
    hypothesis: str = ""
    first_ts: int = 0
    last_ts: int = 0
    sharpe: float = math.nan
    sessions: int = 0
    skewness: float = math.nan
    kurtosis: float = math.nan
    returns: Floats | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    rules: str = ""
    version: str = ""
    run: str = ""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        _check(self)
        if not self.hypothesis:
            object.__setattr__(self, "hypothesis", hypothesis_of(self.strategy, self.data))
        ran = [
            self.hypothesis, self.strategy, self.data, plain(self.parameters), int(self.first_ts),
            int(self.last_ts), self.rules, self.version,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(ran, sort_keys=True).encode())
        object.__setattr__(self, "id", digest.hexdigest()[:_ID_DIGITS])


def hypothesis_of(strategy: str, data: str) -> str:
    """Return the hypothesis of a strategy on data of this fingerprint."""
    return f"{strategy} on {data[:_SHOWN]}"


def trial_of_run(
    result: Result, strategy: Any, *, source: Source = "backtest", hypothesis: str = "", **others: Any
) -> Trial:
    """Return the trial of one backtest, with its session returns where it kept its logs.

    Parameters
    ----------
    strategy
        What ran, or what `ran_of` said of it before it did.
    others
        What else decided the outcome; see `rules_of`.
    """
    raw = result.raw
    # a strategy that looks at every bar leaves no signals
    (ran,) = settled([ran_of(strategy)], [raw.signals] if len(raw.signals) else None)
    metrics = result.metrics
    returns = np.asarray(result.returns.to_numpy(), np.float64) if len(raw.equity_runs) else None
    return Trial(
        strategy=ran.strategy, data=raw.bars.fingerprint, parameters=ran.parameters, source=source,
        hypothesis=hypothesis, **range_of(raw.bars), **_figures(metrics, raw.bars), returns=returns,
        version=ran.version, run=result.fingerprint,
        rules=rules_of(
            cash=raw.cash, risk=raw.risk, costs=raw.costs, conventions=raw.conventions, **others
        ),
    )  # fmt: skip


def trials_of_metrics(
    runs: Sequence[Ran],
    metrics: Mapping[str, npt.ArrayLike] | pd.DataFrame,
    bars: Bars,
    *,
    rules: str,
    source: Source = "sweep",
    hypothesis: str = "",
    run: str = "",
    signals: Sequence[Signals] | None = None,
) -> list[Trial]:
    """Return the trials of many runs over the same bars; skewness, kurtosis and returns are not known.

    Parameters
    ----------
    runs
        What was run, one each.
    metrics
        Columns by name, each of shape (runs,), among them `sharpe` (annual) and `sessions`.
    signals
        Of each run, which tell apart what its values cannot.
    """
    names = ("sharpe", "sessions", *(name for name in _KEPT if name in metrics))
    columns = {name: np.asarray(metrics[name]).tolist() for name in names}
    span = range_of(bars)
    return [
        Trial(
            strategy=ran.strategy, data=bars.fingerprint, parameters=ran.parameters, source=source,
            hypothesis=hypothesis, rules=rules, version=ran.version, run=run, **span,
            **_figures({name: values[index] for name, values in columns.items()}, bars),
        )
        for index, ran in enumerate(settled(runs, signals))
    ]  # fmt: skip


# Telling


class Trials:
    """Tells a sink of trials, and never costs the run that made them.

    Trials that could not be stored are kept, and given once more when the run ends; if that fails too, a
    warning says how many are not counted.
    """

    def __init__(self, sink: TrialSink | None) -> None:
        self.wanted = sink is not None
        self._sink = sink
        self._waiting: list[Trial] = []

    def __call__(self, trials: Sequence[Trial]) -> None:
        """Store trials, or keep them for later where the sink has failed before."""
        if self._sink is None:
            return
        if self._waiting or _refusal(self._sink, trials) is not None:
            # it may have waited long for others: once is enough until the end
            self._waiting.extend(trials)

    def finish(self) -> None:
        """Store what could not be stored yet, or warn that it is not counted (`OPTIMIZE_NOT_COUNTED`)."""
        if self._sink is not None and self._waiting:
            tell(self._sink, self._waiting)
        self._waiting = []


def tell(sink: TrialSink, trials: Sequence[Trial]) -> None:
    """Tell a sink of a run's trials; where it cannot store them, warn with OPTIMIZE_NOT_COUNTED."""
    error = _refusal(sink, trials)
    if error is not None:
        count = f"{len(trials):,} trials are" if len(trials) != 1 else "1 trial is"
        warn(
            f"{count} not counted, so the best of all will look better than it is: "
            f"{' '.join(str(error).split())}",
            code="OPTIMIZE_NOT_COUNTED",
            stacklevel=4,  # of whoever ran a backtest or a sweep
        )


# Parts


def _refusal(sink: TrialSink, trials: Sequence[Trial]) -> Exception | None:
    try:
        sink.record(trials)
    except Exception as error:  # whatever a sink does, the result of the run is worth more
        return error
    return None


def range_of(bars: Bars) -> dict[str, Any]:
    """Return the first and the last label of bars as a trial has them."""
    return {"first_ts": int(bars.ts[0]), "last_ts": int(bars.ts[-1])} if len(bars) else {}


def _figures(metrics: Mapping[str, Any], bars: Bars) -> dict[str, Any]:
    sharpe = float(metrics["sharpe"]) / math.sqrt(bars.sessions_per_year)
    return {
        "sharpe": sharpe if math.isfinite(sharpe) else math.nan,
        "sessions": int(metrics["sessions"]),
        "metrics": {name: float(metrics[name]) for name in _KEPT if name in metrics},
    }


def _check(trial: Trial) -> None:
    if trial.source not in SOURCES:
        raise _wrong(f"the source of a trial is {trial.source!r}.{did_you_mean(str(trial.source), SOURCES)}")
    if not trial.strategy:
        raise _wrong("a trial has no strategy; give its name")
    for name in ("sharpe", "skewness", "kurtosis"):
        if math.isinf(getattr(trial, name)):
            raise _wrong(f"{name} of a trial of {trial.strategy} is infinite; what is not known is NaN")
    if trial.sessions < 0 or trial.last_ts < trial.first_ts:
        raise _wrong(
            f"a trial of {trial.strategy} has {trial.sessions} sessions from {trial.first_ts} to "
            f"{trial.last_ts}; it cannot end before it begins"
        )
    if trial.returns is not None and np.ndim(trial.returns) != 1:
        raise _wrong(
            f"returns of a trial of {trial.strategy} have shape {np.shape(trial.returns)}; they are one "
            "series"
        )


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, code="OPTIMIZE_TRIAL")
