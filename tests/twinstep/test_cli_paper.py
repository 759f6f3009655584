"""`twinstep paper` and `twinstep parity`: sessions from the shell, in words, as JSON, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.desk import ask
from live.kill_switch import KillSwitch
from simulator import RiskLimits
from tests.forked import forked
from tests.journal.conftest import postgres_server, postgres_url  # noqa: F401 - fixtures
from tests.twinstep.conftest import Cli
from twinstep.console import EXIT_FOUND, EXIT_INPUT, EXIT_INTERRUPTED

PLAYED = ("paper", "--strategy", "donchian-breakout", "--end", "2001-06-29", "--group", "100")


def said(cli: Cli, *arguments: str) -> Any:
    answer = cli(*arguments, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_a_session_is_played_taken_up_and_proved(cli: Cli) -> None:
    first = said(cli, *PLAYED, "--bars", "150")
    assert (first["stepped"], first["bars"], first["state"]) == (150, 150, "ACTIVE")
    rest = cli(*PLAYED)
    assert rest.code == 0
    assert "goes on after 150 bars" in rest.err
    assert "session 'paper':" in rest.out
    assert " long " in rest.out
    again = said(cli, *PLAYED)
    assert again["stepped"] == 0
    assert again["bars"] > 300
    receipt = cli("parity")
    assert receipt.code == 0
    assert "equal in every byte" in receipt.out
    plain = said(cli, "parity", "paper")
    assert plain["ok"]
    assert plain["bars"] == again["bars"]
    with Database("trade_journal.db", read_only=True) as database, database.read() as connection:
        stored = connection.exec_driver_sql("SELECT count(*) FROM trades WHERE source = 'paper'")
        assert stored.scalar_one() == first["trades"] + len(re.findall(r" long \d+: ", rest.out)) > 5


def test_options_trade_too(cli: Cli) -> None:
    played = said(
        cli, "paper", "--data", "sample:spx", "--iv", "sample:vix", "--strategy", "short-put-spread",
        "--name", "premium", "--start", "2014-01-03", "--end", "2016-06-28", "--group", "50",
        "--cash", "1000000",
    )  # fmt: skip
    assert played["fills"] > 0
    assert said(cli, "parity", "premium")["ok"]


def test_what_is_wrong_is_said(cli: Cli) -> None:
    assert cli(*PLAYED, "--bars", "5").code == 0
    for arguments, code in (
        (("paper", "--strategy", "sma-cross", "--end", "2001-06-29"), "LIVE_CHANGED"),
        (("paper", "--strategy", "donchian-breakout", "--symbols", "AAPL"), "LIVE_FRAME"),
        (("paper", "--strategy", "donchian-breakout", "--speed", "0"), "LIVE_SPEED"),
        (
            ("paper", "--strategy", "sma-cross", "--strategy", "atr-channel", "--param", "fast=5"),
            "CLI_EXCLUSIVE",
        ),
        (("parity", "papr"), "LIVE_SESSION"),
    ):
        answer = cli(*arguments)
        assert answer.code == EXIT_INPUT
        assert f"[{code}]" in answer.err


def test_a_difference_is_exit_code_3(cli: Cli) -> None:
    assert cli(*PLAYED, "--bars", "60").code == 0
    with Database("trade_journal.db") as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE steps SET state = 'x' WHERE bar = 30")
    answer = cli("parity")
    assert answer.code == EXIT_FOUND
    assert "first difference: bar 30" in answer.out


PREMIUM = ("paper", "--data", "sample:spx", "--iv", "sample:vix", "--strategy", "short-put-spread")
RISING = ("--start", "2014-01-02", "--end", "2015-02-06", "--group", "400")  # long enough for an IV rank


def test_a_refused_journal_gets_no_switch(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("not a journal", encoding="utf-8")
    refused = cli(*PLAYED, "--journal", "README.md", "--bars", "3")
    assert "[JOURNAL_FOREIGN]" in refused.err
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


def test_a_failed_first_start_binds_nobody(cli: Cli) -> None:
    failed = cli("paper", "--strategy", "short-put-spread", "--bars", "3")
    assert "[STRATEGY_NO_OPTIONS]" in failed.err
    played = said(cli, *PREMIUM, "--bars", "3", "--cash", "5000000")
    assert (played["bars"], played["cash"]) == (3, 5_000_000.0)
    assert said(cli, "parity")["ok"]
    # a bar does
    assert "[LIVE_FRAME]" in cli("paper", "--strategy", "short-put-spread", "--bars", "3").err
    assert "[LIVE_CHANGED]" in cli(*PREMIUM, "--bars", "3").err


def test_bars_are_kept_though_the_snapshot_forgets_them(cli: Cli) -> None:
    assert cli(*PLAYED, "--bars", "5").code == 0
    with Database("trade_journal.db") as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE snapshots SET bars = 0")
    assert "[LIVE_FRAME]" in cli(*PREMIUM, "--bars", "3").err
    with Database("trade_journal.db", read_only=True) as database, database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM inputs").scalar_one() == 5


def test_what_waits_in_a_session_without_a_bar_keeps_it(cli: Cli) -> None:
    assert cli("paper", "--strategy", "short-put-spread", "--bars", "3").code == EXIT_INPUT
    assert ask("trade_journal.db", "paper", "deposit", None, 500.0).where == "session"
    assert "[LIVE_FRAME]" in cli(*PREMIUM, "--bars", "3").err


def test_a_session_needs_a_name(cli: Cli, tmp_path: Path) -> None:
    for name in ("", " "):
        assert "[CLI_USAGE]" in cli(*PLAYED, "--name", name).err
    assert list(tmp_path.iterdir()) == []


def test_a_server_needs_the_folder_of_a_switch(cli: Cli, tmp_path: Path) -> None:
    assert "[CLI_SWITCH]" in cli(*PLAYED, "--journal", "postgresql://nowhere/x").err
    assert "[CLI_EXCLUSIVE]" in cli(*PLAYED, "--folder", "mine.switch").err
    assert list(tmp_path.iterdir()) == []


def test_on_a_server_the_named_switch_halts(cli: Cli, postgres_url: str) -> None:  # noqa: F811
    line = (*PLAYED, "--journal", postgres_url, "--folder", "mine.switch", "--bars", "20")
    assert said(cli, *line)["state"] == "ACTIVE"
    assert cli("kill").code == 0
    assert KillSwitch("mine.switch").state == "HALTED"
    halted = cli(*line)
    assert "HALTED" in halted.out
    assert "twinstep kill --folder mine.switch" in halted.err
    assert said(cli, "parity", "--journal", postgres_url)["ok"]


def test_a_session_of_options_is_compared_with_other_bars(cli: Cli) -> None:
    assert cli(*PREMIUM, *RISING, "--cash", "1000000").code == 0
    assert "[SIGNAL_NO_OPTIONS]" in cli("parity", "--against", "sample:spx").err
    assert "[CLI_EXCLUSIVE]" in cli("parity", "--iv", "sample:vix").err
    same = said(cli, "parity", "--against", "sample:spx", "--iv", "sample:vix")
    assert same["ok"]
    assert same["equal"] == same["live_trades"] > 3
    other = cli("parity", "--against", "sample:spx", "--iv", "sample:vix", "--surface", "flat", "--json")
    assert other.code == EXIT_FOUND
    assert other.json["differences"]


def test_nothing_admitted_is_explained(cli: Cli) -> None:
    poor = cli(*PREMIUM, *RISING)
    assert "Nothing was admitted" in poor.out
    # as the summary of a backtest over the same bars says it
    assert (
        f"met min_quantity: one unit would risk more than {RiskLimits().risk_per_trade_pct:g} %" in poor.out
    )
    rich = said(cli, *PREMIUM, *RISING, "--cash", "1000000", "--name", "rich")
    assert rich["hint"] is None
    assert rich["verdicts"]["granted"] > 0


def test_the_closing_table_has_words_and_levels(cli: Cli) -> None:
    options = _closing_row(cli(*PREMIUM, *RISING, "--cash", "1000000").out, "SPX")
    assert options[1] == "sold"
    entry, stop, target = (float(options[at]) for at in (5, 7, 8))
    # its rules: out at a loss of the premium, or at half of it
    assert (stop, target) == pytest.approx((2 * entry, 0.5 * entry), rel=1e-3)
    stocks = _closing_row(cli(*PLAYED, "--name", "stocks").out, "AAPL")
    assert stocks[1:3] == ["long", "1,557"]
    assert stocks[6] == "-"


def _closing_row(out: str, symbol: str) -> list[str]:
    (row,) = [line.split() for line in out.splitlines() if line.split()[:1] == [symbol]]
    return row


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_ends_the_session_after_the_bar(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [
            *forked(), "-m", "twinstep", "paper", "--strategy", "donchian-breakout", "--speed", "200",
            "--journal", str(tmp_path / "journal.db"),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert child.stdout is not None
    while " long " not in child.stdout.readline():
        pass
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=20)
    assert child.returncode == EXIT_INTERRUPTED
    assert "session 'paper':" in out
    assert "interrupted" in err
