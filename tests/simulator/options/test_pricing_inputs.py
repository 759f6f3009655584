"""What the pricing functions accept and refuse, and the answers at the edges."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import DataError, UnknownNameError
from simulator.options import VolatilityStatus, greeks, implied_volatility, price, solve_volatility

TERMS: dict[str, Any] = {
    "spot": 100.0,
    "strike": 105.0,
    "years": 0.25,
    "rate": 0.03,
    "volatility": 0.2,
    "dividend_yield": 0.01,
}


def test_a_worked_example() -> None:
    # Hull, Options, Futures and Other Derivatives: S 42, K 40, r 10 %, volatility 20 %, six months.
    assert price("call", 42.0, 40.0, 0.5, 0.10, 0.20) == pytest.approx(4.76, abs=0.005)
    assert price("put", 42.0, 40.0, 0.5, 0.10, 0.20) == pytest.approx(0.81, abs=0.005)


def test_scalars_give_floats_and_arrays_give_arrays() -> None:
    assert type(price("call", **TERMS)) is float
    assert {type(value) for value in greeks("call", **TERMS)} == {float}
    assert type(price("call", **{**TERMS, "spot": np.float64(100.0)})) is float
    strikes = np.array([[90.0, 100.0, 110.0]])
    kind = np.array([["call"], ["put"]])
    values = price(kind, 100.0, strikes, 0.25, 0.03, 0.2)
    assert values.shape == (2, 3)
    for row, name in enumerate(("call", "put")):
        for column, strike in enumerate(strikes[0]):
            assert values[row, column] == price(name, 100.0, float(strike), 0.25, 0.03, 0.2)
    assert greeks(kind, 100.0, strikes, 0.25, 0.03, 0.2).gamma.shape == (2, 3)
    volatility, status = solve_volatility(kind, values, 100.0, strikes, 0.25, 0.03)
    np.testing.assert_allclose(volatility, 0.2, rtol=1e-12)
    assert status.tolist() == [["ok"] * 3] * 2
    assert price("call", 100.0, np.empty((0, 4)), 0.25, 0.03, 0.2).shape == (0, 4)


def test_inputs_are_left_alone_and_need_not_be_contiguous() -> None:
    strikes = np.arange(80.0, 120.0)
    before = strikes.copy()
    np.testing.assert_array_equal(
        price("put", 100.0, strikes[::3], 0.25, 0.03, 0.2), price("put", 100.0, strikes, 0.25, 0.03, 0.2)[::3]
    )
    np.testing.assert_array_equal(strikes, before)


@pytest.mark.parametrize("kind", [["call", "put"], [1, -1], [1.0, -1.0], np.array(["call", "put"], object)])
def test_kinds_are_words_or_signs(kind: Any) -> None:
    np.testing.assert_array_equal(price(kind, **TERMS), [price("call", **TERMS), price("put", **TERMS)])
    assert price(-1, **TERMS) == price("put", **TERMS)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Put", r"option kind 'Put' is unknown. Did you mean 'put'\?"),
        ("CALLS", r"Did you mean 'call'\?"),
        ("straddle", "Known: call, put"),
        (["put", "c"], r"option kind\[1\] 'c' is unknown"),
        ([1, 0], r"option kind\[1\] '0' is unknown.*\+1 is a call"),
        ([math.nan], r"option kind\[0\] 'nan'"),
        (["call", None], r"option kind\[1\] 'None'"),
    ],
)
def test_an_unknown_kind_is_named(kind: Any, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message) as caught:
        price(kind, **TERMS)
    assert caught.value.code == "NAME_KIND"


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"'American' is unknown. Did you mean 'american'\?") as caught:
        price("put", **TERMS, style="American")
    assert caught.value.code == "NAME_STYLE"


@pytest.mark.parametrize(
    ("name", "bad", "rule"),
    [
        ("spot", 0.0, "above 0"),
        ("spot", -5.0, "above 0"),
        ("strike", 0.0, "above 0"),
        ("years", -0.01, "0 or more"),
        ("volatility", -0.2, "0 or more"),
        ("rate", math.inf, "finite"),
        ("dividend_yield", -math.inf, "finite"),
        ("spot", math.inf, "finite"),
    ],
)
def test_an_impossible_number_is_named_with_its_place(name: str, bad: float, rule: str) -> None:
    for function in (price, greeks):
        with pytest.raises(DataError, match=f"^.DATA_CONTRACT. {name} is {bad:g}; it must be {rule}"):
            function("call", **{**TERMS, name: bad})
        column: list[float] = [math.nan, TERMS[name], bad, bad]
        with pytest.raises(DataError, match=rf"{name}\[2\] is {bad:g}; it must be {rule}"):
            function("call", **{**TERMS, name: column})
    if name != "volatility":
        rest = {key: value for key, value in {**TERMS, name: bad}.items() if key != "volatility"}
        with pytest.raises(DataError, match=f"{name} is {bad:g}"):
            implied_volatility("call", 3.0, **rest)


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"do not broadcast: spot \(2,\), strike \(3,\)") as caught:
        price("put", [1.0, 2.0], [1.0, 2.0, 3.0], 1.0, 0.0, 0.2)
    assert caught.value.code == "DATA_SHAPE"
    with pytest.raises(DataError, match="strike is 'high'; it must be a number") as caught:
        price("put", 100.0, "high", 1.0, 0.0, 0.2)
    assert caught.value.code == "DATA_TYPE"


@pytest.mark.parametrize("style", ["european", "american"])
@pytest.mark.parametrize("name", sorted(TERMS))
def test_what_is_missing_stays_missing(name: str, style: str) -> None:
    terms: dict[str, Any] = {**TERMS, name: np.array([math.nan, TERMS[name]])}
    answers = greeks("put", **terms, style=style)
    assert all(np.isnan(values[0]) and np.isfinite(values[1]) for values in answers)
    del terms["volatility"]
    if name != "volatility":
        volatility, status = solve_volatility("put", 7.0, **terms, style=style)
        assert np.isnan(volatility).tolist() == [True, False]
        assert status.tolist() == ["invalid", "ok"]


@pytest.mark.parametrize("style", ["european", "american"])
def test_at_expiry_an_option_is_worth_exercising_it(style: str) -> None:
    spot = np.array([90.0, 100.0, 110.0])
    call = greeks("call", spot, 100.0, 0.0, 0.03, 0.2, style=style)
    put = greeks("put", spot, 100.0, 0.0, 0.03, 0.2, style=style)
    assert call.price.tolist() == [0.0, 0.0, 10.0]
    assert put.price.tolist() == [10.0, 0.0, 0.0]
    assert call.delta.tolist() == [0.0, 0.5, 1.0]
    assert put.delta.tolist() == [-1.0, -0.5, 0.0]
    for rest in (*call[2:], *put[2:]):
        assert np.abs(rest).max() == 0.0


def test_without_volatility_the_spot_follows_its_forward() -> None:
    values = greeks("call", [100.0, 100.0], [90.0, 110.0], 1.0, 0.05, 0.0, 0.02)
    carried = 100.0 * math.exp(-0.02) - 90.0 * math.exp(-0.05)
    np.testing.assert_allclose(values.price, [carried, 0.0], rtol=1e-14)
    np.testing.assert_allclose(values.delta, [math.exp(-0.02), 0.0], rtol=1e-14)
    assert all(np.isfinite(column).all() for column in values)


@pytest.mark.parametrize("style", ["european", "american"])
@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        ("put", 7.0, "ok"),
        ("put", 0.0, "indeterminate"),
        ("put", -1.0, "below intrinsic"),
        ("put", 105.0, "above bound"),
        ("put", math.inf, "above bound"),
        ("put", math.nan, "invalid"),
        ("call", 100.0, "above bound"),
        ("call", 1e-300, "ok"),
    ],
)
def test_every_price_has_its_status(kind: str, value: float, status: str, style: str) -> None:
    strike = 95.0 if value == 0.0 else 105.0
    answer = solve_volatility(kind, value, 100.0, strike, 0.25, 0.03, 0.01, style)
    assert answer.status is VolatilityStatus(status)
    assert math.isnan(answer.volatility) == (status != "ok")


def test_below_intrinsic_knows_the_style() -> None:
    # 20 in the money for two years at 8 %: a European put may be worth less than exercising would bring
    value = price("put", 80.0, 100.0, 2.0, 0.08, 0.15)
    assert value < 20.0
    assert solve_volatility("put", value, 80.0, 100.0, 2.0, 0.08).status == "ok"
    assert (
        solve_volatility("put", value, 80.0, 100.0, 2.0, 0.08, style="american").status == "below intrinsic"
    )
    assert solve_volatility("put", 20.0, 80.0, 100.0, 2.0, 0.08, style="american").status == "indeterminate"


def test_an_expired_option_has_no_volatility() -> None:
    value, status = solve_volatility("put", [5.0, 4.0, 6.0], 100.0, 105.0, 0.0, 0.03)
    assert np.isnan(value).all()
    assert status.tolist() == ["indeterminate", "below intrinsic", "above bound"]


def test_the_package_offers_its_names_and_loads_them_late() -> None:
    import simulator.options as package

    for name in package.__all__:
        assert getattr(package, name) is not None, name
    with pytest.raises(AttributeError, match="'vanna'"):
        _ = package.vanna
    code = (
        "import sys, simulator.options; assert not {'numba', 'pandas', 'scipy'} & set(sys.modules);"
        "import simulator.options.iv_rank; from simulator.options import iv_percentile, iv_rank;"
        "print(callable(iv_rank) and callable(iv_percentile))"
    )
    root = Path(__file__).parents[3]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"
