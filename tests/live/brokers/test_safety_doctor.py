"""`doctor --broker` at each broker: nothing in the way, and each check failing in turn with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from live.brokers import secrets
from live.brokers.examining import Check, examine_broker
from live.brokers.interface import BrokerInterface
from live.brokers.settings import BrokerSettings
from tests.fakes.alpaca.script import Refuse
from tests.fakes.tastytrade.server import Answer
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.alpaca_desk import at_alpaca
from tests.live.brokers.alpaca_desk import broker_at as alpaca_broker
from tests.live.brokers.ib_desk import PRICES, PUTS, broker_at
from tests.live.brokers.tastytrade_rig import at_tastytrade
from tests.live.brokers.tastytrade_rig import broker_at as tastytrade_broker

NAMES = {
    "alpaca": ("KEY", "SECRET"),
    "tastytrade": ("SECRET", "REFRESH"),
    "interactive_brokers": ("FLEX_TOKEN", "FLEX_QUERY"),
}
CHECKS = (
    "library", "credentials", "connection", "positions", "orders", "executions", "permissions", "clock",
    "data", "options",
)  # fmt: skip
NO_PERMISSION = (201, "Order rejected - reason: No trading permissions for this product")


@dataclass
class Patient:
    """A broker's fake, and the adapter at it that doctor opens."""

    name: str
    server: Any
    broker: BrokerInterface
    again: Callable[..., BrokerInterface]
    now: Callable[[], datetime]
    environment: dict[str, str] = field(default_factory=dict)

    def examined(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Check]:
        monkeypatch.setattr("live.brokers.examining.open_broker", lambda *_, **__: self.broker)
        found = examine_broker(BrokerSettings(name=self.name), environment=self.environment, now=self.now)
        return {check.name: check for check in found}


@contextmanager
def _alpaca() -> Iterator[Patient]:
    with at_alpaca() as (server, broker):
        server.data.quote("SPY", 499.9, 500.1, at=server.now)
        yield Patient(
            "alpaca", server, broker, lambda **more: alpaca_broker(server, **more), lambda: server.now
        )


@contextmanager
def _interactive_brokers() -> Iterator[Patient]:
    with TwsServer() as tws:
        tws.move(PRICES)
        broker = broker_at(tws)
        yield Patient(
            "interactive_brokers", tws, broker, lambda **more: broker_at(tws, **more), lambda: tws.market.now
        )
        broker.close()


@contextmanager
def _tastytrade() -> Iterator[Patient]:
    with at_tastytrade(paper=False) as (server, broker):
        server.move({"SPY": 500.0})
        server.skew = 0.0
        yield Patient(
            "tastytrade", server, broker, lambda **more: tastytrade_broker(server, **more),
            lambda: server.books.now,
        )  # fmt: skip


PATIENTS = {
    "alpaca": _alpaca, "interactive_brokers": _interactive_brokers, "tastytrade": _tastytrade,
}  # fmt: skip


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("keyring.get_password", lambda service, name: None)
    yield
    secrets.forget()


@contextmanager
def patient(name: str) -> Iterator[Patient]:
    with ExitStack() as stack:
        one = stack.enter_context(PATIENTS[name]())
        one.environment = {f"TWINSTEP_{name.upper()}_{key}": f"canary-{key}" for key in NAMES[name]}
        yield one
        one.broker.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PATIENTS)
def test_nothing_is_in_the_way_and_nothing_is_ordered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with patient(name) as one:
        found = one.examined(monkeypatch)
        assert tuple(found) == CHECKS
        assert {check.name: check.detail for check in found.values() if check.state != "ok"} == {}
        after = one.again()
        assert not after.get_orders(open_only=False)
        assert not after.executions()
        after.close()  # type: ignore[attr-defined]


def alpaca(**fields: Any) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    """Let the account of Alpaca say something else."""

    def change(one: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = one.broker._account  # type: ignore[attr-defined]
        monkeypatch.setattr(one.broker, "_account", lambda: {**whole(), **fields})

    return change


def script(kind: str, status: int, message: str) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    def change(one: Patient, _: pytest.MonkeyPatch) -> None:
        one.server.script.every(kind, Refuse(status, {"message": message}))

    return change


def alpaca_feed(feed: str) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    return lambda one, _: one.server.data.refused.add(feed)


def tws(message: str, fault: Any) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    return lambda one, _: one.server.every(message, fault)


def tws_at(message: str, n: int, fault: Any) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    return lambda one, _: one.server.at(message, n, fault)


def refused(one: Patient, _: pytest.MonkeyPatch) -> None:
    one.server.refuse = True


def refuses(**what: tuple[int, str]) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    """Let the gateway refuse orders, by what they are: buy_stk, sell_opt."""

    def change(one: Patient, _: pytest.MonkeyPatch) -> None:
        one.server.refuses.update({name.upper().replace("_", " "): error for name, error in what.items()})

    return change


def skewed(seconds: float) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    def change(one: Patient, _: pytest.MonkeyPatch) -> None:
        before = one.now
        one.now = lambda: before() - timedelta(seconds=seconds)

    return change


def tasty(kind: str, fault: Any) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    return lambda one, _: one.server.every(kind, fault)


def status(**fields: Any) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    plain = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda one, _: one.server.status.update(plain)


def without_library(one: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.brokers.examining.LIBRARIES", {one.name: ("no-such-library", "extra-of-it")})


def without_keys(one: Patient, _: pytest.MonkeyPatch) -> None:
    one.environment = {}


def again(**options: Any) -> Callable[[Patient, pytest.MonkeyPatch], None]:
    """Open the adapter otherwise."""

    def change(one: Patient, _: pytest.MonkeyPatch) -> None:
        one.broker.close()  # type: ignore[attr-defined]
        one.broker = one.again(**options)

    return change


def delayed(one: Patient, _: pytest.MonkeyPatch) -> None:
    one.server.delayed = True


def late_token(one: Patient, _: pytest.MonkeyPatch) -> None:
    one.server.dxlink.level = "demo"


def no_options(one: Patient, _: pytest.MonkeyPatch) -> None:
    for put in PUTS:
        del one.server.market._instruments[put]


READ_ONLY = (321, "Error validating request: The API interface is currently in Read-Only mode.")
FAILURES: list[tuple[str, str, Any, str, str]] = [
    # broker, check, what goes wrong, state, words that say what to do
    ("alpaca", "library", without_library, "problem", "pip install 'twinstep[extra-of-it]'"),
    ("alpaca", "credentials", without_keys, "problem", "TWINSTEP_ALPACA_KEY"),
    ("alpaca", "connection", script("account", 401, "unauthorized."), "problem", "make a new pair of keys"),
    ("alpaca", "connection", script("account", 503, "down"), "problem", "status.alpaca.markets"),
    ("alpaca", "connection", again(account="PA1"), "problem", "account PA1 is wanted"),
    ("alpaca", "positions", script("positions", 500, "sorry"), "problem", "cannot be read"),
    ("alpaca", "orders", script("orders", 500, "sorry"), "problem", "cannot be read"),
    ("alpaca", "executions", script("executions", 500, "sorry"), "problem", "cannot be read"),
    ("alpaca", "permissions", alpaca(trading_blocked=True), "problem", "look at the notices on the dash"),
    ("alpaca", "permissions", alpaca(status="ACCOUNT_UPDATED"), "problem", "status ACCOUNT_UPDATED"),
    ("alpaca", "permissions", alpaca(trade_suspended_by_user=True), "problem", "suspended in the settings"),
    ("alpaca", "permissions", alpaca(shorting_enabled=False), "note", "not sell short"),
    ("alpaca", "clock", skewed(40.0), "problem", "set it by NTP"),
    ("alpaca", "clock", skewed(-5.0), "note", "ahead of the broker"),
    ("alpaca", "data", alpaca_feed("sip"), "note", "all exchanges need Algo Trader Plus"),
    ("alpaca", "data", alpaca_feed("opra"), "note", "prices of options are late or modified"),
    ("alpaca", "data", script("data", 404, "not found"), "problem", "no quote of SPY"),
    ("alpaca", "options", alpaca(options_trading_level=2), "note", "spreads need level 3"),
    ("alpaca", "options", alpaca(options_trading_level=0), "note", "no options"),
    ("interactive_brokers", "library", without_library, "problem", "pip install 'twinstep[extra-of-it]'"),
    ("interactive_brokers", "credentials", without_keys, "note", "no statements"),
    ("interactive_brokers", "connection", refused, "problem", "start TWS or IB Gateway"),
    ("interactive_brokers", "connection", again(paper=False), "problem", "real money (U..., F...)"),
    ("interactive_brokers", "connection", again(account="DU1"), "problem", "give account="),
    ("interactive_brokers", "positions", tws_at("positions", 2, "cut"), "problem", "cannot be read"),
    ("interactive_brokers", "orders", tws("all_open_orders", "cut"), "problem", "cannot be read"),
    ("interactive_brokers", "executions", tws("executions", (1, "sorry")), "problem", "cannot be read"),
    ("interactive_brokers", "permissions", refuses(buy_stk=NO_PERMISSION), "problem", "Trading Permissions"),
    ("interactive_brokers", "permissions", refuses(buy_stk=READ_ONLY), "problem", "switch off Read-Only API"),
    ("interactive_brokers", "permissions", refuses(buy_stk=(201, "Insufficient funds")), "note",
     "whether the account (Individual) may trade is not known: Insufficient funds (201)"),
    ("interactive_brokers", "permissions", refuses(sell_stk=NO_PERMISSION), "note", "not sell short"),
    ("interactive_brokers", "clock", skewed(40.0), "problem", "set it by NTP"),
    ("interactive_brokers", "clock", tws("time", "cut"), "note", "cannot be asked"),
    ("interactive_brokers", "data", delayed, "note", "delayed market data. (10167)): subscribe to"),
    ("interactive_brokers", "data", tws("quote", (354, "market data is not subscribed.")), "problem",
     "not subscribed. (354)). To have them, subscribe to US equity quotes"),
    ("interactive_brokers", "data", tws("quote", (10089, "requires additional subscription for API")),
     "problem", "sign the API agreement"),
    ("interactive_brokers", "data", tws("quote", (10197, "No market data during competing live session")),
     "problem", "only one login has them at a time"),
    ("interactive_brokers", "options", refuses(buy_bag=NO_PERMISSION), "note", "level 2: long options, no"),
    ("interactive_brokers", "options", refuses(buy_bag=NO_PERMISSION, buy_opt=NO_PERMISSION), "note",
     "level 1: covered calls"),
    ("interactive_brokers", "options",
     refuses(buy_bag=NO_PERMISSION, buy_opt=NO_PERMISSION, sell_opt=NO_PERMISSION), "note",
     "ask for a higher level under Settings > Trading Permissions > Options"),
    ("interactive_brokers", "options", refuses(buy_bag=(201, "Insufficient funds")), "note",
     "not known (Insufficient funds (201))"),
    ("interactive_brokers", "options", no_options, "note", "no options of SPY are listed here"),
    ("tastytrade", "library", without_library, "problem", "pip install 'twinstep[extra-of-it]'"),
    ("tastytrade", "credentials", without_keys, "problem", "TWINSTEP_TASTYTRADE_SECRET"),
    ("tastytrade", "connection", tasty("token", Answer(400, "invalid_grant")), "problem", "make a new grant"),
    ("tastytrade", "connection", tasty("account", "before"), "problem", "status page of tastytrade"),
    ("tastytrade", "positions", tasty("positions", "cut"), "problem", "cannot be read"),
    ("tastytrade", "orders", tasty("live", "cut"), "problem", "cannot be read"),
    ("tastytrade", "executions", tasty("transactions", "cut"), "problem", "cannot be read"),
    ("tastytrade", "permissions", status(is_closing_only=True), "problem", "look at the notices under"),
    ("tastytrade", "permissions", status(is_frozen=True), "problem", "the account is frozen"),
    ("tastytrade", "permissions", status(is_in_margin_call=True), "note", "there is a margin call"),
    ("tastytrade", "permissions", tasty("dry_run", Answer(403, "no", "insufficient scopes")), "problem",
     "a new grant with the scope trade"),
    ("tastytrade", "permissions", tasty("status", "cut"), "problem", "look at the notices under Manage"),
    ("tastytrade", "clock", skewed(40.0), "problem", "set it by NTP"),
    ("tastytrade", "data", late_token, "note", "level 'demo'): finish the application"),
    ("tastytrade", "data", tasty("quote_token", Answer(404, "quote_streamer.customer_not_found_error")),
     "problem", "sign the agreements for market data"),
    ("tastytrade", "data", tasty("market", Answer(400, "bad")), "problem", "no quote of SPY"),
    ("tastytrade", "data", again(paper=True), "note", "the sandbox is 15 minutes late"),
    ("tastytrade", "options", status(options_level="Covered And Cash Secured"), "note",
     "spreads need more than the basic level"),
    ("tastytrade", "options", status(options_level="Something New"), "note", "not known (Something New)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "check", "breaks", "state", "words"),
    FAILURES,
    ids=[f"{name}-{check}-{number}" for number, (name, check, *_) in enumerate(FAILURES)],
)
def test_each_check_fails_in_its_turn_and_says_what_to_do(
    name: str,
    check: str,
    breaks: Callable[[Patient, pytest.MonkeyPatch], None],
    state: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with patient(name) as one:
        breaks(one, monkeypatch)
        found = one.examined(monkeypatch)
        assert found[check].state == state, found[check]
        assert words in found[check].detail, found[check].detail
        assert "canary" not in " ".join(one.detail for one in found.values())
        # what was asked before it was as it should be
        before = CHECKS[: CHECKS.index(check)]
        assert {found[earlier].state for earlier in before} <= {"ok"}, found


def test_every_check_of_every_broker_is_seen_to_fail() -> None:
    assert {(name, check) for name, check, *_ in FAILURES} == {
        (name, one) for name in PATIENTS for one in CHECKS
    }
