"""Bodies of clients become the venue's values, or a refusal with Alpaca's code and the field's name."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.exchange.errors import Refusal
from live.exchange.intake import changes_of, flag_of, json_of, request_of, time_of, words_of
from live.venue.types import VenueLeg, VenueRequest
from tests.budget import cases

MARKET: dict[str, Any] = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
LEGS: list[dict[str, Any]] = [
    {"symbol": "SPY261218P00500000", "ratio_qty": 1, "side": "sell", "position_intent": "sell_to_open"},
    {"symbol": "SPY261218P00490000", "ratio_qty": "1", "side": "buy"},
]
PACKAGE: dict[str, Any] = {
    "qty": 2,
    "type": "limit",
    "time_in_force": "day",
    "order_class": "mleg",
    "legs": LEGS,
}


def test_numbers_may_be_numbers_or_texts() -> None:
    assert request_of({**MARKET, "qty": "1.5"}) == request_of({**MARKET, "qty": 1.5})
    assert request_of({**MARKET, "qty": "1.5"}) == VenueRequest(symbol="AAPL", qty=1.5)


def test_every_part_of_a_bracket_arrives() -> None:
    wanted = request_of(
        {
            **MARKET,
            "type": "limit",
            "limit_price": "100.5",
            "order_class": "bracket",
            "time_in_force": "gtc",
            "take_profit": {"limit_price": "110"},
            "stop_loss": {"stop_price": 95, "limit_price": 94.5},
            "client_order_id": "mine",
        }
    )
    assert wanted == VenueRequest(
        symbol="AAPL", side="buy", qty=1.0, kind="limit", limit_price=100.5, order_class="bracket", tif="gtc",
        take_profit=110.0, stop_loss=95.0, stop_loss_limit=94.5, client_order_id="mine",
    )  # fmt: skip


def test_a_package_that_is_paid_for_turns_its_sign() -> None:
    paid = request_of({**PACKAGE, "limit_price": "1.25"})
    assert paid.limit_price == -1.25
    assert request_of({**PACKAGE, "limit_price": -0.8}).limit_price == 0.8
    assert paid.legs == (
        VenueLeg(symbol="SPY261218P00500000", side="sell", position_intent="sell_to_open"),
        VenueLeg(symbol="SPY261218P00490000", side="buy"),
    )
    assert changes_of({"limit_price": 1.3}, package=True, kind="limit") == {"limit_price": -1.3}
    assert changes_of({"limit_price": 1.3}, package=False, kind="limit") == {"limit_price": 1.3}


def test_a_leg_may_have_its_intent_alone() -> None:
    leg = {"symbol": "SPY261218P00480000", "ratio_qty": 1, "position_intent": "buy_to_open"}
    assert request_of({**PACKAGE, "limit_price": 1, "legs": [LEGS[0], leg]}).legs[1].side == "buy"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": None}, "type is required"),
        ({"type": "iceberg"}, "invalid type"),
        ({"time_in_force": ""}, "time_in_force is required"),
        ({"time_in_force": "gtd"}, "invalid time_in_force"),
        ({"side": None}, "side is required"),
        ({"side": "hold"}, "invalid side"),
        ({"symbol": "  "}, "symbol is required"),
        ({"qty": None}, "qty or notional is required"),
        ({"notional": 10}, "only one of qty or notional"),
        ({"qty": 0}, "qty must be > 0"),
        ({"qty": "-3"}, "qty must be > 0"),
        ({"qty": "many"}, "qty must be a number"),
        ({"qty": True}, "qty must be a number"),
        ({"qty": "nan"}, "qty must be a finite number"),
        ({"qty": 1e999}, "qty must be a finite number"),
        ({"qty": "1_000"}, "qty must be a number"),
        ({"type": "limit"}, "limit orders require limit_price"),
        ({"type": "stop"}, "stop orders require stop_price"),
        ({"limit_price": 5}, "market orders must not have limit_price"),
        ({"stop_price": 5}, "market orders must not have stop_price"),
        ({"trail_percent": 5}, "must not have trail_price or trail_percent"),
        ({"type": "limit", "limit_price": -1}, "limit_price must be > 0"),
        ({"type": "trailing_stop"}, "exactly one of trail_price and trail_percent"),
        ({"type": "trailing_stop", "trail_price": 1, "trail_percent": 1}, "exactly one of trail_price"),
        ({"order_class": "bracket"}, "bracket orders require take_profit.limit_price"),
        ({"order_class": "bracket", "take_profit": {"limit_price": 9}}, "require stop_loss.stop_price"),
        ({"order_class": "oto"}, "oto orders require take_profit or stop_loss"),
        ({"take_profit": {"limit_price": 9}}, "simple orders do not accept take_profit"),
        ({"order_class": "bracket", "take_profit": [9]}, "take_profit must be an object"),
        ({"order_class": "mleg"}, "legs are required"),
        ({"client_order_id": "x" * 129}, "client_order_id must be a text"),
        ({"client_order_id": 7}, "client_order_id must be a text"),
        ({"extended_hours": "yes"}, "extended_hours must be true or false"),
        ({"position_intent": "sell_to_open"}, "does not match side buy"),
    ],
)
def test_a_field_that_is_missing_or_impossible_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words.replace(".", r"\.")) as caught:
        request_of({**MARKET, **changes})
    assert (caught.value.status, caught.value.code) == (422, 40010001)


@pytest.mark.parametrize(
    ("legs", "words"),
    [
        (LEGS[:1], "2 to 4 legs"),
        (LEGS * 3, "2 to 4 legs"),
        ([LEGS[0], LEGS[0]], "unique symbols"),
        ([LEGS[0], {**LEGS[1], "ratio_qty": 1.5}], "whole number"),
        ([LEGS[0], {**LEGS[1], "side": None}], "side is required"),
        (["a", "b"], "legs are required"),
    ],
)
def test_legs_are_checked(legs: list[Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        request_of({**PACKAGE, "limit_price": 1, "legs": legs})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        json_of(body)
    assert (caught.value.status, caught.value.code) == (422, 40010000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    [*MARKET, "notional", "order_class", "legs", "take_profit", "stop_loss", "limit_price", "stop_price",
     "trail_price", "trail_percent", "client_order_id", "extended_hours", "position_intent"]
)  # fmt: skip


def answered(read: Callable[[], Any]) -> Any:
    """Return what was read, or the refusal; anything else is a fault of ours."""
    try:
        return read()
    except Refusal as refusal:
        return refusal


@cases(many=400, few=80)
@given(st.dictionaries(fields, json_values, max_size=5))
def test_no_body_whatever_is_answered_with_anything_but_a_request_or_a_refusal(
    changes: dict[str, Any],
) -> None:
    wanted = answered(lambda: request_of({**MARKET, **changes}))
    answered(lambda: changes_of(changes, package=False, kind="limit"))
    if isinstance(wanted, Refusal):
        return
    for number in (wanted.qty, wanted.notional, wanted.limit_price, wanted.stop_price, wanted.trail_price):
        assert number is None or (math.isfinite(number) and (number > 0 or wanted.order_class == "mleg"))


def test_a_change_names_only_what_may_be_replaced() -> None:
    assert changes_of(
        {"qty": 5, "time_in_force": "gtc", "client_order_id": "new", "stop_price": "9"},
        package=False,
        kind="stop",
    ) == {"qty": 5.0, "tif": "gtc", "client_order_id": "new", "stop_price": 9.0}
    for body, words in (
        ({"side": "sell"}, "side cannot be replaced"),
        ({"trail": 2}, "trailing_stop orders only"),
    ):
        with pytest.raises(Refusal, match=words):
            changes_of(body, package=False, kind="limit")


def test_times_dates_flags_and_words_of_a_query() -> None:
    noon = datetime(2024, 1, 2, 12, tzinfo=UTC)
    for text in (
        "2024-01-02T12:00:00Z",
        "2024-01-02T07:00:00-05:00",
        "2024-01-02T12:00:00",
        "2024-01-02T13:00:00 01:00",
    ):
        assert time_of(text, "after") == noon
    assert time_of("2024-01-02", "after") == datetime(2024, 1, 2, tzinfo=UTC)
    assert time_of("", "after") is None
    with pytest.raises(Refusal, match="after is not a time"):
        time_of("yesterday", "after")
    assert [flag_of(text) for text in ("true", "True", "1", "false", "", None)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert words_of("AAPL, MSFT,,") == ["AAPL", "MSFT"]
