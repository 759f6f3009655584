"""Reconciliation on the shipped paper broker, and the n-th call failing on both brokers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from live.brokers.errors import RateLimited
from live.brokers.interface import BrokerOrder, Leg, OrderRequest, Outcome
from live.brokers.paper import PaperBroker
from live.venue import Venue, VenueRequest
from simulator.conventions import Conventions
from tests.live.desks import PRICES, Desk, bracket, order
from tests.live.faulty_broker import CALLS, Fault, Limited, LostAfter, LostBefore, Raises

PUTS = {"SPY261218P00500000": 4.0, "SPY261218P00490000": 2.5}


class PaperDesk(Desk):
    """A desk whose broker is a paper account; fills take at most the volume that a tick names."""

    def __init__(self, folder: Path) -> None:
        self.venue = Venue(conventions=Conventions(volume_cap=1.0), leverage=4.0)
        super().__init__(folder, PaperBroker(self.venue))
        self.venue.tick(self.clock(), {**PRICES, **PUTS})

    def move(self, prices: Mapping[str, float] = {}, volumes: Mapping[str, float] | None = None) -> None:
        super().move({})
        self.venue.tick(self.clock(), prices, volumes)

    def wait(self, seconds: float = 30.0) -> None:
        super().wait(seconds)
        self.venue.tick(self.clock(), {})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[PaperDesk]:
    desk = PaperDesk(tmp_path)
    assert desk.reconciler.start().clean
    yield desk
    desk.database.check(full=True)
    desk.database.close()


def books(desk: Desk) -> dict[str, float]:
    return desk.reconciler.ledger("main").positions()


def held(desk: Desk) -> dict[str, float]:
    return {one.symbol: one.quantity for one in desk.faulty.inner.get_positions()}


def find(desk: Desk, identity: str) -> BrokerOrder:
    found = desk.faulty.inner.find_order(identity)
    assert found is not None
    return found


def test_what_is_traded_agrees_and_is_known_after_a_restart(desk: PaperDesk) -> None:
    legs = tuple(Leg(symbol, side) for symbol, side in zip(PUTS, (-2.0, 2.0), strict=True))
    desk.submit(OrderRequest(client_order_id="s1", legs=legs, order_class="multi_leg"))
    desk.submit(bracket(1))
    desk.submit(order(2, 5.0, "MSFT", kind="limit", limit_price=190.0))
    assert desk.settled().clean
    assert books(desk) == held(desk) == {"AAPL": 10.0, **dict(zip(PUTS, (-2.0, 2.0), strict=True))}
    desk.move({"AAPL": 94.0, "MSFT": 189.0})
    assert desk.settled().clean
    assert books(desk) == held(desk) == {"MSFT": 5.0, **dict(zip(PUTS, (-2.0, 2.0), strict=True))}
    assert desk.restart().clean
    assert desk.submit(bracket(1)).outcome is Outcome.CONFIRMED
    assert desk.faulty.received == ["s1", "o1", "o2"]


def test_a_replaced_order_is_one_order(desk: PaperDesk) -> None:
    desk.submit(order(1, kind="limit", limit_price=90.0))
    desk.run()
    new = desk.manager.replace_order("main", find(desk, "o1").order_id, limit_price=95.0, quantity=4.0)
    assert desk.settled().clean
    sent = desk.log.find("o1")
    assert sent is not None
    assert sent.order is not None
    assert (sent.order.order_id, sent.order.is_open) == (new.order_id, True)
    desk.move({"AAPL": 94.0})
    assert desk.settled().clean
    assert books(desk) == {"AAPL": 4.0}
    assert desk.restart().clean


def test_every_share_of_a_partly_filled_bracket_has_a_stop_and_keeps_it(desk: PaperDesk) -> None:
    def guarded() -> float:
        return sum(
            one.quantity - one.filled
            for one in desk.faulty.inner.get_orders()
            if one.kind == "stop" and one.parent_id and one.legs[0].quantity < 0
        )

    desk.move({"AAPL": 101.0})
    desk.submit(bracket(1))
    for volume, total in ((3.0, 3.0), (2.0, 5.0)):
        desk.move({"AAPL": 99.0}, {"AAPL": volume})
        assert desk.run().differences == ()
        assert held(desk) == {"AAPL": total}
        assert guarded() >= total
    desk.manager.cancel_order("main", find(desk, "o1").order_id)
    assert guarded() == 5.0
    assert desk.settled().clean
    sent = desk.log.find("o1")
    assert sent is not None
    assert sent.order is not None
    assert (sent.order.state.label, sent.order.filled) == ("cancelled", 5.0)
    desk.move({"AAPL": 94.0})
    assert desk.settled().clean
    assert held(desk) == books(desk) == {}


def test_foreign_trades_and_orders_are_found(desk: PaperDesk) -> None:
    desk.submit(order(1))
    desk.settled()
    desk.venue.submit(VenueRequest(symbol="AAPL", side="sell", qty=4))
    desk.venue.submit(VenueRequest(symbol="MSFT", side="buy", qty=1, kind="limit", limit_price=150.0))
    desk.settled()
    assert desk.causes() == ["foreign_order", "foreign_trade"]
    assert books(desk) == {"AAPL": 10.0}
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == held(desk) == {"AAPL": 6.0}


def test_a_split_at_the_venue_is_named(desk: PaperDesk) -> None:
    desk.submit(order(1))
    desk.settled()
    desk.wait()
    desk.venue.action(desk.clock(), "split", "AAPL", 10.0)
    desk.settled()
    (one,) = desk.found()
    assert (one.cause, one.data["ratio"]) == ("split", [10, 1])
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == held(desk) == {"AAPL": 100.0}


@pytest.mark.parametrize("ratio", [0.5, 2.0])
@pytest.mark.parametrize("kind", ["bracket", "stop", "stop for a part"])
def test_accepting_a_split_leaves_the_stops_that_the_venue_has_brought_in_line(
    desk: PaperDesk, ratio: float, kind: str
) -> None:
    shares = 4.0 if kind == "stop for a part" else 10.0
    if kind == "bracket":
        desk.submit(bracket(1, tif="gtc"))
    else:
        desk.submit(order(1))
        desk.submit(order(2, -shares, kind="stop", stop_price=95.0, purpose="protect", tif="gtc"))
    desk.settled()
    desk.wait()
    desk.venue.action(desk.clock(), "split", "AAPL", ratio)
    desk.venue.tick(desk.clock(), {"AAPL": 100.0 / ratio})
    desk.settled()
    (one,) = desk.found()
    assert (one.cause, one.data["orders"]) == ("split", [])
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == held(desk) == {"AAPL": 10.0 * ratio}
    (stop,) = [one for one in desk.faulty.inner.get_orders() if one.kind == "stop"]
    assert (stop.quantity, stop.stop_price) == (shares * ratio, 95.0 / ratio)
    assert desk.settled().clean


def test_a_kill_while_an_order_is_changed_cancels_it_under_its_new_id(desk: PaperDesk) -> None:
    desk.submit(order(1, kind="limit", limit_price=90.0))
    real = desk.faulty.replace_order

    def killed(order_id: str, **change: Any) -> BrokerOrder:
        desk.switch.engage("crash", "ada")
        return real(order_id, **change)

    desk.faulty.replace_order = killed  # type: ignore[method-assign]
    before = find(desk, "o1").order_id
    new = desk.manager.replace_order("main", before, quantity=20.0)
    assert new.order_id != before
    assert desk.faulty.inner.get_orders() == []
    assert desk.settled().clean


def test_the_expiry_of_an_option_is_no_difference(desk: PaperDesk) -> None:
    desk.submit(order(1, 1.0, "SPY261218P00490000"))
    desk.settled()
    expiry = datetime(2026, 12, 18, 16, 0, tzinfo=ZoneInfo("America/New_York"))
    desk.clock.set(expiry)
    desk.venue.tick(expiry, {"SPY": 505.0})
    desk.venue.expire_day(expiry)
    assert held(desk) == {}
    assert desk.settled().clean
    assert books(desk) == {}


# The n-th call fails, n = 1, 2, 3, ..., until it passes clean


def scenario(desk: Desk, cancel: Callable[[str], None]) -> None:
    """Enter by a bracket and by a limit, leave one, cancel the other, restart in between."""
    desk.submit(bracket(1))
    desk.run()
    desk.submit(order(2, 5.0, "MSFT", kind="limit", limit_price=150.0))
    desk.run()
    cancel("o2")
    desk.restart()
    desk.submit(order(3, 2.0, "SPY"))
    desk.run()
    desk.submit(order(4, -2.0, "SPY", purpose="exit"))
    desk.run()


def sweep(folder: Path, kind: str, fault: Fault, stride: int) -> int:
    """Return how many points of failure were passed: every `stride`-th call of each kind."""
    points = 0
    for call in CALLS:
        for n in itertools.count(1, stride):
            where = folder / f"{call}-{n}"
            where.mkdir()
            desk: Desk = PaperDesk(where) if kind == "paper" else Desk(where)
            desk.reconciler.start()
            desk.faulty.at(call, n, fault)

            def cancel(identity: str, desk: Desk = desk) -> None:
                there = desk.faulty.inner.find_order(identity)
                if there is not None:
                    # what the fault raises goes through to whoever cancels
                    with contextlib.suppress(TimeoutError, RuntimeError, RateLimited):
                        desk.manager.cancel_order("main", there.order_id)

            scenario(desk, cancel)
            missed = bool(desk.faulty._once)
            desk.faulty.clear()
            for _ in range(3):
                report = desk.settled()
            agree(desk, report)
            desk.database.close()
            if missed:
                break
            points += 1
    return points


@pytest.mark.parametrize("kind", ["memory", "paper"])
@pytest.mark.parametrize("fault", [LostBefore(), LostAfter()], ids=lambda fault: type(fault).__name__)
def test_whichever_call_fails_the_books_agree_or_a_person_is_told(
    tmp_path: Path, fault: Fault, kind: str
) -> None:
    assert sweep(tmp_path, kind, fault, 4) > 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "paper"])
@pytest.mark.parametrize(
    "fault", [LostBefore(), LostAfter(), Raises(), Limited(1.0)], ids=lambda fault: type(fault).__name__
)
def test_at_every_single_call(tmp_path: Path, fault: Fault, kind: str) -> None:
    points = sweep(tmp_path, kind, fault, 1)
    print(f"{points} points of failure")  # shown by pytest -s
    assert points > 15


def agree(desk: Desk, report: Any) -> None:
    """The invariants."""
    assert report.complete
    assert report.differences or books(desk) == held(desk)
    assert len(desk.faulty.received) == len(set(desk.faulty.received))
    assert desk.manager.book.unresolved() == []
    working = {one.client_order_id for one in desk.faulty.inner.get_orders()}
    known = {sent.identity for sent in desk.log.open()}
    assert {name.removesuffix("-stop").removesuffix("-target") for name in working if name} <= known | {"o1"}
    desk.database.check()
