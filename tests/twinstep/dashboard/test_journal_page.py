"""The journal's pages: their figures are those of the journal, every trade is found, and text stays text."""

from __future__ import annotations

import html
import re
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest

from journal.inbox import Inbox
from journal.performance_tracker import PerformanceTracker
from journal.trade_journal import TradeJournal
from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard
from twinstep.dashboard.charts.trade import trade_chart
from twinstep.dashboard.reading.journal import PER_PAGE, Filters, Key, page, year
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.trade import Bar, trade_view
from twinstep.dashboard.words import price, signed

DAY = 86_400_000_000_000
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
STEPPED = slice(100, 330)
"""Days of the bundled stocks that the session sees, from one year into the next."""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal with a session's trades, and a few that a person logged as live."""
    where = tmp_path_factory.mktemp("journal") / "desk.db"
    bars = load_bars("sample:stocks")[STEPPED]
    switch = KillSwitch(switch_folder(where))
    with Session(
        where, like=bars, strategies=[strategy_class("donchian-breakout")()], kill_switch=switch
    ) as session:
        session.push(bars[:60])
        for row in range(60, len(bars)):
            session.push(bars[row : row + 1])
    with TradeJournal(where, source="live") as opened:
        first = opened.log_trade_entry(
            symbol="SPY", strategy="put-spread", actual_contracts=2, entry_credit=1.9, iv_rank=40.0,
            legs=[{"side": -1, "kind": "put", "strike": 95.0, "expiry": "2026-03-20"},
                  {"side": 1, "kind": "put", "strike": 90.0, "expiry": "2026-03-20"}],
            when=datetime(2026, 1, 5, 15, tzinfo=UTC), notes="100% sure", name="TRADE_A",
        )  # fmt: skip
        opened.log_trade_exit(
            first, 0.95, "50% profit rule", "as planned", when=datetime(2026, 1, 20, 16, tzinfo=UTC),
            fees=5.2, mae=-120.0, mfe=210.0,
        )  # fmt: skip
        opened.add_lesson(first, "sell when it is dear")
        second = opened.log_trade_entry(
            symbol="QQQ", strategy=HOSTILE, side=1, quantity=10, entry_price=400.0, stop_price=390.0,
            target_price=430.0, when=datetime(2026, 1, 6, 15, tzinfo=UTC), notes=HOSTILE, tags=[HOSTILE],
        )  # fmt: skip
        opened.log_trade_exit(
            second,
            exit_price=395.0,
            close_reason=HOSTILE,
            notes=HOSTILE,
            when=datetime(2026, 2, 3, 16, tzinfo=UTC),
        )
        opened.add_lesson(second, HOSTILE)
        opened.add_mistake(second, "late_entry", HOSTILE)
        opened.log_trade_entry(
            symbol="QQQ", strategy="by-hand", side=-1, quantity=5, entry_price=410.0, tags=["earnings"],
            when=datetime(2026, 2, 4, 15, tzinfo=UTC),
        )  # fmt: skip
    return where


def numbers(client: Client, **query: Any) -> list[int]:
    """Return the trades of a page, in its order."""
    return [int(one) for one in re.findall(r'href="/trades/(\d+)"', ask(client, **query))]


def ask(client: Client, **query: Any) -> str:
    answer = client.ask(f"/journal?{urlencode(query)}")
    assert answer.status == 200, answer.body
    return answer.body


def stored(journal: Path, source: str) -> Any:
    with TradeJournal(journal, read_only=True) as opened:
        return opened.trades(source=source)


# Figures


def test_every_day_of_the_calendar_is_the_sum_of_what_was_closed_on_it(client: Client, journal: Path) -> None:
    sums: dict[date, list[float]] = defaultdict(list)
    for one in stored(journal, "paper"):
        if one.status == "closed":
            sums[one.exit_time.date()].append(one.pnl)
    assert len({day.year for day in sums}) > 1
    for number in {day.year for day in sums}:
        text = html.unescape(ask(client, source="paper", year=number))
        shown = re.findall(r'aria-label="(\d{4}-\d\d-\d\d): (\S+) in (\d+) trades?"', text)
        mine = {day: values for day, values in sums.items() if day.year == number}
        assert {(day, pnl, int(count)) for day, pnl, count in shown} == {
            (str(day), signed(sum(values)), len(values)) for day, values in mine.items()
        }
        total = sum(sum(values) for values in mine.values())
        assert re.search(rf"<dt>Result</dt><dd class=\"\w*\">{re.escape(signed(total))}</dd>", text)


def test_years_without_a_trade_are_passed_over(tmp_path: Path) -> None:
    where = tmp_path / "far.db"
    days = {"live": (date(1969, 12, 31), date(2004, 1, 1), date(2004, 12, 31)), "paper": (date(2026, 6, 1),)}
    for source, when in days.items():
        with TradeJournal(where, source=source) as opened:
            for day in when:
                at = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
                number = opened.log_trade_entry(
                    symbol="QQQ", strategy="s", side=1, quantity=1, entry_price=10.0, when=at
                )
                opened.log_trade_exit(number, exit_price=11.0, close_reason="target", when=at)
    reader = Reader(where)
    wanted = {1969: (None, 2004), 2004: (1969, 2026), 2010: (2004, 2026), 2026: (2004, None)}
    for number, beside in wanted.items():
        found = year(reader, Filters(source="all"), number)
        assert found is not None
        assert found.every == (1969, 2004, 2026)
        assert (found.before, found.after) == beside
    live = year(reader, Filters(source="live"))
    assert live is not None
    assert (live.number, live.every) == (2004, (1969, 2004))
    with Dashboard(where) as served:
        text = Client(served).log_in().ask("/journal?source=all&year=2010").body
    links = re.search(r'aria-label="Years with trades".*?</nav>', text, re.DOTALL)
    assert links is not None
    assert re.findall(r">(\d{4})</a>", links[0]) == ["2026", "2004", "1969"]


def test_a_note_says_when_it_was_made(client: Client, journal: Path) -> None:
    number = stored(journal, "paper")[0].id
    assert client.do(f"trades/{number}/note", note="the open was thin", key="note-00001").json["done"]
    text = client.ask(f"/trades/{number}").body
    assert re.search(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d UTC)?: the open was thin", text)


def test_a_month_is_the_sum_of_its_days(client: Client, journal: Path) -> None:
    found = year(Reader(journal), Filters(source="paper"))
    assert found is not None
    assert sum(one.pnl for one in found.months) == pytest.approx(found.pnl)
    for month in found.months:
        days = [day for week in month.weeks for day in week if day is not None]
        assert [day.date.day for day in days] == list(range(1, len(days) + 1))
        assert month.pnl == pytest.approx(sum(day.pnl for day in days))
    assert found.pnl == pytest.approx(
        sum(
            one.pnl
            for one in stored(journal, "paper")
            if one.exit_time and one.exit_time.year == found.number
        )
    )


def test_a_trade_says_what_the_journal_knows(client: Client, journal: Path) -> None:
    with TradeJournal(journal, read_only=True) as opened:
        trade = opened.trade("TRADE_A")
    text = html.unescape(client.ask(f"/trades/{trade.id}").body)
    for words in (
        signed(trade.pnl), signed(trade.r_multiple), "−120.00", "+210.00", "sell when it is dear",
        "100% sure", "as planned", "50% profit rule", "TRADE_A", "95.00", "90.00", "2026-03-20",
        "2026-01-20 16:00:00 UTC", f"{signed(-120.0 / (trade.initial_risk or 0.0))} R",
    ):  # fmt: skip
        assert words in text, words
    with TradeJournal(journal, read_only=True) as opened:
        assert all(one.text in text for one in opened.insights(trade.id))


def test_bars_around_a_trade_are_those_that_its_session_saw(client: Client, journal: Path) -> None:
    bars = load_bars("sample:stocks")[STEPPED]
    trade = next(one for one in stored(journal, "paper") if one.status == "closed")
    view = trade_view(Reader(journal), trade.id)
    assert view is not None
    times = bars.ts.tolist()
    first, last = times.index(int(view.trade["entry_ts"])), times.index(int(view.trade["exit_ts"]))
    column = bars.symbols.index(trade.symbol)
    wanted = [
        (times[row], *bars.panel[row, column, :4].tolist()) for row in range(max(first - 20, 0), last + 11)
    ]
    assert [(one.ts, one.open, one.high, one.low, one.close) for one in view.bars] == wanted
    label = re.search(r'class="chart"[^>]*aria-label="([^"]*)"', client.ask(f"/trades/{trade.id}").body)
    assert label is not None
    for words in (
        f"{len(wanted)} bars", f"entry {price(trade.entry_price)}", f"stop {price(trade.stop_price)}",
        f"out at {price(trade.exit_price)}",
    ):  # fmt: skip
        assert words in label[1]


def test_a_trade_without_bars_is_drawn_from_its_fills(client: Client, journal: Path) -> None:
    number = next(one.id for one in stored(journal, "live") if one.strategy == HOSTILE)
    text = client.ask(f"/trades/{number}").body
    assert "QQQ, fills only; entry 400.00; stop 390.00; target 430.00; in at 400.00" in text
    assert "goes from fill to fill" in text


def test_a_package_over_bars_shows_strikes_and_times_and_not_its_own_prices(journal: Path) -> None:
    number = next(one.id for one in stored(journal, "live") if one.symbol == "SPY")
    view = trade_view(Reader(journal), number)
    assert view is not None
    first = view.trade["entry_ts"] // DAY * DAY
    bars = tuple(Bar(first + row * DAY, 97.0, 99.0, 96.0, 98.0 + row / 100) for row in range(20))
    text = trade_chart(replace(view, bars=bars))
    assert text.count('class="strike"') == 2
    assert "strike 95.00" in text
    assert "entry 1.90" not in text
    assert "in at 98.00 on 2026-01-05" in text
    assert "out at 98.15 on 2026-01-20" in text


# Finding


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({}, lambda one: True),
        ({"symbol": "qqq"}, lambda one: one.symbol == "QQQ"),
        ({"symbol": "QQ"}, lambda one: False),
        ({"strategy": "HAND"}, lambda one: one.strategy == "by-hand"),
        ({"tag": "earnings"}, lambda one: one.strategy == "by-hand"),
        ({"tag": HOSTILE}, lambda one: one.strategy == HOSTILE),
        ({"outcome": "open"}, lambda one: one.status == "open"),
        ({"outcome": "closed"}, lambda one: one.status == "closed"),
        ({"outcome": "win"}, lambda one: one.status == "closed" and one.pnl > 0),
        ({"outcome": "loss"}, lambda one: one.status == "closed" and one.pnl < 0),
        ({"outcome": "even"}, lambda one: False),
        ({"q": "100%"}, lambda one: one.symbol == "SPY"),
        ({"q": "1%"}, lambda one: False),
        ({"q": "trade_a"}, lambda one: one.symbol == "SPY"),
        ({"q": "tradexa"}, lambda one: False),
        ({"q": "IS DEAR"}, lambda one: one.symbol == "SPY"),
        ({"q": "earning"}, lambda one: one.strategy == "by-hand"),
        ({"q": "' OR 1=1 --"}, lambda one: False),
        ({"since": "2026-02-03"}, lambda one: one.symbol == "QQQ"),
        ({"since": "2026-02-03", "until": "2026-02-03"}, lambda one: one.strategy == HOSTILE),
        ({"until": "2026-02-02"}, lambda one: one.symbol == "SPY"),
        ({"source": "backtest"}, lambda one: False),
    ],
)  # fmt: skip
def test_a_search_finds_what_fits_and_nothing_else(
    client: Client, journal: Path, query: dict[str, str], fits: Callable[[Any], bool]
) -> None:
    wanted = {one.id for one in stored(journal, "live") if fits(one)}
    assert set(numbers(client, **{"source": "live", **query})) == wanted
    if not wanted:
        assert 'class="empty"' in ask(client, **{"source": "live", **query})


def test_sources_are_mixed_only_where_that_is_asked_for(client: Client, journal: Path) -> None:
    live, paper = ({one.id for one in stored(journal, name)} for name in ("live", "paper"))
    assert set(numbers(client)) == live
    assert set(numbers(client, source="paper")) == paper
    assert set(numbers(client, source="all")) == live | paper


def test_a_day_of_the_calendar_leads_to_its_trades(client: Client, journal: Path) -> None:
    text = ask(client, source="paper")
    link = re.search(r'class="day \w+" href="/journal\?([^"#]*)#trades"[^>]*aria-label="(\S+):', text)
    assert link is not None
    answer = client.ask(f"/journal?{html.unescape(link[1])}")
    shown = {int(one) for one in re.findall(r'href="/trades/(\d+)"', answer.body)}
    assert shown == {
        one.id
        for one in stored(journal, "paper")
        if (one.exit_time or one.entry_time).date().isoformat() == link[2]
    }


def fill(path: Path, count: int, *, days: int, spread: int = 1) -> list[dict[str, Any]]:
    """Store trades as quickly as can be, several closed at the same time, and return them."""
    TradeJournal(path).close()
    random = Random(7)  # noqa: S311 - a seed
    rows: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        closed = int((18_262 + days * (number // spread * spread) / count) * DAY)
        still = random.random() < 0.1 if count < 10_000 else number > count - 300
        rows.append(
            {
                "id": number, "source": ("live", "paper")[number % 2],
                "status": "open" if still else "closed",
                "kind": "stock", "symbol": f"S{number % 37:02d}", "strategy": f"strategy-{number % 3}",
                "side": 1, "quantity": 10.0, "open_quantity": 10.0 if still else 0.0,
                "entry_ts": closed - 5 * DAY, "entry_price": 100.0, "exit_ts": None if still else closed,
                "exit_price": None if still else 101.0, "pnl": 0.0 if still else random.gauss(5.0, 200.0),
                "entry_notes": "why this was bought, in the words of whoever bought it " * 3,
            }
        )  # fmt: skip
    with closing(sqlite3.connect(path)) as connection, connection:
        names = list(rows[0])
        connection.executemany(
            f"INSERT INTO trades ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})",  # noqa: S608
            rows,
        )
        connection.executemany(
            "INSERT INTO tags VALUES (?, ?)", [(row["id"], "third") for row in rows if row["id"] % 3 == 0]
        )
    return rows


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    where = tmp_path_factory.mktemp("many") / "many.db"
    return where, fill(where, 700, days=500, spread=4)


@pytest.mark.parametrize(
    ("source", "outcome", "tag"), list(product(("live", "all"), ("", "win", "open"), ("", "third")))
)
def test_leafing_shows_every_trade_once_and_newest_first(
    many: tuple[Path, list[dict[str, Any]]], source: str, outcome: str, tag: str
) -> None:
    where, rows = many
    reader, filters = Reader(where), Filters(source=source, outcome=outcome, tag=tag)
    shown: list[int] = []
    after: Key | None = None
    for _ in range(len(rows)):
        found, after = page(reader, filters, after)
        assert len(found) <= PER_PAGE
        shown += [one["id"] for one in found]
        if after is None:
            break
        assert len(found) == PER_PAGE
    fits = [
        row
        for row in rows
        if source in ("all", row["source"])
        and (outcome != "open" or row["status"] == "open")
        and (outcome != "win" or (row["status"] == "closed" and row["pnl"] > 0))
        and (not tag or row["id"] % 3 == 0)
    ]
    wanted = sorted(fits, key=lambda row: (row["exit_ts"] or 2**63, row["id"]), reverse=True)
    assert shown == [row["id"] for row in wanted]


def test_links_leaf_through_all_of_it(many: tuple[Path, list[dict[str, Any]]]) -> None:
    where, rows = many
    with Dashboard(where) as served:
        client = Client(served).log_in()
        path, shown = "/journal?source=all&symbol=s01", list[int]()
        for _ in range(20):
            text = client.ask(path).body
            shown += [int(one) for one in re.findall(r'href="/trades/(\d+)"', text)]
            older = re.search(r'href="([^"]*)#trades">Older', text)
            if older is None:
                break
            path = html.unescape(older[1])
        assert "Newest" not in client.ask("/journal?source=all").body
    assert sorted(shown) == [row["id"] for row in rows if row["symbol"] == "S01"]


@pytest.mark.slow
def test_the_first_page_of_200000_trades_takes_less_than_300_ms(tmp_path: Path) -> None:
    where = tmp_path / "large.db"
    fill(where, 200_000, days=3650)
    with Dashboard(where) as served:
        client = Client(served).log_in()
        for path in (
            "/journal", "/journal?source=all", "/journal?source=live&symbol=S01",
            "/journal?after=c.1650000000000000000.9",
        ):  # fmt: skip
            took = []
            for _ in range(5):
                begun = time.perf_counter()
                answer = client.ask(path)
                took.append(1000.0 * (time.perf_counter() - begun))
                assert answer.status == 200
                assert answer.body.count('href="/trades/') == PER_PAGE
            print(f"{path}: first {took[0]:.0f} ms, then {sorted(took)[2]:.0f} ms")
            assert sorted(took)[2] < 300.0


# What others wrote, and what nobody should send


class Tags(HTMLParser):
    """Reads a page as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[str, list[tuple[str, str]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, [(key, value or "") for key, value in attrs]))


@pytest.mark.parametrize("path", ["/journal?source=live", "/trades/{number}", "/trades/{number}/live"])
def test_what_others_wrote_is_text(client: Client, journal: Path, path: str) -> None:
    number = next(one.id for one in stored(journal, "live") if one.strategy == HOSTILE)
    text = client.ask(path.format(number=number)).body
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text
    found = Tags()
    found.feed(text)
    assert all(
        dict(given).get("src", "").startswith("/static/") for name, given in found.all if name == "script"
    )
    assert not {name for name, _ in found.all} & {"style", "img"}
    assert not {key for _, given in found.all for key, _ in given if key == "style" or key.startswith("on")}


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday", "since=2026-02-31", "until=0001-01-01", "until=9999-12-31", "year=20", "year=1500",
        "year=9999", "source=theirs", "outcome=fine", "after=1", "after=o.9999999999999999999",
        "after=c.9999999999999999999.1", "after=c.1", "q=%00", "symbol=A%00", "q=" + "x" * 201,
        "symbol=" + "x" * 81,
    ],
)  # fmt: skip
def test_what_is_no_search_is_refused(client: Client, query: str) -> None:
    assert client.ask(f"/journal?{query}").status == 422


@pytest.mark.parametrize("query", ["q=%FF", "symbol=%27", "q=%01%02", "tag=%F0%9F%92%A9", "strategy=!%25_"])
def test_odd_words_find_nothing(client: Client, query: str) -> None:
    answer = client.ask(f"/journal?source=live&{query}")
    assert answer.status == 200
    assert 'href="/trades/' not in answer.body


@pytest.mark.parametrize(
    ("number", "status"),
    [("9999", 404), ("9223372036854775807", 404), ("9223372036854775808", 422), ("0", 422), ("x", 422)],
)
def test_a_trade_that_is_none(client: Client, number: str, status: int) -> None:
    answer = client.ask(f"/trades/{number}")
    assert answer.status == status
    if status == 404:
        assert "has no trade" in answer.body
        assert client.ask(f"/trades/{number}/live").status == 404
        assert client.do(f"trades/{number}/tag", tag="a").status == 404


def test_a_journal_that_is_not_there_or_empty_says_what_begins_it(tmp_path: Path) -> None:
    where = tmp_path / "new.db"
    with Dashboard(where) as served:
        client = Client(served).log_in()
        for path in ("/journal", "/trades/1"):
            answer = client.ask(path)
            assert answer.status == 200
            assert "is not there yet" in answer.body
        assert not client.do("trades/1/tag", tag="a").json["done"]
        assert not where.exists()
        TradeJournal(where).close()
        assert "No trade yet" in client.ask("/journal").body
        assert client.ask("/trades/1").status == 404


def test_a_question_that_takes_too_long_is_given_up(
    many: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinstep.dashboard.reading.reader.SECONDS", -1.0)
    with Dashboard(many[0]) as served:
        answer = Client(served).log_in().ask("/journal?source=all&q=nothing+like+it")
    assert answer.status == 200
    assert "took too long" in answer.body


# Writing down


def test_what_a_person_writes_down_is_stored_once(client: Client, journal: Path) -> None:
    number = stored(journal, "paper")[0].id
    found = client.do(f"trades/{number}/lesson", lesson="wait for the close", key="lesson-1")
    assert found.json == {"done": True, "says": "The lesson is stored.", "code": ""}
    assert client.do(f"trades/{number}/lesson", lesson="wait for the close", key="lesson-1").json["done"]
    assert client.do(f"trades/{number}/tag", tag="breakout", key="tag-00001").json["done"]
    assert client.do(
        f"trades/{number}/mistake", category="chased_entry", description="a bar late", key="mistake-1"
    ).json["done"]
    with TradeJournal(journal, read_only=True) as opened:
        noted = PerformanceTracker(opened).record(number)
    assert noted.lessons == ("wait for the close",)
    assert "breakout" in noted.tags
    assert ("chased_entry", "a bar late") in noted.mistakes
    text = client.ask(f"/trades/{number}").body
    for words in ("wait for the close", "breakout", "chased entry", "a bar late"):
        assert words in text
    assert set(numbers(client, source="paper", tag="breakout")) == {number}
    assert set(numbers(client, source="paper", q="wait for the")) == {number}


@pytest.fixture
def held(journal: Path) -> Iterator[None]:
    """Have another process hold the journal for writing."""
    program = (
        "import sys; from journal.trade_journal import TradeJournal\n"
        "with TradeJournal(sys.argv[1]) as journal:\n"
        "    journal.database.lock(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(journal)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("")


def test_where_another_process_writes_it_is_left_for_that_one(
    client: Client, journal: Path, held: None
) -> None:
    number = stored(journal, "paper")[1].id
    before = len(Inbox(journal).waiting())
    found = client.do(f"trades/{number}/lesson", lesson="in the inbox", key="lesson-held").json
    assert found["done"]
    assert "inbox" in found["says"]
    assert len(Inbox(journal).waiting()) == before + 1
    assert "in the inbox" not in client.ask(f"/trades/{number}").body


def test_what_waited_is_stored_by_the_next_that_writes(client: Client, journal: Path) -> None:
    number = stored(journal, "paper")[1].id
    assert client.do(f"trades/{number}/tag", tag="next", key="tag-next").json["done"]
    assert Inbox(journal).waiting() == []
    with TradeJournal(journal, read_only=True) as opened:
        assert PerformanceTracker(opened).record(number).lessons == ("in the inbox",)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("lesson", {}), ("lesson", {"lesson": " \n"}), ("lesson", {"lesson": "x" * 2001}),
        ("lesson", {"lesson": "a", "more": 1}), ("lesson", {"lesson": 1}), ("tag", {"tag": "x" * 81}),
        ("tag", {"tag": ""}),
        ("mistake", {"category": "none"}), ("mistake", {"category": "other", "description": "x" * 2001}),
        ("tag", {"tag": "a", "key": "short"}),
    ],
)  # fmt: skip
def test_forms_that_are_none_are_refused(client: Client, path: str, form: dict[str, object]) -> None:
    assert client.do(f"trades/1/{path}", **form).status == 422


def test_days_are_days_of_utc(tmp_path: Path) -> None:
    where = tmp_path / "zones.db"
    with TradeJournal(where, source="live") as opened:
        for hour in (23, 25):
            begun = datetime(2026, 3, 1, tzinfo=UTC)
            number = opened.log_trade_entry(symbol="SPY", side=1, quantity=1, entry_price=10.0, when=begun)
            opened.log_trade_exit(number, exit_price=11.0, when=begun + timedelta(hours=hour))
    found = year(Reader(where), Filters(source="live"))
    assert found is not None
    assert [(one.date, one.pnl, one.wins) for one in found.days] == [
        (date(2026, 3, 1), 1.0, 1), (date(2026, 3, 2), 1.0, 1)
    ]  # fmt: skip
