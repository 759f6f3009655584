"""From a journal to a parameter set in force that the next scan uses, and back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Integer, cast

from journal import ParameterStore, TradeJournal, schema
from journal.parameters import check_settings
from optimize import tune_journal
from optimize.tuning.components import KINDS, stored_settings, used_settings
from simulator.errors import ConfigError, JournalError, TwinstepWarning, UnknownNameError
from strategies import OptionsScanner
from strategies.premium import ShortPutSpread
from tests.optimize.tuning_journals import (
    DAY_NS,
    MANY,
    SCANNER,
    START,
    START_NS,
    Open,
    add_refused,
    add_trades,
    chances,
    no_edge,
    opening,
    planted,
    recommendation,
    refused,
    statuses,
    trade,
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with opening(tmp_path) as open_one:
        yield open_one


def scanner(journal: TradeJournal) -> OptionsScanner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinstepWarning)
        return OptionsScanner(parameters=journal)


# The path: cases, proposal, parameter set, scanner


def test_on_paper_an_edge_takes_force_and_the_next_scan_uses_it(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    found = tune_journal(journal)
    assert found.answer == "adopt"
    least = found.proposal.settings["min_iv_rank"]
    assert 60.0 <= least <= 80.0
    assert found.stored is not None
    assert (found.stored.status, found.stored.decided_by, found.stored.source) == (
        "in_force", "automatic", "paper"
    )  # fmt: skip
    assert dict(found.stored.settings) == {"min_iv_rank": least}
    assert scanner(journal).min_iv_rank == least
    assert found.sentence().endswith("Version 1 is in force; the next scan uses it.")
    # what it was adopted on can be read again
    (kept,) = ParameterStore(journal).history()
    assert kept.evidence["tuning"]["evidence"]["lower"] == pytest.approx(found.proposal.lower)
    assert kept.evidence["trades"] == MANY
    # and it can be taken back
    assert ParameterStore(journal).roll_back(SCANNER, reason="too few trades") is None
    assert scanner(journal).min_iv_rank == 50.0


def test_the_next_question_is_asked_against_what_is_in_force_then(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    first = tune_journal(journal)
    second = tune_journal(journal)
    assert second.used["min_iv_rank"] == first.proposal.settings["min_iv_rank"]
    assert second.before is not None
    assert first.stored is not None
    assert second.before.id == first.stored.id
    assert second.answer != "adopt"
    assert second.stored is None
    assert statuses(journal) == ["in_force"]


def test_what_was_learned_live_waits_for_a_person(opened: Open) -> None:
    journal = opened("live")
    planted(journal, MANY, chances(70.0), source="live")
    found = tune_journal(journal)
    assert found.answer == "adopt"
    assert found.stored is not None
    assert found.stored.status == "proposed"
    assert "waits for a person" in found.sentence()
    assert scanner(journal).min_iv_rank == 50.0
    ParameterStore(journal).approve(found.stored.id, by="Ada")
    assert scanner(journal).min_iv_rank == found.proposal.settings["min_iv_rank"]


def test_a_program_cannot_apply_what_was_learned_live(opened: Open) -> None:
    journal = opened("live")
    planted(journal, MANY, chances(70.0), source="live")
    with pytest.raises(ConfigError) as caught:
        tune_journal(journal, apply=True)
    assert caught.value.code == "JOURNAL_PARAMETER_PERSON"
    assert statuses(journal) == []


def test_what_a_person_approved_is_not_replaced_by_a_program(opened: Open) -> None:
    journal = opened()
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"min_iv_rank": 55.0, "widths": [5.0]}).id, by="Ada")
    planted(journal, MANY, chances(70.0))
    found = tune_journal(journal)
    assert found.used["min_iv_rank"] == 55.0
    assert found.stored is not None
    assert found.stored.status == "proposed"
    # a set replaces the one before it, so what is not tuned is carried over
    assert found.stored.settings["widths"] == [5.0]
    assert found.stored.parent_id == 1
    # asked again next week, the same set waits once
    again = tune_journal(journal)
    assert again.stored is not None
    assert again.stored.id == found.stored.id
    assert statuses(journal) == ["in_force", "proposed"]


@pytest.mark.parametrize("by", ["automatic", "Ada"])
def test_what_was_taken_back_stays_back_until_there_is_more_to_say(opened: Open, by: str) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    tune_journal(journal)
    ParameterStore(journal).roll_back(SCANNER, by=by, reason="no")
    again = tune_journal(journal)
    assert (again.answer, again.stored) == ("adopt", None)
    assert again.notes[0] == (
        f"version 1 had these settings and was rolled back by {by}: it is not proposed again before there "
        "are 375 cases"
    )
    assert statuses(journal) == ["rolled_back"]
    planted(journal, MANY // 2, chances(70.0), seed=9)
    later = tune_journal(journal, space={"min_iv_rank": [again.proposal.settings["min_iv_rank"]]})
    assert later.stored is not None
    # what a person turned down, a person decides
    assert later.stored.status == ("in_force" if by == "automatic" else "proposed")


def test_what_was_learned_from_a_backtest_waits_unless_it_is_to_be_applied(opened: Open) -> None:
    journal = opened("backtest")
    planted(journal, MANY, chances(70.0), source="backtest")
    waiting = tune_journal(journal)
    assert waiting.stored is not None
    assert waiting.stored.status == "proposed"
    applied = tune_journal(journal, apply=True)
    assert applied.stored is not None
    assert (applied.stored.id, applied.stored.status) == (waiting.stored.id, "in_force")
    # a live journal does not see it
    assert TradeJournal(journal.database, source="live").parameters_for(SCANNER) == {}


def test_looking_stores_nothing_and_needs_no_right_to_write(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    assert tune_journal(journal, store=False).answer == "adopt"
    assert journal.database.path is not None
    journal.close()
    found = tune_journal(journal.database.path, store=False, source="paper")
    assert (found.answer, found.stored) == ("adopt", None)


def test_the_same_journal_gives_the_same_answer(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    first, second = (tune_journal(journal, store=False) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    json.dumps(first.as_dict(), allow_nan=False)
    assert f"{MANY} closed, 0 refused" in str(first)


# What was never taken


def below_the_threshold(
    journal: TradeJournal, count: int, won: Callable[[int], bool], lowest: float = 30.0
) -> None:
    """Refused recommendations with IV ranks of 30 to 50, one every second day, held for nine days."""
    pairs = []
    for number in range(count):
        entry = START_NS + (number * 2 + 1) * DAY_NS
        r = 0.35 if won(number) else -1.0
        pairs.append(
            (
                recommendation(created_ts=entry, iv_rank=lowest + number % 20, dte=45),
                refused(
                    None, ts=entry, entry_ts=entry, exit_ts=entry + 9 * DAY_NS, quantity=1.0, pnl=310.0 * r,
                    r_multiple=r, mfe_fraction=0.3,
                ),
            )
        )  # fmt: skip
    add_refused(journal, pairs)


def test_nothing_is_proposed_below_what_was_ever_seen(opened: Open) -> None:
    journal = opened()
    # above 50 it wins seven times of ten: the rules would lower the threshold
    planted(journal, MANY, lambda rank: 0.85)
    found = tune_journal(journal)
    assert found.prior["min_iv_rank"] == 40.0
    tried = {row["settings"].get("min_iv_rank", 50.0) for row in found.proposal.evidence["candidates"]}
    assert min(tried) >= 50.0
    assert found.answer != "adopt"


def test_refused_candidates_that_would_have_won_lower_the_threshold(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, no_edge)
    below_the_threshold(journal, MANY, lambda number: number % 20 != 7)
    # alone they might have won because the ledger manages them by rules of its own
    assert tune_journal(journal, store=False).answer != "adopt"
    below_the_threshold(journal, MANY, lambda number: number % 4 != 1, lowest=55.0)
    found = tune_journal(journal)
    assert int((~found.cases.taken).sum()) == 2 * MANY
    assert found.answer == "adopt"
    assert found.proposal.settings["min_iv_rank"] < 50.0


def test_refused_candidates_that_would_have_lost_do_not(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, lambda rank: 0.85)
    below_the_threshold(journal, MANY, lambda number: number % 3 != 0)
    found = tune_journal(journal)
    assert found.proposal.settings["min_iv_rank"] >= 50.0


# Other settings


def test_a_symbol_that_loses_is_left_out_and_no_favourite_any_more(opened: Open) -> None:
    journal = opened()
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"favourites": ["QQQ", "SPY"]}).id)
    # each trade alternates among three symbols; one of them loses
    planted(journal, 300, lambda rank: 0.88, every_days=2.0)
    add_trades(
        journal,
        [
            trade(symbol="TLT", entry_ts=START_NS + 4 * day * DAY_NS, pnl=-310.0 if day % 5 else 108.5)
            for day in range(150)
        ],
    )
    found = tune_journal(journal)
    assert found.answer == "adopt"
    assert "TLT" in found.proposal.settings["blacklist"]
    assert scanner(journal).blacklist == {"TLT"}
    add = tune_journal(journal)
    assert "TLT" in add.used["blacklist"]
    assert add.cases.symbol.tolist().count("TLT") == 150


def test_an_earlier_profit_target_is_a_setting_of_the_premium_strategies(opened: Open) -> None:
    journal = opened()
    # every trade was once at 60 % of its profit; half of them gave it all back
    rows = []
    for number in range(200):
        entry = START_NS + 3 * number * DAY_NS
        pnl = 160.0 if number * 7 % 20 < 10 else -250.0
        rows.append(
            trade(entry_ts=entry, exit_ts=entry + 15 * DAY_NS, pnl=pnl, mfe=160.0 if pnl > 0 else 115.0)
        )
    add_trades(journal, rows)
    found = tune_journal(journal, component="premium")
    assert found.answer == "adopt"
    target = found.proposal.settings["profit_target"]
    assert 0.5 <= target <= 0.65
    assert journal.parameters_for("premium") == {"profit_target_pct": pytest.approx(100 * target)}
    strategy = ShortPutSpread(**journal.parameters_for("premium"))
    assert strategy.params.profit_target_pct == pytest.approx(100 * target)
    # from then on it is measured against that
    assert tune_journal(journal, component="premium").used == {"profit_target": pytest.approx(target)}


def test_shares_tune_the_least_pattern_score(opened: Open) -> None:
    journal = opened()
    planted(
        journal,
        MANY,
        chances(80.0),
        ranks=(60.0, 100.0),
        kind="stock",
        side=1,
        max_loss=None,
        max_profit=None,
    )
    with journal.database.write() as connection:
        table = schema.trades
        connection.execute(table.update().values(score=table.c.iv_rank))
    found = tune_journal(journal, component="signal_generator")
    assert found.answer == "adopt"
    assert found.used == {"min_pattern_score": 60.0}
    assert 72.0 <= found.proposal.settings["min_pattern_score"] <= 88.0
    assert journal.parameters_for("signal_generator") == dict(found.proposal.settings)


@pytest.mark.parametrize(
    ("name", "column", "share"), [("min_delta", "delta", 0.005), ("min_score", "score", 1.0)]
)
def test_delta_and_score_are_filters_of_the_scanner(
    opened: Open, name: str, column: str, share: float
) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    with journal.database.write() as connection:
        table = schema.trades
        connection.execute(table.update().values({column: table.c.iv_rank * share}))
    assert name not in tune_journal(journal, store=False).proposal.settings
    found = tune_journal(journal, space={name: None})
    assert found.answer == "adopt"
    least = found.proposal.settings[name]
    assert 60.0 * share <= least <= 80.0 * share
    assert getattr(scanner(journal).settings, name) == least


def test_a_named_space_is_searched_and_no_other(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    found = tune_journal(journal, space={"min_iv_rank": [65.0, 70.0]}, store=False)
    tried = [row["settings"] for row in found.proposal.evidence["candidates"]]
    assert tried == [{"min_iv_rank": 65.0}, {"min_iv_rank": 70.0}]


def test_days_with_bounds_of_their_own_move_the_target_along(opened: Open) -> None:
    journal = opened()
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"min_dte": 20, "max_dte": 70, "target_dte": 30}).id)
    planted(journal, MANY, no_edge)
    with journal.database.write() as connection:  # the longer they run, the better they end
        table = schema.trades
        connection.execute(table.update().values(dte=cast(table.c.iv_rank - 30, Integer)))
        late = table.c.iv_rank >= 75
        connection.execute(table.update().where(late).values(pnl=108.5, r_multiple=0.35))
        connection.execute(table.update().where(~late).values(pnl=-31.0, r_multiple=-0.1))
    found = tune_journal(journal, space={"min_dte": None})
    assert found.answer == "adopt"
    least = found.proposal.settings["min_dte"]
    assert 35 <= least <= 50
    assert found.stored is not None
    assert dict(found.stored.settings) == {"min_dte": least, "max_dte": 70, "target_dte": least}
    assert scanner(journal).settings.dte_bounds == (least, 70)


def test_components_are_known_by_name(opened: Open) -> None:
    journal = opened()
    with pytest.raises(UnknownNameError, match="options_scanner") as caught:
        tune_journal(journal, component="option_scanner")
    assert caught.value.code == "OPTIMIZE_COMPONENT"
    with pytest.raises(ConfigError, match="'premium'") as other:
        tune_journal(journal, space={"profit_target": None})
    assert other.value.code == "OPTIMIZE_COMPONENT_SETTING"
    planted(journal, MANY, no_edge)
    with pytest.raises(ConfigError) as unknown:
        tune_journal(journal, space={"min_weather": None})
    assert unknown.value.code == "TUNING_SETTING"


def test_a_stored_set_is_complete_and_does_not_contradict_itself() -> None:
    learned = {"favourites": ["QQQ", "SPY"], "widths": [5.0], "min_iv_rank": 40.0}
    used = used_settings(SCANNER, learned)
    assert used["min_iv_rank"] == 40.0
    stored = stored_settings(SCANNER, learned, used, {**used, "blacklist": ("SPY",), "min_dte": 50})
    assert stored == {
        "favourites": ["QQQ"], "widths": [5.0], "min_iv_rank": 40.0, "blacklist": ["SPY"], "min_dte": 50,
        "target_dte": 50,
    }  # fmt: skip
    check_settings(SCANNER, stored)
    # what nobody changed is not stored: a later default applies
    assert stored_settings(SCANNER, {}, used_settings(SCANNER, {}), used_settings(SCANNER, {})) == {}


def test_applying_what_a_person_must_decide_is_an_error_on_paper_too(opened: Open) -> None:
    journal = opened()
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"min_iv_rank": 55.0}).id, by="Ada")
    planted(journal, MANY, chances(70.0))
    with pytest.raises(ConfigError) as caught:
        tune_journal(journal, apply=True)
    assert caught.value.code == "JOURNAL_PARAMETER_PERSON"
    assert statuses(journal) == ["in_force"]


def test_defaults_are_those_of_the_components() -> None:
    assert used_settings(SCANNER, {}) == {
        "min_iv_rank": 50.0, "target_dte": 45, "min_probability": 0.5, "blacklist": ()
    }  # fmt: skip
    assert used_settings("signal_generator", {}) == {"min_pattern_score": 60.0}
    assert set(KINDS) == {SCANNER, "premium", "signal_generator"}


# A person's word, the past, and journals that are not there


@pytest.mark.parametrize("word", ["roll_back", "reject"])
def test_what_a_person_turned_down_does_not_return_as_its_neighbour(opened: Open, word: str) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    first = tune_journal(journal, apply=None if word == "roll_back" else False)
    assert first.stored is not None
    store = ParameterStore(journal)
    if word == "roll_back":
        store.roll_back(SCANNER, by="Ada", reason="too high for me")
    else:
        store.reject(first.stored.id, by="Ada")
    beside = first.proposal.settings["min_iv_rank"] - 5.0
    found = tune_journal(journal, space={"min_iv_rank": [beside]})
    assert found.stored is not None
    assert found.stored.status == "proposed"
    assert journal.parameters_for(SCANNER) == {}
    with pytest.raises(ConfigError) as caught:
        tune_journal(journal, space={"min_iv_rank": [beside]}, apply=True)
    assert caught.value.code == "JOURNAL_PARAMETER_PERSON"


def test_a_set_that_waits_has_the_evidence_of_the_last_question(opened: Open) -> None:
    journal = opened()
    planted(journal, MANY, chances(70.0))
    first = tune_journal(journal, apply=False)
    planted(journal, 40, chances(70.0), seed=8)
    level = first.proposal.settings["min_iv_rank"]
    again = tune_journal(journal, apply=False, space={"min_iv_rank": [level]})
    assert first.stored is not None
    assert again.stored is not None
    assert again.stored.id == first.stored.id
    assert again.stored.evidence["trades"] == MANY + 40
    assert again.stored.reason == again.proposal.sentence


def test_the_past_is_measured_against_what_was_in_force_then(tmp_path: Path) -> None:
    now = [START + timedelta(days=4_000)]
    with TradeJournal(tmp_path / "past.db", source="paper", clock=lambda: now[0]) as journal:
        planted(journal, MANY, chances(70.0))
        store = ParameterStore(journal)
        store.approve(store.propose(SCANNER, {"min_iv_rank": 55.0}).id)
        then = now[0] + timedelta(days=1)
        now[0] += timedelta(days=2)
        store.approve(store.propose(SCANNER, {"min_iv_rank": 60.0}).id)
        now[0] += timedelta(days=2)
        found = tune_journal(journal, as_of=then)
        assert found.used["min_iv_rank"] == 55.0
        assert (found.answer, found.stored) == ("adopt", None)
        assert "not stored" in found.notes[0]
        before_any = tune_journal(journal, as_of=START + timedelta(days=3_000))
        assert before_any.used["min_iv_rank"] == 50.0
        assert tune_journal(journal, store=False).used["min_iv_rank"] == 60.0
        assert statuses(journal) == ["superseded", "in_force"]


@pytest.mark.parametrize("store", [True, False])
def test_a_journal_that_is_not_there_is_not_begun(tmp_path: Path, store: bool) -> None:
    where = tmp_path / "typo.db"
    with pytest.raises(JournalError) as caught:
        tune_journal(where, source="paper", store=store)
    assert caught.value.code == "JOURNAL_MISSING"
    assert not where.exists()
