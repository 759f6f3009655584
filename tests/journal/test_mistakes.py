"""Mistakes that the record shows, each at its edge, and what it does not show."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from journal import TradeJournal, schema
from journal.performance import mistakes
from journal.performance.mistakes import MistakeCategory
from journal.performance.recent import Planned, Recent
from journal.records import Trade, trade_of
from journal.values import nanoseconds
from tests.journal.generate import generate, memory, store
from tests.journal.test_insights import ENTRY, spread, stock

MINUTE = 60_000_000_000


def found(trade: Trade, **others: Any) -> list[str]:
    return [one.category.value for one in mistakes.find(trade, **others)]


def test_a_stop_may_follow_the_trade_but_not_flee_from_it() -> None:
    assert found(stock(current_stop_price=47.0)) == ["moved_stop"]
    assert found(stock(current_stop_price=49.0)) == []
    assert found(stock(current_stop_price=48.0)) == []
    assert found(spread(stop_price=3.8, current_stop_price=5.0)) == ["moved_stop"]
    assert found(spread(stop_price=3.8, current_stop_price=3.0)) == []


@pytest.mark.parametrize(
    ("price", "code", "wanted"),
    [
        (52.0, "manual", ["premature_exit"]),
        (49.0, "manual", ["premature_exit"]),
        (54.0, "manual", []),
        (48.0, "manual", []),
        (52.0, "time", []),
        (52.0, "target", []),
    ],
)
def test_an_exit_by_hand_between_stop_and_target_is_premature(
    price: float, code: str, wanted: list[str]
) -> None:
    assert found(stock(exit_price=price, close_code=code)) == wanted


def test_a_premature_exit_needs_a_known_plan() -> None:
    assert found(stock(exit_price=52.0, close_code="manual", target_price=None)) == []
    assert found(spread(close_code="manual")) == []
    sold = spread(close_code="manual", target_price=0.8, stop_price=3.8)
    assert found(sold) == ["premature_exit"]


def test_a_close_by_hand_far_beyond_the_stop_ignored_it() -> None:
    assert found(stock(exit_price=47.4, close_code="manual")) == ["ignored_stop"]
    assert found(stock(exit_price=47.6, close_code="manual")) == []
    assert found(stock(exit_price=46.0, close_code="stop")) == []


def test_size_time_and_expiry_of_the_signal() -> None:
    assert found(spread(granted_quantity=6.0)) == ["oversized"]
    assert found(spread(granted_quantity=7.0)) == []
    late = nanoseconds(ENTRY) - 30 * MINUTE
    (one,) = mistakes.find(spread(signal_expires_ts=late))
    assert one == mistakes.Mistake(
        MistakeCategory.LATE_ENTRY, "Entered 30 minutes after the signal had expired"
    )
    assert found(spread(signal_expires_ts=nanoseconds(ENTRY))) == []
    assert found(spread(max_days=11.0, close_code="target")) == ["held_too_long"]
    assert found(spread(max_days=12.0, close_code="target")) == []
    assert found(spread(max_days=9.0, close_code="time")) == []  # the limit fell on a long weekend
    assert found(spread(max_days=7.0, close_code="time")) == ["held_too_long"]


def test_chased_entries() -> None:
    assert found(stock(), plan=Planned(49.4, 47.4)) == ["chased_entry"]
    assert found(stock(), plan=Planned(49.6, 47.6)) == []
    assert found(stock(), plan=Planned(49.4, None)) == ["chased_entry"]
    assert found(spread(), plan=Planned(2.12, None)) == ["chased_entry"]
    assert found(spread(), plan=Planned(2.10, None)) == []
    assert found(spread(), plan=Planned(1.50, None)) == []


def test_revenge_is_soon_after_a_loss_and_larger() -> None:
    stamp = nanoseconds(ENTRY)
    loss = Recent(stamp - 20 * MINUTE, -300.0, 1_000.0, None)
    assert found(spread(), before=[loss]) == ["revenge_trade"]
    assert found(spread(), before=[loss._replace(exit_ts=stamp - 61 * MINUTE)]) == []
    assert found(spread(), before=[loss._replace(pnl=300.0)]) == []
    assert found(spread(), before=[loss._replace(size=1_330.0)]) == []
    assert found(stock(), before=[loss._replace(initial_risk=150.0)]) == ["revenge_trade"]
    assert found(stock(), before=[loss._replace(initial_risk=200.0)]) == []


def test_going_on_with_a_campaign_is_no_revenge() -> None:
    loss = Recent(nanoseconds(ENTRY), -300.0, 1_000.0, None, 7, None)
    assert found(spread(rolled_from_id=7), before=[loss]) == []
    assert found(spread(campaign_id=7), before=[loss]) == []  # the first of its campaign
    assert found(spread(campaign_id=3), before=[loss._replace(campaign_id=3)]) == []
    assert found(spread(campaign_id=4), before=[loss._replace(campaign_id=3)]) == ["revenge_trade"]
    assert found(spread(rolled_from_id=6), before=[loss]) == ["revenge_trade"]


def test_a_roll_at_a_loss_into_a_larger_package_is_no_revenge(journal_path: Path) -> None:
    with TradeJournal(journal_path, clock=lambda: ENTRY + timedelta(days=30)) as journal:
        legs = [{"side": -1, "kind": "put", "strike": 95.0}, {"side": 1, "kind": "put", "strike": 90.0}]
        first = journal.log_trade_entry(
            symbol="SPY", actual_contracts=1, entry_credit=1.0, legs=legs, expiry="2024-04-19", when=ENTRY
        )
        rolled = ENTRY + timedelta(days=20)
        _, second = journal.log_roll(
            first, 2.0, 2.5, expiry="2024-05-17", quantity=3, when=rolled, exit_fees=0.65
        )
        other = journal.log_trade_entry(
            symbol="SPY", actual_contracts=9, entry_credit=1.0, legs=legs, expiry="2024-05-17",
            when=rolled + timedelta(minutes=5),
        )  # fmt: skip
        for number in (second, other):
            journal.log_trade_exit(number, 0.5, when=rolled + timedelta(days=5))
        with journal.database.read() as connection:
            rows = connection.execute(select(schema.mistakes.c.trade_id, schema.mistakes.c.category)).all()
        assert [tuple(row) for row in rows] == [(other, "revenge_trade")]


def test_premium_below_the_threshold_of_its_parameter_set() -> None:
    with memory().begin() as connection:
        settings = {
            "id": 3, "component": "options_scanner", "version": 1, "status": "in_force", "evidence": "{}",
            "settings": '{"min_iv_rank": 60}', "source": "live", "created_ts": 1,
        }  # fmt: skip
        connection.execute(insert(schema.parameters).values(**settings))
        trade = generate(1, 1, open_share=0.0, options=1.0, unknown=0.0).trades[0]
        trade |= {"side": -1, "iv_rank": 55.0, "parameter_set_id": 3, "granted_quantity": None}
        trade |= {"close_code": "dte", "max_days": None}
        connection.execute(insert(schema.trades).values(**trade))
        row = connection.execute(select(schema.trades)).one()
        (one,) = mistakes.detect(connection, trade_of(row))
        assert one.category is MistakeCategory.LOW_IV_RANK
        assert "55.0, below the threshold in force (60)" in one.description
    assert found(spread(iv_rank=60.0), least_iv_rank=60.0) == []
    assert found(spread(iv_rank=50.0, side=1), least_iv_rank=60.0) == []


def test_what_is_unknown_proves_nothing() -> None:
    assert found(spread()) == []
    assert found(stock(stop_price=None, target_price=None, close_code="manual")) == []


def test_detecting_again_replaces_what_was_automatic_and_keeps_the_rest() -> None:
    drawn = generate(8, 60)
    with memory().begin() as connection:
        store(connection, drawn)
        by_hand = sum(1 for row in drawn.mistakes if not row["automatic"])
        rows = connection.execute(select(schema.trades)).all()
        kept = {row.id for row in rows if row.status == "open"}
        of_open = sum(1 for row in drawn.mistakes if row["automatic"] and row["trade_id"] in kept)
        for _ in range(2):
            count = sum(len(mistakes.detect(connection, trade_of(row))) for row in rows)
        stored = connection.execute(select(schema.mistakes)).all()
    assert count > 10
    assert sum(1 for row in stored if not row.automatic) == by_hand
    assert sum(1 for row in stored if row.automatic) == count + of_open
    assert {row.category for row in stored} <= {each.value for each in MistakeCategory}
