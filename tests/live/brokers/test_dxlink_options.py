"""Quotes and Greeks of options by tastytrade's stream, and the chain that has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from live.brokers.told import Quote
from live.feeds.backoff import Backoff
from live.feeds.dxlink_options import DxlinkOptionQuotes
from simulator.errors import ConfigError, TwinstepError
from tests.live.brokers.dxlink_world import KEYS, OPEN, World, a_world, milliseconds, until

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
PUT, CALL = "SPY261218P00500000", "SPY261218C00500000"
STREAM = ".SPY261218P500"


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as made:
        yield made


@pytest.fixture
def stream(world: World) -> Iterator[DxlinkOptionQuotes]:
    world.now = OPEN + timedelta(hours=1)
    made = DxlinkOptionQuotes(
        [PUT, CALL], credentials=KEYS, url=world.url, clock=lambda: world.now, timeout=5.0,
        reconnect=Backoff(first=0.02, longest=0.1, random=lambda: 0.5),
    ).start()  # fmt: skip
    until(lambda: made.status()["connected"])
    yield made
    made.close()


def tell(world: World, stream: DxlinkOptionQuotes, bid: Any, ask: Any, ago: float | None = None) -> None:
    before = stream.messages
    when = None if ago is None else world.now - timedelta(seconds=ago)
    world.quote(STREAM, bid, ask, when)
    until(lambda: stream.messages > before)


def test_quotes_of_options_count_while_they_are_young(world: World, stream: DxlinkOptionQuotes) -> None:
    seen: list[float] = []
    stream.on_quote(lambda quote: seen.append(quote.bid))
    assert stream.usable(PUT) is None
    tell(world, stream, 3.9, 4.1, 20.0)
    assert stream.usable(PUT) is None  # too old
    assert stream.usable(PUT, within=30.0) is not None
    tell(world, stream, 4.0, 4.2, 1.0)
    tell(world, stream, 1.0, 1.1, 5.0)  # overtaken
    quote = stream.usable(PUT)
    assert quote is not None
    assert (quote.symbol, quote.bid, quote.ask, quote.is_delayed) == (PUT, 4.0, 4.2, False)
    tell(world, stream, 4.3, 4.2, 0.5)
    assert stream.usable(PUT) is None  # crossed
    tell(world, stream, 0.0, 4.2, 0.2)
    assert stream.usable(PUT) is None  # nobody bids
    assert seen[:2] == [3.9, 4.0]
    assert stream.status()["quoted"] == 1
    with pytest.raises(TwinstepError):
        stream.usable("SPY261218P00490000")


def test_a_quote_without_a_time_is_of_when_it_came_and_ages(world: World, stream: DxlinkOptionQuotes) -> None:
    tell(world, stream, 4.0, 4.2)
    assert stream.usable(PUT) is not None
    world.now += timedelta(seconds=16)
    assert stream.usable(PUT) is None


def test_greeks_stand_beside_the_quote_while_they_are_young(world: World, stream: DxlinkOptionQuotes) -> None:
    tell(world, stream, 4.0, 4.2)
    assert math.isnan(stream.quotes()[PUT].delta)
    world.market.say("Greeks", STREAM, time=milliseconds(world.now), price=4.1, volatility=0.21, delta=-0.35,
                     gamma=0.01, theta=-0.05, rho=-0.02, vega=0.5)  # fmt: skip
    until(lambda: not math.isnan(stream.quotes()[PUT].delta))
    quote = stream.quotes()[PUT]
    assert (quote.iv, quote.delta, quote.gamma, quote.vega, quote.theta) == (0.21, -0.35, 0.01, 0.5, -0.05)
    seen = stream.messages
    world.market.say("Greeks", STREAM, time=milliseconds(world.now) - 5000, price=4.1, volatility=0.9,
                     delta=-0.9, gamma=0.9, theta=-0.9, rho=-0.9, vega=0.9)  # fmt: skip
    until(lambda: stream.messages > seen)
    assert stream.quotes()[PUT].delta == -0.35  # overtaken on their way
    world.now += timedelta(seconds=301)
    tell(world, stream, 4.0, 4.2)
    late = stream.usable(PUT)
    assert late is not None
    assert math.isnan(late.delta)


def test_greeks_without_a_number_and_a_volatility_of_0_are_unknown(
    world: World, stream: DxlinkOptionQuotes
) -> None:
    tell(world, stream, 4.0, 4.2)
    common = {
        "time": milliseconds(world.now),
        "price": 4.1,
        "gamma": 0.01,
        "theta": -0.05,
        "rho": -0.02,
        "vega": 0.5,
    }
    world.market.say("Greeks", STREAM, volatility="NaN", delta=-0.35, **common)  # the library drops it
    seen = stream.messages
    world.market.say("Greeks", STREAM, volatility=0.0, delta=-0.4, **common)
    until(lambda: stream.messages > seen)
    quote = stream.quotes()[PUT]
    assert math.isnan(quote.iv)
    assert quote.delta == -0.4


def test_after_a_break_everything_is_subscribed_to_again(world: World, stream: DxlinkOptionQuotes) -> None:
    world.market.drop()
    until(lambda: stream.status()["connections"] == 2)
    until(lambda: world.market.listeners("Quote", STREAM) == 1)
    tell(world, stream, 4.0, 4.2)
    assert stream.usable(PUT) is not None


def test_prices_of_a_late_entitlement_are_never_usable(world: World) -> None:
    world.market.level = "demo"
    world.now = OPEN
    stream = DxlinkOptionQuotes([PUT], credentials=KEYS, url=world.url, clock=lambda: world.now).start()
    try:
        until(lambda: stream.status()["connected"])
        tell(world, stream, 4.0, 4.2)
        assert stream.usable(PUT) is None
        assert stream.quotes()[PUT].is_delayed
        assert stream.status()["delayed"]
    finally:
        stream.close()


def test_what_is_no_option_is_not_listened_to() -> None:
    make: Callable[..., DxlinkOptionQuotes] = DxlinkOptionQuotes
    for symbols in ([], ["SPY"]):
        with pytest.raises(TwinstepError) as caught:
            make(symbols, credentials=KEYS)
        assert caught.value.code == "NAME_CONTRACT"
    with pytest.raises(ConfigError):
        make([PUT], credentials=KEYS, keys="paper")


def test_a_listener_hears_quotes_as_values_of_all_brokers(world: World, stream: DxlinkOptionQuotes) -> None:
    heard: list[Quote] = []
    stream.on_quote(heard.append)
    tell(world, stream, 4.0, 4.2)
    assert isinstance(heard[0], Quote)
