"""What a closed trade teaches: every rule at its edges, and silence where nothing is known."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from journal import schema
from journal.performance import insights
from journal.performance.recent import Planned, Recent
from journal.records import Trade, trade_of
from journal.values import nanoseconds
from tests.journal.generate import generate, memory, store

ENTRY = datetime(2024, 3, 4, 15, 0, tzinfo=UTC)
DAY = 86_400_000_000_000


def spread(**changes: Any) -> Trade:
    """Seven put spreads sold at 1.90, bought back at 0.95 after twelve of 45 days."""
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Trade)}
    days = changes.pop("days", 12.0)
    values.update(
        id=1, source="live", status="closed", kind="option", symbol="SPY", strategy="short-put-spread",
        side=-1, quantity=7.0, open_quantity=0.0, multiplier=100.0, entry_ts=nanoseconds(ENTRY),
        entry_price=1.90, entry_notes="", exit_notes="", fees=0.0, gross_pnl=665.0, pnl=665.0,
        exit_price=0.95, days=days, exit_ts=nanoseconds(ENTRY + timedelta(days=days)), legs=(),
    )  # fmt: skip
    return Trade(**{**values, **changes})


def stock(**changes: Any) -> Trade:
    """A hundred shares bought at 50 with a stop at 48: a risk of 200."""
    values = {
        "kind": "stock", "strategy": "breakout", "side": 1, "quantity": 100.0, "multiplier": 1.0,
        "entry_price": 50.0, "stop_price": 48.0, "target_price": 54.0, "initial_risk": 200.0,
        "exit_price": 54.0, "gross_pnl": 400.0, "pnl": 400.0, "r_multiple": 2.0, "capture_percent": None,
    }  # fmt: skip
    return spread(**{**values, **changes})


LOST = {"pnl": -400.0, "gross_pnl": -400.0, "exit_price": 2.47}


def said(trade: Trade, **others: Any) -> dict[str, tuple[int, str]]:
    return {one.code: (one.direction, one.text) for one in insights.find(trade, **others)}


def test_the_sentences_in_full() -> None:
    won = said(
        spread(iv_rank=68.4, capture_percent=52.0, close_code="profit_target", close_reason="50% profit rule")
    )
    assert won["iv_rank_high"] == (1, "High IV rank (68%) contributed to success")
    assert won["profit_rule_followed"] == (1, "Followed 50% rule: closed at 52% of max profit")
    lost = said(spread(iv_rank=35.0, **LOST))
    assert lost["iv_rank_low"] == (-1, "Low IV rank (35%) may have caused failure")


@pytest.mark.parametrize(
    ("rank", "side", "pnl", "direction"),
    [
        (60.0, -1, 1.0, 1), (60.0, -1, -1.0, 0), (40.0, -1, -1.0, -1), (40.0, -1, 1.0, 0),
        (40.0, 1, 1.0, 1), (60.0, 1, -1.0, -1), (60.0, 1, 1.0, 0), (40.0, 1, -1.0, 0),
        (59.9, -1, 1.0, None), (40.1, -1, -1.0, None), (90.0, -1, 0.0, None), (None, -1, 1.0, None),
    ],
)  # fmt: skip
def test_dear_premium_speaks_for_sellers_and_cheap_for_buyers(
    rank: float | None, side: int, pnl: float, direction: int | None
) -> None:
    found = said(spread(iv_rank=rank, side=side, pnl=pnl))
    told = [way for code, (way, _) in found.items() if code.startswith("iv_rank")]
    assert told == ([] if direction is None else [direction])


def test_iv_rank_says_nothing_about_shares() -> None:
    assert "iv_rank_high" not in said(stock(iv_rank=90.0))


@pytest.mark.parametrize(
    ("captured", "code", "reason", "wanted"),
    [
        (50.0, "profit_target", "50% profit rule", "profit_rule_followed"),
        (44.9, "profit_target", "50% profit rule", "profit_rule_missed"),
        (26.0, "profit_target", "25% profit rule", "profit_rule_followed"),
        (48.0, "manual", "had enough", "profit_rule_followed"),
        (60.0, "manual", "had enough", None),
        (88.0, "manual", "had enough", "held_past_profit_rule"),
        (100.0, "expiry", "expired", None),
        (None, "profit_target", "50% profit rule", None),
    ],
)
def test_the_profit_rule(captured: float | None, code: str, reason: str, wanted: str | None) -> None:
    found = said(spread(capture_percent=captured, close_code=code, close_reason=reason))
    assert [name for name in found if "profit_rule" in name] == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("days", "code", "pnl", "wanted"),
    [
        (24.0, "dte", 1.0, ("dte_rule_followed", 1)),
        (27.0, "dte", 1.0, ("dte_rule_followed", 1)),
        (20.0, "dte", 1.0, ("dte_rule_early", 0)),
        (36.0, "manual", -1.0, ("dte_rule_late", -1)),
        (36.0, "manual", 1.0, ("dte_rule_late", 0)),
        (36.0, "dte", 1.0, ("dte_rule_late", 0)),
        (12.0, "manual", 1.0, None),
    ],
)
def test_the_expiry_rule(days: float, code: str, pnl: float, wanted: tuple[str, int] | None) -> None:
    expiry = (ENTRY + timedelta(days=45)).date().isoformat()
    found = said(spread(days=days, dte=45, expiry=expiry, close_code=code, close_reason="21 DTE", pnl=pnl))
    told = [(name, way) for name, (way, _) in found.items() if name.startswith("dte")]
    assert told == ([wanted] if wanted else [])
    opened_inside = spread(days=5.0, dte=20, expiry=expiry, close_code=code, pnl=pnl)
    assert not [name for name in said(opened_inside) if name.startswith("dte")]


def test_assignment_before_expiry_speaks_against() -> None:
    expiry = (ENTRY + timedelta(days=45)).date().isoformat()
    assert said(spread(close_code="assignment", expiry=expiry))["assigned"] == (
        -1,
        "Assigned 33 days before expiry",
    )
    at_end = spread(close_code="assignment", expiry=expiry, days=45.0)
    assert said(at_end)["assigned"] == (0, "Assigned at expiry")


@pytest.mark.parametrize(
    ("price", "wanted"),
    [(48.0, "stop_respected"), (47.9, "stop_respected"), (47.5, "gap_beyond_stop"), (49.0, "stop_respected")],
)
def test_stops_of_shares(price: float, wanted: str) -> None:
    pnl = 100 * (price - 50.0)
    found = said(stock(exit_price=price, pnl=pnl, gross_pnl=pnl, close_code="stop"))
    assert [name for name in found if "stop" in name] == [wanted]


def test_stops_of_sold_premium_lie_above_the_entry() -> None:
    sold = {"stop_price": 3.80, "close_code": "stop", "pnl": -1400.0}
    assert "stop_respected" in said(spread(exit_price=3.85, **sold))
    assert said(spread(exit_price=5.70, **sold))["gap_beyond_stop"] == (
        -1, "Filled beyond the stop by 100% of the planned risk (gap or slippage)",
    )  # fmt: skip


def test_a_stop_that_was_moved_up_kept_a_profit() -> None:
    found = said(stock(exit_price=52.0, current_stop_price=52.0, pnl=200.0, close_code="trail"))
    assert found["stop_kept_profit"] == (1, "The stop that was moved up kept a profit")
    sold = stock(
        side=-1, stop_price=52.0, current_stop_price=49.0, exit_price=49.0, pnl=100.0, close_code="stop"
    )
    assert said(sold)["stop_kept_profit"] == (1, "The stop that was moved down kept a profit")


@pytest.mark.parametrize("stop", [None, 48.0, 49.0])
def test_a_stop_on_the_losing_side_kept_no_profit(stop: float | None) -> None:
    # 60 of 100 shares sold at 56, the rest at a stop below the entry: 60 x 6 - 40 x 2 is a profit of 280
    price = (60 * 56.0 + 40 * 48.0) / 100
    found = said(stock(exit_price=price, current_stop_price=stop, pnl=280.0, close_code="stop"))
    assert found["stop_respected"] == (1, "Respected the stop, and the trade made a profit as a whole")
    assert "stop_kept_profit" not in found


@pytest.mark.parametrize(("expiry", "left"), [
    ("2024-03-16", 0), ("2024-03-15", 0), ("2024-03-12", 0),  # booked up to four days after expiry
    ("2024-03-11", None), ("2016-06-10", None),  # expired long before the trade was closed
    ("2024-03-20", 4), ("2024-05-01", 46), ("2024-05-02", None),  # further away than at the entry
])  # fmt: skip
def test_days_left_are_unknown_where_times_contradict(expiry: str, left: int | None) -> None:
    trade = spread(expiry=expiry, dte=45, close_code="manual", close_reason="", pnl=-70.0)
    assert insights.days_left(trade) == left
    late = said(trade).get("dte_rule_late")
    assert (late is not None) == (left is not None and left < 18)
    if left is not None and late is not None:
        assert late == (-1, f"Held to {left} days before expiry, past the 21 DTE rule")


def test_excursions() -> None:
    assert said(stock(mfe=420.0))["mfe_kept"][0] == 1
    assert said(stock(mfe=420.0, pnl=100.0))["mfe_given_back"] == (
        -1, "Kept 24% of a best open profit of 2.1R ($420)",
    )  # fmt: skip
    assert "did not win" in said(stock(mfe=320.0, pnl=-50.0))["mfe_given_back"][1]
    assert "mfe_given_back" not in said(stock(mfe=150.0, pnl=-50.0))
    assert said(stock(mae=-180.0))["mae_deep"] == (0, "Was down 0.9R before it won")
    assert "mae_deep" not in said(stock(mae=-150.0))


def test_costs() -> None:
    assert said(spread(slippage=70.0, mid_price=2.0))["slippage_high"][0] == -1
    assert "slippage_high" not in said(spread(slippage=60.0, mid_price=2.0))
    assert "slippage_high" in said(stock(slippage=13.0, mid_price=50.0))
    assert said(stock(fees=50.0, pnl=350.0))["fees_high"] == (-1, "Fees of $50.00: 12% of the gross profit")
    assert "whole" in said(stock(fees=500.0, pnl=-100.0))["fees_high"][1]
    assert "fees_high" not in said(stock(fees=5.0))


def test_earnings_and_fast_winners() -> None:
    assert said(spread(earnings_days=12, **LOST))["held_through_earnings"] == (
        -1,
        "Held through earnings and lost",
    )
    assert "held_through_earnings" not in said(spread(earnings_days=13))
    assert "fast_winner" in said(spread(dte=45, capture_percent=50.0))
    assert "fast_winner" not in said(spread(dte=30, capture_percent=50.0))


def test_the_fill_against_the_recommendation() -> None:
    better = said(spread(), plan=Planned(1.85, None))["entry_beat_plan"]
    assert better == (1, "Entered at a credit of 1.90, 0.05 better than the recommended 1.85")
    assert said(stock(), plan=Planned(48.5, 46.0))["entry_missed_plan"][0] == -1
    assert not {"entry_beat_plan", "entry_missed_plan"} & set(said(spread(), plan=Planned(1.89, None)))


def test_overtrading() -> None:
    stamp = nanoseconds(ENTRY)
    before = [Recent(stamp - hours * DAY // 24, -1.0, 1.0, None) for hours in (1, 30, 119, 121)]
    found = said(spread(), before=before)["overtrading"]
    assert found == (-1, "3 trades in SPY closed within 5 days before this entry")
    assert "overtrading" not in said(spread(), before=before[1:])


def test_unknown_fields_say_nothing() -> None:
    assert insights.find(spread()) == []
    assert insights.find(spread(**LOST)) == []


def test_findings_are_stored_once_and_open_trades_have_none() -> None:
    engine = memory()
    drawn = generate(2, 40)
    with engine.begin() as connection:
        store(connection, drawn)
        connection.execute(schema.insights.delete())
        rows = connection.execute(select(schema.trades)).all()
        for _ in range(2):
            counts = [len(insights.analyse(connection, trade_of(row))) for row in rows]
        stored = connection.execute(select(schema.insights)).all()
    assert len(stored) == sum(counts) > 20
    assert all(count == 0 for count, row in zip(counts, rows, strict=True) if row.status == "open")
    ends = {row.id: row.exit_ts for row in rows}
    assert all(line.ts == ends[line.trade_id] and line.direction in (-1, 0, 1) for line in stored)


def test_the_trades_before_are_those_of_the_symbol_and_source() -> None:
    from journal.performance import running
    from journal.performance.recent import recent

    engine = memory()
    drawn = generate(4, 60, symbols=("SPY", "QQQ"), sources=("live", "paper"), open_share=0.0, per_day=4.0)
    with engine.begin() as connection:
        store(connection, drawn)
        for row in drawn.closed():
            stored = connection.execute(select(schema.trades).where(schema.trades.c.id == row["id"])).one()
            found = recent(connection, trade_of(stored))
            same = [one for one in drawn.closed(row["source"]) if one["symbol"] == row["symbol"]]
            earlier = [one for one in same if (one["exit_ts"], one["id"]) < (row["exit_ts"], row["id"])]
            wanted = [one["pnl"] for one in earlier[::-1][:10] if one["exit_ts"] <= row["entry_ts"]]
            assert [one.pnl for one in found] == wanted
            running.update(connection, trade_of(stored))


def test_a_recommendation_is_found_by_its_number() -> None:
    from journal.performance.recent import planned

    with memory().begin() as connection:
        values = {
            "id": 5, "status": "executed", "source": "live", "kind": "option", "created_ts": 1,
            "symbol": "SPY", "strategy": "short-put-spread", "side": -1, "quantity": 7.0, "entry_price": 1.85,
            "stop_price": 3.7,
        }  # fmt: skip
        connection.execute(insert(schema.recommendations).values(**values))
        assert planned(connection, spread(recommendation_id=5)) == Planned(1.85, 3.7)
        assert planned(connection, spread(recommendation_id=5, side=1)) is None
        assert planned(connection, spread()) is None


def test_assignment_is_said_of_the_option_and_never_of_the_shares() -> None:
    called = {"close_code": "assignment", "close_reason": "assignment"}
    assert "assigned" not in said(stock(**called))
    assert "assigned" not in said(stock(**called, expiry="2024-03-15"))
    held = {**called, "dte": 45}
    assert said(spread(**held, expiry="2024-03-17"))["assigned"] == (-1, "Assigned 1 day before expiry")
    assert said(spread(**held, expiry="2024-03-18"))["assigned"] == (-1, "Assigned 2 days before expiry")
    assert said(spread(**held, expiry="2024-03-16"))["assigned"] == (0, "Assigned at expiry")
    assert said(spread(**held))["assigned"] == (0, "Assigned")  # nobody knows when it would have expired
