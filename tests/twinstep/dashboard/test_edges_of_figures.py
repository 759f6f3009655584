"""Figures at their edges: no risk known, nothing left, no bar yet, tiny sizes, levels that lie together."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from journal import TradeJournal
from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import Bars, RiskLimits, Signals
from tests.twinstep.dashboard.conftest import Client
from tests.twinstep.dashboard.options_journal import bars_to_friday, open_session
from twinstep.dashboard import Dashboard
from twinstep.dashboard.charts.trade import HEIGHT, NARROW, WIDTH, trade_chart
from twinstep.dashboard.reading.desk import desks_of
from twinstep.dashboard.reading.feed import feed_of
from twinstep.dashboard.reading.limits import read_gauges, read_stored
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.trade import Bar, TradeView
from twinstep.dashboard.words import quantity

DAY = 86_400_000_000_000
WIDE = RiskLimits(
    risk_per_trade_pct=10_000.0, max_portfolio_heat_pct=100_000.0, max_sector_exposure_pct=100_000.0,
    max_position_size_pct=None, max_gross_exposure_pct=None, max_net_exposure_pct=None,
)  # fmt: skip


def closed(where: Path, *trades: dict[str, Any]) -> Path:
    """Log trades that were bought at 100 and sold at 101, two days each."""
    with TradeJournal(where, source="paper") as journal:
        for row, given in enumerate(trades):
            when = datetime(2026, 1, 5, 15, tzinfo=UTC) + timedelta(days=row)
            plain = {"symbol": "AAPL", "strategy": "s", "side": 1, "quantity": 10.0, "entry_price": 100.0}
            number = journal.log_trade_entry(**{**plain, "when": when, **given})
            journal.log_trade_exit(number, exit_price=101.0, when=when + timedelta(days=2))
    return where


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def page(where: Path, path: str) -> str:
    with Dashboard(where) as served:
        assert desks_of(served.reader).load().wait(60.0)
        answer = Client(served).log_in().ask(path)
    assert answer.status == 200, path
    return text(answer.body)


@pytest.mark.parametrize("path", ["/performance", "/performance?by=trade"])
def test_trades_without_a_stop_have_a_performance_and_no_distribution(tmp_path: Path, path: str) -> None:
    shown = page(closed(tmp_path / "desk.db", {}, {"symbol": "MSFT"}), path)
    assert "Result +20.00 of 2 trades" in shown
    assert "Mean R –" in shown
    assert "No closed trade has a known initial risk" in shown


def test_excursions_that_are_unknown_are_one_dash(tmp_path: Path) -> None:
    shown = page(closed(tmp_path / "desk.db", {}), "/trades/1")
    assert "MAE – MFE – Days 2" in shown


def test_what_is_open_and_unsold_has_no_result_yet(tmp_path: Path) -> None:
    where = closed(tmp_path / "desk.db", {})
    with TradeJournal(where, source="paper") as journal:
        journal.log_trade_entry(symbol="AAPL", side=1, quantity=10.0, entry_price=100.0, fees=0.0)
        sold = journal.log_trade_entry(symbol="AAPL", side=1, quantity=10.0, entry_price=100.0)
        journal.log_trade_exit(sold, exit_price=103.0, quantity=5.0)
    assert "Result so far – fees 0.00" in page(where, "/trades/2")
    assert "Result so far +15.00 fees 0.00" in page(where, "/trades/3")


def test_a_stop_that_ended_a_trade_elsewhere_is_not_said_to_have_stayed(tmp_path: Path) -> None:
    where = tmp_path / "desk.db"
    with TradeJournal(where, source="paper") as journal:
        for reason, moved in (("trail", None), ("trail", 99.0), ("stop", None)):
            number = journal.log_trade_entry(
                symbol="AAPL", side=1, quantity=10.0, entry_price=100.0, stop_price=95.0
            )
            if moved is not None:
                journal.move_stop(number, moved)
            journal.log_trade_exit(number, exit_price=99.0, close_reason=reason)
    for number, actual in ((1, "–"), (2, "99.00"), (3, "95.00")):
        assert f"Stop 95.00 {actual} Target" in page(where, f"/trades/{number}")


def test_less_than_nothing_is_no_session_without_a_risk_manager(tmp_path: Path) -> None:
    where = tmp_path / "desk.db"
    close = np.array([100.0] * 7 + [400.0, 900.0, 900.0])
    index = pd.bdate_range("2026-01-05", periods=len(close))
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=index)
    bars = Bars.from_frames({"AAPL": frame.assign(volume=1e6)})
    short = Signals.from_arrays(bars, [5], ["AAPL"], [-1], qty=[900.0], stop=[2000.0])
    with Session(where, like=bars, risk=WIDE, kill_switch=KillSwitch(switch_folder(where))) as session:
        session.push(bars, short)
        assert session.risk().equity < 0.0
    shown = page(where, "/")
    assert "Equity −620,000.00" in shown
    assert "runs without a risk manager" not in shown
    assert "nothing is left of it" in shown
    stored = read_stored(Reader(where), "paper")
    assert stored is not None
    assert read_gauges(stored) is None


def test_a_session_that_had_no_bar_says_so_and_knows_no_time(tmp_path: Path) -> None:
    where = tmp_path / "desk.db"
    bars = bars_of_minutes(1, 2)
    with Session(where, like=bars, kill_switch=KillSwitch(switch_folder(where))):
        pass
    shown = page(where, "/")
    assert "no bar yet" in shown
    assert "the last of" not in shown
    with Session(where, like=bars) as session:
        session.push(bars[:1])
    assert "1 bar, the last of 2026-01-05 14:30:00 UTC" in page(where, "/")


def bars_of_minutes(length: int, count: int) -> Bars:
    """Return bars of so many minutes from the open of a day of New York."""
    begun = np.datetime64("2026-01-05T14:30", "ns")
    panel = np.full((count, 1, 5), 10.0)
    return Bars.from_arrays(
        ["AAPL"], begun + np.arange(count) * np.timedelta64(length, "m"), panel, daily=False
    )


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(1, "1 minute"), (5, "5 minutes"), (60, "1 hour"), (90, "90 minutes"), (120, "2 hours")],
)
def test_the_length_of_a_bar_is_not_rounded(minutes: int, words: str) -> None:
    bar = bars_of_minutes(minutes, 2)[:1]
    assert feed_of(bar, None, datetime(2026, 1, 5, 15, tzinfo=UTC)).every == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(1e-8, "0.00000001"), (-1e-8, "−0.00000001"), (0.00012346, "0.0001235"), (0.123456, "0.123456"),
     (-0.0, "0"), (1.5, "1.5")],
)  # fmt: skip
def test_what_is_held_is_never_nothing(value: float, words: str) -> None:
    assert quantity(value) == words


def drawn(
    trade: dict[str, Any], bars: list[Bar], strikes: list[float], width: int
) -> list[tuple[str, float, float]]:
    """Return the labels of a chart, with where each ends and stands."""
    plain = {"stop_price": None, "current_stop_price": None, "target_price": None, "entry_price": 1.0}
    view = TradeView(
        trade={**plain, **trade}, comparisons=(), fills=[], legs=[{"strike": one} for one in strikes],
        insights=[], mistakes=[], lessons=[], tags=(), campaign=[], bars=tuple(bars),
    )  # fmt: skip
    found = re.findall(r'class="label" x="([\d.-]+)" y="([\d.-]+)">([^<]*)', trade_chart(view, width))
    # a letter of 12 pixels is 6.7 wide at most, on average
    return [(words, float(x) + 6.7 * len(words), float(y)) for x, y, words in found]


def line(first: float, last: float) -> list[Bar]:
    steps = np.linspace(first, last, 60)
    return [Bar(row * DAY, one, one * 1.002, one * 0.998, one) for row, one in enumerate(steps.tolist())]


@pytest.mark.parametrize("width", [WIDTH, NARROW])
def test_labels_of_levels_lie_inside_the_picture_and_apart(width: int) -> None:
    crash = drawn({"kind": "option", "symbol": "SPY"}, line(100.0, 40.0), [98.0, 99.0, 100.0, 101.0], width)
    rally = drawn({"kind": "option", "symbol": "SPY"}, line(100.0, 400.0), [98.0, 99.0, 100.0, 101.0], width)
    dear = drawn(
        {"kind": "stock", "symbol": "BTC", "entry_price": 95_000.0, "stop_price": 90_000.0,
         "current_stop_price": 94_000.0, "target_price": 120_000.0}, line(95_000.0, 101_000.0), [], width,
    )  # fmt: skip
    for labels in (crash, rally, dear):
        assert len(labels) == 4
        heights = sorted(y for _, _, y in labels)
        assert heights[0] >= 12.0 - 0.5
        assert heights[-1] <= HEIGHT
        assert min(np.diff(heights)) >= 13.9
        assert max(end for _, end, _ in labels) <= width
    # in the order of their levels, from the top down
    assert [words for words, _, _ in sorted(crash, key=lambda one: one[2])] == [
        f"strike {one:.2f}" for one in (101.0, 100.0, 99.0, 98.0)
    ]


def test_a_sessions_name_is_written_as_it_is(tmp_path: Path) -> None:
    where = tmp_path / "desk.db"
    open_session(where, bars_to_friday(), name="NYSE Premium")
    shown = page(where, "/options")
    assert "Session NYSE Premium 3 open" in shown
