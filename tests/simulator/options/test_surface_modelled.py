"""Modelled chains: labelled, listed as an exchange lists, and at every strike as the surface says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DataError, UnknownNameError
from simulator.options.chain import Chain, load_chain
from simulator.options.iv_index import vix_style_index
from simulator.options.modelled import listed_expiries, modelled_chain, strike_for_delta, strike_step
from simulator.options.pricing import greeks, implied_volatility, price
from simulator.options.surface import SURFACES, Surface

SESSIONS = pd.DatetimeIndex(
    [d for d in pd.bdate_range("2019-03-01", "2019-05-31") if str(d)[:10] != "2019-04-19"]
)


def market(seed: int = 1, start: float = 280.0) -> tuple[pd.Series, pd.Series]:
    random = np.random.default_rng(seed)
    closes = start * np.exp(np.cumsum(random.normal(0, 0.012, SESSIONS.size)))
    return pd.Series(closes, SESSIONS), pd.Series(random.uniform(12, 35, SESSIONS.size), SESSIONS)


@pytest.fixture(scope="module")
def chain() -> Chain:
    closes, index = market()
    return modelled_chain("XYZ", closes, index, rate=0.02, dividend_yield=0.015)


def date(day: int) -> str:
    return str(np.datetime64(int(day), "D"))


def number(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))


def test_it_says_that_it_is_modelled(chain: Chain, tmp_path: object) -> None:
    assert chain.origin == "modelled"
    assert chain.select(kind="put").origin == "modelled"
    assert set(chain.to_frame()["origin"].astype(str)) == {"modelled"}


def test_monthly_expiries_are_third_fridays_and_move_off_holidays() -> None:
    found = [date(day) for day in listed_expiries(number("2019-01-01"), number("2019-06-30"))]
    # Good Friday 2019 was the third Friday of April
    assert found == ["2019-01-18", "2019-02-15", "2019-03-15", "2019-04-18", "2019-05-17", "2019-06-21"]


def test_every_third_friday_since_1990_is_a_session_of_its_week() -> None:
    days = listed_expiries(number("1990-01-01"), number("2018-12-31"))
    assert days.size == 29 * 12
    weekday = (days + 3) % 7
    assert set(weekday.tolist()) == {3, 4}
    moved = [date(day) for day in days[weekday == 3]]
    assert all(text[5:7] in ("03", "04") for text in moved)  # Good Friday is the only such holiday
    assert {"2003-04-17", "2008-03-20", "2014-04-17"} <= set(moved)


def test_weeklies_and_far_years() -> None:
    weeks = listed_expiries(number("2019-04-01"), number("2019-04-30"), weeklies=True)
    assert [date(day) for day in weeks] == ["2019-04-05", "2019-04-12", "2019-04-18", "2019-04-26"]
    assert [date(day) for day in listed_expiries(number("2060-01-01"), number("2060-02-28"))] == [
        "2060-01-16",
        "2060-02-20",
    ]
    assert listed_expiries(5, 4).size == 0


def test_quotes_are_those_of_the_surface(chain: Chain) -> None:
    closes, index = market()
    level = index.to_numpy()[np.searchsorted(chain.times, chain.ts)] / 100
    spot = closes.to_numpy()[np.searchsorted(chain.times, chain.ts)]
    np.testing.assert_array_equal(chain.underlying, spot)
    volatility = Surface().volatility(
        chain.strike, spot=spot, index=level, years=chain.years, rate=0.02, dividend_yield=0.015
    )
    np.testing.assert_allclose(chain.iv, volatility, rtol=1e-12)
    kind = chain.kind.astype(float)
    worth = price(kind, spot, chain.strike, chain.years, 0.02, volatility, 0.015)
    assert (chain.bid <= worth + 1e-9).all()
    assert (chain.ask >= worth - 1e-9).all()
    delta = greeks(kind, spot, chain.strike, chain.years, 0.02, volatility, 0.015).delta
    np.testing.assert_allclose(chain.delta, delta, rtol=1e-9, atol=1e-12)


def test_quotes_are_at_the_close_and_within_the_days_asked_for(chain: Chain) -> None:
    assert chain.dte.min() >= 1
    assert chain.dte.max() <= 70
    first = chain.at("2019-03-01")
    assert pd.Timestamp(int(first.times[0]), tz="UTC").tz_convert("America/New_York").hour == 16
    assert [date(day) for day in first.expiries] == ["2019-03-15", "2019-04-18"]


def test_strikes_once_listed_stay_listed(chain: Chain) -> None:
    for expiry in chain.expiries:
        strip = chain.select(expiry=int(expiry))
        seen: set[float] = set()
        for time in strip.times:
            now = set(strip.strike[strip.ts == time].tolist())
            assert seen <= now
            seen = now


def test_strikes_reach_out_to_the_least_delta() -> None:
    closes, index = market()
    snapshot = modelled_chain("XYZ", closes.iloc[:1], index, least_delta=0.05)
    size = abs(snapshot.select(kind="put").delta)
    assert 0.05 <= size.min() < 0.07
    assert set(np.diff(np.unique(snapshot.strike)).tolist()) == {5.0}


def test_puts_and_calls_keep_parity(chain: Chain) -> None:
    calls, puts = chain.select(kind="call"), chain.select(kind="put")
    np.testing.assert_array_equal(calls.strike, puts.strike)
    np.testing.assert_array_equal(calls.iv, puts.iv)
    forward = calls.underlying * np.exp(-0.015 * calls.years) - calls.strike * np.exp(-0.02 * calls.years)
    assert (calls.bid - puts.ask <= forward + 1e-9).all()
    assert (calls.ask - puts.bid >= forward - 1e-9).all()


def test_nothing_later_enters_a_quote(chain: Chain) -> None:
    closes, index = market()
    shorter = modelled_chain("XYZ", closes.iloc[:20], index.iloc[:20], rate=0.02, dividend_yield=0.015)
    same = chain.select(end=int(shorter.times[-1]))
    for name in ("ts", "expiry", "kind", "strike", "bid", "ask", "iv", "delta"):
        np.testing.assert_array_equal(getattr(shorter, name), getattr(same, name))


def test_a_session_without_an_index_has_no_quotes() -> None:
    closes, index = market()
    index.iloc[3] = np.nan
    made = modelled_chain("XYZ", closes.iloc[:8], index.drop(SESSIONS[5]))
    assert made.times.size == 6
    with pytest.raises(DataError) as caught:
        modelled_chain("XYZ", closes, index.iloc[:0])
    assert caught.value.code == "DATA_EMPTY"


def test_american_puts_cost_more() -> None:
    closes, index = market()
    terms: dict[str, Any] = {"rate": 0.05, "surface": Surface().replace(ticks="none", spread_factor=0.0)}
    european, american = (
        modelled_chain("XYZ", closes.iloc[:1], index, style=style, **terms).select(kind="put")
        for style in ("european", "american")
    )
    assert (american.mid >= european.mid - 1e-9).all()
    assert american.mid.sum() > 1.001 * european.mid.sum()


def test_rates_by_date_hold_until_the_next() -> None:
    closes, index = market()
    rates = pd.Series([0.01, 0.05], pd.to_datetime(["2019-02-01", "2019-03-10"]))
    stepped = modelled_chain("XYZ", closes, index, rate=rates)
    for constant, day in ((0.01, "2019-03-08"), (0.05, "2019-03-11")):
        alone = modelled_chain("XYZ", closes, index, rate=constant).at(day).select(strike=(270, 290))
        np.testing.assert_array_equal(alone.iv, stepped.at(day).select(strike=(270, 290)).iv)
    with pytest.raises(DataError) as caught:
        modelled_chain("XYZ", closes, index, rate=rates.iloc[1:])
    assert caught.value.code == "DATA_RATE"


def test_indices_that_are_no_session_dates_are_refused() -> None:
    closes, index = market()
    for odd in (
        closes.iloc[::-1],
        pd.concat([closes.iloc[:2], closes.iloc[1:]]),
        closes.tz_localize("America/New_York"),
        closes.shift(freq="16h"),
        closes.set_axis(["x"] * len(closes)),
    ):
        with pytest.raises(DataError) as caught:
            modelled_chain("XYZ", odd, index)
        assert caught.value.code == "DATA_TIME"


def test_the_index_of_bars_counts_as_session_dates(chain: Chain) -> None:
    closes, index = (series.tz_localize("UTC") for series in market())
    same = modelled_chain("XYZ", closes, index, rate=0.02, dividend_yield=0.015)
    np.testing.assert_array_equal(same.bid, chain.bid)


def test_it_survives_a_file(chain: Chain, tmp_path: object) -> None:
    path = chain.at("2019-03-04").to_parquet(f"{tmp_path}/chain.parquet")
    assert load_chain(path).origin == "modelled"


def test_strike_steps() -> None:
    assert strike_step([10.0, 49.99, 50.0, 199.0, 200.0, 4000.0]).tolist() == [1.0, 1.0, 2.5, 2.5, 5.0, 5.0]


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(
    name=st.sampled_from(sorted(SURFACES)),
    kind=st.sampled_from(["call", "put"]),
    delta=st.floats(0.005, 0.97),
    index=st.floats(0.06, 1.0),
    days=st.floats(0.5, 700.0),
    rate=st.floats(-0.01, 0.08),
    dividend_yield=st.floats(0.0, 0.01),
)
def test_strike_for_delta_inverts_the_delta(
    name: str, kind: str, delta: float, index: float, days: float, rate: float, dividend_yield: float
) -> None:
    surface, years = Surface.preset(name), days / 365
    terms: dict[str, Any] = {"spot": 100.0, "years": years, "rate": rate, "dividend_yield": dividend_yield}
    signed = delta if kind == "call" else -delta
    strike = float(strike_for_delta(kind, signed, surface=surface, index=index, **terms))
    volatility = float(surface.volatility(strike, index=index, **terms))
    assert float(greeks(kind, strike=strike, volatility=volatility, **terms).delta) == pytest.approx(
        signed, abs=1e-10
    )


def test_strike_for_delta_names_what_is_wrong() -> None:
    terms: dict[str, Any] = {"surface": Surface(), "spot": 100.0, "index": 0.2, "years": 0.1}
    assert np.isnan(strike_for_delta("put", [0.0, 1.0, 1.2, np.nan], **terms)).all()
    with pytest.raises(UnknownNameError) as caught:
        strike_for_delta("puts", 0.2, **terms)
    assert caught.value.code == "NAME_KIND"


@pytest.mark.parametrize("day", ["2019-03-06", "2019-03-20", "2019-04-24"])
def test_a_modelled_chain_gives_back_the_index_it_was_made_from(day: str) -> None:
    closes, index = (series[[day]] for series in market())
    fine = Surface().replace(ticks="none", spread_factor=0.001)
    made = modelled_chain("XYZ", closes, index, surface=fine, rate=0.02, least_delta=0.0003, step=0.5)
    assert vix_style_index(made, 0.02) == pytest.approx(index.iloc[0], rel=0.03)


def test_volatilities_come_back_from_the_prices(chain: Chain) -> None:
    snapshot = chain.at("2019-04-01").select(kind="put", delta=(0.05, 0.6))
    kind = snapshot.kind.astype(float)
    carry = (snapshot.years, 0.02)
    worth = price(kind, snapshot.underlying, snapshot.strike, *carry, snapshot.iv, 0.015)
    back = implied_volatility(kind, worth, snapshot.underlying, snapshot.strike, *carry, 0.015)
    np.testing.assert_allclose(back, snapshot.iv, rtol=1e-8)
