"""Paper trading: sessions that live in the journal, and what stands around them.

A `Session` feeds completed bars through the same step as a backtest, one transaction per bar, and goes on
after a crash where it was; `verify_parity` replays what it recorded through the backtest driver and compares
every byte. `ReplayFeed` plays stored bars. The kill switch, the submit gate, brokers and the review queue
stand before every order; `TradingAutomation` puts them together. Builds on `journal`, `strategies` and
`simulator`. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.alerts import Alerts
    from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
    from live.brokers.paper import PaperBroker
    from live.clock import Clock, FakeClock, system_clock
    from live.comparison import Comparison, compare_with_backtest
    from live.feeds import Feed
    from live.feeds.replay import ReplayFeed
    from live.feeds.spec import feed_of
    from live.feeds.yahoo import YahooFeed
    from live.feeds.yahoo_stream import YahooStream
    from live.intents import IntentLog
    from live.kill_switch import KillSwitch, KillSwitchError
    from live.opening import open_desk
    from live.parity import Receipt, verify_parity
    from live.reconcile import Reconciler
    from live.session import Session
    from live.sessions.commands import queue_command
    from live.sessions.outcome import StepOutcome
    from live.trading_automation import TradingAutomation

__all__ = [
    "Alerts",
    "AutomationConfig",
    "AutomationMode",
    "Clock",
    "Comparison",
    "ExecutionMode",
    "FakeClock",
    "Feed",
    "IntentLog",
    "KillSwitch",
    "KillSwitchError",
    "PaperBroker",
    "Receipt",
    "Reconciler",
    "ReplayFeed",
    "Session",
    "StepOutcome",
    "TradingAutomation",
    "YahooFeed",
    "YahooStream",
    "compare_with_backtest",
    "feed_of",
    "open_desk",
    "queue_command",
    "system_clock",
    "verify_parity",
]

_HOMES = {
    "Alerts": "alerts",
    "AutomationConfig": "automation.config",
    "AutomationMode": "automation.config",
    "Clock": "clock",
    "Comparison": "comparison",
    "ExecutionMode": "automation.config",
    "FakeClock": "clock",
    "IntentLog": "intents",
    "Feed": "feeds",
    "KillSwitch": "kill_switch",
    "KillSwitchError": "kill_switch",
    "PaperBroker": "brokers.paper",
    "Receipt": "parity",
    "Reconciler": "reconcile",
    "ReplayFeed": "feeds.replay",
    "Session": "session",
    "StepOutcome": "sessions.outcome",
    "TradingAutomation": "trading_automation",
    "YahooFeed": "feeds.yahoo",
    "YahooStream": "feeds.yahoo_stream",
    "compare_with_backtest": "comparison",
    "feed_of": "feeds.spec",
    "open_desk": "opening",
    "queue_command": "sessions.commands",
    "system_clock": "clock",
    "verify_parity": "parity",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"live.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
