"""`twinstep live` from the shell: what it refuses before anything is opened, plays, and leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from live.following import followed
from live.kill_switch import KillSwitch
from simulator.errors import ConfigError
from tests.forked import forked
from tests.live.following.scripted import write_bars
from tests.twinstep.conftest import Cli
from tests.twinstep.test_paper_view import Ticking
from twinstep.broker_desk import desk_at_broker, sessions_at_brokers
from twinstep.config import load_settings
from twinstep.console import EXIT_INPUT, EXIT_INTERRUPTED

STRATEGY = f"{Path(__file__).resolve().parents[1] / 'live' / 'following' / 'scripted.py'}:Scripted"
JOURNAL = "trade_journal.db"
ALPACA = ("--set", "broker.name=alpaca")


@pytest.fixture
def played(cli: Cli, tmp_path: Path) -> tuple[str, ...]:
    """The line that plays the script at the paper broker."""
    return ("live", "--strategy", STRATEGY, "--data", str(write_bars(tmp_path / "bars")))


def said(answer: Any) -> Any:
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_what_is_wrong_is_said_before_anything_is_opened(cli: Cli, played: tuple[str, ...]) -> None:
    live = ("live", "--strategy", STRATEGY, "--feed", "yfinance:AAPL", "--live")
    for line, code in (
        ((*played, "--mode", "papr_only"), "CLI_USAGE"),
        ((*played, "--poll", "0"), "CLI_USAGE"),
        ((*played, "--name", " "), "CLI_USAGE"),
        ((*played, "--folder", "elsewhere"), "CLI_EXCLUSIVE"),
        ((*played, "--feed", "yfinance:AAPL"), "CLI_EXCLUSIVE"),
        ((*played, "--shadow"), "LIVE_SHADOW"),
        ((*played, "--mode", "live"), "LIVE_NOT_ENABLED"),
        (live, "LIVE_NOT_ENABLED"),
        ((*live, *ALPACA), "LIVE_NOT_ENABLED"),
        ((*live, *ALPACA, "--set", "live.key=true"), "LIVE_HALTED"),
        ((*played, "--set", "broker.name=alpacca"), "NAME_BROKER"),
    ):
        answer = cli(*line)
        assert (answer.code, f"[{code}]" in answer.err) == (EXIT_INPUT, True), answer.err
    assert "PAPER_ONLY, MANUAL_REVIEW, LIVE" in cli(*played, "--mode", "papr_only").err
    assert not Path(JOURNAL).exists()


def test_real_money_needs_all_three_locks_and_the_bars_of_now(cli: Cli, played: tuple[str, ...]) -> None:
    KillSwitch(f"{JOURNAL}.switch", scope="live").arm("ada", "a test")
    unlocked = (*played, *ALPACA, "--set", "live.key=true", "--live")
    assert "[CLI_REPLAY]" in cli(*unlocked).err
    assert "[LIVE_PAPER_ONLY]" in cli(*unlocked, "--mode", "paper_only").err
    assert not Path(JOURNAL).exists()


def test_a_session_is_played_taken_up_and_proved(cli: Cli, played: tuple[str, ...]) -> None:
    first = cli(*played, "--bars", "6")
    assert first.code == 0, first.err
    assert "PAPER, switch ACTIVE: paper paper (paper, PAPER_ONLY)" in first.out
    assert "confirmed: entry buy 20 AAPL" in first.out
    assert "bought 20 AAPL at " in first.out
    # one of each is open there, behind its stop, and both are named
    assert "left working at paper: sell 10 SPY stop 94.00" in first.out
    assert "left open at paper: +10 SPY, 10 behind a stop at 94.00" in first.out
    names = [one.client_order_id for one in followed(JOURNAL, "live")]
    again = said(cli(*played, "--bars", "1", "--json"))
    assert again["bars"] == 7
    assert [one.client_order_id for one in followed(JOURNAL, "live")][: len(names)] == names


def test_a_whole_session_is_explained(cli: Cli, played: tuple[str, ...]) -> None:
    whole = said(cli(*played, "--json"))
    assert (whole["trades"], whole["open_positions"], whole["broker"]["kind"]) == (5, 0, "PAPER")
    assert whole["broker"]["positions"] == whole["broker"]["orders"] == []
    assert whole["broker"]["sent"]["executions"] >= 10
    proved = cli("parity", "live")
    assert proved.code == 0, proved.out + proved.err
    assert "equal in every byte" in proved.out


def test_a_halt_keeps_entries_out_and_the_plan_does_not_pretend(cli: Cli, played: tuple[str, ...]) -> None:
    KillSwitch(f"{JOURNAL}.switch").engage("a test", "ada")
    halted = said(cli(*played, "--json"))
    assert (halted["broker"]["switch"], halted["broker"]["sent"]["executions"]) == ("HALTED", 0)
    assert halted["open_positions"] == 0


def test_ctrl_c_ends_it_after_the_bar_and_says_what_stays(tmp_path: Path) -> None:
    data = write_bars(tmp_path / "bars")
    words = ["live", "--strategy", STRATEGY, "--data", str(data), "--speed", "4"]
    running = subprocess.Popen(
        [*forked(), "-m", "twinstep", *words], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert running.stdout is not None
    seen = []
    ends = time.monotonic() + 60.0
    while time.monotonic() < ends:
        seen.append(running.stdout.readline())
        if "bought 10 SPY" in seen[-1]:
            break
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == EXIT_INTERRUPTED, err
    whole = "".join(seen) + out
    assert "left open at paper: +10 SPY, 10 behind a stop at 94.00" in whole


def test_on_a_terminal_plan_and_fact_stand_side_by_side(tmp_path: Path) -> None:
    data = write_bars(tmp_path / "bars")
    master, slave = pty.openpty()
    words = ["live", "--strategy", STRATEGY, "--data", str(data), "--speed", "6"]
    running = subprocess.Popen(
        [*forked(), "-m", "twinstep", *words], stdin=slave, stdout=slave, stderr=subprocess.PIPE,
        cwd=tmp_path, env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )  # fmt: skip
    os.close(slave)
    seen, ends = b"", time.monotonic() + 60.0
    while time.monotonic() < ends and seen.count(b"rests at") < 3:
        seen += os.read(master, 65536)
    running.send_signal(signal.SIGTERM)
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(master, 65536):
            seen += part
    os.close(master)
    assert running.stderr is not None
    err = running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=30) == EXIT_INTERRUPTED, err
    for words_of_the_view in (
        b" PAPER ",
        b"plan stop",
        b"rests at",
        b"if died",
        b"paper (paper, PAPER_ONLY)",
    ):
        assert words_of_the_view in seen
    assert b"Traceback" not in err


def test_what_waits_for_a_person_is_not_sent(cli: Cli, played: tuple[str, ...]) -> None:
    waited = said(cli(*played, "--bars", "2", "--mode", "manual-review", "--json"))
    assert (waited["broker"]["mode"], waited["broker"]["sent"]["executions"]) == ("MANUAL_REVIEW", 0)
    assert waited["broker"]["waiting"] >= 1
    assert "AAPL" in cli("requests").out


def test_a_feed_as_it_happens_is_watched_told_and_ended(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Ticking("synthetic:2x40?seed=1")
    monkeypatch.setattr("live.feeds.spec.feed_of", lambda spec, **_: feed)
    line = ("live", "--strategy", "sma-cross", "--feed", "yfinance:AAPL?interval=1m", "--poll", "0.05")
    done = cli(*line, "--bars", "5")
    assert done.code == 0, done.err
    assert "feed retry: no answer yet" in done.err
    # a line of the plan and one of the account per bar
    assert sum("equity 100,000.00  day" in one for one in done.out.splitlines()) == 5
    assert sum("lost if it died now 0.00" in one for one in done.out.splitlines()) == 6
    assert feed.ended


def test_a_desk_of_its_own_would_take_the_orders_of_a_session_for_foreign_ones(
    cli: Cli, played: tuple[str, ...]
) -> None:
    assert cli(*played, "--bars", "6").code == 0
    state = KillSwitch(f"{JOURNAL}.switch").status["state"]
    for settings, session, words in (
        (load_settings(), None, "--session"),
        (load_settings(), "trend", "no session 'trend'"),
        (load_settings(), "live", "kept by the session itself"),
    ):
        with pytest.raises(ConfigError, match=words) as raised:
            desk_at_broker(settings, journal=JOURNAL, session=session)
        assert raised.value.code == "CLI_SESSION"
    assert KillSwitch(f"{JOURNAL}.switch").status["state"] == state == "ACTIVE"
    assert sessions_at_brokers("other.db") == []
    desk_at_broker(load_settings(), journal="other.db").close()
