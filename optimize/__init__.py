"""Parameter search and its checks: what was tried, and what the best of it is worth.

`TrialLedger` counts every trial ever run; `deflated_sharpe` and its companions say what the best Sharpe ratio
means after so many; `probability_of_backtest_overfitting`, `reality_check` and `spa` ask the same of the
trials' returns; `random_entry_null` and `bootstrap_bars` compare with chance, `plateau_score` with the
neighbours. `trade_quality` says how likely a recommendation is to succeed, where that can be said. The
package builds on `journal`. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimize.evaluator import Evaluator, Rules, evaluate
    from optimize.forward import Verdict, WalkForward, walk_forward
    from optimize.journal import Tuning, tune_journal
    from optimize.ledger import HypothesisRecord, TrialLedger
    from optimize.machines import run_jobs
    from optimize.objectives import OBJECTIVES, Objective
    from optimize.portfolio.forward import WeightsForward, walk_weights_forward
    from optimize.portfolio.risk_budget import RiskBudget
    from optimize.portfolio.sleeves import sleeve_returns
    from optimize.quality import JournalQuality, TradeQuality, trade_quality
    from optimize.splits import (
        Split,
        anchored,
        combinatorial_paths,
        combinatorial_purged,
        purged_k_fold,
        rolling,
    )
    from optimize.statistics.bootstrap import (
        block_indices,
        bootstrap_bars,
        bootstrap_returns,
        optimal_block_length,
    )
    from optimize.statistics.deflation import DeflatedSharpe, deflate
    from optimize.statistics.null import RandomEntryNull, random_entries, random_entry_null
    from optimize.statistics.overfitting import (
        BacktestOverfitting,
        probability_of_backtest_overfitting,
    )
    from optimize.statistics.returns import effective_trials
    from optimize.statistics.sharpe import (
        SharpeSample,
        deflated_sharpe,
        expected_max_sharpe,
        min_backtest_length,
        min_track_record_length,
        probabilistic_sharpe,
        sharpe_sample,
    )
    from optimize.statistics.sharpe_difference import SharpeDifference, sharpe_difference
    from optimize.statistics.superiority import SuperiorityTest, reality_check, spa
    from optimize.strategy import StrategyStudy, tune_strategy
    from optimize.surface import Plateau, plateau_score, plot_surface, surface_page
    from optimize.trials import Trial, hypothesis_of, trial_of_result, trials_of_table
    from optimize.tuning.adoption import propose
    from optimize.tuning.cases import Cases
    from optimize.tuning.proposal import Proposal
    from optimize.tuning.refused import log_refused
    from optimize.weights import PortfolioWeights, portfolio_weights

__all__ = [
    "OBJECTIVES",
    "BacktestOverfitting",
    "Cases",
    "DeflatedSharpe",
    "Evaluator",
    "HypothesisRecord",
    "JournalQuality",
    "Objective",
    "Plateau",
    "PortfolioWeights",
    "Proposal",
    "RandomEntryNull",
    "RiskBudget",
    "Rules",
    "SharpeDifference",
    "SharpeSample",
    "Split",
    "StrategyStudy",
    "SuperiorityTest",
    "TradeQuality",
    "Trial",
    "TrialLedger",
    "Tuning",
    "Verdict",
    "WalkForward",
    "WeightsForward",
    "anchored",
    "block_indices",
    "bootstrap_bars",
    "bootstrap_returns",
    "combinatorial_paths",
    "combinatorial_purged",
    "deflate",
    "deflated_sharpe",
    "effective_trials",
    "evaluate",
    "expected_max_sharpe",
    "hypothesis_of",
    "log_refused",
    "min_backtest_length",
    "min_track_record_length",
    "optimal_block_length",
    "plateau_score",
    "plot_surface",
    "portfolio_weights",
    "probabilistic_sharpe",
    "probability_of_backtest_overfitting",
    "propose",
    "purged_k_fold",
    "random_entries",
    "random_entry_null",
    "reality_check",
    "rolling",
    "run_jobs",
    "sharpe_difference",
    "sharpe_sample",
    "sleeve_returns",
    "spa",
    "surface_page",
    "trade_quality",
    "trial_of_result",
    "trials_of_table",
    "tune_journal",
    "tune_strategy",
    "walk_forward",
    "walk_weights_forward",
]

_HOMES = {
    "statistics.bootstrap": ("block_indices", "bootstrap_bars", "bootstrap_returns", "optimal_block_length"),
    "statistics.deflation": ("DeflatedSharpe", "deflate"),
    "evaluator": ("Evaluator", "Rules", "evaluate"),
    "forward": ("Verdict", "WalkForward", "walk_forward"),
    "ledger": ("HypothesisRecord", "TrialLedger"),
    "journal": ("Tuning", "tune_journal"),
    "machines": ("run_jobs",),
    "statistics.null": ("RandomEntryNull", "random_entries", "random_entry_null"),
    "objectives": ("OBJECTIVES", "Objective"),
    "statistics.overfitting": ("BacktestOverfitting", "probability_of_backtest_overfitting"),
    "quality": ("JournalQuality", "TradeQuality", "trade_quality"),
    "statistics.returns": ("effective_trials",),
    "portfolio.risk_budget": ("RiskBudget",),
    "statistics.sharpe": (
        "SharpeSample", "deflated_sharpe", "expected_max_sharpe", "min_backtest_length",
        "min_track_record_length", "probabilistic_sharpe", "sharpe_sample",
    ),
    "statistics.sharpe_difference": ("SharpeDifference", "sharpe_difference"),
    "portfolio.sleeves": ("sleeve_returns",),
    "splits": (
        "Split", "anchored", "combinatorial_paths", "combinatorial_purged", "purged_k_fold", "rolling",
    ),
    "strategy": ("StrategyStudy", "tune_strategy"),
    "statistics.superiority": ("SuperiorityTest", "reality_check", "spa"),
    "surface": ("Plateau", "plateau_score", "plot_surface", "surface_page"),
    "trials": ("Trial", "hypothesis_of", "trial_of_result", "trials_of_table"),
    "tuning.adoption": ("propose",),
    "tuning.cases": ("Cases",),
    "tuning.proposal": ("Proposal",),
    "tuning.refused": ("log_refused",),
    "weights": ("PortfolioWeights", "portfolio_weights"),
    "portfolio.forward": ("WeightsForward", "walk_weights_forward"),
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
