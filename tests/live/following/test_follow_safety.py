"""Halts, reviews, losses and other accounts: what is not sent, and what is sent in every state."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.automation.config import ExecutionMode
from live.brokers.told import Activity
from live.decisions import leave_decision
from live.following import BrokerSession
from simulator.errors import ConfigError, TwinstepError
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals
from tests.live.following.rig import FREE, Rig, made_bars, signal

FLAT = [100.0] * 12


def rig(folder: Path, closes: list[float] | None = None, row: int = 1, **columns: Any) -> Rig:
    options = columns.pop("options", {})
    bars = made_bars(FLAT if closes is None else closes, wide=0.5)
    return Rig(folder, bars, signal(bars, row, **{"qty": 10.0, "stop": 95.0, **columns}), options=options)


def killed(r: Rig) -> None:
    r.session.desk.manager.engage_kill_switch("a test", "ada")


def state_of(r: Rig) -> str:
    return r.session.kill_switch.state


def armed(r: Rig) -> None:
    r.session.kill_switch.arm("ada", "looked at it")


def test_nothing_is_entered_after_a_halt_and_the_stop_stays(tmp_path: Path) -> None:
    bars = made_bars(FLAT, wide=0.5)
    both = Signals.concat([signal(bars, 1, qty=10.0, stop=95.0), signal(bars, 4, qty=5.0, stop=90.0)])
    r = Rig(tmp_path, bars, both)
    r.play(0, 3)
    killed(r)
    r.play(3, 7)
    assert len(r.faulty.received) == 1
    assert [one.stop_price for one in r.working()] == [95.0]
    assert r.planned() == r.held() == 10.0


def test_an_entry_of_before_a_halt_is_over_whoever_armed_since(tmp_path: Path) -> None:
    from tests.live.faulty_broker import LostBefore

    r = rig(tmp_path)
    r.bar(0)
    r.faulty.every("get_orders", LostBefore())  # so that the entry of bar 1 is still to be sent
    r.market(1, poll=False)
    r.push(1)
    r.faulty.clear()
    killed(r)
    armed(r)
    r.session.poll()
    assert r.faulty.received == []
    r.play(2, 5)
    assert r.planned() == r.held() == 0.0
    assert r.faulty.received == []


def test_a_signals_exit_waits_for_an_arming_and_keeps_its_stop(tmp_path: Path) -> None:
    bars = made_bars(FLAT, wide=0.5)
    both = Signals.concat([signal(bars, 1, qty=10.0, stop=95.0), signal(bars, 4, 0)])
    r = Rig(tmp_path, bars, both)
    r.play(0, 4)
    r.market(4, poll=False)
    killed(r)
    r.push(4)
    assert r.held() == 10.0
    assert len(r.working("stop")) == 1
    assert any("waits until somebody arms" in words for words in r.session.status().problems)
    armed(r)
    r.session.poll()
    assert r.held() == 0.0


def test_a_time_exit_leaves_in_every_state(tmp_path: Path) -> None:
    r = rig(tmp_path, max_bars=3)
    r.play(0, 3)
    killed(r)
    r.play(3, 8)
    assert r.planned() == r.held() == 0.0


def test_review_lays_entries_before_a_person(tmp_path: Path) -> None:
    r = rig(tmp_path, options={"mode": ExecutionMode.MANUAL_REVIEW})
    r.play(0, 4)
    assert r.held() == 0.0
    assert r.planned() == 10.0  # the plan goes on, and is not told: a person may still say yes
    assert r.session.status().waiting == 1
    (request,) = r.session.desk.manager.get_pending_requests()
    leave_decision(tmp_path / "journal.db.switch" / "reviews", request.request_id, "ada")
    r.session.poll()
    assert r.held() == 10.0
    assert len(r.working("stop")) == 1
    assert len(r.faulty.received) == 1


def test_what_nobody_approved_is_withdrawn_with_the_plans_own(tmp_path: Path) -> None:
    r = rig(tmp_path, options={"mode": ExecutionMode.MANUAL_REVIEW}, max_bars=2)
    r.play(0, 3)
    (request,) = r.session.desk.manager.get_pending_requests()
    r.play(3, 7)
    assert r.planned() == r.held() == 0.0
    assert r.session.status().waiting == 0
    answer = r.session.desk.manager.approve_request(request.request_id, "ada")
    assert not answer.accepted
    assert r.faulty.received == []


def test_an_exit_that_waits_for_a_person_keeps_its_stop_until_then(tmp_path: Path) -> None:
    bars = made_bars(FLAT, wide=0.5)
    both = Signals.concat([signal(bars, 1, qty=10.0, stop=95.0), signal(bars, 4, 0)])
    r = Rig(tmp_path, bars, both)
    r.play(0, 4)
    r.session.desk.manager.mode = ExecutionMode.MANUAL_REVIEW
    r.play(4, 6)
    assert r.planned() == 0.0
    assert r.held() == 10.0
    assert len(r.working("stop")) == 1
    (request,) = r.session.desk.manager.get_pending_requests()
    assert r.session.desk.manager.approve_request(request.request_id, "ada").accepted
    assert r.held() == 0.0
    r.session.poll()
    assert r.working() == []


def test_where_orders_go_is_noted_once_each_time_it_changes(tmp_path: Path) -> None:
    r = rig(tmp_path, options={"mode": ExecutionMode.MANUAL_REVIEW})
    r.play(0, 2)
    r.restart()
    r.options["mode"] = ExecutionMode.PAPER_ONLY
    r.restart()
    r.session.desk.manager.mode = ExecutionMode.MANUAL_REVIEW  # as drift does
    r.session.poll()
    told = [one.value for one in r.session.session.notes() if isinstance(one.value, dict)]
    modes = [one["execution_mode"] for one in told if "execution_mode" in one]
    assert modes == ["manual_review", "paper_only", "manual_review"]


def test_a_price_that_has_gone_too_far_is_not_approved(tmp_path: Path) -> None:
    closes = [100.0, 100.0, 104.0, 108.0, 108.0]
    r = rig(tmp_path, closes, options={"mode": ExecutionMode.MANUAL_REVIEW})
    r.play(0, 4)
    (request,) = r.session.desk.manager.get_pending_requests()
    answer = r.session.desk.manager.approve_request(request.request_id, "ada")
    assert not answer.accepted
    assert "went from 100 to 108" in answer.message


def charged(r: Rig, amount: float) -> None:
    """Let the broker take a fee, and say so."""
    r.memory._cash -= amount
    told: Any = r.faulty
    fees: list[Activity] = getattr(told, "fees", [])
    fees.append(Activity(activity_id=f"F{len(fees)}", kind="fee", time=r.memory.now, amount=-amount))
    told.fees = fees
    told.activities = lambda since: [one for one in fees if one.time >= since]


def test_the_brokers_own_loss_of_a_day_halts(tmp_path: Path) -> None:
    r = rig(tmp_path, options={"risk": RiskLimits(daily_loss_limit=2.0)})
    r.play(0, 3)
    assert state_of(r) == "ACTIVE"
    charged(r, 1_500.0)  # fees, say, of which the plan knows nothing
    r.play(3, 4)
    charged(r, 1_500.0)  # of two days together more than the limit, and of none alone
    r.play(4, 5)
    assert state_of(r) == "ACTIVE"
    charged(r, 2_500.0)
    r.session.poll()
    assert state_of(r) == "HALTED"
    assert "2.5" in r.session.kill_switch.status["why"] or "2,500" in r.session.kill_switch.status["why"]
    armed(r)
    r.session.poll()
    assert state_of(r) == "ACTIVE"  # a person has looked at it
    r.restart()
    assert state_of(r) == "ACTIVE"
    r.play(5, 7)
    assert state_of(r) == "ACTIVE"  # another day, measured from its own begin


def test_a_loss_shows_over_a_restart(tmp_path: Path) -> None:
    r = rig(tmp_path, options={"risk": RiskLimits(daily_loss_limit=2.0)})
    r.play(0, 3)
    charged(r, 2_500.0)
    r.restart()
    assert state_of(r) == "HALTED"


def test_a_plan_richer_than_the_account_is_refused(tmp_path: Path) -> None:
    bars = made_bars(FLAT)
    with pytest.raises(ConfigError) as caught:
        Rig(tmp_path, bars, options={"cash": 200_000.0})
    assert caught.value.code == "LIVE_FOLLOW_CASH"


def test_another_account_is_refused(tmp_path: Path) -> None:
    from live.brokers.paper import PaperBroker

    r = rig(tmp_path)
    r.play(0, 2)
    r.close()
    with pytest.raises(ConfigError) as caught:
        BrokerSession(r.path, PaperBroker(account="other"), like=r.bars, name="desk", risk=FREE)
    assert caught.value.code == "LIVE_FOLLOW_OTHER"


def test_a_wrong_pause_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerSession(tmp_path / "j.db", like=made_bars(FLAT), poll_seconds=0.0)
    assert caught.value.code == "LIVE_FOLLOW_POLL"


def test_a_foreign_position_halts_at_the_start_and_the_stop_is_kept(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 3)
    r.memory.prices["TSLA"] = 200.0
    r.memory.hold("TSLA", 5.0)
    r.clock.advance(timedelta(minutes=1))
    r.restart()
    assert state_of(r) == "HALTED"
    assert [one.symbol for one in r.session.status().positions] == ["AAA", "TSLA"]
    assert r.session.status().differences
    r.play(3, 5)
    assert len(r.working("stop")) == 1


def test_the_view_shows_what_stands_behind_it(tmp_path: Path) -> None:
    r = rig(tmp_path)
    r.play(0, 3)
    seen = r.session.status()
    (held,) = seen.positions
    assert (held.symbol, held.quantity, held.guarded, held.naked, held.stop) == ("AAA", 10.0, 10.0, 0.0, 95.0)
    assert held.loss_at_stops == 50.0
    assert (seen.kind, seen.switch, seen.bars, seen.equity) == ("PAPER", "ACTIVE", 3, 100_000.0)
    assert [one.kind for one in seen.orders] == ["stop"]


def test_a_run_ends_with_its_feed(tmp_path: Path) -> None:
    from live.feeds import ReplayFeed

    bars = made_bars(FLAT, wide=0.5)
    told: list[int] = []
    given: dict[str, Any] = {"strategies": [signal(bars, 1, qty=5.0, stop=95.0)], "name": "desk"}
    with BrokerSession(tmp_path / "j.db", feed=ReplayFeed(bars), **given) as session:
        assert session.run(5, tell=lambda one, outcome: told.append(one.bars)) == 5
        assert session.broker.get_positions()[0].quantity == 5.0
    assert told == [1, 2, 3, 4, 5]
    with BrokerSession(tmp_path / "j.db", feed=ReplayFeed(bars), **given) as session:
        assert session.broker.get_positions()[0].quantity == 5.0  # a paper account goes on where it was
        assert session.run() == 7
    with pytest.raises(TwinstepError):
        session.push(bars[:1])
