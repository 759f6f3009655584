"""Whatever is logged in whatever order, the sums beside the fills are those of the fills."""

from __future__ import annotations

import itertools
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from journal import schema
from simulator.errors import TwinstepError
from tests.budget import cases
from tests.journal.making import START, Desk

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "add", "exit", "exit", "leg", "assign", "expire", "cash", "roll", "stop"]),
        st.integers(0, 5),  # which trade
        st.integers(1, 4),  # how many
        st.integers(1, 900),  # cents
        st.integers(0, 300),  # cents of fees
        st.booleans(),
    ),
    min_size=4,
    max_size=25,
)
SPREAD = [{"side": -1, "kind": "put", "strike": 95.0}, {"side": 1, "kind": "put", "strike": 90.0}]


def act(desk: Desk, step: tuple[str, int, int, int, int, bool]) -> None:
    """Do one step; what the journal refuses has not happened."""
    what, which, quantity, cents, fee_cents, flag = step
    journal, price, fees = desk.journal, cents / 100, fee_cents / 100
    trade_id = which + 1
    calls: dict[str, Any] = {
        "enter": lambda: (
            journal.log_trade_entry(
                symbol="SPY",
                actual_contracts=quantity,
                entry_credit=price,
                legs=SPREAD,
                expiry="2026-06-19",
                fees=fees,
            )
            if flag
            else journal.log_trade_entry(
                symbol="XYZ",
                quantity=quantity * 10,
                entry_price=price,
                side=1 if cents % 2 else -1,
                fees=fees,
            )
        ),
        "add": lambda: journal.log_trade_add(trade_id, quantity, entry_price=price, fees=fees),
        "exit": lambda: journal.log_trade_exit(
            trade_id, exit_price=price, quantity=quantity if flag else None, fees=fees
        ),
        "leg": lambda: journal.log_leg_exit(trade_id, int(flag), price, quantity=quantity, fees=fees),
        "assign": lambda: journal.log_assignment(trade_id, int(flag), quantity=quantity, fees=fees),
        "expire": lambda: journal.log_expiry(trade_id, price if flag else 0.0, fees=fees),
        "cash": lambda: journal.log_cash(trade_id, price, "dividend" if flag else "fee"),
        "roll": lambda: journal.log_roll(trade_id, price, price, expiry="2026-07-17", fees=fees),
        "stop": lambda: journal.move_stop(trade_id, price),
    }
    desk.clock.forward(hours=1)
    try:
        calls[what]()
    except TwinstepError as error:
        assert error.code.startswith("JOURNAL_")  # noqa: PT017 - refusing is one of two right answers


@cases(many=60, few=12)
@given(STEPS)
def test_sums_states_and_fills_agree(steps: list[tuple[str, int, int, int, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder) / "trades.db")
        act(desk, ("enter", 0, 3, 190, 100, True))
        for step in steps:
            act(desk, step)
        check(desk)
        desk.journal.close()


def check(desk: Desk) -> None:
    """Compare the rows with sums made here."""
    with desk.journal.database.read() as connection:
        fills = connection.execute(select(schema.fills)).all()
        counted = connection.execute(
            select(schema.performance_metrics.c.trades, schema.performance_metrics.c.total_pnl)
            .where(schema.performance_metrics.c.scope == "all")
            .order_by(schema.performance_metrics.c.id.desc())
        ).first()
    trades = desk.journal.trades(source="all")
    for trade in trades:
        mine = [fill for fill in fills if fill.trade_id == trade.id]
        assert sum(fill.fees for fill in mine) == pytest.approx(trade.fees)
        assert trade.pnl == pytest.approx(trade.gross_pnl - trade.fees)
        entered = [fill for fill in mine if fill.effect == "open"]
        assert sum(fill.quantity for fill in entered) == trade.quantity
        value = sum(fill.quantity * fill.price for fill in entered)
        assert trade.entry_price == pytest.approx(value / trade.quantity)
        assert (trade.status == "closed") == (trade.open_quantity == 0)
        assert all(fill.ts >= trade.entry_ts for fill in mine)
        if trade.legs:
            most = max((leg.open_quantity or 0.0) / leg.ratio for leg in trade.legs)
            assert trade.open_quantity == pytest.approx(most)
        if trade.status == "closed":
            cash = sum(-fill.side * fill.quantity * fill.price * fill.multiplier - fill.fees for fill in mine)
            assert trade.pnl == pytest.approx(cash, abs=1e-6)
            assert trade.exit_ts == max(fill.ts for fill in mine if fill.effect == "close")
    closed = [trade for trade in trades if trade.status == "closed"]
    if closed:
        assert counted is not None
        assert counted.trades == len(closed)
        assert counted.total_pnl == pytest.approx(sum(trade.pnl for trade in closed), abs=1e-6)


def test_parts_in_any_order_come_to_the_same(tmp_path: Path) -> None:
    parts = [(40, 52.35, 0.55), (25, 48.10, 0.35), (30, 50.05, 0.10), (5, 61.77, 1.05)]
    desk = Desk(tmp_path / "trades.db")
    outcomes = set()
    for order in itertools.permutations(parts):
        trade_id = desk.journal.log_trade_entry(symbol="XYZ", quantity=100, entry_price=50.0, stop_price=47.0)
        for quantity, price, fees in order:
            last = desk.journal.log_trade_exit(trade_id, exit_price=price, quantity=quantity, fees=fees)
        trade = desk.journal.trade(trade_id)
        outcomes.add((last.pnl, last.r_multiple, trade.exit_price, trade.fees))
    assert len(outcomes) == 1
    # 40 x 2.35 - 25 x 1.90 + 30 x 0.05 + 5 x 11.77 - 2.05
    assert outcomes.pop()[0] == pytest.approx(94.0 - 47.5 + 1.5 + 58.85 - 2.05)
    desk.journal.close()


def test_fractions_of_shares_close_without_a_remainder(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "trades.db")
    trade_id = desk.journal.log_trade_entry(symbol="XYZ", quantity=0.3, entry_price=50.0, when=START)
    desk.journal.log_trade_exit(trade_id, exit_price=51.0, quantity=0.1)
    outcome = desk.journal.log_trade_exit(
        trade_id, exit_price=52.0, quantity=0.2, when=START + timedelta(days=0)
    )
    assert outcome.closed
    assert outcome.pnl == pytest.approx(0.5)
    desk.journal.close()
