"""What journal tests are made of: a clock that stands still, a spread, its size, a signal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from journal import TradeJournal
from simulator.opportunity import Opportunity, OptionLeg, Sizing
from simulator.types import SignalStrength, TradingSignal

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
EXPIRY = date(2026, 2, 20)


class Clock:
    """Time that goes on only when told."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


class Desk:
    """A journal and its clock."""

    def __init__(self, where: Any, **options: Any) -> None:
        self.clock = Clock()
        self.journal = TradeJournal(where, clock=self.clock, **options)


def put_spread(**changes: Any) -> Opportunity:
    """A SPY 95/90 put spread at 1.85 credit; mid 1.90, five wide, 45 days."""
    legs = (
        OptionLeg(-1, "put", 95.0, EXPIRY, 1, 2.85, 2.95, 0.22, -0.30),
        OptionLeg(1, "put", 90.0, EXPIRY, 1, 0.95, 1.05, 0.24, -0.18),
    )
    values: dict[str, Any] = {
        "symbol": "SPY", "strategy": "short-put-spread", "legs": legs, "expiry": EXPIRY, "dte": 46,
        "as_of": START, "spot": 100.0, "credit": 1.85, "mid_credit": 1.90, "width": 5.0, "max_profit": 185.0,
        "max_loss": 315.0, "break_evens": (93.15,), "probability_of_profit": 0.71,
        "probability_basis": "surface", "expected_value": -4.0, "margin": 500.0, "buying_power": 316.0,
        "risk": 315.0, "risk_basis": "max loss", "iv": 0.21, "iv_rank": 62.0, "delta": 12.0, "theta": 2.5,
        "vega": -6.0, "score": 74.0, "grade": "quoted", "notes": ("liquid",),
    }  # fmt: skip
    return Opportunity(**{**values, **changes})


def short_put(**changes: Any) -> Opportunity:
    """A naked 95 put at 2.90: no bounded width, sized by two deviations."""
    legs = (OptionLeg(-1, "put", 95.0, EXPIRY, 1, 2.90, 3.00),)
    values: dict[str, Any] = {
        "strategy": "cash-secured-put", "legs": legs, "credit": 2.90, "mid_credit": 2.95, "width": None,
        "max_profit": 290.0, "max_loss": 9210.0, "risk": 700.0, "risk_basis": "2 sigma",
    }  # fmt: skip
    return replace(put_spread(), **{**values, **changes})


def sizing(contracts: int = 5, **changes: Any) -> Sizing:
    """What a sizer would grant."""
    values: dict[str, Any] = {
        "contracts": contracts, "total_credit": 185.0 * contracts, "max_loss": 315.0 * contracts,
        "risk": 315.0 * contracts, "buying_power": 316.0 * contracts, "account_percent": 3.4,
        "heat_percent": 3.4, "rule": "risk_per_trade", "limits": {"risk_per_trade": float(contracts)},
        "reasons": ("5 % of 46,000 is 2,300",), "account_size": 46_000.0,
    }  # fmt: skip
    return Sizing(**{**values, **changes})


def signal(**changes: Any) -> TradingSignal:
    """Buy 100 AAPL at 50, stop 48, target 56."""
    values: dict[str, Any] = {
        "signal_id": "s-1", "ticker": "AAPL", "side": 1, "entry_price": 50.0, "stop_loss": 48.0,
        "target_price": 56.0, "position_size": 100, "strength": SignalStrength.STRONG, "risk_amount": 200.0,
        "reward_amount": 600.0, "risk_reward_ratio": 3.0, "signal_type": "breakout", "created_at": START,
        "score": 81.0, "sector": "Technology",
    }  # fmt: skip
    return TradingSignal(**{**values, **changes})
