"""The amounts of the causes add up to the difference of the two profits, whatever the trades look like.

The profit of each side is worked out anew here: cash in, cash out, and what is left at its mark.
"""

from __future__ import annotations

from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.following.explain import Explanation
from live.following.explaining.text import whole_cents
from live.following.explaining.values import Course, Piece, Written
from live.following.record import Parted
from tests.budget import many_or_few
from tests.live.following.explained import bars, case, explained_case, marked, piece, sent
from tests.live.sessions import few

PRICES = st.integers(5_000, 15_000).map(lambda cents: cents / 100.0)
SIZES = st.one_of(st.integers(1, 500).map(float), st.floats(0.001, 300.0))
FEES = st.one_of(st.just(0.0), st.floats(0.0, 5.0))
PLANNED = st.sampled_from(["stop", "target", "target2", "trail", "time", "signal", "manual", "expiry"])
REAL = st.sampled_from(["stop", "target", "close", "foreign", "protective stop", "assignment"])


@st.composite
def side_of(draw: Any, side: int, multiplier: float, what: Any, mark: float, *, over: bool) -> Course:
    """Pieces in, pieces out, the rest at its mark; `over`: more may leave than was there."""
    entries = [
        piece(draw(st.integers(0, 4)), draw(SIZES), draw(PRICES), "entry" if not number else "add",
              fee=draw(FEES), order=f"in-{number}", at_close=draw(st.booleans()))
        for number in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    left = fsum(one.quantity for one in entries)
    exits: list[Piece] = []
    for number in range(draw(st.integers(0, 3))):
        share = draw(st.sampled_from([0.3, 0.5, 1.0, 1.4] if over else [0.3, 0.5, 1.0]))
        part = left * share
        if part <= 1e-6:
            break
        exits.append(
            piece(
                draw(st.integers(3, 11)), part, draw(PRICES), draw(what), fee=draw(FEES), order=f"o{number}"
            )
        )
        left -= part
    if abs(left) > 1e-9:
        exits.append(marked(left, mark))
    return Course(side, multiplier, tuple(entries), tuple(exits), draw(st.sampled_from([0.0, 12.5])))


@st.composite
def trades(draw: Any) -> tuple[Any, Course | None, Course | None]:
    """A case of any kind."""
    side, multiplier = draw(st.sampled_from([1, -1])), draw(st.sampled_from([1.0, 100.0]))
    mark = draw(PRICES)
    plan = draw(st.one_of(st.none(), side_of(side, multiplier, PLANNED, mark, over=False)))
    fact = draw(st.one_of(st.none(), side_of(side, multiplier, REAL, mark, over=True)))
    if fact is not None:
        fact = Course(side, multiplier, fact.entries, fact.exits)
    states = st.sampled_from(["filled", "working", "ended", "rejected", "denied", "review", "unresolved"])
    orders = [
        sent(f"{role}-{number}", role, draw(SIZES), draw(states), draw(st.integers(0, 9)), reason="closed")
        for number, role in enumerate(draw(st.lists(st.sampled_from(["entry", "close", "stop"]), max_size=3)))
    ]
    written = Written(draw(st.sampled_from(["working", "filled", "cancelled", "expired"])), "halt", 3, 100.0)
    more: dict[str, Any] = {"fact_split": draw(st.sampled_from([1.0, 1.0, 2.0]))}
    if draw(st.booleans()):
        more["parted"] = [Parted(kind="left_at_broker", ts=0, symbol="AAA")]
    if draw(st.booleans()):
        more["splits"] = [(0, 3, 2.0)]
    return case(plan, fact, *orders, written=written, mark=mark, **more), plan, fact


def profit(course: Course | None) -> float:
    """Cash out less cash in, and what is open at its mark."""
    if course is None:
        return 0.0
    cash = held = 0.0
    for one in course.entries:
        cash -= course.side * one.quantity * one.price * course.multiplier + one.fee
        held += one.quantity
    for one in course.exits:
        if one.what == "mark":
            assert one.quantity == pytest.approx(held)
        else:
            held -= one.quantity
        cash += course.side * one.quantity * one.price * course.multiplier - one.fee
    return cash + course.dividends


@pytest.mark.thorough
@few(many_or_few(400, 80))
@given(trades())
def test_the_parts_are_the_whole(given_: tuple[Any, Course | None, Course | None]) -> None:
    one, plan, fact = given_
    if plan is None and fact is None:
        return
    found = explained_case(one)
    apart = profit(fact) - profit(plan)
    parts = fsum(each.amount for each in found.differences)
    assert parts == pytest.approx(apart, abs=0.004)
    assert found.amount == pytest.approx(apart, abs=0.004)
    assert all(each.detail for each in found.differences)


@pytest.mark.thorough
@few(many_or_few(60, 15))
@given(st.lists(trades(), min_size=1, max_size=6))
def test_totals_by_cause(several: list[tuple[Any, Course | None, Course | None]]) -> None:
    cases = [one for one, plan, fact in several if plan is not None or fact is not None]
    explained = tuple(explained_case(one) for one in cases)
    whole = Explanation(
        "s", "j", ("paper",), len(bars().ts), explained, fsum(profit(one.plan) for one in cases),
        fsum(profit(one.fact) for one in cases),
    )  # fmt: skip
    apart = whole.fact_profit - whole.plan_profit
    assert fsum(whole.causes.values()) == pytest.approx(apart, abs=0.02)
    shown = whole_cents(list(whole.causes.values()), fsum(whole.causes.values()))
    # what a reader adds up by hand is what is shown as the whole
    assert round(100 * fsum(shown)) == round(100 * fsum(whole.causes.values()))
    assert whole.plain()["difference"] == pytest.approx(apart)
    assert str(whole).count("plan") >= len(cases)


@pytest.mark.thorough
@few(many_or_few(300, 60))
@given(st.lists(st.floats(-1e5, 1e5), max_size=12))
def test_cents_add_up(amounts: list[float]) -> None:
    total = fsum(amounts)
    shown = whole_cents(amounts, total)
    assert round(100 * fsum(shown)) == round(100 * total)
    assert all(abs(one - other) < 0.0101 for one, other in zip(amounts, shown, strict=True))
