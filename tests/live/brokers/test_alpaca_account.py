"""What Alpaca tells of an account, its stream, its prices, and what it must never tell."""

from __future__ import annotations

import logging
import pickle
import time
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from live.brokers import BrokerUpdate
from live.brokers.alpaca import AlpacaBroker, NoAnswer, Refused
from live.brokers.alpaca.line import trusted_address
from live.brokers.alpaca.readings import (
    activity_of,
    assigned_of,
    execution_of,
    holding_of,
    moment,
    number,
    rows_of,
)
from live.brokers.interface import Leg, OrderRequest
from live.brokers.rate_limit import RateLimit
from simulator.errors import ConfigError, TwinstepError
from tests.fakes.alpaca.script import Refuse
from tests.fakes.alpaca.server import KEY, SECRET, AlpacaServer
from tests.live.brokers.alpaca_desk import CREDENTIALS, at_alpaca, broker_at, until
from tests.live.desks import PRICES, bracket, order

PUT = "SPY261218P00500000"
SAME_ID = "20190801011955195::5f596936-6f23-4cef-bdf1-3806aae57dbf"


# Positions


@pytest.mark.parametrize(("qty", "side"), [("-1", "short"), ("1", "short"), ("-1", "long")])
def test_a_short_is_negative_whichever_way_it_is_written(qty: str, side: str) -> None:
    raw = {"symbol": PUT, "qty": qty, "side": side, "avg_entry_price": "3.20", "current_price": None}
    held = holding_of(raw)
    assert (held.quantity, held.average_price, held.multiplier, held.mark) == (-1.0, 3.2, 100.0, None)


def test_occ_symbols_are_without_padding_also_where_a_row_has_some() -> None:
    padded = "SPY   261218P00500000"
    assert holding_of({"symbol": padded, "qty": "2", "side": "long"}).symbol == PUT
    with at_alpaca() as (server, broker):
        server.move({**PRICES, PUT: 4.0})
        broker.submit_order(OrderRequest(client_order_id="p", legs=(Leg(PUT, -1.0),)))
        (held,) = broker.get_positions()
        assert (held.symbol, held.quantity, held.average_price) == (PUT, -1.0, 4.0)


@pytest.mark.parametrize("fault", ["empty", "html", "half", "cut", "504"])
@pytest.mark.parametrize("call", ["positions", "orders", "executions"])
def test_an_answer_that_is_none_is_not_an_empty_account(call: str, fault: Any) -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1))
        server.script.every(call, fault)
        asks: dict[str, Any] = {
            "positions": broker.get_positions, "orders": broker.get_orders, "executions": broker.executions,
        }  # fmt: skip
        with pytest.raises(NoAnswer):
            asks[call]()


@pytest.mark.parametrize("answer", [None, {}, {"message": "x"}, [1], "[]"])
def test_only_a_list_is_a_list(answer: Any) -> None:
    with pytest.raises(NoAnswer):
        rows_of(answer, "positions")


@pytest.mark.parametrize("text", ["nan", "inf", "ten", [], "1e999"])
def test_what_is_no_finite_number_is_no_answer(text: Any) -> None:
    with pytest.raises(NoAnswer):
        number(text)


def test_times_have_nine_places_and_a_zone() -> None:
    assert moment("2026-03-02T15:00:00.123456789Z") == datetime(2026, 3, 2, 15, 0, 0, 123456, UTC)
    for text in ("2026-03-02T15:00:00", "yesterday", None):
        with pytest.raises(NoAnswer):
            moment(text)


def test_the_account_and_what_it_may_do() -> None:
    with at_alpaca() as (server, broker):
        assert broker.get_account().cash == 100_000.0
        assert broker.account.startswith("TW")
        standing = broker.standing()
        assert (standing.may_trade, standing.may_short, standing.option_level) == (True, True, 3)
        assert abs(broker.server_time() - server.now) < timedelta(seconds=1)
        other = broker_at(server, account="PA123")
        assert other.account == "PA123"
        with pytest.raises(ConfigError) as caught:
            other.get_account()
        assert caught.value.code == "LIVE_BROKER_CONFIG"


# Activities


def test_an_assignment_as_the_broker_books_it_is_told_in_both_symbols() -> None:
    # both rows of one assignment have been documented with the same id
    rows: list[dict[str, Any]] = [
        {"id": SAME_ID, "activity_type": "OPASN", "date": "2023-07-21", "net_amount": "0", "qty": "2",
         "symbol": "AAPL230721C00150000", "status": "executed"},
        {"id": SAME_ID, "activity_type": "OPTRD", "date": "2023-07-21", "net_amount": "30000", "qty": "-200",
         "symbol": "AAPL", "price": "90", "status": "executed"},
    ]  # fmt: skip
    option, shares = (execution_of(raw, "", assigned_of(rows)) for raw in rows)
    assert option is not None
    assert shares is not None
    assert (option.kind, option.side, option.quantity, option.price) == ("assignment", 1, 2.0, 0.0)
    # the strike is what was paid, not what stands under "price"
    assert (shares.kind, shares.side, shares.quantity, shares.price) == ("assignment", -1, 200.0, 150.0)
    assert option.execution_id != shares.execution_id
    assert option.time == datetime(
        2023, 7, 21, 20, tzinfo=UTC
    )  # the close in New York: its id has another day


def test_expiries_exercises_dividends_and_fees() -> None:
    def row(kind: str, **more: Any) -> dict[str, Any]:
        base = {"id": "20230722013000195::x", "date": "2023-07-21", "symbol": "AAPL"}
        return {**base, "activity_type": kind, **more}

    expired = execution_of(row("OPEXP", symbol=PUT, qty="-3"), "", {})
    assert expired is not None
    assert (expired.kind, expired.side, expired.quantity, expired.price) == ("expiry", -1, 3.0, 0.0)
    assert expired.time == datetime(2023, 7, 22, 1, 30, tzinfo=UTC)
    taken = execution_of(row("OPTRD", qty="100", net_amount="-15000"), "", {})
    assert taken is not None
    assert (taken.kind, taken.price) == ("exercise", 150.0)
    dividend = activity_of(row("DIVNRA", qty="10", per_share_amount="0.24", net_amount="2.4"))
    assert dividend is not None
    assert (dividend.kind, dividend.quantity, dividend.price, dividend.amount) == ("dividend", 0.0, 0.24, 2.4)
    fee = activity_of(row("FEE", net_amount="-0.01"))
    assert fee is not None
    assert (fee.kind, fee.amount) == ("fee", -0.01)
    assert activity_of(row("NEW")) is not None
    assert execution_of(row("DIV", qty="10"), "", {}) is None


def test_activities_of_an_account() -> None:
    with at_alpaca(cash=1e6) as (server, broker):
        server.move({**PRICES, PUT: 4.0})
        broker.submit_order(OrderRequest(client_order_id="p", legs=(Leg(PUT, -2.0),)))
        broker.submit_order(order(1))
        server.venue.action(server.now, "dividend", "AAPL", 0.5)
        server.assign(PUT, 2.0)
        server.venue.action(server.now, "split", "AAPL", 2.0)
        found = {one.kind: one for one in broker.activities()}
        assert set(found) == {"dividend", "assignment", "split"}
        assert (found["dividend"].amount, found["split"].quantity) == (5.0, 10.0)
        kinds = [(one.symbol, one.kind, one.side * one.quantity) for one in broker.executions()]
        assert sorted(kinds) == [
            ("AAPL", "trade", 10.0), ("SPY", "assignment", 200.0), (PUT, "assignment", 2.0),
            (PUT, "trade", -2.0),
        ]  # fmt: skip
        later = server.now + timedelta(minutes=5)
        assert broker.executions(later) == []
        assert broker.activities(later) == []


# The stream


def test_the_stream_tells_and_a_missed_cancel_of_the_stop_leg_is_found_by_asking() -> None:
    with at_alpaca(every=60.0) as (server, broker):
        server.move(PRICES)
        told: list[BrokerUpdate] = []
        broker.on_update(told.append)
        until(lambda: server.exchange.hub.listening)
        broker.submit_order(bracket(1))
        until(lambda: [one for one in told if one.kind == "fill"])
        until(lambda: broker.watch._orders is not None and len(broker.watch._orders) == 2)
        server.move({"AAPL": 111.0})

        def found() -> list[BrokerUpdate]:
            return [one for one in told if one.client_order_id == "o1-stop" and "cancelled" in one.text]

        until(found)
        assert all("found by asking" in one.text for one in found())  # the stream never said it


def test_a_mute_stream_changes_nothing_about_what_is_known() -> None:
    with at_alpaca(every=0.05) as (server, broker):
        server.move(PRICES)
        server.script.mute = True
        told: list[BrokerUpdate] = []
        broker.on_update(told.append)
        until(lambda: broker.watch._orders is not None)
        broker.submit_order(order(1))
        until(lambda: [one for one in told if (one.kind, one.symbol) == ("position", "AAPL")])
        assert broker.watch.heard == 0


def test_a_stream_that_breaks_comes_back_and_what_happened_meanwhile_is_asked_for() -> None:
    with at_alpaca(every=60.0) as (server, broker):
        server.move(PRICES)
        told: list[BrokerUpdate] = []
        broker.on_update(told.append)
        until(lambda: server.exchange.hub.listening)
        until(lambda: broker.watch._held is not None)
        server.script.every("stream", "cut")
        server.script.drop_streams()
        until(lambda: "lost" in [one.kind for one in told])
        server.trade("MSFT", 5.0, 200.0)
        server.script.clear()
        until(lambda: [one.kind for one in told].count("connected") == 2)
        until(lambda: [one for one in told if (one.kind, one.symbol) == ("position", "MSFT")])


def test_a_look_without_an_answer_concludes_nothing_and_a_listener_that_raises_harms_nobody() -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        told: list[BrokerUpdate] = []
        broker.watch._listeners += [_raises, told.append]
        broker.submit_order(order(1, kind="limit", limit_price=90.0))
        assert broker.watch.look() == 0
        server.script.every("positions", "empty")
        server.script.every("orders", "empty")
        with pytest.raises(NoAnswer):
            broker.watch.look()
        assert told == []
        server.script.clear()
        server.move({"AAPL": 89.0})
        with pytest.warns(UserWarning, match="a listener failed"):
            assert broker.watch.look() == 2
        assert [one.kind for one in told] == ["order", "position"]


def test_closing_ends_the_threads_soon() -> None:
    with AlpacaServer() as server:
        broker = broker_at(server)
        broker.on_update(lambda _: None)
        until(lambda: server.exchange.hub.listening)
        begun = time.monotonic()
        broker.close()
        assert time.monotonic() - begun < 6.0
        assert not broker.watch._threads


def test_a_position_of_zero_is_none_and_one_without_a_quantity_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with at_alpaca() as (server, broker):
        server.move(PRICES)
        broker.submit_order(order(1))
        real = broker._line.trading.get_all_positions

        def told(quantity: Any) -> None:
            row = {"symbol": "MSFT", "qty": quantity, "side": "long"}
            monkeypatch.setattr(broker._line.trading, "get_all_positions", lambda: [row, *real()])

        for nothing in ("0", "-0", "0.000000000"):
            told(nothing)
            assert [one.symbol for one in broker.get_positions()] == ["AAPL"]
        for unknown in (None, "", "many"):
            told(unknown)
            with pytest.raises(NoAnswer):
                broker.get_positions()


# Prices


def test_quotes_of_shares_and_options_with_greeks() -> None:
    with at_alpaca() as (server, broker):
        server.data.quote("AAPL", 99.9, 100.1, last=100.0)
        server.data.quote(PUT, 3.9, 4.1, iv=0.22, delta=-0.4, gamma=0.01, theta=-0.05, vega=0.9)
        found = broker.quotes([PUT, "AAPL"])
        assert list(found) == [PUT, "AAPL"]
        assert (found["AAPL"].bid, found["AAPL"].ask, found["AAPL"].is_usable) == (99.9, 100.1, True)
        assert (found[PUT].iv, found[PUT].delta, found[PUT].vega) == (0.22, -0.4, 0.9)
        assert not found[PUT].is_usable  # indicative
        assert broker_at(server, option_feed="opra").quotes([PUT])[PUT].is_usable
        with pytest.raises(TwinstepError) as caught:
            broker.quotes(["MSFT"])
        assert caught.value.code == "NAME_CONTRACT"


def test_a_side_of_nobody_is_unknown_and_not_zero() -> None:
    with at_alpaca() as (server, broker):
        server.data.quote("AAPL", 0.0, 100.1)
        quote = broker.quotes(["AAPL"])["AAPL"]
        assert quote.bid != quote.bid
        assert not quote.is_usable


def test_a_chain_is_read_over_its_pages_and_has_greeks() -> None:
    at = datetime(2026, 11, 2, 15, tzinfo=UTC)
    with at_alpaca() as (server, broker):
        server.data.page = 2
        server.data.quote("SPY", 499.9, 500.1, last=500.0, at=at)
        for day in ("261120", "261218", "270115"):
            for kind in "CP":
                for strike in (300, 490, 510):
                    server.data.quote(
                        f"SPY{day}{kind}{strike * 1000:08d}", 3.9, 4.1, at=at, iv=0.2, delta=0.4
                    )
        chain = broker.chain("SPY", days=(5, 60), width=0.1)
        assert sorted(set(chain.strike.tolist())) == [490.0, 510.0]
        assert (len(chain.ts), set(chain.iv.tolist()), set(chain.delta.tolist())) == (8, {0.2}, {0.4})
        assert chain.origin == "real"
        with pytest.raises(TwinstepError) as caught:
            broker.chain("SPY", days=(400, 500))
        assert caught.value.code == "LIVE_CHAIN"


# Keys, budget, addresses


def test_the_secret_is_in_no_log_error_or_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with at_alpaca(timeout=1.0) as (server, broker):
        server.move(PRICES)
        broker.on_update(lambda _: None)
        until(lambda: server.exchange.hub.listening)
        texts = [repr(broker), repr(broker._line), repr(vars(broker._watch).keys())]
        for fault in (
            "cut",
            "hang",
            "504",
            "html",
            Refuse(401, {"message": "no"}),
            Refuse(422, {"message": "x"}),
        ):
            server.script.every("positions", fault)
            with pytest.raises(TwinstepError) as caught:
                broker.get_positions()
            texts += [repr(caught.value), *traceback.format_exception(caught.value)]
            assert SECRET.encode() not in pickle.dumps(caught.value)
            assert caught.value.__cause__ is None
    assert len(texts) > 20
    assert SECRET not in "".join(texts)
    assert KEY not in "".join(texts)
    assert SECRET[-8:] not in caplog.text  # the middle of a long message is left out of a log


def test_errors_survive_pickling() -> None:
    refused: Refused = pickle.loads(pickle.dumps(Refused("no", status=422, number=7)))  # noqa: S301 - ours
    assert (refused.status, refused.number, refused.code) == (422, 7, "LIVE_BROKER_REJECTED")
    silent: NoAnswer = pickle.loads(pickle.dumps(NoAnswer("?", sent=False)))  # noqa: S301 - ours
    assert (silent.sent, silent.code) == (False, "LIVE_NO_ANSWER")


def test_cancels_and_protective_orders_have_the_reserve_of_the_budget() -> None:
    with AlpacaServer() as server:
        server.move(PRICES)
        broker = broker_at(server, timeout=1.0, limiter=RateLimit(12, reserve=0.5, clock=lambda: 0.0))
        waiting = broker.submit_order(order(1, kind="limit", limit_price=90.0)).order
        assert waiting is not None
        for _ in range(5):
            broker.get_positions()
        with pytest.raises(TwinstepError) as caught:
            broker.get_positions()
        assert caught.value.code == "LIVE_RATE_LIMITED"
        with pytest.raises(TwinstepError):
            broker.submit_order(order(2))
        guard = order(3, -1.0, "MSFT", kind="stop", stop_price=95.0, purpose="protect")
        assert broker.submit_order(guard).order is not None
        assert not broker.cancel_order(waiting.order_id).is_open  # three requests
        broker.close()


@pytest.mark.parametrize("url", ["http://paper-api.alpaca.markets", "ws://example.com/x", "ftp://127.0.0.1"])
def test_keys_never_travel_bare(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AlpacaBroker(CREDENTIALS, url=url)
    assert caught.value.code == "LIVE_BROKER_CONFIG"
    assert trusted_address("https://api.alpaca.markets/") == "https://api.alpaca.markets"


@pytest.mark.parametrize(
    "given", [{"credentials": {"key": "k"}}, {"credentials": None}, {"timeout": 0.0}, {"every": 0.0}]
)
def test_what_cannot_be_is_said_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        AlpacaBroker(**{"credentials": CREDENTIALS, **given})
    assert caught.value.code == "LIVE_BROKER_CONFIG"


def test_paper_is_the_default_and_live_is_another_address() -> None:
    paper, live = AlpacaBroker(CREDENTIALS), AlpacaBroker(CREDENTIALS, paper=False)
    assert (paper.is_paper, live.is_paper) == (True, False)
    assert "paper-api" in repr(paper._line)
    assert "paper" not in repr(live._line)


def _raises(update: BrokerUpdate) -> None:
    raise RuntimeError(update.text)
