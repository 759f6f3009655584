"""Corners of tuning from a journal: each has its documented answer (docs/tuning.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from journal import ParameterStore, TradeJournal, schema
from optimize import Tuning, tune_journal
from optimize.tuning import adoption
from simulator.errors import ConfigError
from tests.optimize.tuning_journals import (
    DAY_NS,
    MANY,
    SCANNER,
    START_NS,
    Open,
    add_trades,
    chances,
    no_edge,
    opening,
    planted,
    statuses,
    trade,
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with opening(tmp_path) as open_one:
        yield open_one


def test_too_few_trades_are_not_enough_evidence(opened: Open) -> None:
    journal = opened()
    planted(journal, 12, no_edge)
    found = tune_journal(journal)
    assert found.answer == "not enough evidence"
    assert found.proposal.needed_trades is not None
    assert found.proposal.needed_trades > 0
    assert f"about {found.proposal.needed_trades} more trades" in found.sentence()
    assert statuses(journal) == []


def test_a_journal_without_trades_is_not_enough_evidence(opened: Open) -> None:
    found = tune_journal(opened())
    assert (found.answer, found.stored, len(found.cases)) == ("not enough evidence", None, 0)


def test_constant_outcomes_keep_what_is_in_force(opened: Open) -> None:
    journal = opened()
    add_trades(
        journal, [trade(entry_ts=START_NS + day * DAY_NS, iv_rank=50.0 + day % 40) for day in range(100)]
    )
    found = tune_journal(journal)
    assert found.answer == "keep"
    assert found.stored is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_single_class_is_not_enough_evidence(opened: Open, sign: float) -> None:
    journal = opened()
    rows = [
        trade(entry_ts=START_NS + day * DAY_NS, iv_rank=50.0 + day % 40, pnl=sign * (60.0 + day % 40))
        for day in range(100)
    ]
    add_trades(journal, rows)
    found = tune_journal(journal)
    assert found.answer == "not enough evidence"
    assert statuses(journal) == []


def test_without_any_iv_rank_the_threshold_stays_and_the_rest_is_asked(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, no_edge, iv_rank=None)
    found = tune_journal(journal)
    assert found.proposal.settings["min_iv_rank"] == 50.0
    tried = found.proposal.evidence["candidates"]
    assert tried
    assert not any("min_iv_rank" in row["settings"] for row in tried)
    assert f"iv_rank is unknown in {MANY} of {MANY} cases" in found.notes


def test_unknown_iv_ranks_take_no_part_and_are_not_taken_for_0_or_50(opened: Open) -> None:
    sets = []
    for losers in (0, 150):
        journal = opened()
        planted(journal, MANY, chances(70.0))
        unknown = [
            trade(entry_ts=START_NS + (5 * day + 1) * DAY_NS, iv_rank=None, pnl=-310.0)
            for day in range(losers)
        ]
        if unknown:
            add_trades(journal, unknown)
        sets.append(tune_journal(journal, space={"min_iv_rank": [60.0, 65.0, 70.0, 75.0]}))
    # 150 losing trades of unknown rank say nothing on where to put the threshold
    assert [found.answer for found in sets] == ["adopt", "adopt"]
    assert sets[0].proposal.settings["min_iv_rank"] == sets[1].proposal.settings["min_iv_rank"]


@pytest.mark.parametrize("source", ["all", ("paper", "live")])
def test_sources_are_not_mixed(opened: Open, source: Any) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    with pytest.raises(ConfigError, match="give one") as caught:
        tune_journal(journal, source=source)
    assert caught.value.code == "JOURNAL_MIXED_SOURCES"


def test_trades_of_another_source_change_nothing(opened: Open) -> None:
    alone, mixed = opened(), opened()
    for journal in (alone, mixed):
        planted(journal, MANY, chances(70.0))
    planted(mixed, MANY, lambda rank: 0.2, source="live")
    assert tune_journal(alone).as_dict()["evidence"] == tune_journal(mixed).as_dict()["evidence"]


# A set that is changed under the running question


def meddling(monkeypatch: pytest.MonkeyPatch, meddle: Callable[[], None], times: int = 1) -> list[int]:
    """Let somebody else do something while the question is worked out; returns a list that counts."""
    asked: list[int] = []
    real = adoption.propose

    def propose(*given: Any, **options: Any) -> Any:
        answer = real(*given, **options)
        asked.append(1)
        if len(asked) <= times:
            meddle()
        return answer

    monkeypatch.setattr(adoption, "propose", propose)
    return asked


def start_at_55(opened: Open) -> tuple[TradeJournal, ParameterStore]:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"min_iv_rank": 55.0}).id)
    return journal, store


def deleted(journal: TradeJournal) -> None:
    with journal.database.write() as connection:
        connection.execute(delete(schema.parameters))


def test_a_set_deleted_meanwhile_is_not_what_is_measured_against(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = start_at_55(opened)
    asked = meddling(monkeypatch, lambda: deleted(journal))
    found = tune_journal(journal)
    assert len(asked) == 2
    assert (found.before, found.used["min_iv_rank"]) == (None, 50.0)
    assert found.notes[0] == (
        "version 1 ceased to be in force while this ran, and the defaults apply now: asked again"
    )
    assert found.stored is not None
    assert (found.stored.parent_id, found.stored.status) == (None, "in_force")


def test_a_set_replaced_meanwhile_is_not_replaced_unseen(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, store = start_at_55(opened)

    def approve_another() -> None:
        store.approve(store.propose(SCANNER, {"min_iv_rank": 90.0}).id, by="Ada")

    meddling(monkeypatch, approve_another)
    found = tune_journal(journal)
    assert found.used["min_iv_rank"] == 90.0
    assert journal.parameters_for(SCANNER) == {"min_iv_rank": 90.0}
    assert found.stored is None or found.stored.status == "proposed"


def test_a_set_that_never_stands_still_is_an_error_and_nothing_is_stored(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, store = start_at_55(opened)

    def move() -> None:
        now = store.in_force(SCANNER)
        assert now is not None
        store.approve(store.propose(SCANNER, {"min_iv_rank": now.settings["min_iv_rank"] + 1.0}).id)

    asked = meddling(monkeypatch, move, times=9)
    with pytest.raises(ConfigError) as caught:
        tune_journal(journal)
    assert caught.value.code == "OPTIMIZE_SET_CHANGED"
    assert len(asked) == 3
    assert len(store.history()) == 4  # the first, and those that were moved to


def test_a_tuning_shows_what_it_is(opened: Open) -> None:
    journal = opened()
    planted(journal, 12, no_edge)
    found = tune_journal(journal)
    assert isinstance(found, Tuning)
    shown = str(found)
    assert "in force   min_iv_rank 50, target_dte 45" in shown
    assert found.sentence() in shown
