"""What tests of automations share: the signals of the quick start, scripts of acts, and pictures of accounts.

The account of the quick start: 100,000 of cash, 2 % risk, an entry at 150 with a stop at 145 and a target at
160. Two percent are 2,000, the stop is 5 away, so 400 shares are asked for. They are 60,000, and the default
limit of 25 % per sector leaves 25,000 / 150 = 166 shares; `roomy` lifts that limit where a test wants 400.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from live.automation.config import AutomationConfig
from live.clock import FakeClock
from live.trading_automation import TradingAutomation
from simulator.kernel.state import to_bytes
from simulator.order_manager import BracketOrder
from simulator.types import TradingSignal
from strategies import create_manual_signal
from strategies.patterns.scan import PatternScan

START = datetime(2026, 3, 2, 15, tzinfo=UTC)
"""A Monday in a New York session."""
SYMBOLS = ("AAPL", "MSFT", "XOM")
Act = Callable[[TradingAutomation], object]
Open = Callable[..., TradingAutomation]


def openings(clock: FakeClock) -> Iterator[Open]:
    """Give what opens automations with the published defaults, and close them afterwards."""
    opened: list[TradingAutomation] = []

    def make(
        *, journal: Any = None, sectors: dict[str, str] | None = None, **settings: Any
    ) -> TradingAutomation:
        opened.append(
            TradingAutomation(AutomationConfig(**settings), journal=journal, clock=clock, sectors=sectors)
        )
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def roomy(**settings: Any) -> dict[str, Any]:
    """Settings without a limit per sector."""
    return {"max_sector_exposure_pct": 100.0, **settings}


def aapl(**changes: Any) -> TradingSignal:
    """The signal of the quick start."""
    given: dict[str, Any] = {
        "ticker": "AAPL", "entry_price": 150.0, "stop_loss": 145.0, "target_price": 160.0,
        "account_size": 100_000, "created_at": START,
    }  # fmt: skip
    return create_manual_signal(**{**given, **changes})


def wide(ticker: str, **changes: Any) -> TradingSignal:
    """Entry 100, stop 80: 2 % of risk are 100 shares, a tenth of the account."""
    return aapl(
        ticker=ticker, entry_price=100.0, stop_loss=80.0, target_price=140.0, sector=ticker, **changes
    )


def pattern(**changes: Any) -> PatternScan:
    """A pattern with the levels of the quick start."""
    given: dict[str, Any] = {
        "symbol": "AAPL", "time": START, "pattern": "flag", "entry": 150.0, "stop": 145.0, "target": 160.0,
        "score": 80.0, "components": {"shallow": 25.0, "pole": 25.0}, "sector": "Technology",
    }  # fmt: skip
    return PatternScan(**{**given, **changes})


def entered(automation: TradingAutomation, signal: TradingSignal) -> BracketOrder:
    """Process and execute a signal."""
    assert automation.process_signal(signal) is not None, automation.refusal(signal.signal_id)
    bracket = automation.execute_signal(signal.signal_id)
    assert bracket is not None, automation.refusal(signal.signal_id)
    return bracket


def automation_in(folder: Path, clock: FakeClock, **settings: Any) -> TradingAutomation:
    """Open an automation over the journal in a folder."""
    return TradingAutomation(AutomationConfig(**settings), journal=folder / "trades.db", clock=clock)


def acts(clock: FakeClock) -> list[Act]:
    """Three trades in three sectors (stopped, closed by hand, scaled out and open) and a refused signal."""

    def enter(symbol: str) -> Act:
        def act(machine: TradingAutomation) -> None:
            idea = create_manual_signal(symbol, 100.0, 95.0, 115.0, 100_000, sector=symbol, created_at=START)
            entered(machine, idea)

        return act

    def refused(machine: TradingAutomation) -> None:
        idea = create_manual_signal("KO", 100.0, 95.0, 101.0, 100_000, created_at=START)
        assert machine.process_signal(idea) is None

    return [
        *(enter(symbol) for symbol in SYMBOLS),
        lambda _: clock.advance(timedelta(hours=3)),
        lambda machine: machine.update_positions({"AAPL": 101.0, "XOM": 106.0}),
        refused,
        lambda _: clock.advance(timedelta(days=1)),
        lambda machine: machine.update_positions({"AAPL": 94.0}),
        lambda machine: machine.close_position("MSFT", exit_price=103.0, reason="enough"),
        lambda machine: machine.update_positions({"XOM": 107.0}),
    ]


def picture(machine: TradingAutomation) -> dict[str, Any]:
    """All that an automation knows and has written, in a form that can be compared."""
    journal = machine.journal
    trades = journal.trades(source="paper")
    return {
        "state": to_bytes(machine.account.state),
        "trades": [
            (t.symbol, t.status, t.quantity, t.open_quantity, t.pnl, t.close_reason, t.r_multiple, t.entry_ts)
            for t in trades
        ],
        "fills": [(f.symbol, f.side, f.quantity, f.price, f.ts) for t in trades for f in journal.fills(t.id)],
        "links": [t.recommendation_id for t in trades],
        "ideas": [
            (r.symbol, r.status, r.decision, r.details) for r in journal.recommendations(source="paper")
        ],
        "orders": sorted(f"{order} {order.history}" for order in machine.order_manager.get_orders()),
        "trails": machine.order_manager.trailing_stops(),
        "executions": [(e.symbol, e.side, e.quantity, e.price, e.time) for e in machine.broker.executions()],
        "broker": machine.broker.get_orders(open_only=False),
    }
