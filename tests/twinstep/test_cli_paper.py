"""`twinstep paper` and `twinstep parity`: sessions from the shell, in words, as JSON, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
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
        assert stored.scalar_one() == first["trades"] + len(rest.out.split(" long ")) - 1 > 5


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


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_ends_the_session_after_the_bar(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [
            sys.executable, "-m", "twinstep", "paper", "--strategy", "donchian-breakout", "--speed", "200",
            "--journal", str(tmp_path / "journal.db"),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert child.stdout is not None
    while " long " not in child.stdout.readline():
        pass
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=20)
    assert child.returncode == EXIT_INTERRUPTED
    assert "session 'paper':" in out
    assert "interrupted" in err
