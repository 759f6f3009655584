"""Parameter sets: every transition, who may decide, and who reads what is in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from journal.database import Database
from journal.parameters import AUTOMATIC, ParameterSet, ParameterStore, in_force
from journal.schema import parameters
from journal.trade_journal import TradeJournal
from simulator.errors import ConfigError, JournalError, TwinstepError, UnknownNameError

SCANNER = "options_scanner"


@pytest.fixture
def journal(where: str) -> Iterator[TradeJournal]:
    with TradeJournal(where) as opened:
        yield opened


@pytest.fixture
def store(journal: TradeJournal) -> ParameterStore:
    return ParameterStore(journal)


def force_count(database: Database, component: str = SCANNER) -> int:
    with database.read() as connection:
        return int(
            connection.execute(
                select(func.count()).where(
                    parameters.c.component == component, parameters.c.status == "in_force"
                )
            ).scalar_one()
        )


def approved(store: ParameterStore, by: str = "Ada", **settings: Any) -> ParameterSet:
    return store.approve(store.propose(SCANNER, settings).id, by=by)


def test_a_proposed_set_changes_nothing_until_it_is_approved(
    store: ParameterStore, journal: TradeJournal
) -> None:
    proposed = store.propose(SCANNER, {"min_iv_rank": 60.0}, evidence={"trades": 240}, reason="raise")
    assert (proposed.version, proposed.status, proposed.source) == (1, "proposed", "live")
    assert store.in_force(SCANNER) is None
    assert dict(journal.parameters_for(SCANNER)) == {}
    done = store.approve(proposed.id, by="Ada", reason="seen")
    assert (done.status, done.decided_by, done.evidence) == ("in_force", "Ada", {"trades": 240})
    assert dict(journal.parameters_for(SCANNER)) == {"min_iv_rank": 60.0}
    assert [decision["action"] for decision in done.decisions] == ["approved"]


def test_approving_supersedes_and_rolling_back_restores(store: ParameterStore) -> None:
    first, second = approved(store, min_iv_rank=60.0), approved(store, min_iv_rank=70.0)
    assert (second.parent_id, second.version) == (first.id, 2)
    assert [one.status for one in store.history(SCANNER)] == ["superseded", "in_force"]
    back = store.roll_back(SCANNER, by="Bea", reason="too few trades")
    assert back is not None
    assert (back.id, back.decided_by) == (first.id, "Ada")
    assert [one.status for one in store.history()] == ["in_force", "rolled_back"]
    assert store.history()[1].decisions[-1]["by"] == "Bea"
    assert store.roll_back(SCANNER, by="Bea") is None
    assert store.in_force(SCANNER) is None
    with pytest.raises(ConfigError, match="no parameter set in force"):
        store.roll_back(SCANNER, by="Bea")


def test_the_parent_is_what_was_in_force_at_approval_not_at_proposal(store: ParameterStore) -> None:
    waiting = store.propose(SCANNER, {"min_iv_rank": 40.0})
    between = approved(store, min_iv_rank=60.0)
    assert store.approve(waiting.id, by="Ada").parent_id == between.id


def test_only_a_proposed_set_can_be_decided(store: ParameterStore) -> None:
    rejected = store.reject(store.propose(SCANNER, {"min_iv_rank": 60.0}).id, by="Ada", reason="no")
    assert (rejected.status, rejected.reason) == ("rejected", "no")
    in_use = approved(store, min_iv_rank=55.0)
    for one in (rejected, in_use):
        for decide in (store.approve, store.reject):
            with pytest.raises(ConfigError) as caught:
                decide(one.id, by="Ada")
            assert caught.value.code == "JOURNAL_PARAMETER_STATE"
    with pytest.raises(UnknownNameError) as missing:
        store.approve(99, by="Ada")
    assert missing.value.code == "NAME_PARAMETER_SET"


@pytest.mark.parametrize("by", [AUTOMATIC, "Automatic", "", "  "])
def test_live_needs_the_name_of_a_person(store: ParameterStore, by: str) -> None:
    proposed = store.propose(SCANNER, {"min_iv_rank": 60.0})
    for decide in (store.approve, store.reject):
        with pytest.raises(ConfigError) as caught:
            decide(proposed.id, by=by)
        assert caught.value.code == "JOURNAL_PARAMETER_PERSON"
    assert store.history()[0].status == "proposed"
    store.approve(proposed.id, by="Ada")
    with pytest.raises(ConfigError, match="name the person"):
        store.roll_back(SCANNER, by=by)


def test_paper_may_apply_by_itself_but_live_does_not_see_it(
    journal: TradeJournal, store: ParameterStore
) -> None:
    paper = TradeJournal(journal.database, source="paper")
    own = ParameterStore(paper)
    assert own.approve(own.propose(SCANNER, {"min_iv_rank": 40.0}).id).decided_by == AUTOMATIC
    assert dict(paper.parameters_for(SCANNER)) == {"min_iv_rank": 40.0}
    assert dict(journal.parameters_for(SCANNER)) == {}
    approved(store, min_iv_rank=60.0)
    assert dict(journal.parameters_for(SCANNER)) == {"min_iv_rank": 60.0}
    waiting = own.propose(SCANNER, {"min_iv_rank": 30.0})
    with pytest.raises(ConfigError, match="touches what a person approved"):
        own.approve(waiting.id)
    with pytest.raises(ConfigError, match="live trades"):
        own.roll_back(SCANNER)
    assert own.approve(waiting.id, by="Ada").status == "in_force"


def test_at_most_one_set_is_in_force_and_the_tables_hold_to_it(store: ParameterStore) -> None:
    for rank in (30.0, 40.0, 50.0):
        approved(store, min_iv_rank=rank)
        assert force_count(store.database) == 1
    store.roll_back(SCANNER, by="Ada")
    assert force_count(store.database) == 1
    row = {
        "component": SCANNER, "version": 99, "status": "in_force", "settings": "{}", "evidence": "{}",
        "source": "live", "created_ts": 0,
    }  # fmt: skip
    with pytest.raises(JournalError), store.database.write() as connection:
        connection.execute(insert(parameters), row)
    approved_other = store.propose("signal_generator", {"min_pattern_score": 65.0})
    store.approve(approved_other.id, by="Ada")
    assert force_count(store.database) == force_count(store.database, "signal_generator") == 1


@pytest.mark.parametrize(
    ("component", "settings"),
    [
        (SCANNER, {"min_iv_rank": 160.0}),
        (SCANNER, {"min_iv_rnak": 60.0}),
        (SCANNER, {"blacklist": "SPY"}),
        (SCANNER, {"blacklist": [1]}),
        ("signal_generator", {"min_pattern_score": 101.0}),
        ("signal_generator", {"min_patern_score": 60.0}),
        ("anything", {"x": float("nan")}),
        (" ", {}),
    ],
)
def test_settings_that_the_component_would_refuse_are_refused(
    store: ParameterStore, component: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(TwinstepError):
        store.propose(component, settings)
    assert store.history() == []


def test_what_was_approved_survives_closing(tmp_path: Path) -> None:
    place = tmp_path / "journal.db"
    with TradeJournal(place) as journal:
        approved(ParameterStore(journal), min_iv_rank=60.0, blacklist=["XYZ"])
    with Database(place, read_only=True) as database, database.read() as connection:
        found = in_force(connection, SCANNER, source="live")
    assert found is not None
    assert found.settings == {"min_iv_rank": 60.0, "blacklist": ["XYZ"]}
    assert "version 1 (in_force)" in str(found)
    assert found.as_dict()["settings"] == found.settings


def test_the_scanner_uses_the_set_in_force_on_its_next_run(
    store: ParameterStore, journal: TradeJournal
) -> None:
    from strategies.options_scanner import OptionsScanner

    def scanner() -> OptionsScanner:
        with pytest.warns(UserWarning, match="CONFIG_SCAN_SAMPLE"):
            return OptionsScanner(parameters=journal)

    assert scanner().min_iv_rank == 50.0
    approved(store, min_iv_rank=60.0, target_dte=40, blacklist=["ABC"], favourites=["SPY"])
    learned = scanner()
    assert (learned.min_iv_rank, learned.target_dte, set(learned.blacklist)) == (60.0, 40, {"ABC"})
    store.roll_back(SCANNER, by="Ada")
    assert scanner().min_iv_rank == 50.0


def test_the_signal_generator_takes_the_set_in_force(store: ParameterStore, journal: TradeJournal) -> None:
    from strategies.signal_generator import SignalGenerator

    proposed = store.propose("signal_generator", {"min_pattern_score": 72.0})
    store.approve(proposed.id, by="Ada")
    assert SignalGenerator(parameters=journal).min_pattern_score == 72.0
    assert SignalGenerator(parameters=journal, min_pattern_score=50.0).min_pattern_score == 50.0
    assert SignalGenerator(parameters=journal).min_risk_reward_ratio == 2.0


def test_a_failed_approval_leaves_everything_as_it_was(
    store: ParameterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = approved(store, min_iv_rank=60.0)
    waiting = store.propose(SCANNER, {"min_iv_rank": 70.0})
    from journal import parameters as module

    decide = module._decide

    def broken(*arguments: Any, **options: Any) -> ParameterSet:
        if arguments[2] == "in_force":
            raise RuntimeError("power cut")
        return decide(*arguments, **options)

    monkeypatch.setattr(module, "_decide", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        store.approve(waiting.id, by="Ada")
    now = store.in_force(SCANNER)
    assert now is not None
    assert now.id == first.id
    assert store.history()[1].status == "proposed"
