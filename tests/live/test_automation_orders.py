"""The order manager against the kernel's own logs, over random markets, signals, costs and conventions.

Whatever a run does, every fill is in exactly one order, every order went through allowed states only, and
what the state says is open is open here. Worked cases show each kind of order once.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from simulator import Bars, Run, Signals, Stepper
from simulator.bars.arrays import DAY
from simulator.conventions import Conventions
from simulator.errors import EngineError, SignalError
from simulator.kernel import codes
from simulator.kernel.state import LOG_NAMES
from simulator.order_manager import OrderManager, ScaleIn, ScaleOut, TrailingStop
from simulator.orders import Order, OrderEvent
from simulator.risk_limits import RiskLimits
from simulator.types import FillKind, OrderState, Reason, allowed_transitions
from strategies import create_manual_signal
from tests.budget import cases
from tests.simulator.kernel.drivers import pieces
from tests.simulator.kernel.generate import Configuration, configurations


@given(configurations(most_bars=60))
@cases(many=60, few=12)
def test_every_fill_is_in_one_order_and_every_state_is_allowed(c: Configuration) -> None:
    stepper = Stepper(c.bars, **c.rules)
    manager = OrderManager(stepper)
    filled: dict[str, float] = defaultdict(float)
    paid: dict[str, float] = defaultdict(float)
    for bars, signals, commands in pieces(c, list(range(len(c.bars) + 1))):
        stepper.push(bars, signals, commands)
        logs = stepper.drain()
        manager.update(logs)
        for fill in logs["fills"]:
            filled[str(int(fill["order"]))] += float(fill["qty"])
            paid[str(int(fill["order"]))] += float(fill["fee"])
        _agrees_with(manager, stepper)
    mine: dict[str, float] = defaultdict(float)
    fees: dict[str, float] = defaultdict(float)
    for order in manager.get_orders():
        mine[order.order_id.split("-")[0]] += order.filled_quantity
        fees[order.order_id.split("-")[0]] += order.fees
        steps = [event.state for event in order.history]
        pairs = [(a, b) for a, b in itertools.pairwise(steps) if a != b]
        assert all(b in allowed_transitions(a) for a, b in pairs), order
        assert not steps or steps[-1] == order.state
    for key, quantity in filled.items():
        assert mine[key] == pytest.approx(quantity), key
        assert fees[key] == pytest.approx(paid[key]), key


def _agrees_with(manager: OrderManager, stepper: Stepper) -> None:
    state = stepper.state
    account = state.account[0]
    working = state.orders[state.order_slots["slot"][: int(account["n_orders"])]]
    entries = [order for order in manager.open_orders() if order.kind == FillKind.ENTRY]
    assert sorted(order.order_id for order in entries) == sorted(str(int(i)) for i in working["id"])
    held = state.positions[state.open_slots["slot"][: int(account["n_positions"])]]
    for record in held[(held["package"] == 0) & np.isfinite(held["stop_now"])]:
        stop = manager.get_order(f"{int(record['order'])}-stop")
        assert stop.is_open
        assert stop.price == float(record["stop_now"]) * int(record["side"])
        assert stop.remaining_quantity == pytest.approx(float(record["qty"]))


def market(closes: list[float], *, volume: float = 1_000_000.0, wick: float = 0.0) -> Bars:
    """Daily bars that open and close at the same price."""
    panel = np.zeros((len(closes), 1, 5))
    panel[:, 0, :4] = np.array(closes)[:, None]
    panel[:, 0, 1] += wick
    panel[:, 0, 2] -= wick
    panel[:, 0, 4] = volume
    first = 18_000 * DAY
    return Bars.from_arrays(["ABC"], first + DAY * np.arange(len(closes)), panel, calendar="24/7")


def managed(bars: Bars, rules: dict[str, Any] | None = None, **columns: Any) -> OrderManager:
    run = Run(bars, Signals.from_arrays(bars, [0], "ABC", 1, **columns), **(rules or {"risk": None}))
    run.advance()
    return OrderManager.of(run)


def test_a_limit_entry_works_and_expires() -> None:
    found = managed(market([100.0] * 4), qty=10, entry="limit", limit_price=90.0, valid_bars=2)
    (order,) = found.get_orders()
    assert (order.order_type, order.state, order.reason) == ("limit", OrderState.EXPIRED, Reason.TIF_EXPIRED)
    assert (order.filled_quantity, order.remaining_quantity) == (0.0, 0.0)
    assert found.open_orders() == []


def test_a_partial_fill_waits_for_volume() -> None:
    rules = {"risk": None, "conventions": Conventions(volume_cap=0.1)}
    found = managed(market([100.0] * 3, volume=60.0), rules, qty=10)
    order = found.get_order("0")
    assert [event.state.name for event in order.history] == [
        "PENDING", "SUBMITTED", "PARTIALLY_FILLED", "FILLED",
    ]  # fmt: skip
    assert (order.filled_quantity, order.average_price) == (10.0, 100.0)


def test_scaling_in_and_out_and_the_stop_that_ends_it() -> None:
    bars = market([100.0, 100.0, 110.0, 120.0, 85.0])
    found = managed(
        bars, qty=10, stop=90.0, add_r=1.0, add_fraction=0.5, scale_out_r=2.0, scale_out_fraction=0.4
    )
    assert {order.order_id: (order.state.name, order.filled_quantity) for order in found.get_orders()} == {
        "0": ("FILLED", 10.0),
        "0-add": ("FILLED", 5.0),  # at 110, one R above the fill
        "0-scale_out": ("FILLED", 6.0),  # 40 % of 15 at 120
        "0-stop": ("FILLED", 9.0),  # the rest at 85, through the stop at 90
    }
    assert found.get_order("0-stop").average_price == 85.0


def test_a_bracket_goes_into_a_backtest_and_comes_back_as_orders() -> None:
    bars = market([100.0, 100.0, 104.0, 101.0])
    idea = create_manual_signal("ABC", 100.0, 95.0, 110.0, account_size=100_000)
    plan = OrderManager(Run(bars, Signals.empty(bars))).create_bracket_order(
        idea, trailing_stop=TrailingStop(amount=2.5), scale_in=[ScaleIn(2.0)], scale_out=ScaleOut(1.5)
    )
    run = Run(bars, plan.signals(bars, 0), risk=RiskLimits(max_sector_exposure_pct=100.0))
    run.advance(3)
    (bracket,) = OrderManager.of(run).brackets("ABC")
    assert bracket.trailing_stop is not None
    assert (bracket.trailing_stop.amount, bracket.trailing_stop.level) == (2.5, 101.5)  # 104 less 2.50
    assert bracket.stop_loss is not None
    assert (bracket.stop_loss.order_type, bracket.stop_loss.price) == ("trailing_stop", 101.5)
    assert [order.price for order in bracket.targets] == [107.5, 110.0]
    assert [order.price for order in bracket.adds] == [110.0]
    run.advance()
    (trade,) = run.books.log("trades")
    assert int(trade["exit_reason"]) == codes.EXIT_TRAIL
    assert OrderManager.of(run).brackets() == []


def test_a_short_is_protected_from_above() -> None:
    bars = market([100.0, 100.0, 100.0])
    run = Run(bars, Signals.from_arrays(bars, [0], "ABC", -1, qty=10, stop=105.0, target=90.0), risk=None)
    run.advance()
    (bracket,) = OrderManager.of(run).brackets()
    assert bracket.side == -1
    assert bracket.stop_loss is not None
    assert bracket.take_profit is not None
    assert (bracket.stop_loss.side, bracket.stop_loss.price, bracket.take_profit.price) == (1, 105.0, 90.0)


def test_a_position_from_before_the_logs_is_shown_from_the_state() -> None:
    bars = market([100.0] * 4)
    run = Run(bars, Signals.from_arrays(bars, [0], "ABC", 1, qty=10, stop=90.0), risk=None)
    run.advance(3)
    manager = OrderManager(run)
    manager.update({name: run.books.log(name)[:0] for name in LOG_NAMES})
    assert manager.get_order("0").state is OrderState.FILLED
    assert manager.get_order("0-stop").price == 90.0


def test_commands_are_written_not_sent() -> None:
    bars = market([100.0, 100.0, 100.0])
    manager = OrderManager(Run(bars, Signals.empty(bars)))
    day = bars.index[1].to_pydatetime()
    assert (manager.cancel("ABC", day).kind, manager.close("ABC", day, 101.0).value) == ("cancel", 101.0)


def test_an_impossible_event_is_an_error() -> None:
    order = Order(
        order_id="0", symbol="ABC", side=1, kind=FillKind.ENTRY, order_type="market", quantity=1.0,
        price=1.0, state=OrderState.CANCELLED,
    )  # fmt: skip
    when = market([1.0]).index[0].to_pydatetime()
    with pytest.raises(EngineError) as failure:
        order.moved(OrderEvent(when, OrderState.FILLED, Reason.NONE, 1.0, 1.0))
    assert failure.value.code == "ENGINE_TRANSITION"


def test_what_cannot_be_written_down() -> None:
    bars = market([100.0, 100.0])
    manager = OrderManager(Run(bars, Signals.empty(bars)))
    idea = create_manual_signal("ABC", 100.0, 95.0, 110.0, account_size=100_000)
    with pytest.raises(SignalError) as adds:
        manager.create_bracket_order(idea, scale_in=[ScaleIn(1.0), ScaleIn(2.0), ScaleIn(3.0)])
    assert adds.value.code == "SIGNAL_ADD"
    with pytest.raises(SignalError) as kind:
        manager.create_bracket_order(idea, order_type="limt")
    assert kind.value.code == "SIGNAL_ENTRY"
