"""What bars know of options: the kernel sees the numbers of the surface or chain that they are from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator import Bars, Costs, backtest, load_bars
from simulator.errors import DataError, SignalError
from simulator.options import (
    OptionMarket,
    Surface,
    make_legs,
    make_rules,
    modelled_chain,
    package_signals,
    price,
)
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
