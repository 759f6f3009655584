"""What an account at Interactive Brokers may do: asked by orders that are never placed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from live.brokers.interactive_brokers import GatewayDown, InteractiveBrokersBroker
from live.brokers.interface import Leg, OrderRequest
from tests.fakes.tws.server import TwsServer
from tests.live.brokers.ib_desk import PRICES, PUTS, broker_at, held, restart, sent


@pytest.fixture
def tws() -> Iterator[TwsServer]:
    with TwsServer() as server:
        server.move(PRICES)
        yield server


@pytest.fixture
def broker(tws: TwsServer) -> Iterator[InteractiveBrokersBroker]:
    found = broker_at(tws)
    yield found
    found.close()


def test_asking_places_nothing_and_uses_numbers_that_no_order_gets(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    standing = broker.standing()
    assert (standing.may_trade, standing.may_short, standing.option_level) == (True, True, 3)
    assert (standing.account_type, standing.data, standing.restrictions) == ("Individual", "all", ())
    asked = tws.received.count("place")
    assert asked == 3
    assert (tws.placed, tws.market.orders, held(broker)) == ([], [], {})
    highest = tws.next_id
    sent(broker, OrderRequest(client_order_id="o1", legs=(Leg("AAPL", 1.0),)))
    assert [(number >= highest, ref) for _, number, ref in tws.placed] == [(True, "o1")]
    assert tws.market.orders[-1].status == "Filled"


def test_a_number_that_was_asked_with_is_not_used_again_after_a_restart(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    broker.standing()
    highest = tws.next_id
    restart(tws, broker, 1)
    sent(broker, OrderRequest(client_order_id="o1", legs=(Leg("AAPL", 1.0),)))
    assert tws.placed[-1][1] >= highest


def test_what_is_not_answered_stays_open(
    tws: TwsServer, broker: InteractiveBrokersBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live.brokers.interactive_brokers.standing.WHAT_IF_SECONDS", 0.1)
    tws.every("place", "ignore")
    standing = broker.standing()
    assert (standing.may_trade, standing.may_short, standing.option_level) == (None, None, None)
    assert standing.restrictions == ("no answer within 0.1 s",)
    assert standing.data == "all"
    tws.clear()
    assert broker.standing().may_trade is True


def test_a_day_trader_without_day_trades_is_told(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.values["DayTradesRemaining"] = "0"
    tws.values["AccountReady"] = "false"
    standing = broker.standing()
    assert "no day trade is left" in standing.restrictions[0]
    assert standing.status == "not ready"
    tws.values["DayTradesRemaining"] = "-1"  # as many as one likes
    assert broker.standing().restrictions == ()


def test_the_puts_that_are_asked_about_are_neighbours(
    tws: TwsServer, broker: InteractiveBrokersBroker
) -> None:
    for strike in (400, 480, 600):
        tws.do(lambda: tws.market.instrument_of(f"SPY261218P{strike:05d}000"))  # noqa: B023
    tws.refuses["BUY OPT"] = tws.refuses["BUY BAG"] = (460, "No trading permissions.")
    tws.refuses["SELL OPT"] = (203, "The security is not available or allowed for this account.")
    standing = broker.standing()
    assert standing.option_level == 0
    assert standing.option_words == "No trading permissions. (460)"
    assert PUTS[1] in tws.market._instruments


def test_without_a_gateway_there_is_no_standing(tws: TwsServer, broker: InteractiveBrokersBroker) -> None:
    tws.refuse = True
    with pytest.raises(GatewayDown):
        broker.standing()
