"""`twinstep journal`, `learn` and `report`: every command in words and as JSON, errors, and a light start."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from journal import ParameterStore, TradeJournal
from simulator.errors import ConfigError
from simulator.opportunity import OptionLeg
from tests.forked import COMMANDS, forked
from tests.twinstep.conftest import Answer, Cli
from twinstep.by_hand import bounds
from twinstep.journals import legs_of

ROOT = Path(__file__).resolve().parents[2]
STATEMENT = ROOT / "tests" / "journal" / "statements" / "tastytrade.csv"
EXPIRY = (datetime.now(UTC).date() + timedelta(days=45)).isoformat()
SPREAD = (
    "--symbol", "SPY", "--strategy", "short-put-spread", "--legs", "-95P +90P", "--expiry", EXPIRY,
)  # fmt: skip
HEAVY = {"numba", "pandas", "pyarrow", "scipy", "exchange_calendars"}

HOLD = """
import os
import sys
from journal import TradeJournal
journal = TradeJournal(sys.argv[1])
journal.database.lock()
print("held", os.getpid(), flush=True)
sys.stdin.readline()
for outcome in journal.drain():
    print(outcome.state, outcome.reason, flush=True)
"""


def good(answer: Answer) -> Answer:
    assert (answer.code, answer.err) == (0, ""), answer.err
    return answer


def refused(answer: Answer, code: str) -> str:
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error [{code}]: ")
    assert answer.err.count("\n") == 1
    return answer.err


@pytest.fixture
def opened(cli: Cli) -> Cli:
    """A journal with two open trades: 7 put spreads on a recommendation, and 100 shares."""
    good(cli("journal", "log", "--recommend", *SPREAD, "--credit", "1.85", "--contracts", "5"))
    good(cli("journal", "log", "1", "--contracts", "7", "--credit", "1.90", "--iv-rank", "68.5",
             "--notes", "Better price", "--tag", "demo"))  # fmt: skip
    good(cli("journal", "log", "--symbol", "AAPL", "--side", "buy", "--quantity", "100", "--price", "50",
             "--stop", "48", "--target", "56", "--sector", "Technology"))  # fmt: skip
    return cli


# Entries and exits


def test_a_recommendation_and_its_entry(opened: Cli) -> None:
    found = good(opened("journal", "show", "1", "--json")).json
    assert found["trade"]["entry_price"] == 1.90
    assert found["trade"]["recommendation_id"] == 1
    assert found["trade"]["iv_rank"] == 68.5
    assert found["tags"] == ["demo"]
    assert [leg["strike"] for leg in found["trade"]["legs"]] == [95.0, 90.0]
    rec = good(opened("journal", "show", "--recommendations", "1", "--json")).json["recommendations"][0]
    assert (rec["status"], rec["quantity"]) == ("executed", 5.0)
    assert (rec["max_profit"], rec["max_loss"]) == (pytest.approx(185.0), pytest.approx(315.0))
    assert json.loads(json.dumps(rec["break_evens"])) == [pytest.approx(93.15)]
    assert "executed" in good(opened("journal", "show", "--recommendations", "1")).out
    assert "5" in good(opened("journal", "show", "--recommendations", "all")).out


def test_a_recommendation_of_shares(cli: Cli) -> None:
    line = ("journal", "log", "--recommend", "--symbol", "AAPL", "--side", "sell", "--quantity", "10")
    good(cli(*line, "--price", "50", "--stop", "52", "--target", "44", "--reason", "too high"))
    (rec,) = good(cli("journal", "show", "--recommendations", "recommended", "--json")).json[
        "recommendations"
    ]
    assert (rec["side"], rec["reward_risk"], rec["reason"]) == (-1, 3.0, "too high")
    assert "--stop, --target" in refused(cli(*line, "--price", "50"), "CLI_RECOMMEND")
    refused(cli("journal", "log", "7", "--recommend"), "CLI_RECOMMEND")


def test_close_says_what_it_came_to(opened: Cli) -> None:
    text = good(opened("journal", "close", "TRADE_001", "--debit", "0.95", "--reason", "50% profit rule")).out
    assert text.startswith("trade 1 closed: P&L +665.00")
    assert "  - High IV rank (68%) contributed to success" in text
    assert "  - Followed 50% rule: closed at 50% of max profit" in text
    closed = good(opened("journal", "show", "--status", "closed", "--json")).json["trades"]
    assert [(one["id"], one["close_code"]) for one in closed] == [(1, "profit_target")]
    assert closed[0]["pnl"] == pytest.approx(665.0)


def test_a_part_is_closed_first(opened: Cli) -> None:
    part = good(opened("journal", "close", "2", "--price", "55", "--quantity", "40", "--json")).json
    assert (part["outcome"]["closed"], part["outcome"]["pnl"]) == (False, 200.0)
    assert good(opened("journal", "show", "2", "--json")).json["trade"]["open_quantity"] == 60.0
    good(opened("journal", "add", "2", "--quantity", "60", "--price", "52"))
    rest = good(
        opened("journal", "close", "2", "--price", "54", "--mae", "-100", "--mfe", "400", "--json")
    ).json
    assert rest["outcome"]["closed"]
    # 40 sold at 55, then 60 at 50 and 60 at 52 (51 on average) sold at 54
    assert rest["outcome"]["pnl"] == pytest.approx(200.0 + 60 * 4 + 60 * 2)


def test_a_stop_is_moved(opened: Cli) -> None:
    good(opened("journal", "stop", "2", "49"))
    trade = good(opened("journal", "show", "2", "--json")).json["trade"]
    assert (trade["stop_price"], trade["current_stop_price"]) == (48.0, 49.0)


def test_one_leg_is_closed(opened: Cli) -> None:
    done = good(opened("journal", "close", "1", "--leg", "-95P", "--price", "0.40", "--json")).json
    assert not done["outcome"]["closed"]
    refused(opened("journal", "close", "1", "--leg", "1"), "CLI_EXCLUSIVE")


def test_a_roll_opens_the_next(opened: Cli) -> None:
    later = (date.fromisoformat(EXPIRY) + timedelta(days=28)).isoformat()
    line = ("journal", "roll", "1", "--debit", "2.60", "--credit", "3.10", "--expiry", later)
    done = good(opened(*line, "--json")).json
    assert done["outcome"]["pnl"] == pytest.approx((1.90 - 2.60) * 700)
    found = good(opened("journal", "show", str(done["opened"]), "--json")).json
    assert (found["trade"]["expiry"], found["trade"]["rolled_from_id"]) == (later, 1)
    assert found["campaign"]["trades"] == [1, done["opened"]]
    assert "Campaign" in good(opened("journal", "show", "1")).out


def test_an_assignment_brings_shares(opened: Cli) -> None:
    text = good(opened("journal", "assign", "1", "--spot", "93.20")).out
    assert "shares in #3 SPY" in text
    shares = good(opened("journal", "show", "3", "--json")).json["trade"]
    assert (shares["quantity"], shares["entry_price"]) == (700.0, 95.0)


def test_a_package_expires(opened: Cli) -> None:
    sold = ("--symbol", "SPY", "--strategy", "short-put", "--legs", "-95P", "--expiry", "2026-02-20")
    entered = ("--contracts", "7", "--credit", "1.90", "--when", "2026-01-05T15:30Z")
    good(opened("journal", "log", *sold, *entered))
    line = ("journal", "expire", "3", "--when", "2026-02-20T21:00Z", "--json")
    done = good(opened(*line)).json["outcome"]
    assert (done["closed"], done["pnl"]) == (True, pytest.approx(1330.0))
    refused(opened("journal", "expire", "1"), "JOURNAL_EXPIRY")


def test_a_recommendation_is_ignored(opened: Cli) -> None:
    good(opened("journal", "log", "--recommend", *SPREAD, "--credit", "1.80"))
    good(opened("journal", "ignore", "2", "--reason", "earnings"))
    (rec,) = good(opened("journal", "show", "--recommendations", "ignored", "--json")).json["recommendations"]
    assert (rec["id"], rec["decision"]) == (2, "earnings")
    refused(opened("journal", "ignore", "1"), "JOURNAL_STATUS")


def test_times_have_a_zone(opened: Cli) -> None:
    line = ("journal", "log", "--symbol", "KO", "--side", "buy", "--quantity", "1", "--price", "60", "--when")
    good(opened(*line, "2026-01-05T15:30+00:00"))
    assert (
        good(opened("journal", "show", "3", "--json"))
        .json["trade"]["entry_time"]
        .startswith("2026-01-05T15:30:00")
    )
    refused(opened(*line, "2026-01-05T15:30"), "CLI_TIME")
    refused(opened(*line, "yesterday"), "CLI_TIME")


# Looking up, and lessons


def test_show_lists_open_trades(opened: Cli) -> None:
    text = good(opened("journal", "show")).out
    assert "2 open trades, live" in text
    assert "-7" in text
    assert "1.90 credit" in text
    assert len(good(opened("journal", "show", "--symbol", "SPY", "--json")).json["trades"]) == 1
    assert len(good(opened("journal", "show", "--tag", "demo", "--json")).json["trades"]) == 1
    assert good(opened("journal", "show", "--status", "closed")).out == "no closed trades from live\n"
    assert good(opened("journal", "show", "--source", "paper", "--json")).json["trades"] == []
    assert "sources mixed" in good(opened("journal", "show", "--source", "all")).out
    assert good(opened("journal", "show", "--until", "2001-01-01", "--json")).json["trades"] == []


def test_search_finds_words_in_any_case(opened: Cli) -> None:
    (found,) = good(opened("journal", "search", "BETTER", "--json")).json["trades"]
    assert found["id"] == 1
    assert "SPY" in good(opened("journal", "search", "demo")).out
    assert good(opened("journal", "search", "nothing like it")).out == "no trades from live\n"


def test_tags_lessons_and_mistakes(opened: Cli) -> None:
    assert good(opened("journal", "tag", "1", "hedge", "earnings", "--json")).json["tags"] == [
        "demo", "earnings", "hedge"
    ]  # fmt: skip
    assert "demo, earnings" in good(opened("journal", "tag", "1", "hedge", "--remove")).out
    good(opened("journal", "lesson", "1", "Take the half when it is there"))
    good(opened("journal", "mistake", "1", "premature_exit", "Nervous"))
    found = good(opened("journal", "show", "1", "--json")).json
    assert found["lessons"] == ["Take the half when it is there"]
    assert {"category": "premature_exit", "description": "Nervous", "automatic": False} in found["mistakes"]
    text = good(opened("journal", "show", "1")).out
    assert "premature_exit: Nervous" in text
    assert "Take the half" in text
    good(opened("journal", "mistake", "1", "premature_exit", "--remove"))
    assert "oversized" in good(opened("journal", "mistake", "1")).out
    assert "premature_exit" in refused(opened("journal", "mistake", "1", "premature_exitt"), "JOURNAL_CHOICE")
    refused(opened("journal", "tag", "1", "hedge", "--remove"), "JOURNAL_TAG")


# The journal as a whole


@pytest.mark.parametrize("name", ["t.csv", "t.xlsx", "t.parquet", "t.json"])
def test_export_by_the_ending(opened: Cli, tmp_path: Path, name: str) -> None:
    answer = opened("journal", "export", name)
    assert (answer.code, answer.err) == (0, f"wrote {name}\n")
    assert (tmp_path / name).stat().st_size > 100
    if name.endswith(".csv"):
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            assert [row["symbol"] for row in csv.DictReader(file)] == ["SPY", "AAPL"]
    assert opened("journal", "export", name, "--symbol", "KO", "--json").json["file"] == name


def test_an_export_needs_a_known_ending(opened: Cli) -> None:
    refused(opened("journal", "export", "t.doc"), "JOURNAL_CHOICE")


def test_a_statement_is_imported_once(cli: Cli) -> None:
    first = good(cli("journal", "import", str(STATEMENT), "--json")).json
    assert first["broker"] == "tastytrade"
    assert first["rows_new"] == first["rows_read"] > 0
    again = good(cli("journal", "import", str(STATEMENT), "--json")).json
    assert (again["rows_new"], again["opened"]) == (0, 0)
    assert "0 new" in good(cli("journal", "import", str(STATEMENT))).out
    refused(cli("journal", "import", "nothing.csv"), "JOURNAL_STATEMENT_FILE")
    tax = good(cli("journal", "tax", "--json")).json
    assert tax["totals"].keys() == {"short", "long"}
    assert sum(tax["totals"].values()) == pytest.approx(sum(one["gain"] for one in tax["gains"]))


def test_tax_lists_gains_and_what_could_be_harvested(opened: Cli, tmp_path: Path) -> None:
    good(opened("journal", "close", "2", "--price", "55", "--quantity", "50"))
    answer = opened("journal", "tax", "--harvest", "AAPL=40", "--csv", "form.csv")
    assert (answer.code, answer.err) == (0, "wrote form.csv\n")
    assert "short-term: +250.00" in answer.out
    assert "1 lots to harvest" in answer.out
    assert (tmp_path / "form.csv").is_file()
    found = good(opened("journal", "tax", "--harvest", "AAPL=40", "--json")).json
    assert [one["loss"] for one in found["harvest"]] == [-500.0]
    refused(opened("journal", "tax", "--harvest", "AAPL"), "CLI_PRICE")
    refused(opened("journal", "tax", "--method", "fifi"), "JOURNAL_CHOICE")


def test_sql_answers_one_question_and_changes_nothing(opened: Cli, tmp_path: Path) -> None:
    before = (tmp_path / "trade_journal.db").read_bytes()
    text = good(opened("journal", "sql", "SELECT symbol, quantity FROM trades -- why not\n ORDER BY 1;")).out
    assert text.index("AAPL") < text.index("SPY")
    (row, _) = good(opened("journal", "sql", "select entry_ts from trades", "--json")).json
    assert row["entry_ts"] > 1.7e18
    (row, _) = good(opened("journal", "sql", "select entry_ts from trades", "--times", "--json")).json
    assert row["entry_ts"].endswith("Z")
    assert datetime.fromisoformat(row["entry_ts"]).year >= 2026
    short = opened("journal", "sql", "select 1 union select 2", "--limit", "1", "--json")
    assert (short.json, short.err) == ([{"1": 1}], "there are more rows; --limit is 1\n")
    for statement in (
        "DELETE FROM trades", "PRAGMA user_version = 7", "ATTACH 'other.db' AS other", "", "/* nothing */",
        "SELECT 1; DELETE FROM trades",
    ):  # fmt: skip
        refused(opened("journal", "sql", statement), "CLI_SQL")
    sly = opened("journal", "sql", "WITH one AS (SELECT 1) DELETE FROM trades")
    assert sly.code == 2
    assert sly.err.startswith("error [JOURNAL_")
    assert opened("journal", "sql", "SELECT nothing FROM nowhere").err.startswith("error [JOURNAL_SQL]")
    assert good(opened("journal", "sql", "SELECT ';' AS semicolon", "--json")).json == [{"semicolon": ";"}]
    assert (tmp_path / "trade_journal.db").read_bytes() == before
    assert not (tmp_path / "other.db").exists()


def test_backup_restore_and_check(opened: Cli, tmp_path: Path) -> None:
    made = good(opened("journal", "backup", "--json")).json
    assert Path(made["path"]).is_file()
    assert made["rows"]["trades"] == 2
    good(opened("journal", "close", "1", "--debit", "0.95"))
    text = good(opened("journal", "restore")).out
    assert "what was there is kept in" in text
    assert len(good(opened("journal", "show", "--json")).json["trades"]) == 2
    state = good(opened("journal", "check", "--full", "--json")).json
    assert (state["ok"], state["rows"]["trades"], len(state["backups"])) == (True, 2, 1)
    assert "good, schema version" in good(opened("journal", "check")).out
    refused(opened("journal", "restore", "nothing.db"), "JOURNAL_MISSING")


def test_check_looks_at_an_older_journal_as_it_is(opened: Cli, tmp_path: Path) -> None:
    older = Path(__file__).parents[1] / "journal" / "databases" / "version_1.db"
    path = tmp_path / "older.db"
    shutil.copyfile(older, path)
    state = good(opened("journal", "check", "--journal", str(path), "--json")).json
    assert (state["ok"], state["schema_version"], state["rows"]["trades"]) == (True, 1, 2)
    assert path.read_bytes() == older.read_bytes()


def test_check_finds_damage(opened: Cli, tmp_path: Path) -> None:
    path = tmp_path / "trade_journal.db"
    content = bytearray(path.read_bytes())
    for offset in range(8192, len(content) - 4096, 4096):
        content[offset : offset + 512] = os.urandom(512)
    path.write_bytes(content)
    answer = opened("journal", "check", "--full", "--json")
    assert answer.code == 3, answer.err
    assert answer.json["ok"] is False


# Learning and reports


@pytest.fixture
def taught(cli: Cli, tmp_path: Path) -> Cli:
    """Ten closed put spreads of this week and the weeks before."""
    start = datetime.now(UTC) - timedelta(days=10)
    with TradeJournal(tmp_path / "trade_journal.db") as journal, journal.database.write():
        for number in range(10):
            profit = -280.0 if number % 3 == 2 else 500.0
            when = start + timedelta(days=number)
            trade = journal.log_trade_entry(
                symbol=("SPY", "QQQ")[number % 2], strategy="short-put-spread", actual_contracts=4,
                entry_credit=3.0, iv_rank=45.0 if profit < 0 else 65.0, dte=45, max_loss=1200.0,
                max_profit=1200.0, when=when,
            )  # fmt: skip
            journal.log_trade_exit(trade, exit_debit=3.0 - profit / 400, close_reason="50% profit rule",
                                   when=when + timedelta(hours=3))  # fmt: skip
    return cli


def test_learn_says_what_works(taught: Cli) -> None:
    text = good(taught("learn")).out
    assert text.startswith("LEARNING ANALYSIS: What Works?")
    assert "Source: live - 10 closed trades" in text
    found = good(taught("learn", "--json")).json
    assert found["records"]["all"]["trades"] == 10
    assert "No closed trades yet" in good(taught("learn", "--source", "backtest")).out
    assert "Mixes trades" in good(taught("learn", "--source", "all")).out
    early = good(taught("learn", "--as-of", "2001-01-01", "--json")).json
    assert early["records"]["all"]["trades"] == 0


@pytest.mark.parametrize("words", [("learn",), ("learn", "--propose"), ("report", "--weekly"), ("report",)])
def test_where_only_paper_trades_are_closed_they_are_looked_at(cli: Cli, words: tuple[str, ...]) -> None:
    paper = ("--source", "paper")
    good(cli("journal", "log", "--symbol", "AAPL", "--side", "buy", "--quantity", "10", "--price", "100",
             "--stop", "90", *paper))  # fmt: skip
    good(cli("journal", "close", "1", "--price", "120", *paper))
    answer = cli(*words)
    said = "no live trade is closed: these are the 1 closed paper trades (--source paper)\n"
    assert (answer.code, answer.err) == (0, said)
    assert "200.00" in answer.out
    named = good(cli(*words, "--source", "live"))
    assert "200.00" not in named.out
    assert answer.out == good(cli(*words, "--source", "paper")).out


def test_nothing_significant_is_said_before_the_advice(taught: Cli) -> None:
    for words in (("learn",), ("report", "--weekly")):
        out = good(taught(*words)).out
        assert out.index("NO ADVICE: nothing is significant over all 10 closed trades.") < out.index(
            "Consider:"
        )


def test_a_terminal_without_the_signs_gets_the_words(taught: Cli, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twinstep", "learn"], cwd=tmp_path, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"INSIGHT: Higher IV rank" in done.stdout
    assert "\N{ELECTRIC LIGHT BULB} INSIGHT" in good(taught("learn")).out


def test_learned_settings_are_proposed_approved_and_rolled_back(taught: Cli) -> None:
    assert "nothing is proposed" in good(taught("learn", "--propose")).out
    proposed = good(taught("learn", "--propose", "--all", "--json")).json["proposed"]
    assert [one["component"] for one in proposed] == ["options_scanner"]
    assert good(taught("learn", "--propose", "--all", "--json")).json["proposed"][0]["id"] == 1, "once"
    assert "person" in refused(taught("journal", "params", "approve", "1"), "JOURNAL_PARAMETER_PERSON")
    good(taught("journal", "params", "approve", "1", "--by", "Ada"))
    (one,) = good(taught("journal", "params", "history", "--json")).json
    assert (one["status"], one["decided_by"]) == ("in_force", "Ada")
    assert "in_force" in good(taught("journal", "params", "history", "options_scanner")).out
    back = good(taught("journal", "params", "roll-back", "options_scanner", "--by", "Ada")).out
    assert "defaults apply" in back
    refused(taught("journal", "params", "approve", "9", "--by", "Ada"), "NAME_PARAMETER_SET")
    refused(taught("learn", "--all"), "CLI_EXCLUSIVE")
    refused(taught("learn", "--propose", "--source", "all"), "CLI_SOURCE")


def test_a_proposal_is_rejected(taught: Cli, tmp_path: Path) -> None:
    with TradeJournal(tmp_path / "trade_journal.db") as journal:
        ParameterStore(journal).propose("options_scanner", {"min_iv_rank": 60.0})
    done = good(taught("journal", "params", "reject", "1", "--by", "Ada", "--reason", "no", "--json")).json
    assert done["status"] == "rejected"


def test_the_weekly_report_in_words_html_and_json(taught: Cli, tmp_path: Path) -> None:
    answer = taught("report", "--weekly", "--html", "out/week.html")
    assert (answer.code, answer.err) == (0, "wrote out/week.html\n")
    assert answer.out.startswith("WEEKLY REPORT")
    page = (tmp_path / "out" / "week.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    found = good(taught("report", "--weekly", "--week", "2001-01-01", "--json")).json
    assert (found["monday"], found["trades_closed"]) == ("2001-01-01", 0)


def test_reports_fit_a_narrow_terminal(taught: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for line in (("--weekly",), ()):
        text = good(taught("report", *line)).out
        assert max(map(len, text.splitlines())) <= 60
        assert "\x1b" not in text


def test_a_pdf_without_a_browser_is_refused_before_anything_is_read(
    taught: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINSTEP_CHROMIUM", "/no/such/browser")
    answer = taught("report", "--weekly", "--pdf", "a.pdf")
    refused(answer, "CONFIG_NO_CHROMIUM")
    assert answer.out == ""
    refused(taught("backtest", "rsi-pullback", "--report", "a.pdf"), "CONFIG_NO_CHROMIUM")


def test_the_performance_report(taught: Cli) -> None:
    text = good(taught("report", "--days", "30")).out
    assert text.startswith("PERFORMANCE REPORT")
    assert "Closed trades: 10" in text
    found = good(taught("report", "--days", "5.5", "--json")).json
    assert found["metrics"]["trades"] == 5
    assert good(taught("report", "--symbol", "SPY", "--json")).json["metrics"]["trades"] == 5
    for line in (
        ("--html", "a.html"), ("--weekly", "--days", "3"), ("--week", "2026-01-05"), ("--pdf", "a.pdf"),
        ("--weekly", "--paper", "a4"), ("--weekly", "--html", "a.pdf"),
    ):  # fmt: skip
        refused(taught("report", *line), "CLI_EXCLUSIVE")
    refused(taught("report", "--weekly", "--pdf", "a.html"), "CONFIG_OUTPUT")
    refused(taught("report", "--weekly", "--pdf", "a.pdf", "--paper", "a5"), "NAME_PAPER")
    refused(taught("report", "--weekly", "--week", "soon"), "CLI_TIME")


# Runs and scans


def test_a_backtest_is_stored_once_and_learned_from(cli: Cli) -> None:
    line = ("backtest", "rsi-pullback", "--journal", "runs.db", "--json")
    first = cli(*line).json
    assert first["journal"]["new"]
    assert first["journal"]["trades"] == first["metrics"]["trades"] > 10
    again = cli(*line)
    assert (again.json["journal"]["new"], again.json["journal"]["trades"]) == (False, 0)
    assert "nothing is added" in cli(*line[:-1]).err
    shown = good(cli("learn", "--journal", "runs.db", "--source", "backtest", "--json")).json
    assert shown["records"]["all"]["trades"] == first["metrics"]["trades"]
    refused(cli("backtest", "rsi-pullback", "--journal", "no/such/folder/runs.db"), "JOURNAL_ACCESS")


def test_a_scan_logs_shows_the_past_and_uses_what_is_in_force(cli: Cli, tmp_path: Path) -> None:
    where = tmp_path / "scan.db"
    with TradeJournal(where, source="paper") as journal:
        number = journal.log_trade_entry(
            symbol="SPX", strategy="short-put", actual_contracts=1, entry_credit=2
        )
        journal.log_trade_exit(number, exit_debit=1.0)
        store = ParameterStore(journal)
        store.approve(store.propose("options_scanner", {"target_dte": 40}).id)
    answer = cli("scan", "--journal", "scan.db", "--source", "paper")
    assert answer.code == 0
    assert "learned: target_dte=40" in answer.out
    assert "past trades in SPX: 1 trades, 100% won, average +100.00" in answer.out
    assert "rec 1 " in answer.out
    with TradeJournal(where, source="paper", read_only=True) as journal:
        logged = journal.recommendations("recommended")
        assert {one.parameter_set_id for one in logged} == {1}
    found = cli("scan", "--journal", "scan.db", "--source", "paper", "--json").json
    assert found["logged"] == [len(logged) + 1 + index for index in range(len(found["opportunities"]))]
    assert cli("scan", "--json").json["logged"] is None
    refused(cli("scan", "--source", "paper"), "CLI_SOURCE")


def test_a_scan_logs_what_its_bounds_alone_kept_out(cli: Cli, tmp_path: Path) -> None:
    answer = cli("scan", "--journal", "scan.db", "--source", "paper", "--log-refused", "--json").json
    with TradeJournal(tmp_path / "scan.db", source="paper", read_only=True) as journal:
        kept_out = {one.id for one in journal.recommendations("ignored")}
        taken = {one.id for one in journal.recommendations("recommended")}
    assert kept_out == set(answer["logged_refused"])
    assert kept_out
    assert taken == set(answer["logged"])
    again = cli("scan", "--journal", "scan.db", "--source", "paper", "--log-refused")
    assert "nothing new to log" in again.out
    refused(cli("scan", "--log-refused"), "CLI_EXCLUSIVE")


# Configuration, errors, and another writer


def test_the_configuration_names_the_journal(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "twinstep.toml").write_text(
        '[journal]\npath = "mine.db"\nsource = "paper"\n', encoding="utf-8"
    )
    good(cli("journal", "log", "--symbol", "KO", "--side", "buy", "--quantity", "1", "--price", "60"))
    assert (tmp_path / "mine.db").is_file()
    assert good(cli("journal", "show", "--json")).json["source"] == "paper"
    good(cli("journal", "log", "--symbol", "KO", "--side", "buy", "--quantity", "1", "--price", "60",
             "--journal", "other.db", "--source", "live"))  # fmt: skip
    assert (tmp_path / "other.db").is_file()
    (tmp_path / "twinstep.toml").write_text('[journal]\nsource = "lice"\n', encoding="utf-8")
    assert "live, paper, backtest" in refused(cli("journal", "show"), "CONFIG_JOURNAL_SOURCE")


@pytest.mark.parametrize(
    "line",
    [
        "show", "show 1", "search x", "close 1 --debit 1", "tag 1 x", "lesson 1 x", "mistake 1 other",
        "export t.csv", "check", "backup", "tax", "params history", "roll 1 --debit 1 --credit 2", "expire 1",
        "ignore 1", "stop 1 2",
    ],
)  # fmt: skip
def test_a_journal_that_is_not_there_is_not_begun(cli: Cli, tmp_path: Path, line: str) -> None:
    refused(cli("journal", *line.split()), "JOURNAL_MISSING")
    assert list(tmp_path.glob("*")) == []


def test_errors_name_what_is_wrong(opened: Cli) -> None:
    assert "no trade '9'" in refused(opened("journal", "show", "9"), "JOURNAL_TRADE")
    refused(opened("journal", "close", "9", "--debit", "1"), "JOURNAL_TRADE")
    refused(opened("journal", "show", "--recommendations", "9"), "JOURNAL_RECOMMENDATION")
    refused(opened("journal", "show", "1", "--recommendations", "1"), "CLI_EXCLUSIVE")
    refused(opened("journal", "show", "--status", "opened"), "JOURNAL_CHOICE")
    refused(opened("journal", "show", "--since", "soon"), "CLI_TIME")
    assert "live, paper" in refused(opened("journal", "show", "--source", "lice"), "CLI_SOURCE")
    refused(opened("journal", "close", "1", "--debit", "1", "--price", "2"), "CLI_EXCLUSIVE")
    refused(opened("journal", "close", "1", "--debit", "-1"), "CLI_EXCLUSIVE")
    refused(opened("journal", "log", "--symbol", "KO", "--side", "up"), "CLI_SIDE")
    refused(opened("journal", "log", "--symbol", "KO", "--legs", "95P"), "CLI_LEGS")
    refused(opened("journal", "log", "--symbol", "KO", "--legs", "-95P"), "CLI_LEGS")
    refused(opened("journal", "log", "--symbol", "KO", "--source", "all"), "CLI_SOURCE")
    refused(opened("journal", "close", "1"), "JOURNAL_PRICE")
    refused(
        opened("journal", "log", "--recommend", "--symbol", "KO", "--credit", "1", "--legs",
               "-95P@2030-01-18 +95P@2030-02-15"), "CLI_LEGS",
    )  # fmt: skip


@contextmanager
def writer(where: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that writes to a journal, and its number."""
    process = subprocess.Popen(
        [*forked(COMMANDS), "-c", HOLD, str(where)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said, number = process.stdout.readline().split()
        assert said == "held"
        yield process, number
    finally:
        process.kill()
        process.communicate()


def test_beside_another_writer_a_command_goes_into_the_inbox(opened: Cli, tmp_path: Path) -> None:
    with writer(tmp_path / "trade_journal.db") as (other, number):
        said = good(opened("journal", "close", "1", "--debit", "0.95", "--json")).json
        assert said["command"] == "log_trade_exit"
        assert number in said["reason"]
        asked = datetime.now(UTC)
        text = good(opened("journal", "tag", "2", "queued")).out
        assert "left the command in its inbox" in text
        assert len(good(opened("journal", "show", "--json")).json["trades"]) == 2, "nothing is done yet"
        assert good(opened("journal", "check", "--json")).json["waiting"] == 2
        good(opened("journal", "lesson", "1", "wait"))
        refused(opened("journal", "close", "9", "--debit", "1"), "JOURNAL_TRADE")
        out, _ = other.communicate("go\n", timeout=60)
        assert out.splitlines() == ["applied "] * 3
    found = good(opened("journal", "show", "1", "--json")).json["trade"]
    assert (found["status"], found["pnl"]) == ("closed", pytest.approx(665.0))
    assert datetime.fromisoformat(found["exit_time"]) <= asked, "the exit was when it was said"
    assert good(opened("journal", "show", "2", "--json")).json["tags"] == ["queued"]


def test_what_a_dead_writer_left_is_done_before_anything_new(opened: Cli, tmp_path: Path) -> None:
    with writer(tmp_path / "trade_journal.db"):
        good(opened("journal", "close", "2", "--price", "55"))
    answer = opened("journal", "tag", "1", "later")
    assert (answer.code, answer.err) == (0, "inbox: 1 waiting commands done, 0 rejected\n")
    assert good(opened("journal", "show", "2", "--json")).json["trade"]["pnl"] == 500.0


def test_two_shells_at_once_lose_nothing(opened: Cli, tmp_path: Path) -> None:
    command = [*forked(COMMANDS), "-m", "twinstep", "journal", "log", "--symbol", "KO", "--side", "buy",
               "--quantity", "1", "--price", "60"]  # fmt: skip
    codes: list[int] = []

    def shell() -> None:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        codes.append(done.returncode)

    threads = [threading.Thread(target=shell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened("journal", "tag", "1", "after")  # does what went into the inbox
    assert codes == [0] * 4
    assert len(good(opened("journal", "show", "--symbol", "KO", "--json")).json["trades"]) == 4


# Small parts


def test_legs_are_read_as_they_are_printed() -> None:
    assert legs_of("-95P, +2x90p@2026-03-20 +shares", "2026-02-20") == [
        {"side": -1, "kind": "put", "strike": 95.0, "ratio": 1, "expiry": "2026-02-20"},
        {"side": 1, "kind": "put", "strike": 90.0, "ratio": 2, "expiry": "2026-03-20"},
        {"side": 1, "kind": "shares", "strike": 0.0, "ratio": 1, "expiry": "2026-02-20"},
    ]
    for wrong in ("95P", "-95X", "--95P", "-P", "-95.P5"):
        with pytest.raises(ConfigError, match="is no leg"):
            legs_of(wrong, "2026-02-20")


@pytest.mark.parametrize(
    ("legs", "credit"),
    [
        ("-95P +90P", 1.85), ("-90P +85P -110C +115C", 2.4), ("-95P", 3.0), ("-105C", 2.0), ("+105C", -2.0),
        ("+95P", -3.0), ("-100P -100C", 8.0), ("+100P +100C", -8.0), ("+shares -105C", 2.0),
        ("-95P +2x90P", 0.5),
    ],
)  # fmt: skip
def test_bounds_are_those_of_a_fine_grid(legs: str, credit: float) -> None:
    day = date(2026, 2, 20)
    made = [OptionLeg(**{**leg, "expiry": day}) for leg in legs_of(legs, day.isoformat())]
    worst, best, even = bounds(made, credit=credit, spot=100.0, multiplier=100.0)
    paid = 100.0 if "shares" in legs else 0.0

    def profit(price: float) -> float:
        return 100.0 * (credit - paid + sum(leg.value_at(price) for leg in made))

    grid = [profit(step / 20) for step in range(20 * 400)]
    rising, falling = grid[-1] > grid[-2], grid[-1] < grid[-2]
    assert best == (float("inf") if rising else pytest.approx(max(grid)))
    assert worst == (float("-inf") if falling else pytest.approx(min(grid)))
    crossings = sum(one * two < 0 or (two == 0 and one != 0) for one, two in pairwise(grid))
    assert len(even) == crossings
    assert all(profit(price) == pytest.approx(0.0, abs=1e-6) for price in even)


# What the documentation shows


@pytest.mark.parametrize("page", ["docs/journal_cli.md", "README.md"])
def test_what_the_documentation_shows_runs(cli: Cli, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```console(?: run)?\n(.*?)```", text, re.DOTALL)
              if "$ twinstep journal log" in block]  # fmt: skip
    assert len(blocks) == 1
    lines = [line.removeprefix("$ twinstep ") for line in blocks[0].splitlines()]
    assert len(lines) >= 4
    for line in lines:
        answer = cli(*shlex.split(line))
        assert answer.code == 0, f"{line}: {answer.err}"
    assert good(cli("journal", "show", "1", "--json")).json["trade"]["pnl"] == pytest.approx(665.0)


# A light start


LINES = (
    "journal show", "journal show 1", "journal show --recommendations all", "journal search SPY",
    "journal tag 1 light", "journal sql 'SELECT count(*) FROM trades'", "journal check", "learn",
    "learn --json", "report --weekly", "report --days 30", "journal tax", "journal export light.csv",
)  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_small_journals_need_neither_numba_nor_pandas(opened: Cli, tmp_path: Path, line: str) -> None:
    opened("journal", "close", "1", "--debit", "0.95")
    code = (
        f"from twinstep.cli import run\nassert run({shlex.split(line)!r}) == 0\n"
        "import sys\nprint('::', *sys.modules)"
    )
    # whoever forks has only what every command has, or this would find it too
    done = subprocess.run(
        [*forked(COMMANDS), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("::")[2].split())
    assert "sqlalchemy" in loaded
    assert not HEAVY & loaded


def test_show_comes_quickly(opened: Cli, tmp_path: Path) -> None:
    def seconds(*words: str) -> float:
        began = os.times()
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        ended = os.times()
        assert done.returncode == 0, done.stderr
        return ended.children_user + ended.children_system - began.children_user - began.children_system

    shares: list[float] = []
    while len(shares) < 5 and min(shares, default=9.9) >= 4.0:
        shares.append(
            seconds("-m", "twinstep", "journal", "show") / seconds("-c", "import sqlalchemy, typer")
        )
    # 1.0 s of computing on an idle machine, 2.7 times what the two libraries take that it cannot do without;
    # numba and pandas would make it 7 times
    assert min(shares) < 4.0, shares


def test_every_document_is_json_without_surprises(opened: Cli) -> None:
    for line in (("show",), ("show", "1"), ("check",), ("tax",), ("params", "history"), ("search", "SPY")):
        document: Any = good(opened("journal", *line, "--json")).json
        assert "NaN" not in json.dumps(document)
