"""Options and packages: quotes, margin, all legs or none, expiry, exercise, assignment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from live.venue import VenueLeg, VenueOrder, VenueRejected, VenueRequest
from simulator.costs import Costs
from tests.live.venue.desk import Desk

HIGH, LOW = "SPY261218P00500000", "SPY261218P00490000"
CALL, CALL2 = "SPY261218C00550000", "SPY261218C00560000"
AFTER = datetime(2026, 12, 18, 21, tzinfo=UTC)
MID = Costs(spread_share_1_leg=0.0, spread_share_2_legs=0.0)


def desk(**options: Any) -> Desk:
    d = Desk(**options)
    d.tick(
        SPY=520.0,
        **{HIGH: (3.9, 4.1), LOW: (2.4, 2.6), CALL: (1.9, 2.1), CALL2: (0.9, 1.1)},
    )
    return d


def package(d: Desk, *legs: tuple[str, int], qty: float = 1, **fields: Any) -> VenueOrder:
    made = tuple(
        VenueLeg(symbol=symbol, side="buy" if ratio > 0 else "sell", ratio_qty=abs(ratio))
        for symbol, ratio in legs
    )
    return d.venue.submit(VenueRequest(order_class="mleg", legs=made, qty=qty, **fields))


CREDIT = ((HIGH, -1), (LOW, 1))


def test_an_option_trades_between_its_mid_and_its_side() -> None:
    d = desk()
    bought, sold = d.ask(1, HIGH), d.ask(-1, HIGH)
    assert bought.filled_avg_price == pytest.approx(4.0 + 0.25 * 0.2)
    assert sold.filled_avg_price == pytest.approx(4.0 - 0.25 * 0.2)
    assert d.venue.account().cash == pytest.approx(100_000 - 10.0)


def test_a_package_fills_at_its_mids_less_a_share_of_the_spreads() -> None:
    d = desk()
    order = package(d, *CREDIT, qty=2)
    assert order.status == "filled"
    assert order.filled_avg_price == pytest.approx(1.5 - 0.16 * 0.4)
    assert d.held() == {HIGH: -2, LOW: 2}
    assert d.venue.account().cash == pytest.approx(100_000 + 200 * (1.5 - 0.064))
    assert {activity.order_id for activity in d.venue.activities()} == {leg.id for leg in order.legs}
    assert all(leg.status == "filled" for leg in order.legs)
    assert d.events() == ["new", "fill"]


def test_a_package_waits_for_its_net_price_and_no_leg_fills_alone() -> None:
    d = desk(costs=MID)
    order = package(d, *CREDIT, kind="limit", limit_price=1.6)
    assert (order.status, d.held()) == ("new", {})
    d.tick(**{HIGH: (4.1, 4.3)})
    assert d.now_is(order).filled_avg_price == pytest.approx(1.7)
    back = package(d, (HIGH, 1), (LOW, -1), kind="limit", limit_price=-1.0)
    d.tick(**{HIGH: (3.0, 3.2)})
    assert d.now_is(back).filled_avg_price == pytest.approx(-0.6)
    assert d.held() == {}


@pytest.mark.parametrize("quote", [(0.0, 2.6), (2.7, 2.6), (0.0, 0.0)])
def test_a_package_never_fills_on_a_quote_that_cannot_be(quote: tuple[float, float]) -> None:
    d = desk()
    d.tick(**{LOW: quote})
    order = package(d, *CREDIT)
    assert order.status == "new"
    d.tick(**{HIGH: (9.0, 9.2)})
    assert d.status(order) == "new"
    d.tick(**{LOW: (2.4, 2.6)})
    assert d.status(order) == "filled"


def test_a_package_is_cancelled_replaced_and_expires() -> None:
    d = desk(costs=MID)
    order = package(d, *CREDIT, kind="limit", limit_price=9.0)
    new = d.venue.replace(order.id, limit_price=8.0, qty=2)
    assert (new.qty, [leg.qty for leg in new.legs], new.replaces) == (2, [2, 2], order.id)
    assert [leg.status for leg in d.now_is(order).legs] == ["replaced", "replaced"]
    with pytest.raises(VenueRejected):
        d.venue.replace(new.legs[0].id, limit_price=1.0)
    d.venue.cancel(new.legs[0].id)  # a leg stands for its package
    assert d.status(new) == "canceled"
    day = package(d, *CREDIT, kind="limit", limit_price=9.0)
    d.end_day()
    assert d.status(day) == "expired"
    assert package(d, *CREDIT, kind="limit", limit_price=9.0, tif="fok").status == "new"
    d.tick(**{HIGH: (3.9, 4.1)})
    assert d.venue.orders() == []


def test_a_credit_spread_ties_up_its_width() -> None:
    d = desk(costs=MID, cash=900.0)
    package(d, *CREDIT)
    assert d.venue.account().buying_power == pytest.approx(900.0 + 150.0 - 1000.0)
    with pytest.raises(VenueRejected) as caught:
        package(d, *CREDIT)
    assert caught.value.code == "VENUE_BUYING_POWER"


def test_a_put_is_secured_by_cash_and_a_call_by_shares() -> None:
    d = desk(costs=MID, cash=100_000.0)
    d.ask(-1, HIGH)
    assert d.venue.account().buying_power == pytest.approx(100_400.0 - 50_000.0)
    with pytest.raises(VenueRejected, match="without a bound"):
        d.ask(-1, CALL)
    rich = desk(costs=MID)
    rich.ask(100, "SPY")
    assert rich.ask(-1, CALL).status == "filled"
    with pytest.raises(VenueRejected) as caught:
        rich.ask(-100, "SPY")  # the shares cover the call
    assert caught.value.code == "VENUE_BUYING_POWER"


def test_the_long_leg_of_a_spread_is_not_sold_alone() -> None:
    d = desk(costs=MID, cash=5_000.0)
    package(d, *CREDIT)
    with pytest.raises(VenueRejected) as caught:
        d.ask(-1, LOW)
    assert caught.value.code == "VENUE_BUYING_POWER"
    assert d.ask(1, HIGH).status == "filled"


def test_a_naked_call_needs_leverage_and_the_exchange_minimum() -> None:
    d = desk(costs=MID, leverage=2.0, cash=20_000.0)
    d.ask(-1, CALL)
    used = 100 * (max(0.2 * 520 - 30, 52.0) + 2.0)
    # without shares leverage adds the cash once more
    assert d.venue.account().buying_power == pytest.approx(2 * 20_200.0 - used)


def test_a_calendar_whose_long_leg_expires_first_covers_nothing() -> None:
    near, far = "SPY261218P00500000", "SPY270115P00500000"
    d = Desk(costs=MID, cash=10_000.0)
    d.tick(SPY=520.0, **{near: (4.0, 4.0), far: (6.0, 6.0)})
    assert package(d, (near, -1), (far, 1)).status == "filled"
    d.tick(SPY=520.0)
    package(d, (near, 1), (far, -1))
    with pytest.raises(VenueRejected):
        package(d, (near, 1), (far, -1))


@pytest.mark.parametrize(
    ("legs", "message"),
    [
        (((HIGH, -1),), "legs"),
        (((HIGH, -1), (HIGH, 1)), "one symbol"),
        (((HIGH, -1), ("SPY", 50)), "hundred"),
        (((HIGH, -1), ("SPY261218P00480000", 1)), "known"),
    ],
)
def test_packages_that_are_none(legs: tuple[tuple[str, int], ...], message: str) -> None:
    d = desk()
    with pytest.raises(VenueRejected, match=message):
        package(d, *legs)
    assert d.venue.orders("all") == []


def test_a_covered_call_is_bought_as_one() -> None:
    d = desk(costs=MID)
    order = package(d, ("SPY", 100), (CALL, -1), kind="limit", limit_price=-518.0)
    assert order.filled_avg_price == pytest.approx(-518.0)
    assert d.held() == {"SPY": 100, CALL: -1}
    assert d.venue.account().cash == pytest.approx(100_000 - 51_800)


def expire(d: Desk, spot: float) -> None:
    d.venue.tick(AFTER - timedelta(hours=1), {"SPY": spot})
    d.venue.expire_day(AFTER)


@pytest.mark.parametrize(
    ("spot", "kinds", "held"),
    [
        (520.0, {"OPEXP"}, {}),
        (495.0, {"OPASN", "OPTRD", "OPEXP"}, {"SPY": 100}),
        (480.0, {"OPASN", "OPEXC", "OPTRD"}, {}),
    ],
)
def test_at_expiry_a_spread_expires_or_moves_shares(
    spot: float, kinds: set[str], held: dict[str, float]
) -> None:
    d = desk(costs=MID)
    package(d, *CREDIT)
    before = d.venue.account().cash
    expire(d, spot)
    assert {one.kind for one in d.venue.activities()} - {"FILL"} == kinds
    assert d.held() == held
    worth = d.venue.account().equity
    payoff = 100 * (max(0.0, 490 - spot) - max(0.0, 500 - spot))
    assert worth == pytest.approx(before + payoff)


def test_a_long_call_is_exercised_before_expiry() -> None:
    d = desk(costs=MID)
    d.ask(2, CALL)
    d.venue.exercise(CALL, 1)
    assert d.held() == {"SPY": 100, CALL: 1}
    assert d.venue.position("SPY").avg_entry_price == 550.0
    with pytest.raises(VenueRejected):
        d.venue.exercise("SPY")


def test_index_options_settle_in_cash() -> None:
    put = "SPXW261218P05000000"
    d = Desk(costs=MID)
    d.tick(SPXW=5100.0, **{put: (10.0, 10.0)})
    d.ask(1, put)
    d.venue.tick(AFTER - timedelta(hours=1), {"SPXW": 4980.0})
    d.venue.expire_day(AFTER)
    assert d.held() == {}
    assert d.venue.account().cash == pytest.approx(100_000 - 1_000 + 2_000)


def test_an_expired_option_whose_underlying_has_no_price_is_kept() -> None:
    d = Desk(costs=MID)
    d.tick(**{HIGH: (4.0, 4.0)})
    d.ask(1, HIGH)
    d.venue.expire_day(AFTER)
    assert d.held() == {HIGH: 1}
    d.venue.tick(AFTER, {"SPY": 490.0})
    d.venue.expire_day(AFTER)
    assert d.held() == {"SPY": -100}


def test_orders_in_an_expired_option_end_with_it() -> None:
    d = desk(costs=MID)
    order = d.ask(1, HIGH, kind="limit", limit_price=1.0, tif="gtc")
    spread = package(d, *CREDIT, kind="limit", limit_price=9.0, tif="gtc")
    expire(d, 520.0)
    assert (d.status(order), d.status(spread)) == ("expired", "expired")
    with pytest.raises(VenueRejected, match="expired"):
        d.ask(1, HIGH)
