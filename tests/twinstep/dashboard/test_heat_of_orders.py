"""The heat with an order that waits: counted once, while the plan of a session at a broker goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from live.brokers.interface import Leg, OrderRequest
from tests.live.following.scripted import write_bars
from tests.twinstep.conftest import Cli
from tests.twinstep.dashboard.test_queue_page import account, held, order
from tests.twinstep.test_cli_live import JOURNAL, STRATEGY
from twinstep.account_lines import AccountLines, OrderLine, PositionLine
from twinstep.dashboard.reading.queue import bet_of, heat_with, read_queue
from twinstep.dashboard.reading.reader import Reader
from twinstep.fact_lines import stored_fact

SPREAD = (("SPY260220P00115000", -2.0), ("SPY260220P00110000", 2.0))


def test_the_plan_of_a_session_has_an_order_inside_once(cli: Cli, tmp_path: Path) -> None:
    line = ("live", "--strategy", STRATEGY, "--data", str(write_bars(tmp_path / "bars")))
    assert cli(*line, "--mode", "manual_review", "--bars", "4").code == 0
    reader = Reader(Path(JOURNAL))
    now = reader.now()
    plan = now.view.account
    assert plan is not None
    fact = stored_fact(reader.journal, plan.session)
    assert fact is not None
    assert fact.positions == ()
    # by hand: three are held in the plan, from the entry to the stop, and one works
    inside = {
        one.symbol: max(0.0, one.entry - (one.stop or 0.0)) * one.quantity for one in plan.positions
    } | {"SPY": 10 * 6.0}
    assert plan.heat_pct is not None
    assert 100.0 * sum(inside.values()) / plan.equity == pytest.approx(plan.heat_pct)
    found = read_queue(reader, now, fact).waiting.values()
    assert {one.request.order.symbol for one in found} == set(inside)
    for one in found:
        symbol = one.request.order.symbol
        rest = 100.0 * (sum(inside.values()) - inside[symbol]) / plan.equity
        assert one.heat is not None
        assert one.heat.before == pytest.approx(rest), symbol
        assert one.bet.risk is not None
        assert one.heat.after == pytest.approx(rest + 100.0 * one.bet.risk / plan.equity), symbol


def test_what_a_position_has_inside_is_measured_as_the_limits_do() -> None:
    bought = order(("AAPL", 100.0), order_class="bracket", stop_loss=90.0)
    bet = bet_of(bought, 100.0)
    line = held("AAPL", 100.0, 104.0, 90.0)
    moved = PositionLine(
        symbol="AAPL", quantity=100.0, entry=100.0, mark=104.0, stop=90.0, target=None, result=400.0, r=0.4,
        days=1.0, target_pct=None,
    )  # fmt: skip
    beyond = PositionLine(
        symbol="AAPL", quantity=100.0, entry=100.0, mark=104.0, stop=102.0, target=None, result=400.0, r=0.4,
        days=1.0, target_pct=None,
    )  # fmt: skip
    for one, from_mark, before in (
        (moved, False, 1.0), (moved, True, 0.6), (line, False, 0.6), (beyond, False, 2.0),
        (beyond, True, 1.8),
    ):  # fmt: skip
        found = heat_with(account(one), bought, bet, 0.0, from_mark=from_mark)
        assert found is not None
        assert (found.before, found.after) == pytest.approx((before, before + 1.0))


def working(symbol: str, quantity: float, *positions: PositionLine) -> AccountLines:
    plain = account(*positions)
    line = OrderLine(symbol=symbol, quantity=quantity, kind="open", trigger=None, limit=None, bars=0)
    values = {name: getattr(plain, name) for name in AccountLines.__dataclass_fields__}
    return AccountLines(**values | {"orders": (line,)})


def test_an_order_that_works_in_the_plan_is_not_counted_twice() -> None:
    bought = order(("AAPL", 100.0), order_class="bracket", stop_loss=90.0)
    bet = bet_of(bought, 100.0)
    for symbol, quantity, at_broker, before in (
        ("AAPL", 100.0, 0.0, 1.0),
        # of another size, side or symbol it is another order, and one that is filled here is not there yet
        ("AAPL", 50.0, 0.0, 2.0), ("AAPL", -100.0, 0.0, 2.0), ("MSFT", 100.0, 0.0, 2.0),
        ("AAPL", 100.0, None, 2.0),
    ):  # fmt: skip
        found = heat_with(working(symbol, quantity), bought, bet, at_broker)
        assert found is not None
        assert (found.before, found.after) == pytest.approx((before, before + 1.0))


def test_a_package_is_found_in_the_plan_by_its_underlying() -> None:
    legs = tuple(Leg(*one) for one in SPREAD)
    sold = OrderRequest(
        client_order_id="tw-1", legs=legs, order_class="multi_leg", kind="limit", limit_price=1.35
    )
    bet = bet_of(sold, 1.35)
    assert bet.risk == pytest.approx(730.0)
    open_one = PositionLine(
        symbol="SPY", quantity=-2.0, entry=1.35, mark=1.3, stop=2.7, target=0.6, result=10.0, r=0.0, days=0.0,
        target_pct=None, legs="-115P +110P",
    )  # fmt: skip
    shares = held("SPY", 2.0, 120.0, 110.0)
    for plan, at_broker, before in (
        (working("SPY", -2.0), 0.0, 1.27), (account(open_one), 0.0, 1.27),
        # the broker has it, too: this is a second one; shares are no package
        (account(open_one), -2.0, 2.0), (account(shares), 0.0, 2.0),
    ):  # fmt: skip
        found = heat_with(plan, sold, bet, at_broker)
        assert found is not None
        assert (found.before, found.after) == pytest.approx((before, before + 0.73))
