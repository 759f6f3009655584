"""Prices of tastytrade: quotes by the hundred, ranks as fractions in texts, chains."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from live.brokers.tastytrade import dxlink
from live.brokers.tastytrade.symbols import canonical, streamer, wire
from simulator.errors import FetchError, UnknownNameError
from tests.fakes.tastytrade.server import Answer, TastytradeServer
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


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_rank_that_is_not_told_is_no_number_and_not_0(nothing: str | None) -> None:
    with at_tastytrade() as (server, broker):
        server.rank["SPY"] = {
            "implied-volatility-index": None, "implied-volatility-index-rank": nothing,
            "implied-volatility-percentile": nothing,
        }  # fmt: skip
        found = broker.metrics(["SPY"])["SPY"]
        assert all(math.isnan(one) for one in (found.iv, found.iv_rank, found.iv_percentile))
        assert math.isnan(broker.iv_rank("SPY"))


def test_a_rank_of_0_and_one_of_100_are_told_as_they_are() -> None:
    with at_tastytrade() as (server, broker):
        server.rank["SPY"] = {
            "implied-volatility-index-rank": "0.0", "implied-volatility-percentile": "1.0",
        }  # fmt: skip
        found = broker.metrics(["SPY"])["SPY"]
        assert (found.iv_rank, found.iv_percentile) == (0.0, 100.0)


def greeks(server: TastytradeServer, symbol: str, iv: object, delta: float) -> None:
    server.dxlink.say("Greeks", streamer(symbol), time=1, price=4.0, volatility=iv, delta=delta, gamma=0.01,
                      theta=-0.05, rho=0.1, vega=0.5)  # fmt: skip


def listed(server: TastytradeServer) -> None:
    server.move({"SPY": 505.0, CALL: 9.0, "SPY261218C00490000": 12.0, "SPY261218P00800000": 300.0,
                 "SPY261218C00800000": 0.1})  # fmt: skip


def test_a_chain_has_what_is_listed_within_days_and_width() -> None:
    with at_tastytrade() as (server, broker):
        listed(server)
        for symbol, iv, delta in (
            (PUT, 0.22, -0.45), (CALL, 0.21, 0.55), ("SPY261218P00490000", 0.24, -0.35),
            ("SPY261218C00490000", 0.23, 0.65),
        ):  # fmt: skip
            greeks(server, symbol, iv, delta)
        chain = broker.chain("SPY", days=(0, 400), width=0.1)
        assert sorted(set(chain.strike.tolist())) == [490.0, 500.0]
        puts = chain.select(kind="put")
        assert len(puts.strike) == 2
        assert (puts.iv.tolist(), puts.delta.tolist()) == ([0.24, 0.22], [-0.35, -0.45])
        assert chain.origin == "real"
        assert set(chain.underlying.tolist()) == {505.0}
        assert (set(chain.settlement.tolist()), chain.roots) == ({2}, ("SPY",))
        assert set(chain.bid_size.tolist()) == {10.0}
        assert np.isnan(chain.open_interest).all()  # nobody tells it, so it is not 0
        with pytest.raises(FetchError) as caught:
            broker.chain("SPY", days=(0, 10))
        assert caught.value.code == "LIVE_CHAIN"
        assert server.dxlink.complaints == []


def test_greeks_that_do_not_come_are_no_numbers_and_the_chain_is_not_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dxlink, "QUIET_SECONDS", 0.1)
    with at_tastytrade() as (server, broker):
        listed(server)
        greeks(server, PUT, 0.22, -0.45)
        greeks(server, CALL, "NaN", 0.5)  # dropped by the library
        began = time.monotonic()
        chain = broker.chain("SPY", days=(0, 400), width=0.1)
        assert time.monotonic() - began < 2.0
        assert np.isnan(chain.iv).sum() == np.isnan(chain.delta).sum() == 3
        assert chain.select(kind="put", strike=(500.0, 500.0)).delta.tolist() == [-0.45]


@pytest.mark.parametrize("fault", [Answer(404), Answer(503), Answer(403), "before"])
def test_without_a_stream_a_chain_has_its_quotes(fault: Answer | str) -> None:
    with at_tastytrade() as (server, broker):
        listed(server)
        server.every("quote_token", fault)
        chain = broker.chain("SPY", days=(0, 400), width=0.1)
        assert np.isnan(chain.delta).all()
        assert not np.isnan(chain.bid).any()


def test_a_contract_that_is_listed_and_not_quoted_is_part_of_the_chain() -> None:
    with at_tastytrade() as (server, broker):
        listed(server)
        server.unquoted.add(CALL)
        server.every("quote_token", Answer(404))
        chain = broker.chain("SPY", days=(0, 400), width=0.1)
        one = chain.select(kind="call", strike=(500.0, 500.0))
        assert np.isnan(one.bid).all()
        assert len(chain) == 4


def test_a_symbol_whose_trading_is_halted_has_no_usable_quote() -> None:
    with at_tastytrade(paper=False) as (server, broker):
        server.row["AAPL"] = {"trading-halted": True, "trading-halted-reason": "T1"}
        assert not broker.quotes(["AAPL"])["AAPL"].is_usable


@pytest.mark.parametrize("bid", [None, "", "NaN"])
def test_a_side_that_is_not_told_is_no_number(bid: str | None) -> None:
    with at_tastytrade(paper=False) as (server, broker):
        server.row["AAPL"] = {"bid": bid}
        quote = broker.quotes(["AAPL"])["AAPL"]
        assert math.isnan(quote.bid)
        assert not quote.is_usable


def test_quotes_of_real_money_are_of_now() -> None:
    with at_tastytrade(paper=False) as (_, broker):
        assert broker.quotes(["AAPL"])["AAPL"].is_usable


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
