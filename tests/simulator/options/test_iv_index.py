"""The index and constant-maturity IV on quotes whose volatility is known, and where they must say unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.errors import ConfigError, DataError
from simulator.options.chain import Chain
from simulator.options.iv_index import (
    atm_term_structure,
    constant_maturity_iv,
    strip_variance,
    vix_style_history,
    vix_style_index,
)
from simulator.options.pricing import price

CLOSE = int(pd.Timestamp("2020-01-02 16:00", tz="America/New_York").value)
DAY = 86_400_000_000_000
FIRST = 18_263  # 2020-01-02
STRIKES = np.arange(40.0, 200.5, 0.5)


def quotes(
    volatility: dict[int, Any],
    *,
    time: int = CLOSE,
    spot: float = 100.0,
    rate: float = 0.03,
    dividend: float = 0.01,
    strikes: Any = STRIKES,
    style: str = "european",
    least: float = 1e-4,
    origin: str = "modelled",
    **more: Any,
) -> Chain:
    """Return a chain of one time with one flat volatility per number of days to expiry."""
    parts = []
    for days, level in volatility.items():
        for kind, code in (("call", 1), ("put", -1)):
            mid = price(kind, spot, strikes, days / 365, rate, level, dividend, style)
            parts.append((np.full(len(strikes), FIRST + days), np.full(len(strikes), code), strikes, mid))
    expiry, kinds, strike, mid = (np.concatenate(column) for column in zip(*parts, strict=True))
    worth = mid >= least
    columns = {
        "ts": np.full(mid.size, time), "expiry": expiry, "kind": kinds, "strike": strike,
        "bid": np.where(worth, mid * 0.99, 0.0), "ask": np.where(worth, mid * 1.01, least),
        "style": np.full(mid.size, 2 if style == "american" else 1), "underlying": np.full(mid.size, spot),
    }  # fmt: skip
    return Chain.from_arrays("XYZ", columns | more, origin=origin)


@pytest.mark.parametrize("level", [0.1, 0.2, 0.6])
def test_the_index_of_a_flat_volatility_is_that_volatility(level: float) -> None:
    # strikes half a point apart: discretisation is all that is left
    assert vix_style_index(quotes({23: level, 37: level}), 0.03) == pytest.approx(100 * level, rel=0.004)


def test_the_strip_says_what_it_rests_on() -> None:
    strip = strip_variance(quotes({30: 0.2}), 0.03)
    assert strip is not None
    assert strip.forward == pytest.approx(100 * np.exp(0.02 * 30 / 365), abs=1e-6)
    assert strip.k0 == 100.0
    assert strip.years == pytest.approx(30 / 365)
    assert strip.strikes > 80
    assert strip.variance == pytest.approx(0.04, rel=0.005)


def test_total_variance_is_on_a_line_between_two_expiries() -> None:
    chain = quotes({20: 0.3, 40: 0.2})
    expected = np.sqrt((0.3**2 * 20 + 0.2**2 * 40) / 2 / 30)
    assert constant_maturity_iv(chain, rate=0.03).iloc[0] == pytest.approx(expected, rel=1e-3)
    near, far = (strip_variance(chain.strip(int(e)), 0.03) for e in chain.expiries)
    assert near is not None
    assert far is not None
    points = 100 * np.sqrt((near.variance * near.years + far.variance * far.years) / 2 / (30 / 365))
    assert vix_style_index(chain, 0.03) == pytest.approx(points, rel=1e-12)


def test_an_expiry_on_the_day_needs_no_other() -> None:
    assert constant_maturity_iv(quotes({30: 0.25}), rate=0.03).iloc[0] == pytest.approx(0.25, abs=1e-6)
    assert vix_style_index(quotes({30: 0.25}), 0.03) == pytest.approx(25, rel=0.004)


def test_two_zero_bids_end_a_strip() -> None:
    chain = quotes({30: 0.2}, strikes=np.arange(80.0, 120.5, 5.0))
    whole = strip_variance(chain, 0.03)
    assert whole is not None
    bid = chain.bid.copy()
    for strike in (110.0, 115.0):
        bid[(chain.kind == 1) & (chain.strike == strike)] = 0.0
    cut = strip_variance(_with(chain, bid=bid), 0.03)
    assert cut is not None
    assert cut.strikes == whole.strikes - 3  # 110, 115 and all beyond: 120
    bid[(chain.kind == 1) & (chain.strike == 115.0)] = 0.01
    one = strip_variance(_with(chain, bid=bid), 0.03)
    assert one is not None
    assert one.strikes == whole.strikes - 1  # a single gap is skipped, what follows counts
    bid = np.where((chain.kind == 1) & np.isin(chain.strike, [105.0, 115.0]), 0.0, chain.bid)
    apart = strip_variance(_with(chain, bid=bid), 0.03)
    assert apart is not None
    assert apart.strikes == whole.strikes - 2  # two gaps, not one after the other


def test_a_forward_on_a_strike_is_that_strike() -> None:
    chain = quotes({30: 0.2}, strikes=np.array([90.0, 100.0, 110.0]))
    even = np.where(chain.strike == 100.0, 2.0, chain.bid)
    strip = strip_variance(_with(chain, bid=even, ask=np.where(chain.strike == 100.0, 2.5, chain.ask)), 0.03)
    assert strip is not None
    assert (strip.forward, strip.k0, strip.strikes) == (100.0, 100.0, 3)


def test_a_crossed_quote_makes_no_forward() -> None:
    chain = quotes({30: 0.2}, strikes=np.arange(80.0, 121.0))
    at = (chain.kind == 1) & (chain.strike == 120.0)
    put = float(chain.mid[(chain.kind == -1) & (chain.strike == 120.0)][0])
    crossed = _with(chain, bid=np.where(at, put + 1, chain.bid), ask=np.where(at, put - 1, chain.ask))
    assert constant_maturity_iv(crossed, rate=0.03).iloc[0] == pytest.approx(0.2, abs=1e-5)


def test_an_unknown_bid_counts_as_none() -> None:
    chain = quotes({30: 0.2}, strikes=np.arange(80.0, 120.5, 5.0))
    at = (chain.kind == 1) & (chain.strike >= 110.0)
    zero = strip_variance(_with(chain, bid=np.where(at, 0.0, chain.bid)), 0.03)
    unknown = strip_variance(_with(chain, bid=np.where(at, np.nan, chain.bid)), 0.03)
    assert zero is not None
    assert zero == unknown


@pytest.mark.parametrize(
    "chain",
    [
        quotes({20: 0.2}),  # nothing on the other side
        quotes({40: 0.2, 50: 0.2}),
        quotes({20: 0.2, 40: 0.2}, bid=np.full(4 * STRIKES.size, np.nan)),
        quotes({20: 0.2, 40: 0.2}, bid=np.zeros(4 * STRIKES.size)),
    ],
)
def test_what_cannot_be_had_is_unknown(chain: Chain) -> None:
    assert np.isnan(vix_style_index(chain, 0.03))
    assert np.isnan(constant_maturity_iv(chain, rate=0.03).iloc[0])


def test_extrapolation_is_only_on_request() -> None:
    chain = quotes({40: 0.2, 50: 0.2})
    assert constant_maturity_iv(chain, rate=0.03, extrapolate=True).iloc[0] == pytest.approx(0.2, abs=1e-6)
    assert vix_style_index(chain, 0.03, extrapolate=True) == pytest.approx(20, rel=0.004)


def test_the_index_leaves_out_the_last_week() -> None:
    assert np.isnan(vix_style_index(quotes({5: 0.2, 40: 0.2}), 0.03))
    assert vix_style_index(quotes({5: 0.2, 40: 0.2}), 0.03, least_days=3) == pytest.approx(20, rel=0.01)


def test_far_strikes_alone_have_no_volatility_at_the_money() -> None:
    strikes = np.array([40.0, 50.0, 60.0, 150.0, 160.0])
    assert np.isnan(constant_maturity_iv(quotes({30: 0.9}, strikes=strikes), rate=0.03).iloc[0])


def test_strikes_that_do_not_meet_the_forward_are_interpolated() -> None:
    strikes = np.array([93.0, 99.0, 104.0, 106.0])
    skew = 0.2 - 0.01 * (strikes - 100)
    term = atm_term_structure(quotes({30: skew}, strikes=strikes), rate=0.03)
    forward = 100 * np.exp(0.02 * 30 / 365)
    assert term["forward"].iloc[0] == pytest.approx(forward, abs=1e-6)
    assert term["iv"].iloc[0] == pytest.approx(0.2 - 0.01 * (forward - 100), abs=1e-6)


@pytest.mark.parametrize(("dividend", "tolerance"), [(0.0, 1e-4), (0.03, 1e-4), (0.08, 1e-4)])
def test_american_options_give_their_volatility_back(dividend: float, tolerance: float) -> None:
    # parity holds between European options: the early-exercise premium has to be taken out of it
    chain = quotes({30: 0.25, 60: 0.25, 300: 0.25}, style="american", dividend=dividend)
    term = atm_term_structure(chain, rate=0.03)
    np.testing.assert_allclose(term["iv"], 0.25, atol=tolerance)


def test_every_time_has_its_own_answer_rate_and_grade() -> None:
    chains = [
        quotes({30 - k: 0.2 + 0.01 * k, 50 - k: 0.2 + 0.01 * k}, time=CLOSE + k * DAY) for k in range(2)
    ]
    chains = [_with(c, expiry=c.expiry + k) for k, c in enumerate(chains)]
    chain = Chain.join(chains)
    found = constant_maturity_iv(chain, 30, rate=[0.03, 0.03])
    np.testing.assert_allclose(found, [0.2, 0.21], atol=1e-5)
    assert found.attrs["grade"] == "modelled"
    assert "ATM" in found.attrs["definition"]
    assert str(found.index.tz) == "UTC"  # type: ignore[attr-defined]
    history = vix_style_history(chain, 0.03)
    assert history.tolist() == [vix_style_index(chain.at(int(t)), 0.03) for t in chain.times]
    assert atm_term_structure(chain, rate=0.03)["origin"].unique().tolist() == ["modelled"]
    with pytest.raises(DataError) as caught:
        vix_style_index(chain, 0.03)
    assert caught.value.code == "DATA_QUOTES"
    with pytest.raises(DataError) as caught:
        constant_maturity_iv(chain, rate=[0.1, 0.2, 0.3])
    assert caught.value.code == "DATA_SHAPE"
    with pytest.raises(ConfigError) as refused:
        constant_maturity_iv(chain, 0)
    assert refused.value.code == "CONFIG_WINDOW"


def test_an_expired_option_is_not_used() -> None:
    chain = quotes({30: 0.2, 50: 0.2})
    late = _with(chain, ts=np.full(len(chain), CLOSE + 40 * DAY))
    assert np.isnan(constant_maturity_iv(late, 30, rate=0.03).iloc[0])


def test_an_empty_chain_has_an_empty_history() -> None:
    nothing = quotes({30: 0.2}).select(strike=(1.0, 2.0))
    assert len(constant_maturity_iv(nothing)) == 0
    assert len(vix_style_history(nothing)) == 0


def _with(chain: Chain, **columns: Any) -> Chain:
    draft = chain.to_draft()
    return Chain.from_arrays(chain.symbol, {**draft.columns, **columns}, origin=chain.origin)
