"""The page "learning": sets and ledger as the command line has them; decisions once, by a typed word."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from journal import ParameterStore
from journal.counterfactuals import CounterfactualLedger
from journal.database import Database
from journal.trade_journal import TradeJournal
from live.counterfactuals import SessionLedger
from live.session import Session
from simulator import load_bars
from strategies import strategy_class
from tests.twinstep.conftest import Cli
from tests.twinstep.dashboard.conftest import Client, Served
from tests.twinstep.dashboard.figures_journal import fill_journal
from twinstep.dashboard import Dashboard
from twinstep.dashboard.reading.learning import read_parameters
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.words import signed


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal for those who only look, or decide nothing."""
    return fill_journal(tmp_path_factory.mktemp("learning") / "trade_journal.db", trades=20)


@pytest.fixture
def own(journal: Path, tmp_path: Path, served: Served) -> Client:
    """Return whoever decides on a journal of their own."""
    copy = shutil.copytree(journal.parent, tmp_path / "own")
    return Client(served.of(copy / journal.name)).log_in()


def plain(body: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def states(journal: Path) -> dict[int, tuple[str, str | None]]:
    with Database(journal, read_only=True) as database:
        return {one.id: (one.status, one.decided_by) for one in ParameterStore(database).history()}


def test_changes_are_those_of_the_command_line(cli: Cli, journal: Path) -> None:
    components = read_parameters(Reader(journal)).components
    assert components is not None
    shown = [one for part in components for one in (part.in_force, *part.waiting) if one is not None]
    assert [one.set.id for one in shown] == [1, 2, 3]
    for one in shown:
        document = cli("parameters", "diff", str(one.set.id), "--journal", str(journal), "--json").json
        assert [change.setting for change in one.changes] == [row["setting"] for row in document["changes"]]
        assert one.before == ("the defaults" if document["from"] is None else "version 1")
    scanner = shown[1].changes
    assert [(one.setting, one.before, one.after) for one in scanner] == [
        ("blacklist", "none", "XYZ"), ("min_iv_rank", "55", "60"),
    ]  # fmt: skip


def test_what_waits_is_shown_with_its_evidence_and_who_decided(client: Client) -> None:
    body = client.ask("/learning").body
    text = plain(body)
    assert "Version 1 is in force set 1, learned from live trades approved 2026-01-05 15:00:00 UTC" in text
    assert "by Ada: try it" in text
    assert "Version 2 waits for a person set 2" in text
    assert "trades 120 tuning · candidates 3 entries tuning · lower 0.01" in text
    assert "3 rejected 2026-01-05 15:00:00 UTC 2026-01-05 15:00:00 UTC Ada too few trades left" in text
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)" in body
    assert plain(client.ask("/learning/parameters").body) in text


def test_the_ledger_says_what_the_journal_says(client: Client, journal: Path) -> None:
    text = plain(client.ask("/learning").body)
    with Database(journal, read_only=True) as database:
        ledger = CounterfactualLedger(TradeJournal(database), source="paper")
        (rule,), (decision,) = ledger.lines("rule"), ledger.lines("decision")
    assert rule.n == 40
    for one in (rule, decision):
        assert (
            f"{one.name.replace('_', ' ')} {one.n} {one.closed} {one.open} {one.never_filled} "
            f"{signed(one.saved)} "
            f"{signed(one.saved_low)} to {signed(one.saved_high)}"
        ) in text
    assert "cluster-robust t at 95 %" in text
    nothing = plain(client.ask("/learning?source=backtest").body)
    assert "No rule has refused a signal of this source" in nothing
    assert "What people rejected, ignored or left to expire is run with" in nothing


def test_signals_that_were_refused_and_not_run_yet_are_counted(tmp_path: Path) -> None:
    where = tmp_path / "desk.db"
    bars = load_bars("sample:stocks")
    with Session(
        where, like=bars, strategies=[strategy_class("donchian-breakout")()], name="mine"
    ) as session:
        session.push(bars[:200])
    with TradeJournal(where, source="paper") as journal:
        with Dashboard(where) as served:
            before = plain(Client(served).log_in().ask("/learning?source=paper").body)
        ran = SessionLedger(journal).update("mine").stored
    assert ran is not None
    assert ran.new > 1
    assert f"{ran.new} refused signals of session mine were not run yet: " in before
    assert "twinstep counterfactuals mine --journal desk.db" in before
    with Dashboard(where) as served:
        after = plain(Client(served).log_in().ask("/learning?source=paper").body)
    assert "not run yet" not in after.replace("None was run yet", "")


def test_a_set_is_approved_once_and_by_its_component(own: Client) -> None:
    client, journal = own, own.dashboard.reader.journal
    wrong = client.do("parameters/2/approve", by="Bob", typed="scanner", key="approve-wrong").json
    assert (wrong["done"], wrong["code"]) == (False, "CLI_CONFIRM")
    assert states(journal)[2] == ("proposed", None)
    found = client.do("parameters/2/approve", by="Bob", typed=" Options_Scanner", key="approve-right").json
    assert found == {"done": True, "says": "options_scanner version 2 is in force.", "code": ""}
    assert states(journal)[2] == ("in_force", "Bob")
    assert states(journal)[1][0] == "superseded"
    # the same form again gets the same answer, another one the reason
    again = client.do("parameters/2/approve", by="Bob", typed=" Options_Scanner", key="approve-right").json
    assert again == found
    late = client.do("parameters/2/approve", by="Eve", typed="options_scanner", key="approve-late").json
    assert (late["done"], late["code"]) == (False, "JOURNAL_PARAMETER_STATE")
    assert states(journal)[2] == ("in_force", "Bob")
    assert "Version 2 is in force" in plain(client.ask("/learning").body)


def test_a_set_is_rejected_with_a_reason(own: Client) -> None:
    client, journal = own, own.dashboard.reader.journal
    assert client.do("parameters/3/reject", by="Bob", reason="", key="reject-none").status == 422
    found = client.do("parameters/3/reject", by="Bob", reason="too few", key="reject-right").json
    assert found["done"], found
    assert states(journal)[3] == ("rejected", "Bob")


def test_rolling_back_takes_the_component_and_goes_one_step(own: Client) -> None:
    client, journal = own, own.dashboard.reader.journal
    client.do("parameters/2/approve", by="Bob", typed="options_scanner", key="approve-first")
    wrong = client.do(
        "parameters/roll-back", component="options_scanner", typed="yes", by="Bob", key="back-wrong"
    ).json
    assert wrong["code"] == "CLI_CONFIRM"
    form = {"component": "options_scanner", "typed": "options_scanner", "by": "Bob", "reason": "losses"}
    found = client.do("parameters/roll-back", **form, key="back-right").json
    assert found["says"] == "options_scanner version 1 is in force again."
    assert (states(journal)[1][0], states(journal)[2][0]) == ("in_force", "rolled_back")
    assert "the defaults apply" in client.do("parameters/roll-back", **form, key="back-twice").json["says"]
    none = client.do("parameters/roll-back", **form, key="back-thrice").json
    assert (none["done"], none["code"]) == (False, "JOURNAL_PARAMETER_STATE")


def test_a_program_decides_nothing_about_live_trades(client: Client, journal: Path) -> None:
    found = client.do("parameters/2/approve", by="automatic", typed="options_scanner", key="by-program").json
    assert (found["done"], found["code"]) == (False, "JOURNAL_PARAMETER_PERSON")
    assert states(journal)[2][0] == "proposed"


def test_whoever_holds_the_journal_decides_and_checks_again(own: Client) -> None:
    client, journal = own, own.dashboard.reader.journal
    code = (
        f"from journal.database import Database; d = Database({str(journal)!r}); d.lock(); "
        "print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        first = client.do("parameters/2/approve", by="Bob", typed="options_scanner", key="locked-one").json
        second = client.do("parameters/2/reject", by="Bob", reason="no", key="locked-two").json
        assert states(journal)[2][0] == "proposed"
    finally:
        holder.communicate("\n")
    assert first["done"]
    assert second["done"]
    assert "inbox" in first["says"]
    with TradeJournal(journal) as opened:
        # before them lies what the fixture left for a session
        assert [one.state for one in opened.drain()][-2:] == ["applied", "rejected"]
    assert states(journal)[2] == ("in_force", "Bob")


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("parameters/9/approve", {"typed": "x"}, 200), ("parameters/0/approve", {"typed": "x"}, 422),
        ("parameters/99999999999999999999/approve", {"typed": "x"}, 422), ("parameters/x/reject", {}, 422),
        ("parameters/2/approve", {}, 422), ("parameters/2/approve", {"typed": "x", "more": 1}, 422),
        ("parameters/2/approve", {"typed": "x", "by": "x" * 81}, 422),
        ("parameters/2/reject", {"reason": "x" * 2001}, 422), ("parameters/roll-back", {"typed": "x"}, 422),
        ("parameters/roll-back", {"component": "", "typed": ""}, 200),
        ("parameters/roll-back", {"component": "nobody", "typed": "nobody"}, 200),
        ("parameters/2/approve", {"typed": "options_scanner", "key": "bad key!"}, 422),
    ],
)  # fmt: skip
def test_what_is_no_decision_decides_nothing(
    client: Client, journal: Path, path: str, form: dict[str, Any], status: int
) -> None:
    before = states(journal)
    answer = client.do(path, **form)
    assert answer.status == status, answer.body
    assert status == 422 or not answer.json["done"]
    assert states(journal) == before


@pytest.mark.parametrize("query", ["source=all", "source="])
def test_an_unknown_source_is_refused(client: Client, query: str) -> None:
    assert client.ask(f"/learning?{query}").status == 422


def test_an_empty_journal_says_where_sets_come_from(tmp_path: Path) -> None:
    Database(tmp_path / "empty.db").close()
    with Dashboard(tmp_path / "empty.db") as served:
        text = plain(Client(served).log_in().ask("/learning").body)
    assert "No set of learned settings has been proposed" in text
    assert "No rule has refused a signal of this source" in text


def test_without_a_journal_nothing_is_begun(tmp_path: Path) -> None:
    with Dashboard(tmp_path / "none.db") as served:
        client = Client(served).log_in()
        assert "it is not there yet" in plain(client.ask("/learning").body)
        form = {"component": "options_scanner", "typed": "options_scanner", "key": "back-nothing"}
        assert client.do("parameters/roll-back", **form).json["code"] == "JOURNAL_MISSING"
    assert not (tmp_path / "none.db").exists()


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(own: Client) -> None:
    client, journal = own, own.dashboard.reader.journal
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE parameters SET settings = 'no json' WHERE id = 1")
    text = plain(client.ask("/learning").body)
    assert "The journal trade_journal.db cannot be read: " in text
    assert "portfolio heat 40" in text
