"""What Alpaca does not do, or does not allow: refused by name, worked around, and never half done."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from live.brokers.alpaca import AlpacaBroker, NoAnswer, line
from live.brokers.errors import RateLimited
from live.brokers.interface import Leg, OrderRequest, Outcome
from live.brokers.protection import Protector
from live.brokers.rate_limit import RateLimit
from live.brokers.told import BrokerUpdate
from simulator.errors import ConfigError
from tests.fakes.alpaca.script import Refuse
from tests.live.brokers.alpaca_desk import at_alpaca, until
from tests.live.brokers.alpaca_rig import AlpacaRig
from tests.live.brokers.rig import RigDesk
from tests.live.desks import PRICES, bracket, order

PUTS = ("SPY261218P00500000", "SPY261218P00490000")
SPREAD = (Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0))


def test_a_bracket_has_no_trailing_leg_so_its_stop_is_moved_by_replacing_it() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        trailing = order(1, kind="trailing", trail_percent=5.0, order_class="bracket", stop_loss=95.0)
        answer = broker.submit_order(trailing)
        assert answer.outcome in (Outcome.REJECTED, Outcome.DENIED)
        assert server.held() == {}
        assert broker.submit_order(bracket(2)).outcome is Outcome.CONFIRMED
        for stop in (96.0, 97.5):
            (child,) = [one for one in broker.get_orders() if one.kind == "stop"]
            assert broker.replace_order(child.order_id, stop_price=stop).stop_price == stop
        server.move({"AAPL": 97.0})
        assert server.held() == {}


def test_packages_are_for_the_day_at_the_market_or_a_limit_and_of_two_to_four_different_legs() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUTS[0]: 4.0, PUTS[1]: 2.5})
        longer = OrderRequest(
            client_order_id="c1", legs=SPREAD, kind="limit", limit_price=1.0, order_class="multi_leg",
            tif="gtc",
        )  # fmt: skip
        assert broker.submit_order(longer).outcome is Outcome.REJECTED
        assert broker.get_orders() == []
    for legs in (SPREAD[:1], (SPREAD[0], SPREAD[0]), SPREAD * 3):
        with pytest.raises(ConfigError) as caught:
            OrderRequest(client_order_id="c2", legs=legs, order_class="multi_leg")
        assert caught.value.code == "LIVE_ORDER"
    with pytest.raises(ConfigError):
        OrderRequest(client_order_id="c3", legs=SPREAD, order_class="multi_leg", kind="stop", stop_price=1.0)


def test_nothing_is_for_extended_hours_in_which_stops_sleep() -> None:
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUTS[0]: 4.0, PUTS[1]: 2.5})
        broker.submit_order(bracket(1))
        broker.submit_order(order(2, kind="limit", limit_price=90.0, tif="gtc"))
        broker.submit_order(OrderRequest(client_order_id="c1", legs=SPREAD, order_class="multi_leg"))
        assert len(server.script.bodies) == 3
        assert not any(body.get("extended_hours") for body in server.script.bodies)


def test_a_possible_wash_trade_is_a_refusal_and_no_locked_account() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1))
        broker.submit_order(order(2, kind="limit", limit_price=90.0))
        stop = order(3, -10.0, kind="stop", stop_price=95.0, purpose="protect")
        answer = broker.submit_order(stop)
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "LIVE_BROKER_REJECTED")
        assert "wash trade" in answer.message
        found = broker.find_order("o2")
        assert found is not None
        broker.cancel_order(found.order_id)
        again = order(4, -10.0, kind="stop", stop_price=95.0, purpose="protect")
        assert broker.submit_order(again).outcome is Outcome.CONFIRMED


def test_where_another_program_has_the_only_stream_asking_tells_all() -> None:
    with at_alpaca(every=0.05) as (server, broker):
        server.move(PRICES)
        server.script.every("stream", "cut")
        told: list[BrokerUpdate] = []
        assert isinstance(broker, AlpacaBroker)
        end = broker.on_update(told.append)
        until(lambda: "stream" in [kind for kind, _, _ in server.script.requests])
        until(lambda: broker.watch._held is not None)
        broker.submit_order(order(1, kind="limit", limit_price=90.0))
        server.move({"AAPL": 89.0})
        until(lambda: ("position", "AAPL") in [(one.kind, one.symbol) for one in told])
        assert broker.watch.heard == 0
        end()


@pytest.mark.parametrize("fault", ["empty", "html", "half"])
def test_no_answer_about_an_order_is_not_taken_for_no_order(fault: Any) -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1))
        server.script.at("find", 1, fault)
        with pytest.raises(NoAnswer):
            broker.find_order("o1")
        assert broker.find_order("o1") is not None
        assert broker.find_order("o2") is None


def test_what_protects_a_fraction_of_a_share_rests_for_the_day_and_whole_shares_for_longer() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1, 10.5))
        stop: dict[str, Any] = {"kind": "stop", "stop_price": 95.0, "tif": "gtc", "purpose": "protect"}
        assert broker.submit_order(order(2, -10.0, **stop)).outcome is Outcome.CONFIRMED
        assert broker.submit_order(order(3, -0.5, **stop)).outcome is Outcome.CONFIRMED
        assert [body["time_in_force"] for body in server.script.bodies[1:]] == ["gtc", "day"]
        entry = order(4, 0.5, kind="limit", limit_price=90.0, tif="gtc")
        assert broker.submit_order(entry).outcome is Outcome.REJECTED  # what enters is never another order


def test_a_position_with_a_fraction_is_guarded_whole(tmp_path: Path) -> None:
    rig = AlpacaRig()
    desk = RigDesk(tmp_path, rig)
    desk.reconciler.start()
    desk.submit(order(1, 10.5))
    desk.settled()
    protector = Protector(desk.manager, "main", sleep=lambda _: None)
    for _ in range(2):
        protector.keep(desk.clock())
        desk.wait(5)
        desk.run()
    (shown,) = protector.look(desk.clock())
    assert (shown.guarded, shown.naked) == (10.5, 0.0)
    assert sorted(quantity for _, quantity in rig.working().values()) == [0.5, 10.0]
    assert protector.keep(desk.clock()) == []
    desk.move({"AAPL": 80.0})
    assert desk.settled().clean
    assert (desk.books(), rig.held()) == ({}, {})
    rig.close()
    desk.database.close()


def test_a_limit_of_requests_is_left_alone_for_as_long_as_the_service_says() -> None:
    clock = [0.0]
    limiter = RateLimit(200, clock=lambda: clock[0], sleep=lambda _: None)
    with at_alpaca(limiter=limiter) as (server, broker):
        wait = Refuse(429, {"code": 42910000, "message": "rate limit exceeded"}, (("retry-after", "30"),))
        server.script.at("positions", 1, wait)
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                broker.get_positions()
            assert caught.value.retry_after == 30.0
        assert [kind for kind, _, _ in server.script.requests].count("positions") == 1
        clock[0] = 30.5
        assert broker.get_positions() == []


@pytest.mark.parametrize("wrong", [-3600.0, 0.0, 3600.0])
def test_when_a_limit_ends_is_counted_by_the_clock_of_the_service(
    monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    ours = SimpleNamespace(time=lambda: time.time() + wrong, monotonic=time.monotonic)
    with at_alpaca() as (server, broker):
        headers = (("x-ratelimit-reset", str(int(time.time()) + 12)),)
        server.script.every("positions", Refuse(429, {"code": 42910000, "message": "too many"}, headers))
        monkeypatch.setattr(line, "time", ours)
        with pytest.raises(RateLimited) as caught:
            broker.get_positions()
        assert caught.value.retry_after == pytest.approx(12.0, abs=2.5)
