"""The day's loss at the broker: what counts as one, what is no answer, and what was only paid in or out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from live.automation.config import ExecutionMode
from live.brokers.interface import Account
from live.brokers.told import Activity, ActivityKind
from live.following import BrokerSession
from live.following.day_guard import DayGuard
from live.kill_switch import KillSwitch, switch_folder
from simulator.errors import ConfigError, JournalError
from simulator.risk_limits import RiskLimits
from tests.live.following.rig import Rig, made_bars, signal
from tests.live.memory_broker import MemoryBroker

FLAT = [100.0] * 12
LIMIT = RiskLimits(daily_loss_limit=2.0, max_sector_exposure_pct=100.0)


def rig(folder: Path, **columns: Any) -> Rig:
    """A position of 300 shares at 100, so that a dollar is 0.3 % of the account."""
    bars = made_bars(FLAT, wide=0.5)
    rule = signal(bars, 1, **{"qty": 300.0, "stop": 95.0, **columns})
    return Rig(folder, bars, rule, options={"risk": LIMIT})


def restart(r: Rig) -> None:
    r.restart()
    r.session.poll()


def state_of(r: Rig) -> str:
    return r.session.kill_switch.state


def says(r: Rig, worth: float) -> Callable[[], None]:
    """Let the broker say that the account is worth something; returns how to end that."""
    truly = r.memory.get_account

    def told() -> Account:
        return replace(truly(), equity=worth)

    r.memory.get_account = told  # type: ignore[method-assign]

    def end() -> None:
        r.memory.get_account = truly  # type: ignore[method-assign]

    return end


def books(r: Rig, kind: ActivityKind, amount: float) -> None:
    """Let cash move at the broker, and be told as an activity."""
    r.memory._cash += amount
    found = getattr(r.faulty, "told", [])
    one = Activity(activity_id=f"A{len(found)}", kind=kind, time=r.memory.now, amount=amount)
    r.faulty.told = [*found, one]  # type: ignore[attr-defined]

    def activities(since: datetime) -> list[Activity]:
        every: list[Activity] = r.faulty.told  # type: ignore[attr-defined]
        return [told for told in every if told.time >= since]

    r.faulty.activities = activities  # type: ignore[attr-defined]


def loses(r: Rig, price: float) -> None:
    r.move({"AAA": price})
    r.session.poll()


@pytest.mark.parametrize("worth", [math.nan, math.inf, 0.0, -5.0])
def test_a_worth_that_is_none_is_told_and_measures_nothing(tmp_path: Path, worth: float) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    end = says(r, worth)
    r.play(4, 5)  # a session begins meanwhile
    assert r.session.bars == 5
    assert state_of(r) == "ACTIVE"
    assert any("is no answer" in words for words in r.session.status().problems)
    end()
    r.session.poll()
    assert r.session.status().problems == ()
    loses(r, 92.0)
    assert state_of(r) == "HALTED"


def test_a_start_while_the_worth_is_no_answer_halts_nobody(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    end = says(r, 0.0)
    restart(r)
    assert state_of(r) == "ACTIVE"
    assert any("is no answer" in words for words in r.session.status().problems)
    end()


@pytest.mark.parametrize("worth", [math.nan, 0.0])
def test_a_plan_needs_an_account_with_a_worth(tmp_path: Path, worth: float) -> None:
    r = rig(tmp_path)
    r.close()
    says(r, worth)
    with pytest.raises(ConfigError) as caught:
        BrokerSession(tmp_path / "other.db", r.faulty, like=r.bars, clock=r.clock)
    assert caught.value.code == "LIVE_FOLLOW_CASH"


def test_a_deposit_hides_no_loss(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    r.memory._cash += 60_000.0
    r.session.poll()
    r.session.poll()
    assert state_of(r) == "ACTIVE"
    assert r.session._guard.begun == 160_000.0
    assert any("no fill explains" in words for words in r.session.status().problems)
    loses(r, 88.0)  # 3,600 of 160,000
    assert state_of(r) == "HALTED"


@pytest.mark.parametrize("listed", [True, False])
def test_a_withdrawal_is_no_loss(tmp_path: Path, listed: bool) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    if listed:
        books(r, "transfer", -30_000.0)
    else:
        r.memory._cash -= 30_000.0
    r.session.poll()
    assert state_of(r) == "ACTIVE"
    r.session.poll()
    assert state_of(r) == "ACTIVE"
    assert r.session._guard.begun == 70_000.0
    # what the broker names needs nobody's look
    assert bool(r.session.status().problems) is not listed
    loses(r, 96.0)  # 1,200: less than 2 % of what is left
    assert state_of(r) == "ACTIVE"
    loses(r, 95.0)
    assert state_of(r) == "HALTED"


def test_a_withdrawal_while_the_program_was_down_is_no_loss_and_a_loss_is(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    r.session.close()
    r.memory._cash -= 10_000.0
    restart(r)
    assert state_of(r) == "ACTIVE"
    assert r.session._guard.begun == 90_000.0
    r.move({"AAA": 93.0})
    restart(r)
    assert state_of(r) == "HALTED"


def test_a_withdrawal_between_two_sessions_is_no_loss_of_the_next(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    r.memory._cash -= 10_000.0
    r.push(4)  # a bar that nobody has looked before
    r.session.poll()
    assert state_of(r) == "ACTIVE"
    assert r.session._guard.begun == 90_000.0


@pytest.mark.parametrize("kind", ["fee", "interest", "dividend"])
def test_what_an_account_costs_is_a_loss(tmp_path: Path, kind: ActivityKind) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    books(r, kind, -2_500.0)
    r.session.poll()
    assert state_of(r) == "HALTED"


def test_a_fee_and_a_deposit_at_once_are_told_apart(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    books(r, "fee", -1_000.0)
    books(r, "transfer", 5_000.0)
    r.session.poll()
    r.session.poll()
    assert r.session._guard.begun == 105_000.0
    assert state_of(r) == "ACTIVE"


def test_small_amounts_count_as_lost(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    for _ in range(25):
        r.memory._cash -= 100.0
        r.session.poll()
    assert state_of(r) == "HALTED"


def test_fills_that_are_told_late_move_nothing(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    begun = r.session._guard.begun
    truth, lag = r.memory.executions, {"on": True}
    known = [one.execution_id for one in r.memory.executions()]
    r.memory.executions = lambda since=None: [  # type: ignore[method-assign]
        one for one in truth(since) if not lag["on"] or one.execution_id in known
    ]
    r.memory._cash += 300.0 * 100.0  # sold by hand
    r.memory.book("AAA", -300.0, 100.0)
    for _ in range(5):
        r.session.poll()
    lag["on"] = False
    r.session.poll()
    r.session.poll()
    assert r.session._guard.begun == begun


def test_a_disk_that_is_full_keeps_nobody_from_guarding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = rig(tmp_path)
    r.play(0, 4)
    session, guard = r.session.session, r.session._guard
    truly = session.note

    def full(value: Any) -> None:
        raise JournalError("database or disk is full", code="JOURNAL_WRITE")

    guard.day -= 1  # as if the session before were the last that was measured
    monkeypatch.setattr(session, "note", full)
    guard.look(r.session.follower.last, guard.day + 1)
    assert any("not on record" in words for words in r.session.status().problems)
    monkeypatch.setattr(session, "note", truly)
    guard.look(r.session.follower.last, guard.day)
    assert r.session.status().problems == ()
    again = DayGuard(session, r.session.desk.manager, LIMIT)
    assert (again.day, again.begun) == (guard.day, guard.begun)


def test_the_books_come_back_as_they_were(tmp_path: Path) -> None:
    from live.following.cash_moves import Books, unexplained

    r = rig(tmp_path)
    r.play(0, 4)
    kept = r.session._guard._books
    assert kept is not None
    assert Books.of_plain(kept.plain()) == kept
    facts = r.session.follower.last
    assert facts is not None
    later = replace(kept, at=kept.at + timedelta(hours=1), cash=kept.cash + 7.0)
    assert unexplained(kept, later, facts) == 7.0
    assert unexplained(kept, replace(later, held={}), facts) is None


@pytest.mark.parametrize("real", [False, True])
def test_a_halt_of_the_plan_ends_by_itself_on_paper_only(tmp_path: Path, real: bool) -> None:
    prices = [100.0, 100.0, 100.0, 92.0, 92.0, 92.0, 92.0]
    bars = made_bars(prices, opens=prices, wide=0.5)
    first = signal(bars, 1, qty=300.0, stop=95.0)
    live = {"mode": ExecutionMode.LIVE, "live_key": True, "live_flag": True}
    if real:
        KillSwitch(switch_folder(tmp_path / "journal.db"), scope="live").arm("ada", "the first day")
    options = {"risk": LIMIT, **(live if real else {})}
    r = Rig(tmp_path, bars, first, memory=MemoryBroker(paper=not real), options=options)
    r.play(0, 3)

    def halted() -> bool:
        return bool(r.session.session.state.account["daily_halt"][0])

    r.push(3)  # the plan alone has lost: the broker has not seen this bar
    assert halted()
    assert state_of(r) == "ACTIVE"
    r.push(4)
    assert halted() is real
    r.restart()
    r.push(5)
    assert halted() is real
    r.session.kill_switch.engage("looking at the loss", "ada")
    r.session.kill_switch.arm("ada", "looked at it")
    r.push(6)
    assert not halted()
