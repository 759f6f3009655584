"""Option quotes of the exchange are those of the chain that the same market makes, contract by contract."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from live.exchange.contracts import Contract, Contracts
from simulator import Bars, load_bars
from simulator.kernel.dtypes import QUOTE
from simulator.options import OptionMarket, modelled_chain

EPOCH = date(1970, 1, 1)


def market(style: str = "european") -> tuple[Bars, pd.Series]:
    plain = load_bars("synthetic:1x40?seed=3")
    if style == "european":
        records = plain.instruments.copy()
        records["kind"] = 2
        plain = plain.replaced(instruments=records)
    index = pd.Series(np.linspace(15.0, 25.0, len(plain)), plain.index)
    return plain, index


@pytest.mark.parametrize("style", ["european", "american"])
def test_modelled_quotes_are_those_of_the_modelled_chain(style: str) -> None:
    bars, index = market(style)
    symbol = bars.symbols[0]
    chain = modelled_chain(
        symbol, pd.Series(bars.close[:, 0], bars.index), index, rate=0.02, style=style, dte=(5, 60)
    )
    with_options = bars.with_options(OptionMarket.modelled(bars, {symbol: index / 100.0}, rate=0.02))
    compared = 0
    for row in (0, 17, 39):
        contracts = Contracts(with_options[row : row + 1])
        quotes = chain.at(EPOCH + timedelta(days=int(bars.session[row])))
        for at in range(0, len(quotes), 7):
            contract = Contract.of(
                symbol,
                EPOCH + timedelta(days=int(quotes.expiry[at])),
                int(quotes.kind[at]),
                float(quotes.strike[at]),
            )
            quote = contracts.quote(contract.symbol)
            assert quote == pytest.approx((quotes.bid[at], quotes.ask[at]), abs=1e-9)
            compared += 1
    assert compared > 30


def test_stored_quotes_are_taken_as_they_are_and_no_other_contract_has_a_price() -> None:
    bars, index = market()
    symbol = bars.symbols[0]
    chain = modelled_chain(symbol, pd.Series(bars.close[:, 0], bars.index), index, dte=(5, 60))
    quoted = bars.with_options(OptionMarket.from_chains(bars, chain))
    contracts = Contracts(quoted[9:10])
    listed = contracts.listed()
    today = chain.at(EPOCH + timedelta(days=int(bars.session[9])))
    assert len(listed) == len(today) > 10
    bids = {
        (int(expiry), int(kind), float(strike)): (float(bid), float(ask))
        for expiry, kind, strike, bid, ask in zip(
            today.expiry, today.kind, today.strike, today.bid, today.ask, strict=True
        )
    }
    for contract in listed:
        key = ((contract.expiry - EPOCH).days, contract.right, contract.strike)
        assert contracts.quote(contract.symbol) == (bids[key] if bids[key][1] > 0 else None)
    between = Contract.of(symbol, listed[0].expiry, 1, listed[0].strike + 0.125)
    assert contracts.quote(between.symbol) is None


def test_a_contract_that_ends_today_is_worth_what_it_pays() -> None:
    bars, index = market()
    symbol = bars.symbols[0]
    contracts = Contracts(bars.with_options(OptionMarket.modelled(bars, {symbol: index / 100.0}))[5:6])
    day, spot = EPOCH + timedelta(days=int(bars.session[5])), float(bars.close[5, 0])
    strike = round(spot) + 3.0
    put, call = (Contract.of(symbol, day, right, strike).symbol for right in (-1, 1))
    assert contracts.quote(put) == pytest.approx((strike - spot, strike - spot))
    assert contracts.quote(call) == (0.0, 0.0)


def test_listed_contracts_lie_around_the_price_and_all_have_quotes() -> None:
    bars, index = market()
    symbol = bars.symbols[0]
    contracts = Contracts(bars.with_options(OptionMarket.modelled(bars, {symbol: index / 100.0}))[5:6])
    listed = contracts.listed()
    spot = float(bars.close[5, 0])
    assert {each.right for each in listed} == {-1, 1}
    assert all(0.75 * spot <= each.strike <= 1.25 * spot for each in listed)
    assert all(each.expiry.weekday() in (3, 4) for each in listed)
    assert all(contracts.quote(each.symbol) is not None for each in listed)


def test_without_options_nothing_is_listed_or_quoted() -> None:
    bars = load_bars("synthetic:2x10?seed=1")
    contracts = Contracts(bars[3:4])
    assert contracts.listed() == []
    assert contracts.quote(Contract.of(bars.symbols[0], date(2030, 1, 18), 1, 100.0).symbol) is None


@pytest.mark.parametrize(
    "text", ["AAPL", "", "SPY   261218P00500000", "SPY261318P00500000", "SPY261218X00500000"]
)
def test_what_is_no_option_symbol_is_none(text: str) -> None:
    assert Contract.parse(text) is None


def test_symbols_survive_a_round_trip() -> None:
    contract = Contract.of("BRK.B", date(2026, 12, 18), -1, 412.5)
    assert contract.symbol == "BRK.B261218P00412500"
    assert Contract.parse(contract.symbol) == contract


def within_a_day(grade: str) -> Bars:
    """Two bars in each of two sessions in New York; contracts on them end with the second."""
    part = 195 * 60_000_000_000
    begins = [np.datetime64(f"2026-03-0{day}T14:30", "ns").astype(np.int64) for day in (2, 3)]
    ts = np.concatenate([begin + np.arange(2) * part for begin in begins])
    panel = np.stack([np.full(4, 100.0)] * 4 + [np.full(4, 1e6)], axis=-1)[:, None, :]
    bars = Bars.from_arrays(("A",), ts, panel, daily=False)
    if grade == "modelled":
        return bars.with_options(OptionMarket.modelled(bars, {"A": 0.2}))
    rows = [(row, 0, int(bars.session[-1]), -1, 101.0, 1.3, 1.5, 0.2, -0.5) for row in range(4)]
    return bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.zeros(4)))


@pytest.mark.parametrize("grade", ["quoted", "modelled"])
def test_on_its_last_day_a_contract_trades_until_the_session_ends(grade: str) -> None:
    bars = within_a_day(grade)
    contract = Contract.of("A", date(2026, 3, 3), -1, 101.0)
    quotes = []
    for row in range(4):
        contracts = Contracts(bars[row : row + 1])
        if grade == "quoted":
            assert [one.symbol for one in contracts.listed()] == ([contract.symbol] if row < 3 else [])
        quote = contracts.quote(contract.symbol)
        assert quote is not None
        quotes.append(quote)
    assert quotes[3] == (1.0, 1.0)  # what it pays
    if grade == "quoted":
        assert quotes[:3] == [(1.3, 1.5)] * 3
    else:
        middles = [(bid + ask) / 2.0 for bid, ask in quotes]
        assert middles[0] > middles[1] - 1e-9
        assert middles[1] > middles[2] > 1.0
        assert all(bid < ask for bid, ask in quotes[:3])


def test_on_its_last_day_a_contract_without_a_stored_quote_is_worth_what_it_pays() -> None:
    bars = within_a_day("quoted")
    contracts = Contracts(bars[2:3])
    assert contracts.quote(Contract.of("A", date(2026, 3, 3), -1, 104.0).symbol) == (4.0, 4.0)
    assert contracts.quote(Contract.of("A", date(2026, 3, 6), -1, 104.0).symbol) is None
    assert contracts.quote(Contract.of("A", date(2026, 3, 2), -1, 104.0).symbol) == (4.0, 4.0)
