"""Expiries and strikes against brute force over modelled chains, and what must not be found."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars import Bars
from simulator.errors import ConfigError, DataError, UnknownNameError
from simulator.kernel.dtypes import QUOTE
from simulator.options.chain import Chain
from simulator.options.market import OptionMarket
from simulator.options.modelled import modelled_chain, strike_for_delta, strike_step
from simulator.options.pricing import price
from simulator.options.selection import ExpiryWindow, Pick, Selection
from simulator.options.surface import Surface

MakeOptions = Callable[..., Bars]
WINDOW = ExpiryWindow(45, 30, 65)
STEP = 2.5


@pytest.fixture(scope="module")
def bars(make_options: MakeOptions) -> Bars:
    made = make_options(120, seed=5, surface="index")
    assert 60 < made.close.min()
    assert made.close.max() < 190  # one strike step throughout
    return made


@pytest.fixture(scope="module")
def chain(bars: Bars) -> Chain:
    days = bars.index.tz_localize(None)
    assert bars.options is not None
    closes, index = (
        pd.Series(values, days) for values in (bars.close[:, 0], 100 * bars.options.volatility[:, 0])
    )
    return modelled_chain("U0", closes, index, rate=0.02, dte=(20, 80), step=STEP, least_delta=0.02)


def quotes_at(chain: Chain, bars: Bars, row: int, kind: int) -> dict[str, npt.NDArray[np.float64]]:
    here = (chain.ts == bars.close_ts[row]) & (chain.kind == kind)
    names = ("expiry", "strike", "delta", "bid", "ask")
    return {name: np.asarray(getattr(chain, name)[here], np.float64) for name in names}


@pytest.mark.parametrize(("right", "kind"), [("put", -1), ("call", 1)])
@pytest.mark.parametrize("target", [0.10, 0.30, 0.50])
def test_a_modelled_strike_is_the_grid_s_nearest_to_the_delta(
    right: str, kind: int, target: float, bars: Bars, chain: Chain
) -> None:
    pick = Selection.on(bars, "U0").by_delta(right, WINDOW, target)
    for row in range(0, len(bars), 7):
        quotes = quotes_at(chain, bars, row, kind)
        days = quotes["expiry"] - bars.session[row]
        listed = np.unique(days[(days >= WINDOW.least) & (days <= WINDOW.most)])
        nearest = listed[np.argmin(np.abs(listed - WINDOW.target))]
        assert pick.expiry[row] == bars.session[row] + nearest
        mine = days == nearest
        strike, delta = quotes["strike"][mine], np.abs(quotes["delta"][mine])
        order = np.argsort(delta)
        exact = np.interp(target, delta[order], strike[order])
        # the chain's deltas are a straight line between strikes here, its clock counts hours
        assert abs(pick.strike[row] - exact) <= 0.55 * STEP
        assert abs(pick.delta[row]) == pytest.approx(delta[strike == pick.strike[row]][0], abs=2e-3)


def test_an_expiry_is_the_one_nearest_to_the_target_within_the_bounds(bars: Bars, chain: Chain) -> None:
    selection = Selection.on(bars, "U0")
    for window in (WINDOW, ExpiryWindow(30, 25, 40), ExpiryWindow(45, 44, 46), ExpiryWindow(60, 50, 60)):
        chosen = selection.expiry(window)
        for row in range(len(bars)):
            listed = np.unique(chain.expiry[chain.ts == bars.close_ts[row]]) - bars.session[row]
            fit = listed[(listed >= window.least) & (listed <= window.most)]
            wanted = fit[np.argmin(np.abs(fit - window.target))] + bars.session[row] if fit.size else 0
            assert chosen[row] == wanted
    narrow = selection.expiry(ExpiryWindow(45, 44, 46))
    assert 0 < (narrow == 0).sum() < len(bars)
    # a week apart, save where Good Friday moves one to the day before
    weekly = selection.expiry(ExpiryWindow(45, 38, 52, weeklies=True)) - bars.session
    assert (np.abs(weekly - 45) <= 4).all()


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(
    bounds=st.tuples(*[st.floats(0.02, 0.9)] * 3).map(sorted),
    right=st.sampled_from(["put", "call"]),
)
def test_no_delta_lies_outside_its_bounds(bounds: list[float], right: str, bars: Bars) -> None:
    least, target, most = bounds
    pick = Selection.on(bars, "U0").by_delta(right, WINDOW, target, least, most)
    found = pick.expiry > 0
    assert ((np.abs(pick.delta[found]) >= least) & (np.abs(pick.delta[found]) <= most)).all()
    assert (np.isnan(pick.strike) == ~found).all()
    assert (np.isnan(pick.delta) == ~found).all()
    free = Selection.on(bars, "U0").by_delta(right, WINDOW, target)
    assert (pick.strike[found] == free.strike[found]).all()
    outside = (np.abs(free.delta) < least) | (np.abs(free.delta) > most)
    assert (found == ~outside).all()


def test_bounds_that_the_grid_misses_leave_no_candidate(bars: Bars) -> None:
    pick = Selection.on(bars, "U0").by_delta("put", WINDOW, 0.30, 0.299, 0.301)
    assert 0 < (pick.expiry > 0).sum() < len(bars) // 4


def test_strikes_by_percent_by_width_and_of_another_leg(bars: Bars) -> None:
    selection, spot = Selection.on(bars, "U0"), bars.close[:, 0]
    below = selection.by_percent("put", WINDOW, -5.0)
    assert (np.abs(below.strike - 0.95 * spot) <= STEP / 2).all()
    for right, sign in (("put", -1), ("call", 1)):
        sold = selection.by_delta(right, WINDOW, 0.30)
        for width, steps in ((5.0, 2), (0.1, 1), (6.0, 2)):
            wing = selection.by_width(sold, WINDOW, width=width)
            assert (wing.strike == sold.strike + sign * steps * STEP).all()
        wing = selection.by_width(sold, WINDOW, width_pct=8.0)
        assert (np.abs(np.abs(wing.strike - sold.strike) - 0.08 * spot) <= STEP / 2).all()
    later = ExpiryWindow(80, 70, 110)
    far = selection.at_strike_of(below, later)
    assert (far.strike == below.strike).all()
    assert (far.expiry > below.expiry).all()
    assert (selection.at_strike_of(below, WINDOW, "call").delta > 0).all()


def test_the_middle_of_a_modelled_quote_is_what_the_step_trades_at(bars: Bars, chain: Chain) -> None:
    selection = Selection.on(bars, "U0")
    put = selection.by_delta("put", WINDOW, 0.30)
    european, american = (selection.mid(put, american=american) for american in (False, True))
    assert (american >= european - 1e-9).all()
    assert bars.options is not None
    row, years = 30, float(put.expiry[30] - bars.session[30]) / 365
    quotes = quotes_at(chain, bars, row, -1)
    at = (quotes["strike"] == put.strike[row]) & (quotes["expiry"] == put.expiry[row])
    assert european[row] == pytest.approx(0.5 * (quotes["bid"] + quotes["ask"])[at][0], abs=0.06)
    assert price("put", bars.close[row, 0], put.strike[row], years, 0.02, 1e-9) < european[row]


def test_a_day_without_volatility_or_close_has_no_candidate(make_options: MakeOptions) -> None:
    bars = make_options(120, 2, gaps=0.1)
    assert bars.options is not None
    for column, symbol in enumerate(bars.symbols):
        selection = Selection.on(bars, symbol)
        gone = np.isnan(bars.close[:, column]) | np.isnan(bars.options.volatility[:, column])
        assert gone.any()
        for pick in (
            selection.by_delta("put", WINDOW, 0.3),
            selection.by_percent("call", WINDOW, 3.0),
            selection.by_width(selection.by_delta("call", WINDOW, 0.3), WINDOW, width_pct=5.0),
        ):
            assert ((pick.expiry == 0) == gone).all()
            assert (np.isnan(selection.mid(pick, american=True)) == gone).all()


@pytest.fixture(scope="module")
def quoted(bars: Bars, chain: Chain) -> Bars:
    return bars.with_options(OptionMarket.from_chains(bars, chain))


@pytest.mark.parametrize(("right", "kind"), [("put", -1), ("call", 1)])
def test_of_stored_quotes_the_nearest_tradable_delta_is_taken(
    right: str, kind: int, quoted: Bars, chain: Chain
) -> None:
    pick = Selection.on(quoted, "U0").by_delta(right, WINDOW, 0.20, 0.17, 0.24)
    missing = 0
    for row in range(len(quoted)):
        quotes = quotes_at(chain, quoted, row, kind)
        delta = np.abs(quotes["delta"])
        expiry = Selection.on(quoted, "U0").expiry(WINDOW)[row]
        fit = (quotes["expiry"] == expiry) & (delta >= 0.17) & (delta <= 0.24) & (quotes["bid"] > 0)
        if not fit.any():
            missing += 1
            assert (pick.expiry[row], np.isnan(pick.strike[row])) == (0, True)
            continue
        best = np.abs(delta[fit] - 0.20).min()
        assert abs(abs(pick.delta[row]) - 0.20) == pytest.approx(best, abs=1e-12)
        assert pick.strike[row] in quotes["strike"][fit]
    assert missing < len(quoted)


def test_what_can_not_be_traded_is_not_taken(bars: Bars) -> None:
    day = int(bars.session[0])
    rows = [
        # bid 0, crossed, missing, and one that trades, at 45 days; a better one too far away
        (0, 0, day + 45, -1, 90.0, 0.0, 0.05, 0.2, -0.30),
        (0, 0, day + 45, -1, 91.0, 1.0, 0.90, 0.2, -0.31),
        (0, 0, day + 45, -1, 92.0, np.nan, np.nan, 0.2, -0.32),
        (0, 0, day + 45, -1, 96.0, 1.4, 1.60, 0.2, -0.38),
        (0, 0, day + 90, -1, 90.0, 1.4, 1.60, 0.2, -0.30),
        # the next day has this strike only
        (1, 0, day + 45, -1, 91.0, 1.4, 1.60, 0.2, -0.33),
    ]
    market = OptionMarket.from_quotes(np.array(rows, QUOTE), np.zeros(len(bars)))
    selection = Selection.on(bars.with_options(market), "U0")
    put = selection.by_delta("put", WINDOW, 0.30)
    assert put.strike[:2].tolist() == [96.0, 91.0]
    assert (put.expiry[2:] == 0).all()
    assert selection.mid(put, american=True)[0] == pytest.approx(1.5)
    wing = selection.by_width(put, WINDOW, width=5.0)
    assert (wing.expiry == 0).all()
    assert (selection.by_percent("put", WINDOW, -40.0).expiry == 0).all()
    # bars before the first quote know nothing, and nothing is modelled for them
    none = Selection.on(bars.with_options(market)[5:9], "U0").by_delta("put", WINDOW, 0.30)
    assert (none.expiry == 0).all()


def test_of_two_quotes_equally_near_the_lower_strike_is_taken(bars: Bars) -> None:
    day = int(bars.session[0])
    rows = [
        (0, 0, day + days, -1, strike, 1.4, 1.6, 0.2, delta)
        for days, strike, delta in [(40, 90.0, -0.25), (40, 95.0, -0.375), (50, 90.0, -0.3125)]
    ]
    market = OptionMarket.from_quotes(np.array(rows, QUOTE), np.zeros(len(bars)))
    put = Selection.on(bars.with_options(market), "U0").by_delta("put", WINDOW, 0.3125)
    assert (put.strike[0], put.expiry[0]) == (90.0, day + 40)


def test_dividends_and_interest_are_part_of_the_inversion(bars: Bars) -> None:
    assert bars.options is not None
    level, surface = bars.options.volatility[:, 0], Surface.preset("index")
    market = OptionMarket.modelled(bars, {"U0": level}, rate=0.05, dividend_yield=0.4)
    for right in ("put", "call"):
        pick = Selection.on(bars.with_options(market), "U0").by_delta(right, WINDOW, 0.30)
        exact = strike_for_delta(
            right, 0.30, surface=surface, spot=bars.close[:, 0], index=level,
            years=(pick.expiry - bars.session) / 365, rate=0.05, dividend_yield=0.4,
        )  # fmt: skip
        assert (pick.strike == np.round(exact / STEP) * STEP).all()


def test_stored_widths_percents_and_strikes_exist(quoted: Bars, chain: Chain) -> None:
    selection = Selection.on(quoted, "U0")
    sold = selection.by_delta("put", WINDOW, 0.30)
    for pick in (
        sold,
        selection.by_width(sold, WINDOW, width=5.0),
        selection.by_percent("put", WINDOW, -1.0),
        selection.at_strike_of(sold, ExpiryWindow(65, 55, 80)),
    ):
        for row in np.flatnonzero(pick.expiry > 0)[::9]:
            quotes = quotes_at(chain, quoted, int(row), -1)
            at = (quotes["strike"] == pick.strike[row]) & (quotes["expiry"] == pick.expiry[row])
            assert at.sum() == 1
            middle = 0.5 * (quotes["bid"] + quotes["ask"])[at][0]
            assert selection.mid(pick, american=True)[row] == pytest.approx(middle)
    wing = selection.by_width(sold, WINDOW, width=5.0)
    both = (wing.expiry > 0) & (sold.expiry > 0)
    # where the strike 5.00 further down is not quoted, one half as far may stand in
    width = sold.strike[both] - wing.strike[both]
    assert set(width) <= {2.5, 5.0, 7.5}
    assert (width == 5.0).mean() > 0.8
    assert both.sum() > len(quoted) // 2


def test_every_prefix_gives_the_same_picks(bars: Bars, quoted: Bars) -> None:
    def picks(given: Bars) -> list[Pick]:
        selection = Selection.on(given, "U0")
        sold = selection.by_delta("put", WINDOW, 0.30, 0.2, 0.4)
        return [sold, selection.by_width(sold, WINDOW, width_pct=4.0), selection.by_percent("call", WINDOW)]

    for market in (bars, quoted):
        whole = picks(market)
        for cut in (1, 2, 57, len(market) - 1):
            for full, part in zip(whole, picks(market[:cut]), strict=True):
                assert np.array_equal(full.strike[:cut], part.strike, equal_nan=True)
                assert np.array_equal(full.expiry[:cut], part.expiry)
                assert np.array_equal(full.delta[:cut], part.delta, equal_nan=True)


def test_answers_are_shared_and_die_with_their_bars(make_options: MakeOptions) -> None:
    bars = make_options(60)
    one = Selection.on(bars, "U0").by_delta("put", WINDOW, 0.30)
    assert Selection.on(bars, "U0").by_delta("put", ExpiryWindow(45, 30, 65), 0.30) is one
    assert Selection.on(bars, "U0").by_delta("put", WINDOW, 0.25) is not one
    gone = weakref.ref(Selection.on(bars, "U0"))
    del bars
    gc.collect()
    assert gone() is None


def test_the_number_of_remembered_answers_is_bounded(bars: Bars) -> None:
    selection = Selection(bars, 0)
    made: list[int] = []

    def make(number: int) -> Callable[[], int]:
        return lambda: made.append(number) or number  # type: ignore[func-returns-value]

    assert [selection.remember(number, make(number)) for number in range(600)] == list(range(600))
    selection.remember(599, make(599))
    selection.remember(0, make(0))
    assert made == [*range(600), 0]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda selection: ExpiryWindow(20, 30, 60), "CONFIG_EXPIRY"),
        (lambda selection: ExpiryWindow(0, 0, 60), "CONFIG_EXPIRY"),
        (lambda selection: selection.by_delta("put", WINDOW, 0.3, 0.4, 0.5), "CONFIG_DELTA"),
        (lambda selection: selection.by_delta("put", WINDOW, 1.0), "CONFIG_DELTA"),
        (lambda selection: selection.by_delta("put", WINDOW, math.nan), "CONFIG_DELTA"),
        (lambda selection: selection.by_width(selection.by_percent("put", WINDOW), WINDOW), "CONFIG_WIDTH"),
        (
            lambda selection: selection.by_width(selection.by_percent("put", WINDOW), WINDOW, width=math.nan),
            "CONFIG_WIDTH",
        ),
    ],
)
def test_impossible_questions_are_named(make: Callable[[Selection], object], code: str, bars: Bars) -> None:
    with pytest.raises(ConfigError) as caught:
        make(Selection.on(bars, "U0"))
    assert caught.value.code == code


def test_unknown_names_and_bars_without_options_are_named(bars: Bars) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'put'"):
        Selection.on(bars, "U0").by_delta("putt", WINDOW, 0.3)
    with pytest.raises(UnknownNameError):
        Selection.on(bars, "U9")
    with pytest.raises(DataError) as caught:
        Selection.on(bars.replaced(options=None), "U0")
    assert caught.value.code == "DATA_OPTIONS"


def test_the_grid_follows_the_price(make_options: MakeOptions) -> None:
    for spot in (20.0, 100.0, 900.0):
        bars = make_options(40, spot=spot)
        strikes = Selection.on(bars, "U0").by_delta("put", WINDOW, 0.3).strike
        assert (strikes % strike_step(bars.close[:, 0]) == 0).all()


def test_quotes_win_where_a_market_has_both(quoted: Bars, bars: Bars) -> None:
    assert quoted.options is not None
    assert bars.options is not None
    both = replace(quoted.options, volatility=bars.options.volatility)
    pick = Selection.on(quoted.with_options(both), "U0").by_delta("put", WINDOW, 0.3)
    assert np.array_equal(pick.strike, Selection.on(quoted, "U0").by_delta("put", WINDOW, 0.3).strike)
