"""The trade journal: what was recommended, traded and learned, in an SQLite file or in PostgreSQL.

`TradeJournal` logs recommendations, entries and exits; `PerformanceTracker` measures what came of them;
`TradeLearningSystem` says what works, and `ParameterStore` keeps what was learned and approved;
`PositionTracker` compares the journal with a broker. The package builds on `simulator` and `strategies`;
`optimize` and `live` build on it. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from journal.contract import JournalContract
    from journal.database import Database
    from journal.learning_system import LearningAnalysis, TradeLearningSystem
    from journal.parameters import ParameterSet, ParameterStore
    from journal.performance.metrics import PerformanceMetrics
    from journal.performance.mistakes import MistakeCategory
    from journal.performance.report import PerformanceReport
    from journal.performance_tracker import PerformanceTracker, TradeRecord
    from journal.position_tracker import Difference, PositionTracker, SyncReport
    from journal.records import Campaign, Fill, Leg, Recommendation, Trade, TradeOutcome
    from journal.tax_lots import TaxReport
    from journal.trade_journal import TradeJournal

__all__ = [
    "Campaign",
    "Database",
    "Difference",
    "Fill",
    "JournalContract",
    "LearningAnalysis",
    "Leg",
    "MistakeCategory",
    "ParameterSet",
    "ParameterStore",
    "PerformanceMetrics",
    "PerformanceReport",
    "PerformanceTracker",
    "PositionTracker",
    "Recommendation",
    "SyncReport",
    "TaxReport",
    "Trade",
    "TradeJournal",
    "TradeLearningSystem",
    "TradeOutcome",
    "TradeRecord",
]

_HOMES = {
    "Campaign": "records",
    "Database": "database",
    "Difference": "position_tracker",
    "Fill": "records",
    "JournalContract": "contract",
    "LearningAnalysis": "learning_system",
    "Leg": "records",
    "MistakeCategory": "performance.mistakes",
    "ParameterSet": "parameters",
    "ParameterStore": "parameters",
    "PerformanceMetrics": "performance.metrics",
    "PerformanceReport": "performance.report",
    "PerformanceTracker": "performance_tracker",
    "PositionTracker": "position_tracker",
    "Recommendation": "records",
    "SyncReport": "position_tracker",
    "TaxReport": "tax_lots",
    "Trade": "records",
    "TradeJournal": "trade_journal",
    "TradeLearningSystem": "learning_system",
    "TradeOutcome": "records",
    "TradeRecord": "performance_tracker",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"journal.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
