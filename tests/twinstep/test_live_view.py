"""The view of a session at a broker: plan and fact side by side, what is bare or lost, and what stays."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.following.standing import HeldPosition, Standing
from live.intents import IntentLog, Sent
from simulator.types import OrderState
from twinstep.account_lines import AccountLines, PositionLine
from twinstep.live_view import LiveView, left_working, order_words, standing_line, trouble_words
from twinstep.live_watch import EventLines
from twinstep.paper_view import DeskView

NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


def planned(symbol: str, quantity: float, stop: float | None) -> PositionLine:
    return PositionLine(
        symbol=symbol, quantity=quantity, entry=100.0, mark=101.0, stop=stop, target=None, result=10.0,
        r=None, days=0.0, target_pct=None,
    )  # fmt: skip


def held(symbol: str, quantity: float, **more: Any) -> HeldPosition:
    fields: dict[str, Any] = {
        "average_price": 100.07, "mark": 101.0, "guarded": abs(quantity), "naked": 0.0, "stop": 96.0,
        "loss_at_stops": 100.0, "open_loss": 0.0,
    }  # fmt: skip
    return HeldPosition(symbol=symbol, quantity=quantity, **{**fields, **more})


ACCOUNT = AccountLines(
    session="trend", bars=6, ts=int(NOW.timestamp()) * 1_000_000_000, equity=100_042.3, cash=95_029.0,
    day=42.3, day_pct=0.04, drawdown_pct=0.0, heat_pct=0.2, heat_cap_pct=6.0, halt="ACTIVE", halt_why="",
    positions=(planned("AAPL", 20.0, 101.0), planned("MSFT", 10.0, 95.0)), orders=(),
)  # fmt: skip
STOP = BrokerOrder(
    order_id="b-1", client_order_id="tw-1-stop", legs=(Leg("AAPL", -20.0),), kind="stop",
    state=OrderState.SUBMITTED, quantity=20.0, stop_price=101.0,
)  # fmt: skip
FACT = Standing(
    kind="PAPER", execution="PAPER_ONLY", broker="alpaca", account="PA1", is_paper=True, switch="ACTIVE",
    at=NOW - timedelta(seconds=2), equity=100_042.1, cash=95_031.0, currency="USD", plan_equity=100_042.3,
    bars=6, positions=(held("AAPL", 20.0, stop=101.0), held("MSFT", 10.0)), orders=(STOP,), waiting=0,
    differences=(), problems=(),
)  # fmt: skip


def drawn(fact: Standing | None, width: int = 80, account: AccountLines | None = ACCOUNT) -> list[str]:
    kind = "PAPER" if fact is None else fact.kind
    view = LiveView(plan=DeskView(account=account, switch="ACTIVE", mode=kind), fact=fact, now=NOW)
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=True)
    console.print(view)
    return console.export_text().splitlines()


def row(lines: list[str], symbol: str) -> list[str]:
    return next(line for line in lines if line.startswith(symbol)).split()


@pytest.mark.parametrize("width", [80, 140])
def test_plan_and_fact_stand_side_by_side(width: int) -> None:
    lines = drawn(FACT, width)
    assert " PAPER " in lines[0]
    assert "armed" in lines[0]
    assert "alpaca PA1 (paper, PAPER_ONLY)" in lines[1]
    assert "asked 2 s ago" in " ".join(lines[1:3])
    assert max(map(len, lines)) <= width
    paid = ["100.00", "100.07", "101.00"] if width > 100 else []
    assert row(lines, "AAPL") == ["AAPL", "20", "20", *paid, "101.00", "101.00", "-", "-", "100.00"]


def test_what_is_bare_says_for_how_long_and_what_it_can_lose() -> None:
    bare = held(
        "MSFT", 10.0, guarded=0.0, naked=10.0, stop=None, loss_at_stops=0.0, open_loss=1010.0,
        naked_since=NOW - timedelta(seconds=90), naked_seconds=95.0,
    )  # fmt: skip
    lines = drawn(replace(FACT, positions=(held("AAPL", 20.0, naked_seconds=7.0), bare)))
    assert row(lines, "MSFT") == ["MSFT", "10", "10", "95.00", "-", "10", "90", "s", "1,010.00"]
    assert "(7 s)" in " ".join(row(lines, "AAPL"))
    short = replace(bare, quantity=-10.0, open_loss=float("inf"))
    assert "no limit" in " ".join(row(drawn(replace(FACT, positions=(short,))), "MSFT"))
    unknown = replace(bare, open_loss=None)
    assert "unknown" in " ".join(row(drawn(replace(FACT, positions=(unknown,))), "MSFT"))
    assert "WITHOUT A STOP: MSFT" in standing_line(replace(FACT, positions=(bare,)), NOW)
    assert "lost if it died now 200.00" in standing_line(FACT, NOW)


def test_what_only_one_side_has_is_a_row_too() -> None:
    lines = drawn(replace(FACT, positions=(held("SPY", 5.0),)))
    assert row(lines, "AAPL")[:3] == ["AAPL", "20", "0"]
    assert row(lines, "SPY")[:3] == ["SPY", "0", "5"]
    assert "no open position" in "\n".join(drawn(replace(FACT, positions=()), account=None))


def test_trouble_stands_above_the_figures_and_is_counted() -> None:
    many = tuple(f"alpaca did not answer {number}" for number in range(6))
    lines = drawn(replace(FACT, differences=("AAPL: 5 more than the books",), problems=many))
    assert "differs: AAPL: 5 more than the books" in lines[2:5] or "differs" in "".join(lines[1:5])
    assert any(line.startswith("and 3 more") for line in lines)
    assert not any("answer 5" in line for line in lines)
    dear = {"drifts": ["market orders cost 4 bp more"], "demoted_since": "2026-03-02", "demoted_why": "dear"}
    assert trouble_words(replace(FACT, slippage=dear)) == [
        "market orders cost 4 bp more", "orders wait for a person since 2026-03-02: dear",
    ]  # fmt: skip


def test_real_money_and_a_shadow_are_named() -> None:
    real = replace(FACT, kind="LIVE", execution="LIVE", is_paper=False)
    assert any("REAL MONEY" in line for line in drawn(real))
    assert " LIVE " in drawn(real)[0]
    assert any("orders go nowhere" in line for line in drawn(replace(FACT, kind="SHADOW")))
    assert any("not asked yet" in line for line in drawn(replace(FACT, at=None, equity=None, cash=None)))
    assert any("equity unknown" in line for line in drawn(replace(FACT, equity=None)))
    assert len(drawn(None)) > 2  # before the first look


def test_what_stays_at_the_broker_is_named() -> None:
    lines = left_working(FACT)
    assert lines[0] == "left working at alpaca: sell 20 AAPL stop 101.00 (tw-1-stop)"
    assert lines[1] == "left open at alpaca: +20 AAPL, 20 behind a stop at 101.00"
    bare = replace(FACT, positions=(held("AAPL", 20.0, guarded=5.0, naked=15.0),), orders=())
    assert left_working(bare) == ["left open at alpaca: +20 AAPL, 15 of it WITHOUT a stop"]
    package = replace(STOP, legs=(Leg("A", -1.0), Leg("B", 1.0)), kind="market", stop_price=None, filled=1.0)
    assert order_words(package) == "-1 A/+1 B market, 1 filled (tw-1-stop)"


def test_the_record_is_told_once_in_words() -> None:
    log = IntentLog.in_memory()
    log.note("naked", NOW - timedelta(seconds=1), symbol="OLD")
    lines = EventLines(log, NOW)
    request = OrderRequest(
        client_order_id="tw-1", legs=(Leg("AAPL", 20.0),), order_class="bracket", stop_loss=96.0,
        take_profit=130.0, reason="entry",
    )  # fmt: skip
    waiting = Submitted(outcome=Outcome.UNRESOLVED, client_order_id="tw-1")
    sent = Sent(request=request, broker="broker", at=NOW, submitted=waiting)
    log.begin(sent, state="ACTIVE", allowed=True, code="")
    log.store(sent, "outcome", NOW, outcome="rejected", code="LIVE_X", message="no money", broker_order="")
    log.note("fill", NOW, order="tw-1", symbol="AAPL", broker="broker", account="1", execution={
        "side": -1, "quantity": 20.0, "symbol": "AAPL", "price": 101.0, "kind": "trade",
    })  # fmt: skip
    log.note("change", NOW, symbol="AAPL", wanted={"stop_price": 98.98})
    log.note("naked", NOW, symbol="AAPL", broker="broker")
    found = [words.partition("Z ")[2] for _, words in lines.new()]
    assert found == [
        "rejected: entry buy 20 AAPL at the market with stop 96, target 130 for entry (LIVE_X no money)",
        "sold 20 AAPL at 101.00",
        "changed: AAPL stop price 98.98",
        "WITHOUT A STOP: AAPL",
    ]
    assert lines.new() == []
