"""Parameter search and its checks: what was tried, and what the best of it is worth.

`TrialLedger` counts every trial ever run; `deflated_sharpe` and its companions say what the best Sharpe ratio
means after so many; `probability_of_backtest_overfitting`, `reality_check` and `spa` ask the same of the
trials' returns; `random_entry_null` and `bootstrap_bars` compare with chance, `plateau_score` with the
neighbours. The package builds on `journal`. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimize.bootstrap import block_indices, bootstrap_bars, bootstrap_returns, optimal_block_length
    from optimize.deflation import DeflatedSharpe, deflate
    from optimize.evaluate import Evaluator, Rules, evaluate
    from optimize.ledger import HypothesisRecord, TrialLedger
    from optimize.null import RandomEntryNull, random_entries, random_entry_null
    from optimize.objectives import OBJECTIVES, Objective
    from optimize.overfitting import (
        BacktestOverfitting,
        probability_of_backtest_overfitting,
    )
    from optimize.returns import effective_trials
    from optimize.sharpe import (
        SharpeSample,
        deflated_sharpe,
        expected_max_sharpe,
        min_backtest_length,
        min_track_record_length,
        probabilistic_sharpe,
        sharpe_sample,
    )
    from optimize.strategy import StrategyStudy, tune_strategy
    from optimize.superiority import SuperiorityTest, reality_check, spa
    from optimize.surface import Plateau, plateau_score, plot_surface, surface_page
    from optimize.trials import Trial, hypothesis_of, trial_of_result, trials_of_table

__all__ = [
    "OBJECTIVES",
    "BacktestOverfitting",
    "DeflatedSharpe",
    "Evaluator",
    "HypothesisRecord",
    "Objective",
    "Plateau",
    "RandomEntryNull",
    "Rules",
    "SharpeSample",
    "StrategyStudy",
    "SuperiorityTest",
    "Trial",
    "TrialLedger",
    "block_indices",
    "bootstrap_bars",
    "bootstrap_returns",
    "deflate",
    "deflated_sharpe",
    "effective_trials",
    "evaluate",
    "expected_max_sharpe",
    "hypothesis_of",
    "min_backtest_length",
    "min_track_record_length",
    "optimal_block_length",
    "plateau_score",
    "plot_surface",
    "probabilistic_sharpe",
    "probability_of_backtest_overfitting",
    "random_entries",
    "random_entry_null",
    "reality_check",
    "sharpe_sample",
    "spa",
    "surface_page",
    "trial_of_result",
    "trials_of_table",
    "tune_strategy",
]

_HOMES = {
    "bootstrap": ("block_indices", "bootstrap_bars", "bootstrap_returns", "optimal_block_length"),
    "deflation": ("DeflatedSharpe", "deflate"),
    "evaluate": ("Evaluator", "Rules", "evaluate"),
    "ledger": ("HypothesisRecord", "TrialLedger"),
    "null": ("RandomEntryNull", "random_entries", "random_entry_null"),
    "objectives": ("OBJECTIVES", "Objective"),
    "overfitting": ("BacktestOverfitting", "probability_of_backtest_overfitting"),
    "returns": ("effective_trials",),
    "sharpe": (
        "SharpeSample", "deflated_sharpe", "expected_max_sharpe", "min_backtest_length",
        "min_track_record_length", "probabilistic_sharpe", "sharpe_sample",
    ),
    "strategy": ("StrategyStudy", "tune_strategy"),
    "superiority": ("SuperiorityTest", "reality_check", "spa"),
    "surface": ("Plateau", "plateau_score", "plot_surface", "surface_page"),
    "trials": ("Trial", "hypothesis_of", "trial_of_result", "trials_of_table"),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"optimize.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
