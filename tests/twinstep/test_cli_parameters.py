"""`twinstep parameters`: shown, compared, decided and rolled back, in words and as JSON."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from journal import ParameterStore, TradeJournal
from tests.twinstep.conftest import Answer, Cli


def good(answer: Answer) -> Answer:
    assert (answer.code, answer.err) == (0, ""), answer.err
    return answer


def refused(answer: Answer, code: str) -> None:
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error [{code}]: ")
    assert answer.err.count("\n") == 1


@pytest.fixture
def sets(cli: Cli, tmp_path: Path) -> Cli:
    """Three sets of the scanner, one of signals; the first was approved, the second and third wait."""
    with TradeJournal(tmp_path / "trade_journal.db") as journal:
        store = ParameterStore(journal, clock=lambda: datetime(2026, 1, 5, 15, tzinfo=UTC))
        store.propose("options_scanner", {"min_iv_rank": 55.0})
        store.approve(1, "Ada", reason="try it")
        store.propose(
            "options_scanner",
            {"min_iv_rank": 60.0, "target_dte": 45, "blacklist": ["XYZ"]},
            evidence={"trades": 120, "tuning": {"lower": 0.01, "candidates": [{"lower": 1}] * 3}},
        )
        store.propose("options_scanner", {"min_iv_rank": 55.0})
        store.propose("signal_generator", {"min_pattern_score": 70.0}, reason="[bold]fewer signals")
    return cli


def test_all_sets_are_shown_with_who_decided(sets: Cli) -> None:
    text = good(sets("parameters", "show")).out
    assert text.startswith("4 parameter sets")
    rows = [line.split() for line in text.splitlines() if "_scanner" in line or "signal_" in line]
    assert [row[3] for row in rows] == ["in_force", "proposed", "proposed", "proposed"]
    assert rows[0][-1] == "Ada"
    assert "2026-01-05 15:00 UTC" in text
    document = good(sets("parameters", "show", "signal_generator", "--json")).json
    assert [one["settings"] for one in document] == [{"min_pattern_score": 70.0}]


def test_one_set_is_shown_in_full(sets: Cli) -> None:
    text = good(sets("parameters", "show", "1")).out
    assert "set 1: options_scanner version 1, in_force" in text
    assert "approved 2026-01-05 15:00 UTC by Ada: try it" in text
    text = good(sets("parameters", "show", "2")).out
    assert "XYZ" in text
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if len(line.split()) > 1}
    assert lines["min_iv_rank"] == ["60", "50"]
    assert lines["trades"] == ["120"]
    assert lines["tuning.lower"] == ["0.01"]
    assert ": [bold]fewer signals" in good(sets("parameters", "show", "4")).out
    assert lines["tuning.candidates"][:2] == ["3", "entries,"]
    assert good(sets("parameters", "show", "2", "--json")).json["evidence"]["trades"] == 120
    refused(sets("parameters", "show", "9"), "NAME_PARAMETER_SET")


def test_a_set_is_compared_with_what_is_in_force(sets: Cli) -> None:
    changes = good(sets("parameters", "diff", "2", "--json")).json
    assert (changes["from"], changes["to"]) == (1, 2)
    assert changes["changes"] == [
        {"setting": "blacklist", "from": [], "to": ["XYZ"]},
        {"setting": "min_iv_rank", "from": 55.0, "to": 60.0},
    ], "target_dte is the default"
    text = good(sets("parameters", "diff", "2")).out
    assert "from options_scanner version 1" in text
    assert "to   options_scanner version 2" in text
    assert "changes nothing" in good(sets("parameters", "diff", "3")).out


def test_a_set_in_force_is_compared_with_what_it_took_the_place_of(sets: Cli) -> None:
    changes = good(sets("parameters", "diff", "1", "--json")).json
    assert changes["from"] is None
    assert changes["changes"] == [{"setting": "min_iv_rank", "from": 50.0, "to": 55.0}]
    good(sets("parameters", "approve", "2", "--by", "Bea"))
    assert good(sets("parameters", "diff", "2", "--json")).json["from"] == 1


def test_sets_are_compared_with_each_other_and_with_defaults(sets: Cli) -> None:
    back = good(sets("parameters", "diff", "1", "2", "--json")).json["changes"]
    assert {one["setting"]: (one["from"], one["to"]) for one in back} == {
        "blacklist": (["XYZ"], []),
        "min_iv_rank": (60.0, 55.0),
    }
    plain = good(sets("parameters", "diff", "4", "defaults", "--json")).json
    assert plain["changes"] == [{"setting": "min_pattern_score", "from": 60.0, "to": 70.0}]
    assert "defaults of signal_generator" in good(sets("parameters", "diff", "4", "defaults")).out
    refused(sets("parameters", "diff", "4", "1"), "CLI_COMPARE")
    refused(sets("parameters", "diff", "4", "before"), "CLI_COMPARE")
    refused(sets("parameters", "diff", "9"), "NAME_PARAMETER_SET")


def test_sets_are_approved_rejected_and_rolled_back(sets: Cli) -> None:
    refused(sets("parameters", "approve", "2"), "JOURNAL_PARAMETER_PERSON")
    assert "(in_force)" in good(sets("parameters", "approve", "2", "--by", "Bea", "--reason", "ok")).out
    assert good(sets("parameters", "reject", "3", "--by", "Bea", "--json")).json["status"] == "rejected"
    refused(sets("parameters", "reject", "3", "--by", "Bea"), "JOURNAL_PARAMETER_STATE")
    assert good(sets("parameters", "roll-back", "options_scanner", "--by", "Bea", "--json")).json["id"] == 1
    good(sets("parameters", "roll-back", "options_scanner", "--by", "Bea"))
    refused(sets("parameters", "roll-back", "options_scanner", "--by", "Bea"), "JOURNAL_PARAMETER_STATE")


def test_a_decision_beside_another_writer_waits_and_means_the_set_of_then(sets: Cli, tmp_path: Path) -> None:
    where = tmp_path / "trade_journal.db"
    code = f"from journal.database import Database; d = Database({str(where)!r}); d.lock(); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "\n"
        assert "inbox" in good(sets("parameters", "roll-back", "options_scanner", "--by", "Ada")).out
        holder.communicate("\n")
    with TradeJournal(where) as journal:
        ParameterStore(journal).approve(2, "Ada")
        (late,) = journal.drain()
        assert late.state == "rejected"
        assert "set 2 in force by now, not 1" in late.reason
        now = ParameterStore(journal).in_force("options_scanner")
    assert now is not None
    assert now.id == 2


def test_the_former_name_still_works(sets: Cli) -> None:
    former = good(sets("journal", "params", "history", "--json")).json
    assert former == good(sets("parameters", "show", "--json")).json
    assert "params" not in good(sets("journal", "--help")).out
    assert "history" not in good(sets("parameters", "--help")).out


def test_without_a_journal_nothing_is_begun(cli: Cli, tmp_path: Path) -> None:
    for words in (("show",), ("diff", "1"), ("approve", "1"), ("roll-back", "options_scanner")):
        refused(cli("parameters", *words), "JOURNAL_MISSING")
    assert not list(tmp_path.iterdir())


def test_a_component_that_there_is_not_is_refused(sets: Cli) -> None:
    for words in (("show", "options_scaner"), ("roll-back", "options_scaner")):
        answer = sets("parameters", *words)
        refused(answer, "NAME_COMPONENT")
        assert "options_scanner" in answer.err
    assert good(sets("parameters", "show", "premium")).out.startswith("0 parameter sets")
    assert good(sets("parameters", "show", "signal_generator")).out.startswith("1 parameter set ")


def test_trials_and_scan_refuse_what_is_not_there(sets: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no journal\n" * 100, encoding="utf-8")
    refused(sets("trials", "--journal", "missing.db"), "JOURNAL_MISSING")
    wrong = sets("trials", "--journal", "text.db")
    assert (wrong.code, wrong.out) == (2, "")
    assert good(sets("trials", "--journal", "trade_journal.db")).out.startswith("no trials are counted")
    refused(sets("scan", "--symbol", "FOO"), "CLI_SYMBOL")
