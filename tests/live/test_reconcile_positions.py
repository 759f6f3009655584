"""Reconciliation of positions: what somebody else did, what is missing, assignments and splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from live.brokers.interface import BrokerOrder, Leg, OrderRequest
from live.reconciling.positions import split_ratio
from live.reconciling.splits import Asked, Split, rescaled
from simulator.brokerage import Holding
from simulator.types import OrderState
from tests.live.desks import Desk, bracket, order
from tests.live.faulty_broker import Raises
from tests.live.reconciled import books, resting, started, state_of, writes

PUT = "SPY261218P00500000"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from started(tmp_path)


# Fault 27: positions


def test_what_somebody_else_holds_or_trades_is_found_and_named(desk: Desk) -> None:
    desk.memory.hold("TSLA", 7.0)
    desk.memory.book("MSFT", 5.0, 200.0)
    desk.settled()
    assert [(one.cause, one.symbols) for one in desk.found()] in (
        [("foreign_position", ("TSLA",)), ("foreign_trade", ("MSFT",))],
        [("foreign_trade", ("MSFT",)), ("foreign_position", ("TSLA",))],
    )
    assert desk.told[-1][0] == "reconcile_difference"
    assert len(desk.told) == 2
    desk.settled()
    assert len(desk.told) == 2  # once each
    assert books(desk) == {}


def test_a_foreign_trade_in_our_own_symbol_is_not_taken_for_ours(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.memory.book("AAPL", -4.0, 101.0)
    desk.settled()
    (one,) = desk.found()
    assert (one.cause, one.data["books"], one.data["broker"]) == ("foreign_trade", 10.0, 6.0)
    assert one.data["executions"] == ["E2"]
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == {"AAPL": 6.0}
    assert desk.restart().clean
    (adjusted,) = desk.log.events("adjusted")
    assert (adjusted.symbol, adjusted.data["quantity"], adjusted.data["by"]) == ("AAPL", -4.0, "ada")


def test_a_position_that_is_missing_from_the_list_is_found(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.faulty.hide_position = {"AAPL"}
    before = writes(desk)
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data) == ("missing_position", {"books": 10.0, "broker": 0.0})
    assert books(desk) == {"AAPL": 10.0}
    assert desk.submit(order(2)).code == "LIVE_SYMBOL_REDUCING"
    assert writes(desk) == before
    desk.faulty.hide_position = set()
    assert desk.run().clean
    assert [item.state for item in desk.differences.all()] == ["cleared"]
    desk.faulty.hide_position = {"AAPL"}
    desk.run()
    assert [item.state for item in desk.differences.all()] == [
        "cleared",
        "open",
    ]  # another time is another item


def test_an_assignment_is_named_in_both_symbols(desk: Desk) -> None:
    desk.move({PUT: 4.0})
    desk.submit(order(1, -2.0, PUT))
    desk.settled()
    desk.memory.book(PUT, 2.0, 0.0, kind="assignment")
    desk.memory.book("SPY", 200.0, 500.0, kind="assignment")
    desk.settled()
    assert sorted((one.cause, one.symbols[0]) for one in desk.found()) == [
        ("assignment", "SPY"), ("assignment", PUT),
    ]  # fmt: skip
    assert books(desk) == {PUT: -2.0}
    desk.accept_all()
    assert desk.run().clean
    assert books(desk) == {"SPY": 200.0}


def test_a_split_is_named_with_its_ratio_and_rescaled_when_a_person_says_so(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.submit(order(2, kind="limit", limit_price=80.0))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    before = writes(desk)
    desk.run()
    (one,) = desk.found()
    assert (one.cause, one.data["ratio"]) == ("split", [10, 1])
    assert "split 10:1" in one.message
    assert writes(desk) == before
    desk.accept_all()
    assert desk.run().differences == ()
    assert books(desk) == {"AAPL": 100.0}
    working = {order.kind: order for order in desk.memory.get_orders()}
    assert (working["stop"].stop_price, working["stop"].quantity) == (9.5, 100.0)
    assert (working["limit"].limit_price, working["limit"].quantity) == (11.0, 100.0)
    assert desk.run().clean
    assert state_of(desk, "o2")[0] == "cancelled"  # what enters is not carried over
    assert desk.settled().clean


def test_after_a_split_an_order_that_cannot_be_changed_is_cancelled(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    desk.faulty.every("replace_order", Raises())
    desk.run()
    assert list(desk.memory.get_orders()) == []
    desk.settled()
    assert desk.causes() == ["split_order", "split_order", "unprotected"]  # and that is said, for each
    assert sorted(one.subject for one in desk.found()) == ["", "B2", "B3"]


def test_that_a_stop_was_cancelled_after_a_split_is_known_after_a_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(order(1))
    desk.submit(order(2, -10.0, kind="stop", stop_price=95.0, purpose="protect"))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    desk.faulty.every("replace_order", Raises())
    with monkeypatch.context() as patched:
        patched.setattr(desk.log, "together", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    assert list(desk.memory.get_orders()) == []
    desk.restart()
    desk.settled()
    assert desk.causes() == ["split_order"]
    assert books(desk) == {"AAPL": 100.0}


def test_after_a_reverse_split_what_the_broker_has_brought_in_line_is_left_alone(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.submit(order(2, symbol="MSFT"))
    desk.submit(order(3, -4.0, "MSFT", kind="stop", stop_price=120.0, purpose="protect"))  # far, and a part
    desk.settled()
    for symbol in ("AAPL", "MSFT"):
        desk.memory.split(symbol, 0.5)
    for name, quantity, stop, limit in (("B2", 5.0, 190.0, None), ("B3", 5.0, None, 220.0),
                                        ("B5", 2.0, 240.0, None)):  # fmt: skip
        desk.memory.replace_order(name, quantity=quantity, stop_price=stop, limit_price=limit)
    before = writes(desk)
    desk.settled()
    assert [(one.cause, one.data["ratio"], one.data["orders"]) for one in desk.found()] == [
        ("split", [1, 2], []), ("split", [1, 2], []),
    ]  # fmt: skip
    desk.accept_all()
    assert desk.run().clean
    assert writes(desk) == before
    assert resting(desk) == {
        "B2": (5.0, 190.0, None), "B3": (5.0, None, 220.0), "B5": (2.0, 240.0, None),
    }  # fmt: skip


def test_after_a_reverse_split_what_the_broker_has_left_as_it_was_is_brought_in_line(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.submit(order(2, symbol="MSFT"))
    desk.submit(order(3, -4.0, "MSFT", kind="stop", stop_price=120.0, purpose="protect"))
    desk.settled()
    for symbol in ("AAPL", "MSFT"):
        desk.memory.split(symbol, 0.5)
    desk.settled()
    desk.accept_all()
    assert desk.run().clean
    assert resting(desk) == {
        "B2": (5.0, 190.0, None), "B3": (5.0, None, 220.0), "B5": (2.0, 240.0, None),
    }  # fmt: skip


def test_an_order_whose_price_is_new_and_that_cannot_be_changed_is_left_and_named(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 0.5)
    desk.memory.replace_order("B2", stop_price=190.0)  # the price alone: it would leave more than there is
    desk.memory.replace_order("B3", quantity=5.0, limit_price=220.0)
    desk.settled()
    desk.accept_all()
    desk.faulty.every("replace_order", Raises())
    desk.run()
    assert [(one.order_id, one.quantity) for one in desk.memory.get_orders()] == [("B2", 10.0), ("B3", 5.0)]
    assert [(one.cause, one.subject) for one in desk.found()] == [("split_order", "B2")]


def test_an_order_that_changes_before_a_split_is_carried_out_is_not_scaled(desk: Desk) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    desk.memory.replace_order("B2", quantity=100.0, stop_price=9.6)  # by somebody else, after the decision
    desk.run()
    stop = next(one for one in desk.memory.get_orders() if one.kind == "stop")
    assert (stop.quantity, stop.stop_price) == (100.0, 9.6)


@pytest.mark.parametrize("ratio", [2.0, 0.5])
def test_after_a_split_a_bracket_needs_a_stop_for_as_many_shares_as_it_has_now(
    desk: Desk, ratio: float
) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", ratio)
    desk.settled()
    desk.accept_all()
    assert desk.run().clean
    for _ in range(2):  # also as it is read back from the journal
        desk.memory.replace_order("B2", quantity=4.0)
        desk.settled()
        (one,) = desk.found()
        assert (one.cause, one.data["needed"], one.data["guarded"]) == ("unprotected", 10.0 * ratio, 4.0)
        desk.restart()


# Orders judged one by one: ratio, mark of now, side, kind, price, quantity, what was asked for; new values

JUDGED: list[tuple[float, float, float, str, float, float, Asked | None, tuple[float, float] | None]] = [
    (0.5, 20.0, -1, "stop", 9.0, 100.0, None, (50.0, 18.0)),
    (0.5, 20.0, -1, "stop", 18.0, 50.0, None, None),
    (0.5, 20.0, -1, "stop", 12.0, 50.0, None, None),  # far below, and doubled it would sell at once
    (0.5, 20.0, -1, "limit", 15.0, 100.0, None, (50.0, 30.0)),  # could not rest below the mark
    (0.5, 20.0, -1, "limit", 60.0, 50.0, None, None),
    (0.5, 20.0, -1, "stop", 18.0, 100.0, None, (50.0, 18.0)),  # its price is new, its quantity is not
    (0.5, 20.0, -1, "stop", 8.0, 50.0, Asked(100.0, None, 4.0), None),
    (0.5, 20.0, -1, "stop", 4.0, 40.0, Asked(40.0, None, 4.0), (20.0, 8.0)),
    (0.5, 20.0, -1, "stop", 9.0, 50.0, Asked(100.0, None, 9.0), (50.0, 18.0)),  # the quantity alone is new
    (2.0, 5.0, -1, "stop", 9.0, 100.0, None, (200.0, 4.5)),
    (2.0, 5.0, -1, "stop", 5.5, 100.0, None, (200.0, 2.75)),  # could not rest above the mark
    (2.0, 5.0, -1, "stop", 4.5, 80.0, None, None),
    (2.0, 5.0, -1, "stop", 9.0, 200.0, Asked(100.0, None, 9.0), (200.0, 4.5)),
    (2.0, 5.0, 1, "limit", 9.0, 30.0, None, (60.0, 4.5)),
    (2.0, 5.0, 1, "limit", 4.5, 60.0, None, None),
]


@pytest.mark.parametrize(("ratio", "mark", "side", "kind", "price", "quantity", "asked", "wanted"), JUDGED)
def test_which_orders_a_split_has_left_as_they_were(
    ratio: float, mark: float, side: float, kind: str, price: float, quantity: float, asked: Asked | None,
    wanted: tuple[float, float] | None,
) -> None:  # fmt: skip
    holding = Holding(symbol="AAPL", quantity=100.0 * ratio, mark=mark, average_price=10.0 / ratio)
    one = BrokerOrder(
        order_id="B1", client_order_id="", legs=(Leg("AAPL", side * quantity),), quantity=quantity,
        kind="stop" if kind == "stop" else "limit", state=OrderState.SUBMITTED,
        stop_price=price if kind == "stop" else None, limit_price=None if kind == "stop" else price,
    )  # fmt: skip
    todo = rescaled(Split("AAPL", ratio, 100.0, 100.0 * ratio, holding), [one], lambda _: asked)
    name = f"{kind}_price"
    assert [(change["quantity"], change.get(name, price)) for change in todo] == ([wanted] if wanted else [])


def test_a_crash_while_a_split_is_carried_out_scales_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(bracket(1))
    desk.settled()
    desk.memory.split("AAPL", 10.0)
    desk.run()
    desk.accept_all()
    with monkeypatch.context() as patched:
        patched.setattr(desk.log, "together", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    desk.restart()
    desk.run()
    working = {order.kind: order for order in desk.memory.get_orders()}
    assert (working["stop"].stop_price, working["stop"].quantity) == (9.5, 100.0)
    assert books(desk) == {"AAPL": 100.0}


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [(10, 100, (10, 1)), (10, 20, (2, 1)), (-10, -30, (3, 1)), (300, 10, (1, 30)), (10, 15, (3, 2)),
     (10, 13, None), (10, -100, None), (0, 10, None), (10, 10, None), (10, 0, None)],
)  # fmt: skip
def test_ratios_of_splits(before: float, after: float, ratio: tuple[int, int] | None) -> None:
    found = split_ratio(before, after)
    assert (None if found is None else (found.numerator, found.denominator)) == ratio


def test_ten_times_as_many_at_the_same_cost_is_no_split(desk: Desk) -> None:
    desk.submit(order())
    desk.settled()
    desk.memory.hold("AAPL", 100.0)
    desk.run()
    assert desk.causes() == ["position"]


def test_foreign_orders_are_found_once_and_can_be_accepted(desk: Desk) -> None:
    desk.memory.submit_order(
        OrderRequest(client_order_id="hand", legs=(Leg("MSFT", 1.0),), kind="limit", limit_price=90.0)
    )
    desk.run()
    desk.run()
    assert desk.causes() == ["foreign_order"]
    assert desk.submit(order(1, symbol="MSFT")).code == "LIVE_SYMBOL_REDUCING"
    desk.accept_all()
    assert desk.run().clean
    assert desk.restart().clean
    desk.memory.cancel_order("B1")
    assert desk.settled().clean


def test_an_id_that_two_of_our_orders_have_is_found(desk: Desk) -> None:
    desk.submit(order(1, kind="limit", limit_price=90.0))
    desk.submit(order(2, 10.0, "MSFT", kind="limit", limit_price=90.0))
    desk.run()
    one = desk.memory._orders.pop("B2")
    from dataclasses import replace

    desk.memory._orders["B1"] = replace(one, order_id="B1")
    desk.run()
    assert "order_id_reused" in desk.causes()
    (found,) = [found for found in desk.found() if found.cause == "order_id_reused"]
    assert found.symbols == ("AAPL", "MSFT")
