"""An exchange whose prices the test moves, and the official client that trades there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from alpaca.trading.client import TradingClient

from live.exchange import Exchange
from live.feeds import ReplayFeed
from simulator import Bars, Costs
from simulator.options import OptionMarket

DAYS = 12


def flat_bars() -> Bars:
    """Two shares at 100 and 50, a dollar up and down every day, from 2 January 2024, with options on one."""
    sessions = np.busday_offset(np.datetime64("2024-01-02"), np.arange(DAYS), holidays=["2024-01-15"])
    rows = np.array([[100.0, 101.0, 99.0, 100.0, 1e6], [50.0, 51.0, 49.0, 50.0, 1e6]])
    bars = Bars.from_arrays(("AAPL", "MSFT"), sessions.astype("datetime64[ns]"), np.tile(rows, (DAYS, 1, 1)))
    return bars.with_options(OptionMarket.modelled(bars, {"AAPL": 0.25}, surface="single-name"))


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    feed = ReplayFeed(flat_bars())
    with Exchange.open(feed, cash=100_000.0, costs=Costs.preset("zero"), manual=True) as served:
        served.market.step()
        served.market.tick({"AAPL": 100.0, "MSFT": 50.0})
        yield served


@pytest.fixture(scope="module")
def shared() -> Iterator[Exchange]:
    """An exchange for tests that leave it as it was."""
    with Exchange.open(ReplayFeed(flat_bars()), manual=True) as served:
        served.market.step()
        yield served


@pytest.fixture
def client(exchange: Exchange) -> TradingClient:
    return TradingClient(exchange.keys.key_id, exchange.keys.secret, url_override=exchange.url)
