"""`twinstep counterfactuals`, and `twinstep backtest --approval`: in words, as JSON, and what they refuse."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from journal.database import Database
from tests.forked import COMMANDS, forked
from tests.twinstep.conftest import Cli
from twinstep.console import EXIT_INPUT

PLAYED = ("paper", "--strategy", "donchian-breakout", "--end", "2001-06-29", "--group", "100")


def said(cli: Cli, *arguments: str) -> Any:
    answer = cli(*arguments, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_a_session_is_brought_up_to_date_and_shown(cli: Cli) -> None:
    said(cli, *PLAYED, "--bars", "200")
    first = said(cli, "counterfactuals", "paper")
    assert first["stored"]["new"] >= 10
    assert first["decisions"] == []
    assert {rule["name"] for rule in first["rules"]} >= {"sector"}
    rule = first["rules"][0]
    assert rule["saved_r"] == -rule["sum_r"]
    assert str(rule["n"]) in rule["text"]
    said(cli, *PLAYED)
    second = said(cli, "counterfactuals", "paper")
    assert second["stored"]["forward"] + second["stored"]["new"] > 0
    again = said(cli, "counterfactuals", "paper")
    assert again["stored"]["new"] == 0
    assert again["rules"] == second["rules"]
    shown = cli("counterfactuals")
    assert shown.code == 0
    assert "sector vetoed" in shown.out
    stored = said(cli, "counterfactuals")
    assert stored["rules"] == second["rules"]
    assert stored["stored"] is None


def test_while_another_process_writes_it_only_looks(cli: Cli) -> None:
    said(cli, *PLAYED, "--bars", "120")
    holder = subprocess.Popen(
        [
            *forked(COMMANDS), "-c",
            "import sys; from journal.database import Database; d = Database('trade_journal.db'); d.lock(); "
            "print('held', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        answer = cli("counterfactuals", "paper")
        assert answer.code == 0
        assert "not stored" in answer.err
        assert "vetoed" in answer.out
    finally:
        holder.communicate()
    with Database("trade_journal.db", read_only=True) as database, database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM counterfactuals").scalar_one() == 0


def test_what_people_decided_runs_on_given_bars(cli: Cli) -> None:
    said(cli, *PLAYED, "--bars", "60")
    found = said(cli, "counterfactuals", "--data", "synthetic:1x60?seed=1")
    assert (found["rules"], found["decisions"]) == ([], [])
    assert found["stored"] == {"new": 0, "forward": 0, "unchanged": 0}


def test_looking_needs_neither_engine_nor_tables(cli: Cli, tmp_path: Path) -> None:
    said(cli, *PLAYED, "--bars", "60")
    said(cli, "counterfactuals", "paper")
    code = (
        "import sys; from twinstep.cli import run; assert run(['counterfactuals']) == 0; "
        "assert not {'numba', 'pandas'} & set(sys.modules), set(sys.modules)"
    )
    done = subprocess.run([*forked(COMMANDS), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_not_there_is_refused(cli: Cli) -> None:
    answer = cli("counterfactuals", "paper")
    assert answer.code == EXIT_INPUT
    assert "JOURNAL_MISSING" in answer.err or "error [" in answer.err
    said(cli, *PLAYED, "--bars", "30")
    answer = cli("counterfactuals", "papr")
    assert answer.code == EXIT_INPUT
    assert "LIVE_SESSION" in answer.err
    assert "paper" in answer.err


def test_a_backtest_with_a_person(cli: Cli) -> None:
    shared = ("backtest", "sma-cross", "--end", "2003-12-31")
    person = ("--approval", "delay=exp:3h,veto=0.2,expiry=1d,seed=4")
    alone, asked = said(cli, *shared), said(cli, *shared, *person)
    assert alone["review"] is None
    assert asked["review"]["vetoed"] > 0
    assert asked["fingerprint"] != alone["fingerprint"]
    assert asked["approval"] is None
    studied = said(cli, *shared, *person, "--approval-seeds", "5")
    assert studied["approval"]["seeds"] == 5
    assert studied["metrics"] == asked["metrics"]
    words = cli(*shared, *person, "--approval-seeds", "5")
    assert "review (delay exponential 3:00:00" in words.out
    assert "lost by waiting" in " ".join(words.out.split())  # wherever the terminal wraps it


def test_a_person_that_cannot_be_is_refused(cli: Cli) -> None:
    for arguments, code in (
        (("--approval", "delay=soon"), "CONFIG_APPROVAL"),
        (("--approval-seeds", "5"), "CLI_EXCLUSIVE"),
    ):
        answer = cli("backtest", "sma-cross", *arguments)
        assert answer.code == EXIT_INPUT
        assert code in answer.err
