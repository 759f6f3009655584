"""A trial: one parameter set that was run over one stretch of data, and what came of it.

What has been tried decides how much the best is worth, so every run is a trial: backtests by hand, lanes of a
sweep, trials of a study, windows of a walk-forward. A trial's `id` is made of what was run and not of when,
by whom, or with which outcome: the same run reported twice, by a retry or by a second worker, is the same
trial. Trials that search for the same edge share a `hypothesis`, by default the strategy on its data.

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

from simulator.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars import Bars
    from simulator.results import Result

__all__ = ["SOURCES", "Source", "Trial", "hypothesis_of", "trial_of_result", "trials_of_table"]

Floats = npt.NDArray[np.float64]
Source = Literal["backtest", "sweep", "study", "walk_forward"]

SOURCES: Final[tuple[Source, ...]] = ("backtest", "sweep", "study", "walk_forward")

_SHOWN: Final = 12  # hex digits of a fingerprint that tell data apart
_ID_DIGITS: Final = 32  # 128 bits


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
        What else decides the outcome: limits, costs, conventions; and the state of the strategy's code.
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


def trial_of_result(
    result: Result,
    *,
    strategy: str,
    parameters: Mapping[str, Any],
    source: Source = "backtest",
    hypothesis: str = "",
    rules: str = "",
    run: str = "",
) -> Trial:
    """Return the trial of one backtest, with its session returns."""
    from optimize.sharpe import sharpe_sample

    returns = np.asarray(result.returns.to_numpy(), np.float64)
    sample = sharpe_sample(returns)
    bars = result.raw.bars
    return Trial(
        strategy=strategy, data=bars.fingerprint, parameters=parameters, source=source,
        hypothesis=hypothesis, **_range(bars), sharpe=sample.sharpe, sessions=sample.observations,
        skewness=sample.skewness, kurtosis=sample.kurtosis, returns=returns, rules=rules,
        run=run or result.fingerprint,
    )  # fmt: skip


def trials_of_table(
    table: pd.DataFrame,
    bars: Bars,
    *,
    strategy: str,
    parameters: Sequence[str],
    source: Source = "sweep",
    hypothesis: str = "",
    rules: str = "",
    run: str = "",
) -> list[Trial]:
    """Return the trials of a sweep's table, one per row; skewness, kurtosis and returns are not known.

    Parameters
    ----------
    table
        Parameters, then metrics, among them `sharpe` (annual) and `sessions`.
    bars
        What was swept over.
    parameters
        Columns that are parameters.

    Raises
    ------
    ConfigError
        OPTIMIZE_TABLE for a missing column.
    """
    for name in (*parameters, "sharpe", "sessions"):
        if name not in table:
            raise ConfigError(
                f"the table has no column {name!r}.{did_you_mean(name, map(str, table.columns))}",
                code="OPTIMIZE_TABLE",
            )
    year = math.sqrt(bars.sessions_per_year)
    kept = [name for name in ("total_return", "max_drawdown", "trades") if name in table]
    shared = {
        "strategy": strategy, "data": bars.fingerprint, "source": source, "hypothesis": hypothesis,
        "rules": rules, "run": run, **_range(bars),
    }  # fmt: skip
    return [
        Trial(
            parameters={name: row[name] for name in parameters},
            sharpe=float(row["sharpe"]) / year,
            sessions=int(row["sessions"]),
            metrics={name: float(row[name]) for name in kept},
            **shared,
        )
        for row in table.to_dict("records")
    ]


def plain(value: Any) -> Any:
    """Return a value as JSON has it, the same for equal values: 10.0 is 10, NaN is null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return int(value) if value.is_integer() else value
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _range(bars: Bars) -> dict[str, Any]:
    return {"first_ts": int(bars.ts[0]), "last_ts": int(bars.ts[-1])} if len(bars) else {}


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
