"""The view of an account: what it shows at 80 and 140 columns, and that its figures are the account's."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from journal.trade_journal import TradeJournal
from live import ReplayFeed, Session
from live.kill_switch import KillSwitch
from simulator import RiskLimits, Signals, load_bars
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from tests.twinstep.conftest import Cli
from twinstep.account_lines import (
    AccountLines,
    OrderLine,
    PositionLine,
    VerdictLine,
    stored_lines,
    stored_sessions,
)
from twinstep.paper_view import DeskView, FeedLine, RequestLine, account_line, age_words
from twinstep.paper_watch import Watch, feed_line

JOURNAL = "trade_journal.db"
BARS = load_bars("synthetic:4x80?seed=5")
DAY = 86_400_000_000_000
TS = 19_000 * DAY + 15 * 3_600_000_000_000


def drawn(view: DeskView, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=True)
    console.print(view)
    return console.export_text().splitlines()


def position(number: int, **more: Any) -> PositionLine:
    fields: dict[str, Any] = {
        "symbol": f"SYM{number}", "quantity": -1250.0, "entry": 1234.56, "mark": 1199.25, "stop": 1300.0,
        "target": 1100.0, "result": 44137.5, "r": 0.54, "days": 12.0, "target_pct": 26.24,
    }  # fmt: skip
    return PositionLine(**{**fields, **more})


FULL = AccountLines(
    session="trend", bars=1234, ts=TS, equity=1_099_583.2, cash=81_746.16, day=-2222.48, day_pct=-0.22,
    drawdown_pct=4.95, heat_pct=5.65, heat_cap_pct=6.0, halt="REDUCING", halt_why="exits only",
    positions=(
        *(position(number) for number in range(9)),
        position(9, symbol="SPX", legs="-4100P +4000P", target=None, target_pct=None, r=None, stop=None),
    ),
    orders=tuple(
        OrderLine(symbol=f"SYM{n}", quantity=100.0, kind="stop_limit", trigger=101.5, limit=102.0, bars=3)
        for n in range(8)
    ),
    verdicts=(
        VerdictLine(
            ts=TS, symbol="MSFT", rule="shrunk by position_size", value=0.3513, limit=0.25, asked=1298.0,
            granted=923.0,
        ),
        VerdictLine(
            ts=TS, symbol="[red]AAPL", rule="correlation_unknown", value=None, limit=None, asked=None,
            granted=0.0,
        ),
    ),
    waiting=1,
)  # fmt: skip
REQUEST = RequestLine(
    request_id="R-0123456789abcdef",
    what="buy 100 AAPL limit, limit 187.5, stop 180, target 200",
    expires=datetime(2026, 3, 2, 15, 20, tzinfo=UTC),
)
VIEW = DeskView(
    account=FULL, switch="HALTED", why="killed by ada at 2026-03-02T15:04:05+00:00: quotes are frozen",
    requests=(REQUEST,), feed=FeedLine(name="yfinance:AAPL", state="STALE", age=95.0, stale=True), closed=12,
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 140])
def test_everything_is_there_and_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(VIEW, width)
    assert max(len(line.rstrip()) for line in lines) <= width
    text = " ".join(" ".join(lines).split())
    for word in (
        "PAPER", "HALTED", "killed by ada", "quotes are frozen", "account REDUCING: exits only", "trend",
        "1,099,583.20", "81,746.16", "-2,222.48 (-0.22 %)", "5.65 of 6 %", "4.95 %", "SYM8", "-1250",
        "1234.56", "1199.25", "1300.00", "1100.00", "+0.54", "26", "SPX", "and 2 more", "position_size",
        "0.3513", "0.25",
        "correlation_unknown", "[red]AAPL", "R-0123456789abcdef", "buy 100 AAPL", "15:20:00Z", "closed 12",
        "commands waiting 1", "feed yfinance:AAPL: STALE, data 95 s old",
    ):  # fmt: skip
        assert word in text, word
    assert ("-4100P +4000P" in text) == (width == 140)
    assert ("+44,137.50" in text) == (width == 140)
    assert lines[0].split()[:3] == ["PAPER", "HALTED", "trend"]


def test_verdicts_stand_under_their_headings() -> None:
    lines = [line.split() for line in drawn(VIEW, 140)]
    start = next(index for index, cells in enumerate(lines) if cells[:2] == ["time", "symbol"])
    head = ["time", "symbol", "verdict", "rule", "value", "limit", "asked", "granted"]
    assert lines[start] == head
    assert lines[start + 1][-7:] == ["MSFT", "shrunk", "position_size", "0.3513", "0.25", "1,298", "923"]
    assert lines[start + 2][-7:] == ["[red]AAPL", "rejected", "correlation_unknown", "-", "-", "-", "0"]


def test_the_rule_that_made_an_order_smaller_is_read_from_the_journal(cli: Cli) -> None:
    played = ("paper", "--start", "2003-06-01", "--end", "2003-12-31", "--strategy", "donchian-breakout")
    assert cli(*played).code == 0
    account = stored_lines(JOURNAL, "paper")
    assert account is not None
    with TradeJournal(JOURNAL, read_only=True) as journal, journal.database.read() as connection:
        rules = (
            connection.exec_driver_sql("SELECT rule FROM verdicts ORDER BY id DESC LIMIT 5").scalars().all()
        )
    told = [(one.verdict, one.decided_by) for one in account.verdicts]
    assert [rule == "shrunk" for rule in reversed(rules)] == [verdict == "shrunk" for verdict, _ in told]
    assert all(rule == "sector" for verdict, rule in told if verdict == "shrunk")
    assert ("shrunk", "sector") in told


def test_a_quiet_account_takes_few_lines() -> None:
    quiet = replace(FULL, halt="ACTIVE", halt_why="", positions=(), orders=(), verdicts=(), waiting=0)
    lines = drawn(DeskView(account=quiet, switch="ACTIVE", why="armed"), 80)
    assert len(lines) <= 6
    assert "armed" in lines[0]
    assert "no open position" in lines
    assert drawn(DeskView(account=None, switch="HALTED", why="the journal is gone"), 80)[:2] == [
        " PAPER  HALTED ", "kill switch HALTED: the journal is gone",
    ]  # fmt: skip


def test_a_line_says_the_same() -> None:
    line = account_line(FULL, "HALTED")
    assert line.startswith(
        "2022-01-08 15:00Z  equity 1,099,583.20  day -2,222.48 (-0.22 %)  heat 5.65 of 6 %"
    )
    assert line.endswith("open 10  working 8  HALTED")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (99.0, "99 s"), (120.0, "2 min"), (7200.0, "2.0 h"), (4 * 86_400.0, "4 d")],
)
def test_ages_are_short(seconds: float, words: str) -> None:
    assert age_words(seconds) == words


# Figures


def a_session(**more: Any) -> Session:
    return Session(JOURNAL, like=BARS, **more)


def test_the_journal_says_what_the_risk_manager_says(cli: Cli) -> None:
    a, b, c, _ = BARS.symbols
    signals = Signals.concat(
        [
            Signals.from_arrays(BARS, [20], [a], 1, stop_percent=8.0, target_percent=30.0),
            Signals.from_arrays(BARS, [20], [b], -1, stop_percent=8.0, target_percent=30.0),
            Signals.from_arrays(BARS, [24], [c], 1, entry="limit", limit_price=1.0, stop=0.5, valid_bars=9),
        ]
    )
    with a_session(risk=RiskLimits(max_portfolio_heat_pct=5.0)) as session:
        session.push(BARS[:26], signals)
        risk = session.risk()
        assert len(risk.positions) == 2
        account = stored_lines(JOURNAL, "paper")
    assert account is not None
    assert account.heat_pct == pytest.approx(risk.heat_pct)
    assert account.heat_cap_pct == 5.0
    assert account.equity == risk.equity
    assert account.drawdown_pct == pytest.approx(risk.drawdown_pct)
    assert account.day_pct == pytest.approx(-risk.daily_loss_pct)
    assert account.ts == int(BARS.ts[25])
    for line, known in zip(account.positions, risk.positions, strict=True):
        assert (line.symbol, line.quantity) == (known.symbol, known.quantity * known.side)
        assert (line.entry, line.mark, line.stop) == (known.entry_price, known.mark, known.stop)
        assert line.result == pytest.approx(known.unrealized)
        assert line.r == pytest.approx(
            known.unrealized / (known.quantity * abs(line.entry - known.stop)), rel=0.02
        )
        assert line.target is not None
        assert line.target_pct == pytest.approx(100 * (line.mark - line.entry) / (line.target - line.entry))
        assert (line.target > line.entry) == (known.side > 0)
        assert line.days == pytest.approx((int(BARS.ts[25]) - int(BARS.ts[21])) / DAY)
    (order,) = account.orders
    assert (order.symbol, order.kind, order.limit) == (c, "limit", 1.0)
    assert [one.rule for one in account.verdicts[:2]] == ["admitted", "admitted"]


def test_option_packages_show_their_legs(cli: Cli) -> None:
    n = 60
    close = np.full(n, 400.0)
    frame = {
        "open": close,
        "high": close * 1.001,
        "low": close * 0.999,
        "close": close,
        "volume": close * 1e3,
    }
    import pandas as pd

    from simulator.bars import Bars

    table = pd.DataFrame(frame, index=pd.bdate_range("2024-01-02", periods=n))
    bars = Bars.from_frames({"SPY": table})
    bars = bars.with_options(OptionMarket.modelled(bars, {"SPY": np.full(n, 0.2)}))
    packages = package_signals(
        bars, [20], "SPY", -1,
        make_legs([[(-1, "put", 380.0), (1, "put", 370.0)]], expiry="2024-03-15"), make_rules(1), qty=1.0,
    )  # fmt: skip
    with Session(JOURNAL, like=bars, risk=None) as session:
        session.push(bars[:25], packages)
    account = stored_lines(JOURNAL, "paper")
    assert account is not None
    (line,) = account.positions
    assert line.legs == "-380P +370P"
    assert line.quantity == -1.0
    assert (line.stop, line.target) == (None, None)


@pytest.mark.parametrize("side", [-1, 1])
def test_option_packages_show_where_their_rules_end_them(cli: Cli, side: int) -> None:
    import pandas as pd

    from simulator.bars import Bars

    n = 60
    # it moves for the package until the trail has begun, and stays
    close = 400.0 - side * np.concatenate([np.zeros(24), np.linspace(0.0, 15.0, 6), np.full(n - 30, 15.0)])
    frame = {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close, "volume": close}
    bars = Bars.from_frames({"SPY": pd.DataFrame(frame, index=pd.bdate_range("2024-01-02", periods=n))})
    bars = bars.with_options(OptionMarket.modelled(bars, {"SPY": np.full(n, 0.2)}))
    legs = make_legs([[(side, "put", 395.0), (-side, "put", 375.0)]], expiry="2024-06-21")
    rules = make_rules(1, profit_target=0.9, stop_loss=0.7, trail_start=0.05, trail_back=0.5)
    packages = package_signals(bars, [20], "SPY", side, legs, rules, qty=1.0)
    with Session(JOURNAL, like=bars, risk=None) as session:
        session.push(bars[:22], packages)
        (begun,) = lines_of(session)
        premium = begun.entry
        assert begun.stop == pytest.approx(premium * (1.0 - side * 0.7))
        assert begun.target == pytest.approx(premium * (1.0 + side * 0.9))
        session.push(bars[22:31])
        (trailing,) = lines_of(session)
        assert trailing.stop == pytest.approx(trailing.mark - side * 0.5 * premium, rel=0.02)
        assert trailing.target_pct is not None
        assert trailing.target_pct > 5.0 / 0.9


def lines_of(session: Session) -> tuple[PositionLine, ...]:
    account = stored_lines(JOURNAL, session.name)
    assert account is not None
    return account.positions


def test_a_halt_is_named(cli: Cli) -> None:
    switch = KillSwitch(JOURNAL + ".switch")
    with a_session(kill_switch=switch) as session:
        session.push(BARS[:5])
        switch.engage("crash", "ada")
        session.push(BARS[5:6])
    account = stored_lines(JOURNAL, "paper")
    assert account is not None
    assert (account.halt, account.halt_why) == ("HALTED", "killed")
    shown = cli("status")
    assert "account HALTED: killed" in shown.out
    assert "kill switch HALTED: killed by ada" in shown.out


def test_sessions_are_listed_newest_first_and_what_is_not_there_is_none(cli: Cli) -> None:
    for name, last in (("old", 3), ("new", 9)):
        with a_session(name=name) as session:
            session.push(BARS[:last])
    assert stored_sessions(JOURNAL) == ["new", "old"]
    assert stored_lines(JOURNAL, "nobody") is None
    assert "new" in cli("status").out.split("\n\n")[1]
    assert cli("status", "--name", "old", "--json").json["account"]["bars"] == 3
    assert "no session 'nobody'" in cli("status", "--name", "nobody").err


def test_the_account_is_read_without_the_kernel() -> None:
    code = (
        "import sys, twinstep.account_lines, twinstep.paper_view, twinstep.commands.desk\n"
        "import live.sessions.recording\n"
        "from simulator.kernel.state import from_bytes\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"numba", "pandas", "scipy"}


# While it runs


def test_without_a_terminal_a_line_comes_every_so_many_bars(cli: Cli) -> None:
    played = ("paper", "--data", "synthetic:2x40?seed=1", "--strategy", "sma-cross")
    lines = [line for line in cli(*played, "--lines", "10").out.splitlines() if " equity " in line]
    assert [line for line in lines if line[:4].isdigit()] != []
    assert sum(line[:4].isdigit() for line in lines) == 4
    assert sum(line[:4].isdigit() for line in cli(*played, "--name", "b").out.splitlines()) == 0


def test_the_view_follows_the_session(tmp_path: Path) -> None:
    now = [0.0]
    switch = KillSwitch(tmp_path / "j.db.switch")
    waiting: list[RequestLine] = []
    watch = Watch(quiet=False, requests=lambda: tuple(waiting), clock=lambda: now[0])
    watch._live = SimpleNamespace(stop=lambda: None)  # type: ignore[assignment]  # as on a terminal
    feed = ReplayFeed(BARS)
    signals = Signals.from_arrays(BARS, [5], [BARS.symbols[0]], 1, stop_percent=20.0)
    with Session(tmp_path / "j.db", feed=feed, strategies=signals, kill_switch=switch) as session:
        watch.begin(session)
        seen = watch.view()
        assert seen.account is not None
        assert (seen.account.bars, seen.switch) == (0, "ACTIVE")
        session.run(8, tell=watch.tell)
        before = watch.view()
        assert before.account is not None
        assert [line.symbol for line in before.account.positions] == [BARS.symbols[0]]
        assert [one.rule for one in before.account.verdicts] == ["admitted"]
        switch.engage("crash", "ada")
        waiting.append(REQUEST)
        assert watch.view().switch == "ACTIVE"  # looked at once a second
        now[0] += 1.0
        after = watch.view()
        assert (after.switch, after.requests) == ("HALTED", (REQUEST,))
        session.run(1, tell=watch.tell)
        last = watch.view().account
        assert last is not None
        assert last.halt == "HALTED"


def test_a_live_feed_says_how_old_its_data_is() -> None:
    feed = SimpleNamespace(
        live=True, status=lambda: {"last_bar": "1970-01-01 00:01:40Z", "stale": True, "failures": 3}
    )
    line = feed_line(feed, "yfinance:AAPL", now=lambda: 160.0)()
    assert line == FeedLine(name="yfinance:AAPL", state="STALE", age=60.0, stale=True)
    young = SimpleNamespace(live=True, status=lambda: {"last_bar": None, "stale": False, "failures": 2})
    assert feed_line(young, "x")() == FeedLine(name="x", state="2 failures", age=None)
    assert feed_line(SimpleNamespace(live=False), "x")() == FeedLine(name="x", state="replay")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)


def test_on_a_terminal_it_refreshes_and_ends_clean(tmp_path: Path, terminal: tuple[int, int]) -> None:
    master, slave = terminal
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [
            sys.executable, "-m", "twinstep", "paper", "--strategy", "donchian-breakout", "--speed", "60",
            "--journal", str(tmp_path / "journal.db"),
        ],
        stdin=slave, stdout=slave, stderr=subprocess.PIPE, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )  # fmt: skip
    os.close(slave)
    said, until = b"", time.monotonic() + 60
    while time.monotonic() < until and said.count(b"equity") < 5:
        said += os.read(master, 65536)
    child.send_signal(signal.SIGTERM)
    try:
        while part := os.read(master, 65536):
            said += part
    except OSError:
        pass  # the other end is closed
    assert child.wait(timeout=20) == 130
    assert said.count(b"equity") >= 5
    assert b"heat" in said
    assert b"session 'paper':" in said
    assert child.stderr is not None
    assert b"Traceback" not in child.stderr.read()
    child.stderr.close()


class Ticking(ReplayFeed):
    """Stored bars that claim to happen now."""

    live = True  # type: ignore[misc]
    ended = False

    def status(self) -> dict[str, Any]:
        return {"last_bar": "2020-01-15", "stale": False, "failures": 0}

    def on_event(self, callback: Any) -> None:
        callback(SimpleNamespace(kind="retry", text="no answer yet"))

    def watch(self, kill_switch: KillSwitch | None = None) -> None:
        assert kill_switch is not None

    def close(self) -> None:
        self.ended = True


def test_a_feed_as_it_happens_is_watched_told_and_ended(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Ticking("synthetic:2x40?seed=1")
    monkeypatch.setattr("live.feeds.spec.feed_of", lambda spec, **_: feed)
    done = cli("paper", "--strategy", "sma-cross", "--feed", "yfinance:AAPL?interval=1m", "--bars", "5")
    assert done.code == 0, done.err
    assert done.out.startswith("yfinance:AAPL?interval=1m: ")
    assert "feed retry: no answer yet" in done.err
    assert sum(line[:4].isdigit() for line in done.out.splitlines()) == 5  # a line per bar
    assert feed.ended
    replayed = cli("paper", "--strategy", "sma-cross", "--feed", "synthetic:2x40?seed=1", "--name", "again")
    assert replayed.code == 0, replayed.err


def test_a_feed_as_it_happens_excludes_stored_bars(cli: Cli) -> None:
    both = cli("paper", "--strategy", "sma-cross", "--feed", "yfinance:AAPL", "--data", "sample:stocks")
    assert "[CLI_EXCLUSIVE]" in both.err
    options = cli("paper", "--strategy", "sma-cross", "--feed", "yfinance:AAPL", "--iv", "sample:vix")
    assert "[CLI_EXCLUSIVE]" in options.err


def test_a_session_is_compared_with_another_backtest(cli: Cli) -> None:
    played = ("paper", "--strategy", "donchian-breakout", "--end", "2001-03-30", "--group", "100", "--json")
    assert cli(*played).code == 0
    same = cli("parity", "paper", "--against", "sample:stocks")
    assert same.code == 0, same.err + same.out
    plain = cli("parity", "paper", "--against", "sample:stocks", "--json").json
    assert plain["ok"]
    other = cli("parity", "paper", "--against", "sample:stocks", "--strategy", "sma-cross")
    assert other.code == 3
    assert "sma" in other.out or "signal" in other.out
    alone = cli("parity", "paper", "--strategy", "sma-cross")
    assert "[CLI_EXCLUSIVE]" in alone.err


def test_whoever_the_configuration_names_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from live.alerts import Alerts, Target

    told: list[str] = []

    def arrived(title: str, body: str) -> bool:
        told.append(title)
        return True

    monkeypatch.setattr(
        "live.alerting.addresses.alerts_from", lambda settings: Alerts(targets=[Target("test #1", arrived)])
    )
    done = cli("paper", "--strategy", "donchian-breakout", "--end", "2001-06-29", "--group", "50", "--json")
    assert done.code == 0, done.err
    assert done.json["trades"] > 5
    assert any("stop" in title for title in told)
