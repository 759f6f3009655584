"""What an order is expected to fill at: on record before it is sent, never in its way, and measured by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from live.automation.config import ExecutionMode
from live.brokers.interface import OrderPurpose, OrderRequest, Outcome, Submitted, denied
from live.brokers.told import Quote
from live.intents import IntentLog, Sent
from live.reconciling.fill_ledger import FillLedger
from live.review_queue import ReviewRequest
from live.slippage import samples
from live.slippage.expecting import REST_SECONDS, Expectations
from simulator.brokerage import Execution
from tests.live.desks import Desk, bracket, order
from tests.live.memory_broker import START, MemoryBroker

QUOTES = {"AAPL": (99.98, 100.02), "MSFT": (199.9, 200.1)}


class Asked:
    """A source of quotes that counts."""

    def __init__(self, quotes: Mapping[str, Any] = QUOTES) -> None:
        self.quotes = quotes
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, symbols: Sequence[str]) -> dict[str, Any]:
        self.asked.append(tuple(symbols))
        return {symbol: self.quotes[symbol] for symbol in symbols}


class QuotingBroker(MemoryBroker):
    """A broker that quotes, and looks into the record while it is sent an order."""

    def __init__(self) -> None:
        super().__init__()
        self.look: Callable[[], object] = list
        self.seen: list[object] = []

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        return {
            symbol: Quote(symbol=symbol, time=START, bid=self.prices[symbol] - 0.02, ask=self.prices[symbol])
            for symbol in symbols
        }

    def submit_order(self, request: OrderRequest) -> Submitted:
        self.seen.append(self.look())
        return super().submit_order(request)


def opened(folder: Path, **options: Any) -> Desk:
    desk = Desk(folder, **options)
    desk.reconciler.start()
    return desk


def quoting(folder: Path, broker: QuotingBroker) -> Desk:
    """A desk at a broker that quotes, with nothing between the two."""
    desk = Desk(folder)
    desk.manager.brokers["main"] = desk.memory = broker
    broker.now, broker.prices = desk.clock(), {"AAPL": 100.0}
    desk.reconciler.start()
    return desk


def expected(desk: Desk, identity: str = "o1") -> dict[str, Any] | None:
    """What the newest intent of an order has."""
    found = [event for event in desk.log.events("intent") if event.order == identity]
    data: dict[str, Any] | None = found[-1].data.get("expected") if found else None
    return data


def test_the_quote_of_the_broker_is_on_record_before_the_order_is_sent(tmp_path: Path) -> None:
    broker = QuotingBroker()
    desk = quoting(tmp_path, broker)
    broker.look = lambda: expected(desk)
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    assert broker.seen == [{"quotes": {"AAPL": [99.98, 100.0]}}]


def test_a_source_of_quotes_is_asked_in_place_of_the_broker_and_pairs_will_do(tmp_path: Path) -> None:
    ask = Asked()
    desk = opened(tmp_path, quotes=ask)
    desk.submit(order())
    assert ask.asked == [("AAPL",)]
    assert expected(desk) == {"quotes": {"AAPL": [99.98, 100.02]}}


def test_a_broker_that_does_not_quote_and_a_caller_that_expects_nothing_leave_the_intent_as_it_was(
    tmp_path: Path,
) -> None:
    desk = opened(tmp_path)
    desk.submit(order())
    assert expected(desk) is None


@pytest.mark.parametrize(
    ("quotes", "words"),
    [
        ({}, "KeyError"),
        ({"AAPL": (0.0, 1.0)}, "no usable quote of AAPL"),
        ({"AAPL": (2.0, 1.0)}, "no usable quote of AAPL"),
        ({"AAPL": (1.0, float("nan"))}, "no usable quote of AAPL"),
        ({"AAPL": (1.0, float("inf"))}, "no usable quote of AAPL"),
        ({"AAPL": None}, "TypeError"),
        ({"AAPL": ("x", "y")}, "ValueError"),
        (
            {"AAPL": Quote(symbol="AAPL", time=START, bid=1.0, ask=1.1, is_delayed=True)},
            "no usable quote of AAPL",
        ),
    ],
)
def test_what_is_no_quote_of_now_is_a_word_in_the_record_and_the_order_goes_out(
    tmp_path: Path, quotes: Mapping[str, Any], words: str
) -> None:
    desk = opened(tmp_path, quotes=Asked(quotes))
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    found = expected(desk)
    assert found is not None
    assert words in found["problem"]
    assert found["quotes"] == {}


def test_a_service_that_hangs_delays_one_order_a_little_and_the_next_ones_not_at_all(tmp_path: Path) -> None:
    release, asked, now = threading.Event(), [], [1_000.0]

    def hangs(symbols: Sequence[str]) -> dict[str, Any]:
        asked.append(tuple(symbols))
        release.wait(30.0)
        return dict(QUOTES)

    desk = opened(tmp_path)
    desk.manager.expectations = Expectations(hangs, seconds=0.1, monotonic=lambda: now[0])
    begun = time.monotonic()
    for number in range(1, 21):
        assert desk.submit(order(number)).outcome is Outcome.CONFIRMED
    assert time.monotonic() - begun < 5.0
    assert len(asked) == 1
    first, last = expected(desk, "o1"), expected(desk, "o20")
    assert first is not None
    assert "has not returned within 0.1 s" in first["problem"]
    assert last is not None
    assert "not asked" in last["problem"]
    release.set()
    now[0] += REST_SECONDS + 0.2
    desk.submit(order(21))
    assert len(asked) == 2
    assert expected(desk, "o21") == {"quotes": {"AAPL": [99.98, 100.02]}}


@pytest.mark.parametrize("purpose", ["entry", "exit", "protect"])
@pytest.mark.parametrize("state", ["ACTIVE", "REDUCING", "HALTED"])
def test_only_what_enters_and_exits_while_all_is_well_waits_for_a_quote(
    tmp_path: Path, purpose: OrderPurpose, state: str
) -> None:
    ask = Asked()
    desk = opened(tmp_path, quotes=ask)
    desk.memory.hold("AAPL", 100.0)
    if state == "REDUCING":
        desk.switch.reduce("a test", "ada")
    if state == "HALTED":
        desk.switch.engage("a test", "ada")
    desk.submit(order(quantity=10.0 if purpose == "entry" else -10.0, purpose=purpose))
    assert bool(ask.asked) == (state == "ACTIVE" and purpose != "protect")


def test_a_trailing_stop_is_not_measured_and_so_asks_nothing(tmp_path: Path) -> None:
    ask = Asked()
    desk = opened(tmp_path, quotes=ask)
    desk.submit(order(kind="trailing", trail_percent=5.0, quantity=-1.0))
    assert ask.asked == []


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 0.0, -1.0, "dear"])
def test_a_price_that_is_none_is_left_out_and_the_order_goes_out(tmp_path: Path, price: Any) -> None:
    desk = opened(tmp_path)
    answer = desk.manager.submit_order(order(), expected=price)
    assert isinstance(answer, Submitted)
    assert answer.outcome is Outcome.CONFIRMED
    assert expected(desk) is None


def test_what_a_plan_expects_stands_in_for_the_mid_where_there_is_no_quote(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.manager.submit_order(order(1), expected=99.5)
    desk.manager.submit_order(order(2, -10.0, purpose="exit"), expected=100.5)
    desk.settled()
    entry, leave = samples(desk.log)
    assert entry.slippage_bps == pytest.approx(1e4 * 0.5 / 99.5)
    assert leave.slippage_bps == pytest.approx(1e4 * 0.5 / 100.5)
    assert entry.spread_bps is None
    # with both the quote of the moment counts
    desk.manager.expectations = Expectations(Asked())
    desk.manager.submit_order(order(3), expected=99.5)
    desk.settled()
    assert samples(desk.log)[-1].slippage_bps == pytest.approx(0.0)
    assert expected(desk, "o3") == {"quotes": {"AAPL": [99.98, 100.02]}, "price": 99.5}


def test_an_order_that_was_kept_back_and_is_sent_later_has_the_quote_of_then(tmp_path: Path) -> None:
    ask = Asked()
    desk = opened(tmp_path, quotes=ask)
    desk.switch.engage("a test", "ada")
    assert desk.submit(order()).outcome is Outcome.DENIED
    desk.switch.arm("ada", "again")
    ask.quotes = {"AAPL": (101.0, 101.2)}
    assert desk.submit(order()).outcome is Outcome.CONFIRMED
    assert expected(desk) == {"quotes": {"AAPL": [101.0, 101.2]}}
    # the same order again is not sent, and nobody is asked
    desk.submit(order())
    assert len(ask.asked) == 1


def test_after_a_review_the_quote_is_that_of_the_approval(tmp_path: Path) -> None:
    ask = Asked()
    desk = opened(tmp_path, quotes=ask, mode=ExecutionMode.MANUAL_REVIEW)
    request = desk.manager.submit_order(order(), expected=90.0)
    assert isinstance(request, ReviewRequest)
    assert ask.asked == []
    ask.quotes = {"AAPL": (101.0, 101.2)}
    answer = desk.manager.approve_request(request.request_id, "ada")
    assert answer.submitted is not None
    assert answer.submitted.outcome is Outcome.CONFIRMED
    assert expected(desk) == {"quotes": {"AAPL": [101.0, 101.2]}}


def test_a_kill_while_the_quote_is_asked_for_keeps_the_order_back(tmp_path: Path) -> None:
    def kills(symbols: Sequence[str]) -> dict[str, Any]:
        desk.switch.engage("meanwhile", "ada")
        return dict(QUOTES)

    desk = opened(tmp_path)
    desk.manager.expectations = Expectations(kills)
    assert desk.submit(order()).code == "LIVE_HALTED"
    assert desk.memory.get_orders(open_only=False) == []


@pytest.mark.parametrize(
    ("price", "kind", "paid_bps"), [(94.0, "stop", 1e4 / 95.0), (111.0, "limit", -1e4 / 110.0)]
)
def test_the_children_of_a_bracket_are_measured_against_their_own_prices(
    tmp_path: Path, price: float, kind: str, paid_bps: float
) -> None:
    desk = opened(tmp_path)
    desk.submit(bracket())
    desk.settled()
    desk.move({"AAPL": price})
    desk.settled()
    entry, left = samples(desk.log)
    assert (entry.kind, entry.order) == ("limit", "o1")
    assert (left.kind, left.order) == (kind, "o1")
    assert left.slippage_bps == pytest.approx(paid_bps)


def test_a_stop_that_was_trailed_is_measured_where_it_was_last(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.submit(bracket(1))
    desk.submit(order(2, 10.0, "MSFT"))
    desk.submit(order(3, -10.0, "MSFT", kind="stop", stop_price=190.0, purpose="protect", tif="gtc"))
    desk.settled()
    for one in desk.memory.get_orders():
        if one.kind == "stop":
            level = 99.0 if one.legs[0].symbol == "AAPL" else 198.0
            desk.manager.replace_order("main", one.order_id, stop_price=level)
    desk.settled()
    desk.move({"AAPL": 98.5, "MSFT": 197.5})
    desk.settled()
    found = {(one.symbol, one.kind): one.slippage_bps for one in samples(desk.log)}
    assert found["AAPL", "stop"] == pytest.approx(1e4 * 0.5 / 99.0)
    assert found["MSFT", "stop"] == pytest.approx(1e4 * 0.5 / 198.0)


def test_what_filled_before_a_change_is_measured_against_the_price_of_before(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.submit(order(1, kind="limit", limit_price=99.0))
    (working,) = desk.memory.get_orders()
    desk.memory.part(working.order_id, 5.0, 98.0)
    desk.wait()
    (working,) = desk.memory.get_orders()
    desk.manager.replace_order("main", working.order_id, limit_price=99.5)
    desk.wait()
    (working,) = desk.memory.get_orders()
    desk.memory.prices["AAPL"] = 99.5
    desk.memory.part(working.order_id, 5.0, 99.5)
    desk.settled()
    (one,) = samples(desk.log)
    paid = [execution.price for execution in desk.memory.executions()]
    wanted = (99.0 + 99.5) / 2.0
    assert one.slippage_bps == pytest.approx(1e4 * (sum(paid) / 2.0 - wanted) / wanted)


@pytest.mark.parametrize(("fresh", "level"), [(True, 99.0), (False, 95.0)])
def test_an_order_under_a_new_id_never_had_the_old_price_whatever_the_clocks_say(
    fresh: bool, level: float
) -> None:
    log = IntentLog.in_memory()
    stop = order(1, -10.0, kind="stop", stop_price=95.0, purpose="protect")
    log.begin(Sent(request=stop, broker="main", at=START, submitted=denied(stop, code="", message="")))
    ledger = FillLedger(log, "main", "test")
    ledger.own("B2", "o1", "protect")
    log.note(
        "changed", START, broker="main", broker_order="B2", fresh=fresh, limit_price=None, stop_price=99.0
    )
    # by the broker's clock it filled before the change
    filled = START - timedelta(seconds=1)
    execution = Execution(
        execution_id="X", order_id="B2", time=filled, symbol="AAPL", side=-1, quantity=10.0, price=94.0
    )
    ledger.take([execution], START)
    (one,) = samples(log)
    assert one.slippage_bps == pytest.approx(1e4 * (level - 94.0) / level)


def test_what_a_crash_has_left_of_a_review_does_not_break_the_samples(tmp_path: Path) -> None:
    desk = opened(tmp_path, mode=ExecutionMode.MANUAL_REVIEW)
    request = desk.manager.submit_order(order())
    assert isinstance(request, ReviewRequest)
    # approved, and the process ended before the intent was written
    assert desk.queue.approve(request.request_id, "ada").accepted
    desk.restart()
    assert [event.order for event in desk.log.events("intent")] == ["o1"]
    assert samples(desk.log) == []


def test_a_desk_measures_what_it_sends_without_being_told(tmp_path: Path) -> None:
    broker = QuotingBroker()
    desk = quoting(tmp_path, broker)
    for number in range(1, 4):
        desk.submit(order(number, 1.0))
        desk.wait(1.0)
    desk.settled()
    found = samples(desk.log)
    # filled at the ask, 1 cent above the mid
    assert [one.slippage_bps for one in found] == pytest.approx([1e4 * 0.01 / 99.99] * 3)
    assert [one.spread_bps for one in found] == pytest.approx([1e4 * 0.02 / 99.99] * 3)
