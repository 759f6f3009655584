"""What goes over the wire: decimals without exponents, RFC 3339 times; and alpaca-py's models read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from alpaca.trading.models import NonTradeActivity, Order, Position, TradeAccount, TradeActivity, TradeUpdate
from hypothesis import given
from hypothesis import strategies as st

from live.exchange import wire
from live.venue.types import VenueAccount, VenueActivity, VenueOrder, VenuePosition, VenueUpdate
from tests.budget import cases

NOON = datetime(2024, 1, 2, 12, 0, 0, 5, tzinfo=UTC)
ORDER_ID = "4d8fb9d0-6c4a-4e0c-8a5a-0123456789ab"


def venue_order(**changes: Any) -> VenueOrder:
    plain: dict[str, Any] = {
        "id": ORDER_ID, "client_order_id": "mine", "symbol": "AAPL", "side": "buy", "kind": "limit",
        "order_class": "simple", "tif": "day", "status": "new", "qty": 3.0, "notional": None,
        "filled_qty": 0.0, "filled_avg_price": None, "limit_price": 99.5, "stop_price": None,
        "trail_price": None, "trail_percent": None, "hwm": None, "extended_hours": False,
        "position_intent": None, "ratio_qty": None, "legs": (), "parent_id": "", "replaces": "",
        "replaced_by": "", "asset_class": "us_equity", "created_at": NOON, "updated_at": NOON,
        "submitted_at": NOON, "filled_at": None, "canceled_at": None,
        "expired_at": None, "replaced_at": None, "reject_reason": "",
    }  # fmt: skip
    return VenueOrder(**{**plain, **changes})


@cases(many=500, few=100)
@given(st.floats(min_value=-1e12, max_value=1e12, allow_nan=False))
def test_a_decimal_says_the_number_to_nine_places(value: float) -> None:
    text = wire.decimal(value)
    assert text is not None
    assert "e" not in text.lower()
    assert text != "-0"
    assert not text.endswith(".")
    assert abs(Decimal(text) - Decimal(value)) <= Decimal("5.1e-10") + abs(Decimal(value)) * Decimal("3e-16")


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), None), (float("-inf"), None),
     (0.0, "0"), (-0.0, "0"), (1e-9, "0.000000001"), (1e-10, "0"), (1e22, "10000000000000000000000"),
     (123.45, "123.45"), (-1.1, "-1.1"), (1e16, "10000000000000000"), (3, "3")],
)  # fmt: skip
def test_decimals(value: float, text: str | None) -> None:
    assert wire.decimal(value) == text


def test_times_are_utc_with_microseconds() -> None:
    assert wire.timestamp(NOON) == "2024-01-02T12:00:00.000005Z"
    zoned = NOON.astimezone(timezone(timedelta(hours=-5)))
    assert wire.timestamp(zoned) == wire.timestamp(NOON)
    assert wire.timestamp(None) is None


def test_ids_follow_from_names() -> None:
    assert wire.asset_id("AAPL") == wire.asset_id("AAPL") != wire.asset_id("MSFT")
    assert wire.as_uuid(ORDER_ID) == ORDER_ID
    assert wire.as_uuid("paper") == wire.as_uuid("paper") != wire.as_uuid("other")


def test_an_order_is_read_by_the_client() -> None:
    read = Order(**json.loads(json.dumps(wire.order(venue_order()))))
    assert str(read.id) == ORDER_ID
    assert (read.symbol, read.qty, read.limit_price, read.status.value) == ("AAPL", "3", "99.5", "new")
    assert read.submitted_at == NOON
    assert read.legs is None


def test_legs_are_shown_where_they_are_asked_for() -> None:
    child = venue_order(id="4d8fb9d0-6c4a-4e0c-8a5a-0123456789ac", parent_id=ORDER_ID, status="held")
    parent = venue_order(order_class="bracket", legs=(child,))
    shown = Order(**wire.order(parent))
    assert shown.legs is not None
    assert shown.legs[0].status.value == "held"
    assert Order(**wire.order(parent, nested=False)).legs is None


def test_the_price_of_a_package_has_the_clients_sign() -> None:
    leg = venue_order(
        symbol="SPY261218P00500000", asset_class="us_option", order_class="mleg", kind="limit", ratio_qty=1,
        parent_id=ORDER_ID, limit_price=None, filled_avg_price=3.2,
    )  # fmt: skip
    package = venue_order(
        symbol="", asset_class="", order_class="mleg", limit_price=0.8, filled_avg_price=0.75, legs=(leg,)
    )
    read = Order(**json.loads(json.dumps(wire.order(package))))
    assert (read.limit_price, read.filled_avg_price) == ("-0.8", "-0.75")
    assert (read.symbol, read.side, read.asset_class) == (None, None, None)
    assert read.legs is not None
    assert (read.legs[0].filled_avg_price, read.legs[0].ratio_qty) == ("3.2", "1")
    assert wire.order(package, nested=False)["legs"] == wire.order(package)["legs"]
    told = VenueUpdate(event="fill", order=package, time=NOON, sequence=1, price=0.75, qty=2.0)
    assert wire.update(told)["price"] == "-0.75"


def test_an_order_by_notional_has_no_quantity() -> None:
    read = Order(**wire.order(venue_order(qty=None, notional=100.0, kind="market", limit_price=None)))
    assert (read.qty, read.notional) == (None, "100")


def test_positions_are_read_by_the_client() -> None:
    short = VenuePosition(
        symbol="AAPL", asset_class="us_equity", qty=-4.0, qty_available=3.0, multiplier=1.0,
        avg_entry_price=100.0,
        current_price=90.0, lastday_price=95.0, market_value=-360.0, cost_basis=-400.0, unrealized_pl=40.0,
        unrealized_intraday_pl=20.0,
    )  # fmt: skip
    read = Position(**wire.position(short))
    assert (read.qty, read.qty_available, read.side.value) == ("-4", "-3", "short")
    assert (read.market_value, read.unrealized_pl, read.unrealized_plpc) == ("-360", "40", "0.1")
    assert float(read.unrealized_intraday_plpc or 0) == pytest.approx(20 / 380)
    assert float(read.change_today or 0) == pytest.approx(90 / 95 - 1)


def test_the_account_is_read_by_the_client() -> None:
    held = VenueAccount(
        id="paper", created_at=NOON, cash=1000.5, equity=1200.0, last_equity=1100.0, buying_power=900.0,
        multiplier=1.0, long_market_value=199.5, short_market_value=0.0, initial_margin=99.75,
        realized_pl=0.0, fees=0.0,
    )  # fmt: skip
    read = TradeAccount(**wire.account(held))
    assert (read.cash, read.equity, read.last_equity, read.buying_power) == ("1000.5", "1200", "1100", "900")
    assert (read.non_marginable_buying_power, read.currency, read.status.value) == ("900", "USD", "ACTIVE")


def test_activities_are_read_by_the_client() -> None:
    fill = VenueActivity(
        id="20240102120000000::a", kind="FILL", time=NOON, symbol="AAPL", side="sell_short", qty=2.0,
        price=10.5,
        net_amount=21.0, order_id=ORDER_ID, execution_id="e", cum_qty=2.0, leaves_qty=1.0, partial=True,
    )  # fmt: skip
    shown = wire.activity(fill, "paper")
    assert shown["side"] == "sell_short"
    read = TradeActivity(**{**shown, "side": "sell"})
    assert (read.qty, read.price, read.leaves_qty, read.type.value) == (2.0, 10.5, 1.0, "partial_fill")
    dividend = VenueActivity(
        id="20240102120000000::b",
        kind="DIV",
        time=NOON,
        symbol="AAPL",
        qty=100.0,
        price=0.24,
        net_amount=24.0,
    )
    paid = NonTradeActivity(**wire.activity(dividend, "paper"))
    assert (paid.net_amount, paid.per_share_amount, paid.symbol) == (24.0, 0.24, "AAPL")


def test_an_update_is_read_by_the_client() -> None:
    told = VenueUpdate(
        event="partial_fill", order=venue_order(status="partially_filled", filled_qty=1.0), time=NOON,
        sequence=3,
        execution_id=ORDER_ID, price=99.25, qty=1.0, position_qty=-1.0,
    )  # fmt: skip
    read = TradeUpdate(**json.loads(json.dumps(wire.update(told))))
    assert (read.event, read.price, read.qty, read.position_qty) == ("partial_fill", 99.25, 1.0, -1.0)
    assert str(read.execution_id) == ORDER_ID
