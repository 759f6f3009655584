"""What bars know of options: the kernel sees the numbers of the surface or chain that they are from."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator import Bars, Costs, backtest, load_bars
from simulator.errors import DataError, SignalError, TwinstepWarning
from simulator.options import (
    Chain,
    OptionMarket,
    Surface,
    iv_rank,
    make_legs,
    make_rules,
    modelled_chain,
    package_signals,
    price,
)
from simulator.options.iv_index import constant_maturity_iv
from simulator.results.export import run_document
from simulator.signals import Signals

AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:1x90?seed=3")


def a_put(bars: Bars, row: int, days: int, strike: float, **rules: float) -> Signals:
    legs = make_legs([[(-1, "put", strike)]], expiry=int(bars.session[row]) + days)
    return package_signals(bars, [row], 0, -1, legs, make_rules(1, **rules), qty=1.0)


@pytest.mark.parametrize("style", ["european", "american"])
def test_a_modelled_package_costs_what_the_surface_says(bars: Bars, style: str) -> None:
    surface = Surface.preset("index").replace(ticks="none")
    options = OptionMarket.modelled(
        bars, {bars.symbols[0]: 0.2}, surface=surface, rate=0.03, dividend_yield=0.01
    )
    spot = float(bars.close[5, 0])
    strike = round(spot * 1.05, 1)
    signals = a_put(bars, 5, 45, strike, american=float(style == "american"), dte_exit=30)
    result = backtest(bars.with_options(options), signals, risk=None, costs=AT_MID)
    trade = result.trades.iloc[0]
    for column, row in (("entry_price", 5), ("exit_price", 5 + int(trade["bars_held"]))):
        years = (int(bars.session[5]) + 45 - int(bars.session[row])) / 365
        close = float(bars.close[row, 0])
        volatility = surface.volatility(
            strike, spot=close, index=0.2, years=years, rate=0.03, dividend_yield=0.01
        )
        expected = price("put", close, strike, years, 0.03, volatility, 0.01, style=style)
        assert trade[column] == pytest.approx(expected, rel=1e-12)
    assert set(result.fills["grade"]) == {"modelled"}
    assert set(result.fills["rule"]) == {"model"}


def test_a_chain_is_quoted_where_it_has_quotes_and_nowhere_else(bars: Bars) -> None:
    closes = pd.Series(bars.close[:, 0], index=bars.index)
    chain = modelled_chain(bars.symbols[0], closes, pd.Series(20.0, index=bars.index), style="american")
    options = OptionMarket.from_chains(bars, chain)
    assert options.grade == "quoted"
    at = chain.at(chain.times[5])
    day = int(at.expiry[at.dte > 20][0])
    puts = at.select(kind="put", expiry=day)
    middle = int(np.argmin(np.abs(puts.strike - bars.close[5, 0])))
    strike = float(puts.strike[middle])
    signals = a_put(bars, 5, day - int(bars.session[5]), strike)
    result = backtest(bars.with_options(options), signals, risk=None, costs=AT_MID)
    assert result.trades.iloc[0]["entry_price"] == pytest.approx(0.5 * (puts.bid + puts.ask)[middle])
    between = a_put(bars, 5, day - int(bars.session[5]), strike + 0.013)
    refused = backtest(bars.with_options(options), between, risk=None)
    assert refused.verdicts.iloc[0]["reason"] == "no_quote"


def stored(bars: Bars, index: float | np.ndarray = 20.0, **options: Any) -> Chain:
    closes = pd.Series(bars.close[:, 0], index=bars.index)
    levels = pd.Series(np.broadcast_to(index, len(bars)), index=bars.index)
    return modelled_chain(bars.symbols[0], closes, levels, weeklies=True, **options)


def test_stored_quotes_bring_the_volatility_that_is_ranked(bars: Bars) -> None:
    wave = 20.0 + 8.0 * np.sin(np.arange(len(bars)) / 9)
    chain = stored(bars, wave, surface="flat", style="american", dte=(1, 80))
    market = OptionMarket.from_chains(bars, chain)
    found = market.volatility[:, 0]
    known = ~np.isnan(found)
    assert known.mean() > 0.9
    # a flat surface is its index at every term; quotes are rounded to ticks
    assert found[known] == pytest.approx(wave[known] / 100, abs=0.004)
    # session by session: each from its own quotes alone
    for row in (3, 40, 77):
        alone = constant_maturity_iv(chain.at(chain.times[row]))
        assert found[row] == pytest.approx(float(alone.iloc[0]), nan_ok=True, rel=1e-12)
    rank = iv_rank(found, 40)
    assert np.isnan(rank[:39]).all()
    assert (rank[39:] >= 0).any()


def test_volatility_is_unknown_where_quotes_do_not_suffice(bars: Bars) -> None:
    chain = stored(bars, dte=(1, 80))
    session = chain.session
    gone, near = int(bars.session[10]), int(bars.session[20])
    kept = (session != gone) & ~((session == near) & (chain.dte > 29))
    market = OptionMarket.from_chains(bars, chain.rows(kept))
    assert np.isnan(market.volatility[[10, 20], 0]).all()
    assert not np.isnan(market.volatility[[9, 11, 19, 21], 0]).any()
    assert np.isnan(OptionMarket.from_chains(bars, stored(bars, dte=(1, 20))).volatility).all()


def test_a_series_made_of_the_chain_with_other_rules_can_be_given(bars: Bars) -> None:
    # monthly expiries only: before one expires its quotes fail, and nothing is left below 30 days
    closes = pd.Series(bars.close[:, 0], index=bars.index)
    monthly = modelled_chain(bars.symbols[0], closes, pd.Series(20.0, index=bars.index), dte=(1, 80))
    own = OptionMarket.from_chains(bars, monthly).volatility[:, 0]
    series = constant_maturity_iv(monthly, extrapolate=True)
    given = OptionMarket.from_chains(bars, monthly, volatility={bars.symbols[0]: series}).volatility[:, 0]
    assert 0.02 < np.isnan(own).mean() < 0.2
    assert not np.isnan(given).any()
    both = ~np.isnan(own)
    assert given[both] == pytest.approx(own[both], rel=1e-12)


def test_gaps_that_leave_no_rank_are_warned_of() -> None:
    long = load_bars("synthetic:1x300?seed=3")
    closes, level = pd.Series(long.close[:, 0], index=long.index), pd.Series(20.0, index=long.index)
    chains = [
        modelled_chain(long.symbols[0], closes, level, dte=(1, 70), weeklies=weeklies)
        for weeklies in (False, True)
    ]
    with pytest.warns(TwinstepWarning, match="DATA_IV_GAPS"):
        gappy = OptionMarket.from_chains(long, chains[0])
    assert np.isnan(iv_rank(gappy.volatility[:, 0])).all()
    days = [chains[0].at(time) for time in chains[0].times]
    with pytest.warns(TwinstepWarning, match="DATA_IV_GAPS"):
        joined = OptionMarket.from_chains(long, days)
    assert joined.volatility.tobytes() == gappy.volatility.tobytes()
    assert joined.quotes.tobytes() == gappy.quotes.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error", TwinstepWarning)
        whole = OptionMarket.from_chains(long, chains[1])
        OptionMarket.from_chains(long, chains[0], volatility={long.symbols[0]: 0.2})
        OptionMarket.from_chains(long[:200], chains[0])  # no year, no rank in any case
    assert np.isnan(whole.volatility).mean() < 0.05


def test_volatility_that_is_given_goes_before_that_of_the_quotes(bars: Bars) -> None:
    symbol = bars.symbols[0]
    some = pd.Series([0.3, 0.4], index=bars.index[[3, 5]])
    market = OptionMarket.from_chains(bars, stored(bars, dte=(1, 60)), volatility={symbol: some})
    assert np.flatnonzero(~np.isnan(market.volatility[:, 0])).tolist() == [3, 5]
    assert market.grade == "quoted"
    with pytest.raises(DataError, match="divide an index in percent by 100"):
        OptionMarket.from_chains(bars, stored(bars, dte=(1, 60)), volatility={symbol: 20.0})


def test_volatility_of_quotes_knows_nothing_of_later_ones(bars: Bars) -> None:
    chain = stored(bars, dte=(1, 60))
    whole = OptionMarket.from_chains(bars, chain)
    for cut in (1, 31, 60):
        part = OptionMarket.from_chains(bars[:cut], chain)
        assert part.volatility.tobytes() == whole.volatility[:cut].tobytes()
        assert whole.rows(0, cut).volatility.tobytes() == part.volatility.tobytes()
    # an hour after the close of the last bar nothing is known of it yet
    late = dataclasses.replace(chain, ts=chain.ts + 3_600_000_000_000 * (chain.ts == chain.times[30]))
    assert np.isnan(OptionMarket.from_chains(bars[:31], late).volatility[30, 0])


def test_of_several_times_in_a_session_the_last_is_ranked(bars: Bars) -> None:
    calm, wild = (stored(bars[:8], level, surface="flat", dte=(1, 60)) for level in (20.0, 40.0))
    noon = dataclasses.replace(wild, ts=wild.ts - 3 * 3_600_000_000_000)
    market = OptionMarket.from_chains(bars[:8], Chain.join([noon, calm]))
    assert market.volatility[:, 0] == pytest.approx(0.2, abs=0.004)


def test_levels_of_a_series_are_those_of_their_session(bars: Bars) -> None:
    some = pd.Series([0.2, 0.3], index=bars.index[[3, 5]])
    options = OptionMarket.modelled(bars, {bars.symbols[0]: some})
    known = np.flatnonzero(~np.isnan(options.volatility[:, 0]))
    assert known.tolist() == [3, 5]
    part = bars.with_options(options)[4:7]
    assert part.options is not None
    assert part.options.volatility[1, 0] == 0.3
    with pytest.raises(DataError, match="begins after"):
        OptionMarket.modelled(bars, {bars.symbols[0]: 0.2}, rate=some)


def test_an_index_in_percent_is_refused_with_its_cause(bars: Bars) -> None:
    with pytest.raises(DataError, match="divide an index in percent by 100"):
        OptionMarket.modelled(bars, {bars.symbols[0]: 20.0})


def test_packages_need_bars_that_know_options(bars: Bars) -> None:
    with pytest.raises(SignalError, match="with_options"):
        backtest(bars, a_put(bars, 5, 30, 100.0), risk=None)
    with pytest.raises(DataError, match="made for 90 bars"):
        bars[:50].with_options(OptionMarket.modelled(bars, {bars.symbols[0]: 0.2}))


def test_what_is_modelled_says_so_wherever_it_is_shown(bars: Bars, tmp_path: Path) -> None:
    options = OptionMarket.modelled(bars, {bars.symbols[0]: 0.2})
    result = backtest(bars.with_options(options), a_put(bars, 5, 45, float(bars.close[5, 0])), risk=None)
    assert "OPTIONS MODELLED" in result.summary()
    assert "options modelled" in repr(result)
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Modelled options." in page
    assert all(word in page for word in ("IV rank", "Days to expiry", "Captured"))
    assert run_document(result)["data"]["options"] == "modelled"
    other = OptionMarket.modelled(bars, {bars.symbols[0]: 0.21})
    assert bars.with_options(options).fingerprint != bars.with_options(other).fingerprint != bars.fingerprint


def test_packages_have_a_table_of_their_own(bars: Bars) -> None:
    options = OptionMarket.modelled(bars, {bars.symbols[0]: 0.2})
    strike = round(float(bars.close[5, 0]) * 1.02, 2)
    signals = a_put(bars, 5, 45, strike, profit_target=0.3)
    result = backtest(bars.with_options(options), signals, risk=None, costs=AT_MID)
    row = result.packages.iloc[0]
    assert row["legs"] == f"-1 {strike:g}P"
    assert row["dte"] == 45
    assert row["captured"] == pytest.approx(1 - row["exit_price"] / row["entry_price"])
    assert (row["grade"], np.isnan(row["iv_rank"])) == ("modelled", True)
    table = result.by("dte")
    assert table.index.tolist() == ["30 to 45"]
    assert table["captured"].iloc[0] == pytest.approx(row["captured"])
    assert result.by("iv_rank").index.tolist() == ["unknown"]
    # shares that are put to us are a trade, and no package
    held = backtest(bars.with_options(options), a_put(bars, 5, 10, 2 * strike), risk=None)
    assert (len(held.trades), len(held.packages)) == (2, 1)
