"""Prices of tastytrade: quotes by the hundred, ranks as fractions in texts, chains."""

from __future__ import annotations

import math

import pytest

from live.brokers.tastytrade.symbols import canonical, streamer, wire
from simulator.errors import FetchError, UnknownNameError
from tests.live.brokers.tastytrade_rig import at_tastytrade

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
PUT, CALL = "SPY261218P00500000", "SPY261218C00500000"


def test_quotes_of_the_sandbox_are_late_and_cannot_be_used_to_decide() -> None:
    with at_tastytrade() as (_, broker):
        quote = broker.quotes(["AAPL"])["AAPL"]
        assert (quote.bid, quote.ask, quote.price) == (99.99, 100.01, 100.0)
        assert quote.is_delayed
        assert not quote.is_usable


def test_more_symbols_than_are_answered_at_once_are_asked_for_in_parts() -> None:
    with at_tastytrade() as (server, broker):
        names = [f"S{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(230)]
        server.move(dict.fromkeys(names, 10.0))
        assert list(broker.quotes([*names, PUT])) == [*names, PUT]
        assert server.requests.count("market") == 3


def test_symbols_without_a_quote_are_named() -> None:
    with at_tastytrade() as (_, broker), pytest.raises(UnknownNameError, match="ZZZZZ"):
        broker.quotes(["AAPL", "ZZZZZ"])


def test_iv_rank_and_percentile_are_0_to_100_and_iv_a_fraction() -> None:
    with at_tastytrade() as (_, broker):
        found = broker.metrics(["SPY"])["SPY"]
        assert (found.iv, found.iv_rank, found.iv_percentile) == (0.245, 31.25, 41.5)
        assert broker.iv_rank("SPY") == 31.25


def test_a_chain_has_what_is_listed_within_days_and_width() -> None:
    with at_tastytrade() as (server, broker):
        server.move({"SPY": 505.0, CALL: 9.0, "SPY261218C00490000": 12.0, "SPY261218P00800000": 300.0,
                     "SPY261218C00800000": 0.1})  # fmt: skip
        chain = broker.chain("SPY", days=(0, 400), width=0.1)
        assert sorted(set(chain.strike.tolist())) == [490.0, 500.0]
        assert len(chain.select(kind="put").strike) == 2
        assert chain.origin == "real"
        assert set(chain.underlying.tolist()) == {505.0}
        with pytest.raises(FetchError) as caught:
            broker.chain("SPY", days=(0, 10))
        assert caught.value.code == "LIVE_CHAIN"


@pytest.mark.parametrize(
    ("symbol", "padded", "stream"),
    [
        ("AAPL", "AAPL", "AAPL"),
        ("BRK.B", "BRK/B", "BRK/B"),
        ("F261218C00012500", "F     261218C00012500", ".F261218C12.5"),
        ("SPXW261218P05000000", "SPXW  261218P05000000", ".SPXW261218P5000"),
        ("NVDA261218C01234125", "NVDA  261218C01234125", ".NVDA261218C1234.125"),
        ("GOOGLE261218C00100000", "GOOGLE261218C00100000", ".GOOGLE261218C100"),
    ],
)
def test_symbols_there_and_back(symbol: str, padded: str, stream: str) -> None:
    assert (wire(symbol), canonical(padded), streamer(symbol)) == (padded, symbol, stream)


def test_a_quote_without_any_price_is_no_number() -> None:
    with at_tastytrade() as (server, broker):
        server.move({"AAPL": 0.0})
        assert math.isnan(broker.quotes(["AAPL"])["AAPL"].price)
