"""Nothing goes out of a shadow: whatever is called, whatever can be reached, however it is opened."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from live.brokers.interface import BrokerInterface, Leg, OrderKind, OrderRequest, Outcome
from live.brokers.manager import BrokerManager
from live.brokers.opening import ADAPTERS
from live.brokers.settings import BrokerSettings
from live.brokers.shadow import ShadowBroker, open_shadow
from live.brokers.shadowing.opening import open_real
from live.brokers.shadowing.real import QUESTIONS, SHOWN, RealAccount, read_only
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from simulator.errors import ConfigError, TwinstepError
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.quoted_broker import QuotedBroker
from tests.live.brokers.shadows import BROKERS, Shadowed, shadowed

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

STOCK: Final = "AAPL"
PUTS: Final = ("SPY261218P00500000", "SPY261218P00490000")
PRICES: Final = {STOCK: 100.0, "SPY": 500.0, PUTS[0]: 4.0, PUTS[1]: 2.5}

READS: Final[Mapping[str, frozenset[str]]] = {
    "alpaca": frozenset({"account", "clock", "data", "executions", "find", "order", "orders", "positions"}),
    "interactive_brokers": frozenset(
        {"account", "account_end", "account_stream", "all_open_orders", "completed", "contract", "data_type",
         "executions", "history", "option_chain", "positions", "quote", "quote_end", "start", "time"}
    ),
    "tastytrade": frozenset(
        {"account", "balances", "chain", "history", "live", "market", "metrics", "order", "positions",
         "quote_token", "token", "transactions"}
    ),
}  # fmt: skip
"""Requests that change nothing, by the names that the servers of the tests have for them."""


def order(number: int, quantity: float = 10.0, *legs: Leg, **fields: Any) -> OrderRequest:
    return OrderRequest(client_order_id=f"w{number}", legs=legs or (Leg(STOCK, quantity),), **fields)


def every_order() -> Iterator[OrderRequest]:
    """Orders of every kind and class."""
    prices: dict[str, dict[str, Any]] = {
        "market": {},
        "limit": {"limit_price": 99.0},
        "stop": {"stop_price": 101.0},
        "stop_limit": {"stop_price": 101.0, "limit_price": 102.0},
        "trailing": {"trail_percent": 5.0},
    }
    assert set(prices) == set(get_args(OrderKind))
    number = 0
    for kind, fields in prices.items():
        for purpose in ("entry", "exit", "protect"):
            number += 1
            yield order(number, kind=kind, purpose=purpose, **fields)
    yield order(90, order_class="bracket", stop_loss=95.0, take_profit=110.0)
    target: dict[str, Any] = {"kind": "limit", "limit_price": 110.0, "purpose": "protect"}
    yield order(91, -5.0, stop_loss=95.0, order_class="oco", **target)
    yield order(92, 0, Leg(PUTS[0], -1.0), Leg(PUTS[1], 1.0), order_class="multi_leg")


@pytest.mark.parametrize("name", BROKERS)
def test_whatever_is_called_not_one_writing_request_reaches_the_server(name: str) -> None:
    with shadowed(name) as one:
        one.move(PRICES)
        shadow = one.shadow()
        sent = [shadow.submit_order(request) for request in every_order()]
        assert sum(answer.outcome is Outcome.CONFIRMED for answer in sent) > 12
        one.move({STOCK: 98.0})
        for answer in sent:
            if answer.order is not None:
                for call in (
                    lambda found=answer.order: shadow.replace_order(found.order_id, quantity=5),
                    lambda found=answer.order: shadow.cancel_order(found.order_id),
                ):
                    _tried(call)
        # and everything that the shadow or the adapter has a name for
        given: dict[str, tuple[Any, ...]] = {
            "quotes": ([STOCK],), "metrics": ([STOCK],), "chain": ("SPY",), "iv_rank": ("SPY",),
            "submit_order": (order(99),), "preview": (order(98),), "replace_order": ("1",),
            "cancel_order": ("1",), "find_order": ("w1",), "order": ("1",), "replace_trail": ("1", 1.0),
            "on_update": (print,), "at_end": (lambda: None,), "take_bars": ([],),
        }  # fmt: skip
        names = {word for word in (*dir(shadow), *dir(one.real)) if not word.startswith("_")}
        for word in sorted(names - {"close"}):
            found = _tried(lambda word=word: getattr(shadow, word))
            if callable(found):
                _tried(lambda found=found, word=word: found(*given.get(word, ())))
        asked = set(one.asked())
        assert asked <= READS[name], asked - READS[name]
        assert one.orders() == 0
        assert list(one.real.get_positions()) == []
        assert len(shadow.get_orders(open_only=False)) >= 15


@pytest.mark.parametrize("name", BROKERS)
def test_a_shadow_is_not_asked_what_only_an_order_to_be_tried_would_tell(name: str) -> None:
    with shadowed(name) as one:
        shadow = one.shadow()
        for word in ("standing", "preview", "on_update", "activities", "watch"):
            assert not hasattr(shadow, word)
        assert callable(shadow.quotes)


def test_no_attribute_leads_from_a_shadow_to_the_broker() -> None:
    real = QuotedBroker()
    shadow = ShadowBroker(real)
    assert not _reaches(shadow, real)
    assert not _reaches(RealAccount(real), real)
    # the search finds what is there to be found
    shadow.at_end(real.get_account)
    shadow.__dict__["left"] = {"by mistake": [real]}
    assert _reaches(shadow, real)


@pytest.mark.parametrize("name", BROKERS)
def test_an_adapter_that_only_reads_refuses_all_that_is_no_question(name: str) -> None:
    made = ADAPTERS[name]
    adapter: type[BrokerInterface] = getattr(import_module(made.module), made.cls)
    with shadowed(name) as one:
        reader = one.real
        reader.__class__ = read_only(adapter)
        answer = reader.submit_order(order(1))
        assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_READ_ONLY")
        allowed = QUESTIONS | SHOWN | {
            "account", "activities", "broker", "close", "executions", "find_order", "get_account",
            "get_orders", "get_positions", "holdings", "is_paper", "order", "submit_order",
        }  # fmt: skip
        refused = []
        for word, member in inspect.getmembers(adapter):
            if not word.startswith("_") and word not in allowed and callable(member):
                with pytest.raises(ConfigError) as caught:
                    getattr(reader, word)()
                assert caught.value.code == "LIVE_READ_ONLY"
                refused.append(word)
        assert {"replace_order", "cancel_order", "on_update", "standing"} <= set(refused)
        assert reader.get_account().equity > 0
        assert reader.quotes([STOCK])[STOCK].bid > 0
        assert set(one.asked()) <= READS[name]


def test_the_login_of_real_money_is_read_without_key_token_or_switch_and_cannot_send(tmp_path: Path) -> None:
    tws = TwsServer("U7654321").start()
    try:
        tws.move(PRICES)
        settings = BrokerSettings(name="interactive_brokers", port=tws.port, client_id=18, timeout=5.0)
        shadow = open_shadow(
            settings, live=True, environment={}, late_quotes=True, clock=lambda: tws.market.now
        )
        with shadow:
            assert (shadow.broker, shadow.account) == ("shadow:interactive_brokers", "shadow:U7654321")
            assert shadow.is_paper
            assert shadow.status().real_money
            # a desk of paper takes it, though nobody has turned a key
            manager = BrokerManager(
                {"broker": shadow}, KillSwitch(tmp_path / "switch"), intents=IntentLog.in_memory()
            )
            answer = manager.submit_order(order(1))
            assert answer.outcome is Outcome.CONFIRMED
            assert [held.quantity for held in shadow.get_positions()] == [10.0]
        assert set(tws.received) <= READS["interactive_brokers"]
        assert tws.do(lambda: list(tws.market.orders)) == []
    finally:
        tws.stop()


def test_what_is_opened_for_a_shadow_is_an_adapter_that_cannot_send() -> None:
    tws = TwsServer("U7654321").start()
    try:
        tws.move(PRICES)
        settings = BrokerSettings(name="interactive_brokers", port=tws.port, client_id=18, timeout=5.0)
        real = open_real(settings, live=True, config=None, credentials=None, environment={})
        assert real.submit_order(order(1)).code == "LIVE_READ_ONLY"
        with pytest.raises(ConfigError):
            real.cancel_order("1")
        assert real.get_account().equity > 0.0
        real.close()
        assert set(tws.received) <= READS["interactive_brokers"]
    finally:
        tws.stop()


def test_real_money_is_read_only_where_this_start_says_so() -> None:
    tws = TwsServer("U7654321").start()
    try:
        tws.move(PRICES)
        settings = BrokerSettings(name="interactive_brokers", port=tws.port, client_id=18, timeout=5.0)
        # without live=True a paper account is wanted, and the gateway has none
        with pytest.raises(TwinstepError):
            open_shadow(settings, environment={})
        assert "place" not in tws.received
    finally:
        tws.stop()


def test_keys_of_real_money_go_to_the_brokers_own_address_only() -> None:
    settings = BrokerSettings(name="alpaca", url="http://127.0.0.1:1")
    with pytest.raises(ConfigError) as caught:
        open_shadow(settings, live=True, environment={})
    assert caught.value.code == "LIVE_BROKER_URL"


def test_credentials_of_paper_do_not_open_real_money_nor_the_other_way_round() -> None:
    paper = {"TWINSTEP_ALPACA_KEY": "PK1", "TWINSTEP_ALPACA_SECRET": "s"}
    real = {"TWINSTEP_ALPACA_LIVE_KEY": "AK1", "TWINSTEP_ALPACA_LIVE_SECRET": "s"}
    for live, environment in ((True, paper), (False, real)):
        with pytest.raises(ConfigError) as caught:
            open_shadow(BrokerSettings(name="alpaca"), live=live, environment=environment)
        assert caught.value.code == "LIVE_CREDENTIALS"


def test_an_account_of_this_program_has_nothing_to_shadow() -> None:
    for live in (False, True):
        with pytest.raises(ConfigError) as caught:
            open_shadow(BrokerSettings(), live=live)
        assert caught.value.code == "LIVE_SHADOW"


def test_closing_a_shadow_of_ones_own_broker_leaves_that_open() -> None:
    with shadowed("interactive_brokers") as one:
        one.shadow().close()
        assert one.real.get_account().equity > 0


def _tried(call: Any) -> Any:
    """Return what a call returns, None where it raises: here it counts what reached the server."""
    try:
        return call()
    except Exception:  # of every kind, on purpose
        return None


def _reaches(start: object, wanted: object) -> bool:
    """Whether attributes, slots and containers lead from one object to another."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if one is wanted:
            return True
        if id(one) in seen or isinstance(one, (str, bytes, int, float, type)) or inspect.ismodule(one):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting += list(one)
        waiting += list(getattr(one, "__dict__", {}).values())
        for kind in type(one).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(one, slot):
                    waiting.append(getattr(one, slot))
        owner = getattr(one, "__self__", None)
        if owner is not None:
            waiting.append(owner)
    return False


def test_shadowed_servers_know_their_own_writes() -> None:
    """The lists above would not notice a server that names nothing."""
    one = Shadowed("interactive_brokers")
    try:
        one.move(PRICES)
        one.real.submit_order(order(1))
        assert one.writes() == ["place"]
        assert one.orders() == 1
        assert not set(one.asked()) <= READS["interactive_brokers"]
    finally:
        one.close()
