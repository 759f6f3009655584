"""What is worth an alert: each condition once, from what a session has really done."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from live.alerting.watch import Watch, watch
from live.alerts import Alerts, Target
from live.brokers.interface import Leg, OrderRequest
from live.clock import FakeClock
from live.feeds.events import FeedEvent
from live.kill_switch import KillSwitch
from live.review_queue import ReviewQueue
from live.session import Session
from simulator import Signals
from simulator.bars import Bars
from simulator.bars.arrays import DAY
from simulator.commands import Command
from simulator.risk_limits import RiskLimits
from tests.simulator.kernel.test_packages import AT_MID, market, opened

FIRST = 19_723  # 2024-01-01, a Monday


def bars_of(*rows: tuple[float, float, float, float]) -> Bars:
    days = [FIRST + n + 2 * (n // 5) for n in range(1, len(rows) + 1)]
    panel = np.array([[[*row, 1e6]] for row in rows], float)
    return Bars.from_arrays(["ABC"], np.array(days, np.int64) * DAY, panel)


def flat(count: int, price: float = 100.0) -> list[tuple[float, float, float, float]]:
    return [(price, price + 0.5, price - 0.5, price)] * count


class Told:
    """Alerts that are kept instead of sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        self.alerts = Alerts(targets=[Target("none", lambda title, body: True)])
        self.alerts.send = self._send  # type: ignore[method-assign]

    def _send(self, kind: str, title: str, body: str = "") -> bool:
        self.got.append((kind, title, body))
        return True

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.got]

    def clear(self) -> None:
        self.got.clear()


@pytest.fixture
def told() -> Told:
    return Told()


def session_of(path: Path, bars: Bars, **more: Any) -> Session:
    return Session(path / "a.db", like=bars, **({"cash": 100_000.0, "risk": None} | more))


def entered(bars: Bars, row: int, **columns: Any) -> Signals:
    return Signals.from_arrays(bars, [row], ["ABC"], columns.pop("side", 1), **({"qty": 100.0} | columns))


@pytest.mark.parametrize("side", [1, -1])
def test_half_of_the_way_to_the_target_is_told_once_per_position(
    tmp_path: Path, told: Told, side: int
) -> None:
    moves = [0.0, 0.0, 4.0, 4.9, 5.1, 6.0, 4.0, 5.5]
    bars = bars_of(*((p, p + 0.2, p - 0.2, p) for p in (100.0 + side * move for move in moves)))
    with session_of(tmp_path, bars) as session:
        made = watch(session, told.alerts)
        target, stop = 100.0 + 10 * side, 100.0 - 10 * side
        signals = entered(bars, 0, side=side, stop=stop, target=target)
        seen = []
        for row in range(len(bars)):
            session.push(bars[row : row + 1], signals if row == 0 else None)
            seen.append(len(told.got))
        made.close()
    assert seen == [0, 0, 0, 0, 1, 1, 1, 1]
    kind, title, body = told.got[0]
    assert (kind, title) == ("profit_half", "[paper] ABC: half of its profit is made")
    assert "51%" in body
    assert f"mark {100 + side * 5.1:g}" in body


def test_without_a_target_half_of_the_cost_counts(tmp_path: Path, told: Told) -> None:
    bars = bars_of(*((p, p + 0.2, p - 0.2, p) for p in (100.0, 100.0, 149.0, 151.0, 160.0)))
    with session_of(tmp_path, bars) as session:
        Watch(session, told.alerts)
        signals = entered(bars, 0, stop=50.0)
        counts = []
        for row in range(len(bars)):
            session.push(bars[row : row + 1], signals if row == 0 else None)
            counts.append(len(told.got))
    assert counts == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("side", "values", "at"),
    [
        (-1, [4.0, 3.0, 2.2, 1.9, 1.0, 0.0], 3),  # half of a credit of 4.00 is kept when 2.00 buys it back
        (1, [2.0, 2.2, 2.9, 3.1, 4.0, 0.0], 3),  # half of a debit of 2.00 is won at 3.00
    ],
)
def test_option_packages_are_measured_by_their_premium(
    tmp_path: Path, told: Told, side: int, values: list[float], at: int
) -> None:
    bars = market([100.0] * 6, last=5, time_value=values)
    signals = opened(bars, 5, [(1 if side > 0 else -1, "put", 100.0)], side=side)
    with session_of(tmp_path, bars, costs=AT_MID) as session:
        Watch(session, told.alerts)
        seen = []
        for row in range(5):
            session.push(bars[row : row + 1], signals if row == 0 else None)
            seen.append(told.kinds.count("profit_half"))
    assert seen == [int(row >= at) for row in range(5)]


def test_the_stop_loss_of_a_package_is_a_stop(tmp_path: Path, told: Told) -> None:
    bars = market([100.0] * 6, last=5, time_value=[2.0, 3.0, 4.5, 4.0, 1.0, 0.0])
    signals = opened(bars, 5, [(-1, "put", 100.0)], stop_loss=1.0)
    with session_of(tmp_path, bars, costs=AT_MID) as session:
        Watch(session, told.alerts)
        session.push(bars[0:1], signals)
        session.push(bars[1:5])
    assert told.kinds == ["stop_hit"]
    assert "at 4.5" in told.got[0][2]


def test_a_restart_does_not_tell_again(tmp_path: Path, told: Told) -> None:
    bars = bars_of(*((p, p + 0.2, p - 0.2, p) for p in (100.0, 100.0, 106.0, 107.0)))
    signals = entered(bars, 0, stop=90.0, target=110.0)
    with session_of(tmp_path, bars) as session:
        Watch(session, told.alerts)
        session.push(bars[0:1], signals)
        session.push(bars[1:3])
    assert told.kinds == ["profit_half"]
    told.clear()
    with session_of(tmp_path, bars) as session:
        Watch(session, told.alerts)
        session.push(bars[3:4])
    assert told.kinds == []


def test_stops_are_told_with_their_price(tmp_path: Path, told: Told) -> None:
    bars = bars_of((100, 101, 99, 100), (100, 101, 99, 100), (96, 97, 94, 95), *flat(2, 95.0))
    with session_of(tmp_path, bars) as session:
        Watch(session, told.alerts)
        session.push(bars[0:1], entered(bars, 0, stop=97.0))
        session.push(bars[1:])
    assert told.kinds == ["stop_hit"]
    _, title, body = told.got[0]
    assert title == "[paper] ABC: stop hit"
    assert body.startswith("100 at 96 on 2024-01-04")


def test_a_trailing_stop_is_called_one(tmp_path: Path, told: Told) -> None:
    rows = [(p, p + 0.5, p - 0.5, p) for p in (100.0, 100.0, 105.0, 110.0)]
    bars = bars_of(*rows, (110.0, 110.0, 99.0, 100.0))
    with session_of(tmp_path, bars) as session:
        Watch(session, told.alerts)
        session.push(bars[0:1], entered(bars, 0, stop=90.0, trail_percent=3.0))
        session.push(bars[1:])
    assert [(kind, title) for kind, title, _ in told.got if kind == "stop_hit"] == [
        ("stop_hit", "[paper] ABC: trailing stop hit")
    ]


def test_targets_and_time_exits_are_no_stops(tmp_path: Path, told: Told) -> None:
    bars = bars_of((100, 101, 99, 100), (100, 101, 99, 100), (100, 104, 99, 103), *flat(2))
    with session_of(tmp_path, bars) as session:
        Watch(session, told.alerts)
        session.push(bars[0:1], entered(bars, 0, stop=90.0, target=103.0))
        session.push(bars[1:])
    assert "stop_hit" not in told.kinds


def test_the_daily_loss_is_told_at_half_and_at_full_once_a_day(tmp_path: Path, told: Told) -> None:
    prices = [100.0, 100.0, 98.9, 98.5, 96.0, 95.9, 95.9, 94.7]
    bars = bars_of(*((p, p + 0.05, p - 0.05, p) for p in prices))
    limits = RiskLimits(
        daily_loss_limit=2.0, max_position_size_pct=None, risk_per_trade_pct=50.0,
        max_portfolio_heat_pct=100.0, max_sector_exposure_pct=100.0,
    )  # fmt: skip
    with session_of(tmp_path, bars, risk=limits) as session:
        Watch(session, told.alerts)
        days = []
        for row in range(len(bars)):
            signals = entered(bars, row, qty=1000.0, stop=60.0, target=200.0) if row == 0 else None
            session.push(bars[row : row + 1], signals)
            days.append([kind for kind in told.kinds if kind.startswith("daily")])
            told.clear()
    # -1.1 %, -0.4 %, -2.5 %, -0.1 %, 0, -1.2 % of each day's first equity
    assert days == [
        [], [], ["daily_loss_half"], [], ["daily_loss_full", "daily_loss_half"], [], [], ["daily_loss_half"],
    ]  # fmt: skip


def test_several_bars_of_one_day_tell_once(tmp_path: Path, told: Told) -> None:
    start = int(np.datetime64("2024-01-02T14:30", "ns").astype(np.int64))
    prices = [100.0, 100.0, 98.8, 98.9, 98.8, 97.0, 96.0]
    panel = np.array([[[p, p + 0.05, p - 0.05, p, 1e6]] for p in prices])
    step = 30 * 60 * 10**9
    ts = start + np.arange(len(prices)) * step
    bars = Bars.from_arrays(["ABC"], ts, panel, close_ts=ts + step)
    limits = RiskLimits(
        daily_loss_limit=2.0, max_position_size_pct=None, risk_per_trade_pct=50.0,
        max_portfolio_heat_pct=100.0, max_sector_exposure_pct=100.0,
    )  # fmt: skip
    with session_of(tmp_path, bars, risk=limits) as session:
        Watch(session, told.alerts)
        for row in range(len(bars)):
            signals = entered(bars, row, qty=1000.0, stop=60.0, target=200.0) if row == 0 else None
            session.push(bars[row : row + 1], signals)
    assert [kind for kind in told.kinds if kind.startswith("daily")] == ["daily_loss_half", "daily_loss_full"]
    # the account halts itself on the full loss, and that is told too
    assert [title for kind, title, _ in told.got if kind == "kill_switch"] == [
        "[paper] the account is HALTED"
    ]


def test_the_account_and_the_switch_are_told(tmp_path: Path, told: Told) -> None:
    switch = KillSwitch(tmp_path / "switch")
    bars = bars_of(*flat(6))
    with session_of(tmp_path, bars, kill_switch=switch) as session:
        made = Watch(session, told.alerts, kill_switch=switch)
        session.push(bars[0:1])
        assert told.got == []
        switch.engage("quotes are frozen", "ada")
        made.look()
        made.look()
        assert told.kinds == ["kill_switch"]
        assert "HALTED" in told.got[0][1]
        assert "quotes are frozen" in told.got[0][2]
        session.push(bars[1:2])  # the account follows
        switch.arm("ada", "they move again")
        session.push(bars[2:3])
        session.push(bars[3:4], commands=[Command("2024-01-05", "reduce")])
    titles = [title.removeprefix("[paper] ") for kind, title, _ in told.got]
    assert titles == [
        "the kill switch is HALTED", "the account is HALTED", "the account is ACTIVE",
        "the kill switch is ACTIVE", "the account is REDUCING",
    ]  # fmt: skip


def test_a_switch_that_is_engaged_already_is_told(tmp_path: Path, told: Told) -> None:
    switch = KillSwitch(tmp_path / "switch")
    switch.engage("last night", "ada")
    with session_of(tmp_path, bars_of(*flat(2)), kill_switch=switch) as session:
        made = watch(session, told.alerts, every=0.01)
        end = time.monotonic() + 5
        while not told.got and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.05)
        made.close()
    assert told.kinds == ["kill_switch"]


def test_requests_that_wait_are_told_once(tmp_path: Path, told: Told) -> None:
    clock = FakeClock(datetime(2024, 1, 3, 15, tzinfo=UTC))
    switch = KillSwitch(tmp_path / "switch", clock=clock)
    queue = ReviewQueue(tmp_path / "reviews", switch, clock=clock)
    with session_of(tmp_path, bars_of(*flat(2))) as session:
        made = Watch(session, told.alerts, review_queue=queue)
        first = queue.add(ordered("a", "ABC"), broker="paper", price=100.0)
        made.look()
        made.look()
        queue.add(ordered("b", "XYZ"), broker="paper", price=100.0)
        made.look()
        queue.reject(first.request_id, "no", rejected_by="ada")
        clock.advance(timedelta(days=1))
        made.look()
    assert told.kinds == ["approval_waiting"] * 2
    assert "buy 10 ABC" in told.got[0][1]
    assert first.request_id in told.got[0][2]


def ordered(name: str, symbol: str) -> OrderRequest:
    return OrderRequest(
        client_order_id=name, legs=(Leg(symbol, 10.0),), kind="limit", limit_price=100.0, purpose="entry"
    )


def test_a_feed_tells_of_its_staleness(tmp_path: Path, told: Told) -> None:
    class Feed:
        def __init__(self) -> None:
            self.callbacks: list[Any] = []

        def on_event(self, callback: Any) -> None:
            self.callbacks.append(callback)

    feed = Feed()
    with session_of(tmp_path, bars_of(*flat(2))) as session:
        made = watch(session, told.alerts, feed=feed)
        for kind in ("retry", "stale", "reconnect", "fresh"):
            for callback in feed.callbacks:
                callback(FeedEvent(kind, 0, "words"))
        made.close()
    assert [(kind, title) for kind, title, _ in told.got] == [
        ("feed_stale", "[paper] the feed is stale"), ("feed_stale", "[paper] the feed has data again"),
    ]  # fmt: skip


def test_differences_are_told_once_while_they_last(tmp_path: Path, told: Told) -> None:
    def report(*names: str) -> Any:
        differences = [
            SimpleNamespace(
                item_id=name,
                message=f"{name} differs",
                found=SimpleNamespace(symbols=("ABC",), cause="position"),
            )
            for name in names
        ]
        return SimpleNamespace(opened=differences, differences=differences)

    with session_of(tmp_path, bars_of(*flat(2))) as session:
        made = Watch(session, told.alerts)
        for names in (("d1",), ("d1", "d2"), (), ("d1",)):
            made.reconciled(report(*names))
    assert [body for _, _, body in told.got] == ["d1 differs", "d2 differs", "d1 differs"]
    assert told.kinds == ["reconcile_difference"] * 3


def test_nothing_of_this_can_harm_the_session(tmp_path: Path) -> None:
    def broken(title: str, body: str) -> bool:
        time.sleep(30)
        raise RuntimeError

    bars = bars_of(*((p, p + 0.2, p - 0.2, p) for p in (100.0, 100.0, 90.0, 90.0)))
    alerts = Alerts(targets=[Target("broken", broken)], size=1)
    with session_of(tmp_path, bars) as session:
        Watch(session, alerts)
        begin = time.perf_counter()
        session.push(bars[0:1], entered(bars, 0, stop=95.0))
        for row in range(1, 4):
            session.push(bars[row : row + 1])
        assert time.perf_counter() - begin < 10
        assert session.callback_failures == 0
        assert session.bars == 4
