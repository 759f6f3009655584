"""The page of a session: which one, its limits by the risk manager's own figures, its feed, its verdicts."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from live.session import Session
from live.sessions.noting import note_changed, noted
from simulator import Bars, RiskLimits, Signals, load_bars
from simulator.types import Reason
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.kept import MOST, Kept
from twinstep.dashboard.news import News
from twinstep.dashboard.reading.desk import desks_of
from twinstep.dashboard.reading.feed import feed_of, span
from twinstep.dashboard.reading.limits import Gauge, read_gauges, read_stored
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.verdicts import why_of

LIMITS = RiskLimits(
    max_portfolio_heat_pct=40.0, max_sector_exposure_pct=80.0, max_open_positions=6, max_drawdown_pct=15.0,
    max_positions_per_strategy=4, max_gross_exposure_pct=150.0, max_net_exposure_pct=120.0,
    max_position_size_pct=35.0, max_correlation=0.9, max_net_delta_pct=200.0, max_positions_per_symbol=2,
    max_days_in_trade=3000,
)  # fmt: skip


OTHER = "swing & co"
"""Name of a second session, which has stopped long before the first."""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bars, dict[str, float]]:
    """Return a journal with four positions and one order, its bars, and what its risk manager says."""
    where = tmp_path_factory.mktemp("limits") / "desk.db"
    bars = load_bars("synthetic:6x150?seed=11")
    at = np.array([120, 120, 121, 122, 147])
    low = 0.5 * bars.close[-1].min()
    signals = Signals.from_arrays(
        bars, at, np.array([0, 1, 2, 3, 4]), np.array([1, 1, 1, -1, 1]), qty=[40.0, 30.0, 25.0, 20.0, 10.0],
        stop_percent=30.0, strategy=["trend", "trend", "trend", "fade", "trend"],
        limit_price=[np.nan, np.nan, np.nan, np.nan, low],
        entry=["open", "open", "open", "open", "limit"], tif="gtc",
    )  # fmt: skip
    with Session(where, like=bars, risk=LIMITS) as session:
        session.push(bars, signals)
        risk = session.risk()
        told = {
            "heat": risk.heat_pct, "gross_exposure": risk.gross_exposure_pct,
            "net_exposure": abs(risk.net_exposure_pct), "drawdown_halt": risk.drawdown_pct,
            "positions": float(risk.open_positions + risk.working_entries),
            "position_size": max(100.0 * abs(one.market_value) / risk.equity for one in risk.positions),
            "net_delta": abs(risk.beta_delta_pct), "equity": risk.equity,
        }  # fmt: skip
    assert told["positions"] == 5.0
    with Session(where, like=bars, risk=None, name=OTHER) as session:
        session.push(bars[:40])
    return where, bars, told


def gauges(where: Path) -> dict[str, list[Gauge]]:
    stored = read_stored(Reader(where), "paper")
    assert stored is not None
    read, found = read_gauges(stored), dict[str, list[Gauge]]()
    assert read is not None
    for one in read:
        found.setdefault(one.rule, []).append(one)
    return found


def test_gauges_say_what_the_risk_manager_says(held: tuple[Path, Bars, dict[str, float]]) -> None:
    where, _, told = held
    found = gauges(where)
    for rule in ("heat", "gross_exposure", "net_exposure", "drawdown_halt", "position_size", "net_delta"):
        assert [one.used for one in found[rule]] == pytest.approx([told[rule]], rel=1e-12), rule
    assert (found["max_positions"][0].used, found["max_positions"][0].limit) == (5.0, 6.0)
    assert found["max_positions"][0].about == "1 of them orders"
    assert {one.name: one.used for one in found["strategy_cap"]} == {
        "Strategy trend": 4.0,
        "Strategy fade": 1.0,
    }
    assert found["strategy_cap"][0].full
    # without packages and planned adds, sectors hold what is held and ordered
    assert sum(one.used for one in found["sector"]) == pytest.approx(told["gross_exposure"], rel=1e-9)
    # limits that are not set have no gauge
    assert not {"theta", "vega", "gamma", "cooldown"} & set(found)


def test_the_closest_pair_is_pandas(held: tuple[Path, Bars, dict[str, float]]) -> None:
    where, bars, _ = held
    returns = np.log(bars.close[1:] / bars.close[:-1])[-LIMITS.correlation_window :]
    rho = np.corrcoef(returns.T)
    long = [0, 1, 2, 4]  # the fourth is short, and on no side with them
    best = max((abs(rho[a, b]), a, b) for a in long for b in long if a < b)
    shown = gauges(where)["correlation"][0]
    assert shown.used == pytest.approx(best[0], rel=1e-9)
    assert shown.about == f"{bars.symbols[best[1]]} and {bars.symbols[best[2]]}"


def test_every_gauge_is_on_the_page_with_a_name_for_a_screen_reader(
    held: tuple[Path, Bars, dict[str, float]],
) -> None:
    with Dashboard(held[0]) as served:
        client = Client(served).log_in()
        assert desks_of(served.reader).load().wait(60.0)
        page = client.ask("/now").body
    names = re.findall(r'id="gauge-(\d+)">([^<]+)<', page)
    meters = re.findall(r'<meter aria-labelledby="gauge-(\d+)"[^>]* max="([\d.]+)"', page)
    assert [number for number, _ in names] == [number for number, _ in meters]
    assert "Portfolio heat" in dict(names).values()
    assert ("1", "40.0") in meters
    assert "used up" in page


def test_a_page_does_not_wait_for_the_risk_manager_and_is_told_of_it(
    held: tuple[Path, Bars, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(held[0])
    desks = desks_of(reader)
    assert desks_of(reader) is desks
    real, asked = desks._read, threading.Event()

    def slow(now: object) -> object:
        assert asked.wait(60.0)
        return real(now)  # type: ignore[arg-type]

    monkeypatch.setattr(desks, "_read", slow)
    version = reader.version()
    assert desks.read(reader.now()).loading
    asked.set()
    assert desks.load().wait(60.0)
    assert reader.version() != version
    assert desks.read(reader.now()).gauges


def daily_bar() -> Bars:
    """Return the bar of Friday, 2026-03-06, of New York."""
    days = pd.bdate_range(end="2026-03-06", periods=3)
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 10.0), index=days)
    return Bars.from_frames({"ABC": frame.assign(volume=1.0)})[-1:]


@pytest.mark.parametrize(
    ("now", "came_hours", "state"),
    [
        # the weekend is not late, nor is Monday before the close and a tenth of a session
        ("2026-03-08T12:00", 1, "current"), ("2026-03-09T20:30", 1, "current"),
        ("2026-03-09T21:30", 1, "late"), ("2026-03-12T12:00", 1, "late"),
        # what came when Monday was over is history, however fresh it is
        ("2026-03-12T12:00", 130, "past"),
        # of what came nobody knows when, it is not known whether it is late
        ("2026-03-08T12:00", None, "current"), ("2026-03-12T12:00", None, "silent"),
    ],
)  # fmt: skip
def test_a_feed_is_late_by_the_calendar(now: str, came_hours: int | None, state: str) -> None:
    bar = daily_bar()
    closed = datetime.fromtimestamp(int(bar.close_ts[-1]) / 1e9, UTC)
    assert f"{closed:%Y-%m-%d %H:%M}" == "2026-03-06 21:00"
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    feed = feed_of(bar, None if came_hours is None else closed + timedelta(hours=came_hours), moment)
    assert feed.state == state
    assert datetime.fromtimestamp(feed.due / 1e9, UTC) == datetime(2026, 3, 9, 20, tzinfo=UTC)
    assert (feed.late > 0.0) == (state in ("late", "silent"))


def test_spans_are_in_words() -> None:
    assert [span(one) for one in (0.2, 1.0, 59.0, 60.0, 7200.0, 86_400.0)] == [
        "a moment", "1 second", "59 seconds", "1 minute", "2 hours", "1 day",
    ]  # fmt: skip


def test_modes_are_noted_once_and_shown(tmp_path: Path) -> None:
    bars = load_bars("synthetic:2x30?seed=1")
    where = tmp_path / "desk.db"
    for _ in range(2):
        with Session(where, like=bars) as session:
            if not session.bars:
                session.push(bars)
            note_changed(session, {"automation_mode": "SEMI_AUTO", "execution_mode": "MANUAL_REVIEW"})
            assert len(session.notes()) == 2
    with Session(where, like=bars) as session:
        note_changed(session, {"automation_mode": "FULL_AUTO"})
        assert noted(session, "automation_mode") == "FULL_AUTO"
    now = Reader(where).now()
    assert (now.automation, now.execution) == ("FULL_AUTO", "MANUAL_REVIEW")
    with Dashboard(where) as served:
        page = Client(served).log_in().ask("/").body
    assert "(manual review)" in page
    assert "signals: full auto" in page


# Sessions of one journal


def plain(body: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_a_session_is_chosen_by_its_address_and_stays(held: tuple[Path, Bars, dict[str, float]]) -> None:
    asked = "?session=swing%20%26%20co"
    with Dashboard(held[0]) as served:
        client = Client(served).log_in()
        assert desks_of(served.reader).load().wait(60.0)
        first, other = client.ask("/").body, client.ask(f"/{asked}").body
        assert "<h1>paper</h1>" in first
        assert 'href="/?session=paper" aria-current="true"' in first
        assert f'href="/{asked}"' in first
        assert "<h1>swing &amp; co</h1>" in other
        assert f'href="/{asked}" aria-current="true"' in other
        # what changes by itself is of the same session
        assert 'data-live="/now"' in first
        assert f'data-live="/now{asked}"' in other
        fragment = client.ask(f"/now{asked}")
        assert "swing &amp; co" in fragment.body.partition("</h1>")[0]
        assert "40 bars" in plain(fragment.body)
        assert fragment.headers["x-state"] == client.ask("/now").headers["x-state"] == "PAPER HALTED 0"
        assert f'<a href="/{asked}">swing &amp; co</a>' in client.ask("/system").body
        assert f'data-live="/options/live{asked}"' in client.ask(f"/options{asked}").body
        assert "Last bar of session swing & co" in plain(client.ask(f"/options/live{asked}").body)


def test_a_session_that_is_not_there_is_said_and_breaks_nothing(
    held: tuple[Path, Bars, dict[str, float]], tmp_path: Path
) -> None:
    with Dashboard(held[0]) as served:
        client = Client(served).log_in()
        for name in ("nobody", "%00", "%ff%F0%9F%98%80", "x" * 5000):
            for path in ("/", "/now", "/options/live"):
                answer = client.ask(f"{path}?session={name}")
                assert (answer.status, "No such session" in answer.body) == (404, True), (path, name)
        assert 'href="/?session=paper"' in client.ask("/?session=nobody").body
        assert served.fragments._found == {}
        assert client.ask("/now?session=").status == 200
    with Dashboard(tmp_path / "none.db") as served:  # nobody knows what a journal that is not there has
        assert "is not there yet" in Client(served).log_in().ask("/?session=nobody").body


def test_each_session_has_a_fragment_and_a_look_of_its_own(held: tuple[Path, Bars, dict[str, float]]) -> None:
    with Dashboard(held[0]) as served:
        client = Client(served).log_in()
        assert desks_of(served.reader).load().wait(60.0)
        served.fragments._monotonic = lambda: 0.0  # the machine may be busy
        before = served.fragments.drawn
        for _ in range(3):
            assert "<h1>paper</h1>" in client.ask("/now?session=paper").body
            assert "<h1>swing &amp; co</h1>" in client.ask("/now?session=swing%20%26%20co").body
        assert served.fragments.drawn - before == 2
    reader = Reader(held[0])
    assert [reader.now(name).view.account.session for name in (OTHER, "paper", "", OTHER)] == [  # type: ignore[union-attr]
        OTHER, "paper", "paper", OTHER,
    ]  # fmt: skip
    # when a bar came is known of the session that was written last, and of one that was seen before
    assert reader.now("paper").came is not None
    assert reader.now(OTHER).came is None
    with Session(held[0], like=held[1], risk=None, name=OTHER) as session:
        session.push(held[1][40:41])
    assert reader.now(OTHER).came is not None


def test_what_is_kept_is_bounded_and_pushed_out_without_a_fault(
    held: tuple[Path, Bars, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still:
        def version(self) -> tuple[object, ...]:
            return (0, 0, 0)

        def state(self) -> str:
            return "PAPER ACTIVE 0"

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0.002)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["query_string"]})

    async def asked(kept: Kept, name: str) -> bytes:
        parts: list[bytes] = []

        async def send(message: dict[str, Any]) -> None:
            parts.append(message.get("body", b""))

        query = f"session={name}".encode()
        scope = {"type": "http", "method": "GET", "path": "/now", "query_string": query}
        await kept(scope, cast(Any, None), send)
        return b"".join(parts)

    async def all_at_once() -> Kept:
        kept = Kept(app, cast(Reader, Still()), News(lambda: 0))
        names = [f"s{number}" for number in range(3 * MOST) for _ in range(3)]
        assert await asyncio.gather(*(asked(kept, name) for name in names)) == [
            f"session={name}".encode() for name in names
        ]
        return kept

    kept = asyncio.run(all_at_once())
    assert (len(kept._found), set(kept._busy) <= set(kept._found)) == (MOST, True)
    monkeypatch.setattr("twinstep.dashboard.reading.reader.MOST_KEPT", 1)
    reader = Reader(held[0])
    for name in ("paper", OTHER):
        assert reader.now(name).chosen == name
        assert (list(reader._kept), list(reader._last)) == ([name], [name])


# Verdicts


def test_every_rule_is_said_in_words() -> None:
    rules = [one.label for one in Reason if one.value <= Reason.VEGA and one is not Reason.SHRUNK]
    assert len(rules) > 40
    for rule in rules:
        said = why_of(rule, 0.5, 0.25)
        assert "_" not in said
        assert ", limit " not in said, rule
        assert why_of(rule, None, None) or rule == "admitted"


@pytest.mark.parametrize(
    ("rule", "value", "limit", "said"),
    [
        ("", None, None, ""), ("admitted", None, None, ""),
        ("sector", 0.9167, 0.25, "the sector would be 91.7 % of equity, at most 25.0 %"),
        ("theta", 0.0001582, 0.0001, "theta received a day would be 0.016 % of equity, at most 0.010 %"),
        ("drawdown_halt", 0.0, 0.02, "entries are halted; drawdown 0.00 % of equity, at most 2.00 %"),
        ("correlation", 0.914, 0.8, "correlation 0.91, at most 0.80"),
        ("min_reward_risk", 1.4, 2.0, "reward : risk 1.40, at least 2.00"),
        ("min_score", 55.0, 60.0, "score 55, at least 60"),
        ("min_strength", 1.0, 2.0, "strength weak, at least moderate"),
        ("max_positions", 5.0, 5.0, "positions and orders there: 5, at most 5"),
        ("invalid_stop", 101.0, 100.0, "the stop 101.00 is on the wrong side of 100.00"),
        ("same_side_open", 1.0, 0.0, "a position or order on this side is there already"),
        ("sector", None, None, "sector"),
        ("of_tomorrow", 1.0, 2.0, "of tomorrow: 1, limit 2"),
    ],
)  # fmt: skip
def test_a_verdict_says_what_was_measured_in_its_unit(
    rule: str, value: float | None, limit: float | None, said: str
) -> None:
    assert why_of(rule, value, limit).replace("\N{NO-BREAK SPACE}", " ") == said
