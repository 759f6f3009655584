"""Fails at the n-th call of the broker, and at the n-th write, n = 1, 2, 3 ... of a day with orders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from live.brokers.interface import Outcome
from tests.faults.broker_story import Day, Kind, Points, play_day
from tests.faults.invariants import broken
from tests.faults.sweep import sweep
from tests.live.sessions import scratch

FULLY = bool(os.environ.get("TWINSTEP_FAULTS"))
CALLS: tuple[Kind, ...] = ("lost before", "lost after", "limited", "refused", "garbage")


def played(at: int, kind: Kind, *, paper: bool = False) -> Day:
    with scratch() as folder:
        day = play_day(Path(folder), Points(at, kind=kind), paper=paper)
        problems = broken(day.evidence)
        assert problems == [], f"{kind} at point {at} ({day.points.where}): {problems}"
        return day


@pytest.mark.parametrize("kind", CALLS)
def test_whichever_call_of_the_broker_fails_books_and_broker_agree(kind: Kind) -> None:
    met = sweep(lambda at: played(at, kind).points, stride=1 if FULLY else 9, first=1 if FULLY else 2)
    print(f"{met} points swept")
    assert met > 3


def test_a_disk_that_fills_up_anywhere_lets_nothing_in_until_a_person_arms() -> None:
    met = sweep(lambda at: played(at, "full").points, stride=1 if FULLY else 19)
    print(f"{met} points swept")
    assert met > 5


@pytest.mark.parametrize("kind", ["lost after", "kill after"])
def test_the_paper_broker_stands_it_too(kind: Kind) -> None:
    met = sweep(lambda at: played(at, kind, paper=True).points, stride=1 if FULLY else 29, first=9)
    print(f"{met} points swept")
    assert met > 0


@pytest.mark.parametrize("kind", ["kill before", "kill after"])
def test_a_kill_at_any_call_or_write_sends_nothing_twice_and_loses_nothing(kind: Kind) -> None:
    met = sweep(lambda at: played(at, kind).points, stride=1 if FULLY else 29, first=1 if FULLY else 3)
    print(f"{met} points swept")
    assert met > 3


def point_of(name: str, number: int, kind: Kind) -> int:
    """Which point the n-th call of a method is, among calls alone or among calls and writes."""
    points = Points(0, kind=kind)
    order: list[str] = []
    count, call = points.meet, points.call

    def meet(what: str, do: object) -> object:
        order.append("write")
        return count(what, do)  # type: ignore[arg-type]

    def called(what: str, do: object, life: int) -> object:
        order.append(what)
        return call(what, do, life)  # type: ignore[arg-type]

    points.meet, points.call = meet, called  # type: ignore[method-assign,assignment]
    with scratch() as folder:
        play_day(Path(folder), points)
    if not kind.startswith("kill"):
        order = [what for what in order if what != "write"]
    places = [place for place, what in enumerate(order, 1) if what == name]
    return places[number - 1]


def test_a_kill_between_the_intent_and_the_submit_is_looked_up_and_not_sent_again() -> None:
    day = played(point_of("submit_order", 1, "kill before"), "kill before")
    assert day.points.where == "submit_order"
    assert day.lives == 2
    assert "day-bracket" not in day.evidence.sent
    assert day.answers["bracket"].outcome is Outcome.UNRESOLVED
    assert day.final["bracket"].code == "LIVE_NOT_SENT"


def test_a_kill_between_the_submit_and_its_answer_is_looked_up_and_adopted() -> None:
    day = played(point_of("submit_order", 1, "kill after"), "kill after")
    assert day.lives == 2
    assert list(day.evidence.sent).count("day-bracket") == 1
    assert day.answers["bracket"].outcome is Outcome.CONFIRMED
    assert day.evidence.known is not None
    assert day.evidence.known[0]["AAPL"] == 100.0


@pytest.mark.parametrize(("kind", "arrived"), [("lost after", True), ("lost before", False)])
def test_a_submit_without_an_answer_is_followed_up_and_not_repeated(kind: Kind, arrived: bool) -> None:
    day = played(point_of("submit_order", 1, kind), kind)
    assert list(day.evidence.sent).count("day-bracket") == int(arrived)
    assert day.evidence.known is not None
    assert day.evidence.known[0].get("AAPL", 0.0) == (100.0 if arrived else 0.0)
    assert day.answers["bracket"].outcome is Outcome.UNRESOLVED
    assert day.final["bracket"].outcome is (Outcome.CONFIRMED if arrived else Outcome.DENIED)


def test_three_deaths_in_a_row_while_starting_leave_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch() as folder:
        points = Points(2, kind="kill before")
        deaths = [0]

        def die() -> None:
            deaths[0] += 1
            if deaths[0] < 3:
                points.fired, points.seen = False, 0
            Points.die(points)

        monkeypatch.setattr(points, "die", die)
        day = play_day(Path(folder), points)
        assert day.lives == 4
        assert deaths == [3]
        assert broken(day.evidence) == []
        assert day.report is not None
        assert day.report.differences == ()
