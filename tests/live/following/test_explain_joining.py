"""Which fill belongs to which trade, and what it was: brackets, legs, foreign fills, what options become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from live.brokers.interface import Leg, OrderRequest
from live.following.explaining.cases import joined
from live.following.explaining.fact import Fact, Fill
from live.following.explaining.plan import Plan
from live.following.explaining.values import Case, Course, Sent, Written
from live.following.record import Followed
from simulator.brokerage import Execution
from tests.live.following.explained import DAY, FIRST, bars, course, marked, piece, sent

PUTS = ("AAA240419P00095000", "AAA240419P00090000")


def plan(*cases: Case) -> Plan:
    """A plan over ten days."""
    return Plan(
        bars(), list(cases), {1: Written("filled", asked=100.0)}, {1: 1, 2: -1}, {}, {}, {"AAA": 101.0}
    )


def planned(entered: Course, **more: Any) -> Case:
    """A trade of the plan."""
    values: dict[str, Any] = {"trade": 1, "order": 1, "begins": FIRST + DAY, "plan": entered, "mark": 101.0}
    return Case("AAA", entered.side, "rule", entered.multiplier, **{**values, **more})


def fill(
    row: int, side: int, quantity: float, price: float, owner: str = "", symbol: str = "AAA", **more: Any
) -> Fill:
    """A fill at noon of a day."""
    values: dict[str, Any] = {"child": False, "own": bool(owner), "protective": False, "factor": 1.0}
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=FIRST // DAY + row, hours=12)
    execution = Execution(
        execution_id=f"{row}-{side}-{price}-{symbol}", order_id="", time=time, symbol=symbol, side=side,
        quantity=quantity, price=price, multiplier=1.0 if symbol == "AAA" else 100.0,
        kind=more.pop("kind", "trade"),
    )  # fmt: skip
    return Fill(execution, owner, **{**values, **more})


def fact(*fills: Fill, orders: tuple[Sent, ...] = ()) -> Fact:
    return Fact(("paper",), {one.followed.client_order_id: one for one in orders}, list(fills))


BRACKET = sent("tw-1", row=1, order_class="bracket", stop_loss=95.0, take_profit=110.0)
HELD = planned(course(piece(2, 100.0, 100.0), marked(100.0, 101.0)))


@pytest.mark.parametrize(
    ("price", "what"), [(95.0, "stop"), (94.0, "stop"), (105.0, "stop"), (110.0, "target")]
)
def test_a_child_is_a_target_where_it_fills_no_worse_than_one(price: float, what: str) -> None:
    told = fact(
        fill(2, 1, 100.0, 100.0, "tw-1"), fill(4, -1, 100.0, price, "tw-1", child=True), orders=(BRACKET,)
    )
    [[one], nobody] = joined(plan(HELD), told, ())
    assert one.fact is not None
    assert [each.what for each in one.fact.exits] == [what]
    assert nobody == []


def test_of_a_pair_the_limit_is_the_target() -> None:
    pair = sent(
        "tw-2", "target", row=2, order_class="oco", kind="limit", limit_price=110.0, stop_loss=96.0,
        purpose="protect",
    )  # fmt: skip
    for price, what in ((110.5, "target"), (95.5, "stop")):
        told = fact(
            fill(2, 1, 100.0, 100.0, "tw-1"), fill(5, -1, 100.0, price, "tw-2"), orders=(BRACKET, pair)
        )
        [one] = joined(plan(HELD), told, ())[0]
        assert one.fact is not None
        assert one.fact.reason == what


def test_what_is_foreign_leaves_the_oldest_first_and_no_more_than_is_there() -> None:
    other = planned(
        course(piece(3, 50.0, 100.0), marked(50.0, 101.0)), trade=2, order=2, begins=FIRST + 2 * DAY
    )
    second = sent("tw-9", quantity=50.0, row=2)
    second = Sent(
        Followed(
            client_order_id="tw-9", role="entry", symbol="AAA", legs=(Leg("AAA", 50.0),), quantity=50.0,
            expected_price=None, decided_ts=FIRST + 2 * DAY, order=2,
        ),
        second.request, "filled",
    )  # fmt: skip
    told = fact(
        fill(2, 1, 100.0, 100.0, "tw-1"), fill(3, 1, 50.0, 100.0, "tw-9"), fill(5, -1, 170.0, 99.0),
        orders=(BRACKET, second),
    )  # fmt: skip
    [[first, then], nobody] = joined(plan(HELD, other), told, ())
    assert first.fact is not None
    assert then.fact is not None
    assert [(one.what, one.quantity) for one in first.fact.exits] == [("foreign", 100.0)]
    assert [(one.what, one.quantity) for one in then.fact.exits] == [("foreign", 50.0)]
    assert [one.execution.quantity for one in nobody] == [20.0]


def test_what_was_before_the_session_is_not_its_business() -> None:
    told = fact(fill(0, 1, 7.0, 100.0), fill(2, 1, 100.0, 100.0, "tw-1"), orders=(BRACKET,))
    assert joined(plan(HELD), told, ())[1] == []


def test_the_wide_stop_leaves_what_is_held_and_is_nobody_s_otherwise() -> None:
    told = fact(
        fill(2, 1, 100.0, 100.0, "tw-1"), fill(5, -1, 120.0, 90.0, "tw-p", own=False, protective=True),
        orders=(BRACKET,),
    )  # fmt: skip
    [[one], nobody] = joined(plan(HELD), told, ())
    assert one.fact is not None
    assert [(each.what, each.quantity) for each in one.fact.exits] == [("protective stop", 100.0)]
    assert nobody == []


def spread(**more: Any) -> tuple[Case, Sent]:
    """Two put spreads sold for 1.50."""
    entered = course(
        piece(2, 2.0, 1.5, at_close=True), piece(8, 2.0, 0.5, "expiry"), side=-1, multiplier=100.0
    )
    legs = (Leg(PUTS[0], -2.0), Leg(PUTS[1], 2.0))
    order = Followed(
        client_order_id="tw-1", role="entry", symbol="AAA", legs=legs, quantity=2.0, expected_price=1.5,
        decided_ts=FIRST + 2 * DAY, order=1,
    )  # fmt: skip
    request = OrderRequest(
        client_order_id="tw-1", legs=legs, kind="limit", limit_price=1.5, order_class="multi_leg"
    )
    return planned(entered, package=True, **more), Sent(order, request, "filled")


def sold(row: int = 3) -> tuple[Fill, Fill]:
    """The legs of the two spreads."""
    return fill(row, -1, 2.0, 2.4, "tw-1", PUTS[0]), fill(row, 1, 2.0, 1.0, "tw-1", PUTS[1])


def test_legs_are_a_package_at_its_net_price() -> None:
    case, order = spread()
    [one] = joined(plan(case), fact(*sold(), orders=(order,)), ())[0]
    assert one.fact is not None
    [entry] = one.fact.entries
    assert (entry.quantity, entry.price) == pytest.approx((2.0, 1.4))
    # 280 came in; at the plan's mark of 101 it would be worth something else, which the open piece says
    assert one.fact.open == 2.0
    assert one.fact.gross == pytest.approx(-1 * 100 * 2 * (101.0 - 1.4))


def test_legs_that_leave_one_by_one_are_one_package() -> None:
    case, order = spread()
    told = fact(
        *sold(), fill(6, 1, 2.0, 0.3, "", PUTS[0]), fill(8, -1, 2.0, 0.0, "", PUTS[1], kind="expiry"),
        orders=(order,),
    )  # fmt: skip
    [one] = joined(plan(case), told, ())[0]
    assert one.fact is not None
    assert [(each.quantity, each.what) for each in one.fact.exits] == [(2.0, "settlement")]
    # 280 in, 60 out
    assert one.fact.profit == pytest.approx(220.0)


def test_shares_that_options_became() -> None:
    case, order = spread()
    told = fact(
        *sold(),
        fill(8, 1, 2.0, 0.0, "", PUTS[0], kind="assignment"),
        fill(8, -1, 2.0, 0.0, "", PUTS[1], kind="expiry"),
        fill(8, 1, 200.0, 95.0, kind="assignment"),
        orders=(order,),
    )  # fmt: skip
    package, shares = joined(plan(case), told, ())[0]
    assert package.fact is not None
    assert package.fact.profit == pytest.approx(280.0)
    assert (shares.plan, shares.side) == (None, 1)
    assert shares.fact is not None
    assert shares.fact.profit == pytest.approx(200.0 * (101.0 - 95.0))
    # where the plan has them too, they are its own
    became = planned(
        course(piece(8, 200.0, 95.0, "entry"), marked(200.0, 101.0)), trade=3, order=1, begins=FIRST + 8 * DAY
    )
    assert became.plan is not None
    [entry] = became.plan.entries
    became.plan = course(marked(200.0, 101.0))
    became.plan = Course(
        1, 1.0, (piece(entry.row, entry.quantity, entry.price, "assignment"),), became.plan.exits
    )
    both = joined(plan(case, became), told, ())[0]
    assert [one.plan is not None and one.fact is not None for one in both] == [True, True]


def test_a_package_that_the_plan_never_had_has_the_side_of_its_order() -> None:
    _, order = spread()
    order = Sent(
        Followed(
            client_order_id="tw-1", role="entry", symbol="AAA", legs=order.followed.legs, quantity=2.0,
            expected_price=1.5, decided_ts=FIRST + 2 * DAY, order=7,
        ),
        order.request, "filled",
    )  # fmt: skip
    [one] = joined(plan(), fact(*sold(), orders=(order,)), ())[0]
    assert (one.side, one.multiplier, one.package) == (-1, 100.0, True)
    assert one.fact is not None
    assert one.fact.entries[0].price == pytest.approx(1.4)


def test_shares_in_a_package_count_by_their_own_multiplier() -> None:
    call = "AAA240419C00105000"
    legs = (Leg("AAA", 100.0), Leg(call, -1.0))
    case = planned(course(piece(2, 1.0, 98.5), multiplier=100.0), package=True)
    followed = Followed(
        client_order_id="tw-1", role="entry", symbol="AAA", legs=legs, quantity=1.0, expected_price=98.5,
        decided_ts=FIRST + 2 * DAY, order=1,
    )  # fmt: skip
    told = fact(
        fill(3, 1, 100.0, 100.0, "tw-1"), fill(3, -1, 1.0, 2.0, "tw-1", call),
        orders=(Sent(followed, None, "filled"),),
    )  # fmt: skip
    [one] = joined(plan(case), told, ())[0]
    assert one.fact is not None
    [entry] = one.fact.entries
    assert (entry.quantity, entry.price) == pytest.approx((1.0, 98.0))
