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
    from live.automation_broker import PaperBroker
    from live.automation_config import AutomationConfig, AutomationMode, ExecutionMode
    from live.clock import Clock, FakeClock, system_clock
    from live.feeds import Feed
    from live.feeds.replay import ReplayFeed
    from live.kill_switch import KillSwitch, KillSwitchError
    from live.outcome import StepOutcome
    from live.parity import Receipt, verify_parity
    from live.session import Session
    from live.session_commands import queue_command
    from live.trading_automation import TradingAutomation

__all__ = [
    "AutomationConfig",
    "AutomationMode",
    "Clock",
    "ExecutionMode",
    "FakeClock",
    "Feed",
    "KillSwitch",
    "KillSwitchError",
    "PaperBroker",
    "Receipt",
    "ReplayFeed",
    "Session",
    "StepOutcome",
    "TradingAutomation",
    "queue_command",
    "system_clock",
    "verify_parity",
]

_HOMES = {
    "AutomationConfig": "automation_config",
    "AutomationMode": "automation_config",
    "Clock": "clock",
    "ExecutionMode": "automation_config",
    "FakeClock": "clock",
    "Feed": "feeds",
    "KillSwitch": "kill_switch",
    "KillSwitchError": "kill_switch",
    "PaperBroker": "automation_broker",
    "Receipt": "parity",
    "ReplayFeed": "feeds.replay",
    "Session": "session",
    "StepOutcome": "outcome",
    "TradingAutomation": "trading_automation",
    "queue_command": "session_commands",
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
