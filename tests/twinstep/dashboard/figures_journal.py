"""A journal with enough in it for the pages of figures: trades, sets, refusals, events, what waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path

from sqlalchemy import insert

from journal import ParameterStore, schema
from journal.counterfactual.rows import Entry, store_entries
from journal.database import Database
from journal.inbox import Inbox
from journal.performance import running
from live.kill_switch import KillSwitch, switch_folder
from live.reconciling.differences import Differences, Found
from simulator.results.counterfactuals import Case
from tests.journal.generate import generate, store

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"
DAY_NS = 86_400_000_000_000
START = datetime(2026, 1, 5, 15, tzinfo=UTC)


def fill_journal(where: Path, *, trades: int = 300) -> Path:
    """Fill a new journal and the folder of its switch; times are fixed."""
    with Database(where) as database:
        with database.write() as connection:
            store(connection, generate(3, trades, sources=("paper", "live"), per_day=2.0))
            for source in ("paper", "live"):
                running.rebuild(connection, source)
            store_entries(connection, refusals(), 0)
            connection.execute(
                insert(schema.events),
                [
                    {"account": "desk", "ts": stamp(minutes), "kind": kind, "key": None,
                     "client_order_id": "tw-1", "symbol": "SPY", "data": data}
                    for minutes, kind, data in (
                        (0, "intent", '{"quantity": 2, "legs": [1, 2]}'), (1, "outcome", HOSTILE),
                    )
                ],
            )  # fmt: skip
        propose(ParameterStore(database, clock=lambda: START))
    folder = switch_folder(where)
    switch = KillSwitch(folder, clock=lambda: START)
    switch.engage(HOSTILE, "ada")
    switch.arm("grace", "the news are over")
    Differences(folder / "reviews", clock=lambda: START).settle(
        "alpaca",
        [Found(cause="position", broker="alpaca", symbols=("SPY",), message=f"2 here, 3 there {HOSTILE}")],
        keep=lambda one: True,
    )
    Inbox(where).drop("add_lesson", {"trade_id": 1, "lesson": "wait"})
    return where


def propose(store_: ParameterStore) -> None:
    """Three sets of the scanner, one of signals; the first was approved, two wait, one was rejected."""
    store_.propose("options_scanner", {"min_iv_rank": 55.0})
    store_.approve(1, "Ada", reason="try it")
    store_.propose(
        "options_scanner",
        {"min_iv_rank": 60.0, "target_dte": 45, "blacklist": ["XYZ"]},
        evidence={"trades": 120, "tuning": {"lower": 0.01, "candidates": [{"lower": 1}] * 3}},
        reason=HOSTILE,
    )
    store_.propose("signal_generator", {"min_pattern_score": 70.0}, source="paper", reason="fewer signals")
    store_.propose("options_scanner", {"min_iv_rank": 80.0})
    store_.reject(4, "Ada", reason="too few trades left")


def refusals() -> list[Entry]:
    """Forty signals that one rule refused, nine that people rejected, one that is still open."""
    found = []
    for number in range(50):
        moment = stamp(60 * 24 * 3 * number)
        rule = "portfolio_heat" if number < 40 else "review rejected"
        closed = number != 49
        r = (-1.0, -0.8, 1.5, -1.0)[number % 4]
        case = Case(
            ts=moment, symbol="SPY", side=1, rule=rule, outcome="rejected", strategy="breakout", tag="",
            asked=10.0, granted=0.0, value=6.5, limit=6.0, state="closed" if closed else "open", qty=10.0,
            weight=1.0, entry_ts=moment, entry_price=100.0, exit_ts=moment + DAY_NS if closed else 0,
            exit_price=99.0 if closed else nan, exit_reason="stop" if closed else "",
            r=r if closed else nan, pnl=100.0 * r if closed else 0.0, fees=1.0, mae=-0.01, mfe=0.02, why="",
        )  # fmt: skip
        origin = "rule" if number < 40 else "decision"
        found.append(Entry(f"case:{number}", "paper", origin, case, "paper"))
    return found


def stamp(minutes: float) -> int:
    """Return nanoseconds, so many minutes after the start."""
    return round((START + timedelta(minutes=minutes)).timestamp()) * 1_000_000_000
