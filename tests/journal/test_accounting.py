"""The arithmetic of trades, by hand and against sums made in other ways."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.accounting import (
    Cash,
    capture_percent,
    close_code,
    days_between,
    occ_symbol,
    package_bounds,
    slippage,
    summarise,
)
from journal.values import nanoseconds
from simulator.types import ExitReason


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("50% profit rule", "profit_target"),
        ("Took profit at 52% of max", "profit_target"),
        ("75 % of credit", "profit_target"),
        ("take profit", "profit_target"),
        ("Stop loss", "stop"),
        ("stopped out", "stop"),
        ("2x credit stop", "stop"),
        ("trailing stop", "trail"),
        ("stop at break-even", "breakeven"),
        ("21 DTE", "dte"),
        ("21dte", "dte"),
        ("21 days to expiration", "dte"),
        ("expired worthless", "expiry"),
        ("Expiration", "expiry"),
        ("assigned early", "assignment"),
        ("called away", "assignment"),
        ("rolled to March", "roll"),
        ("price target", "target"),
        ("target2", "target2"),
        ("Profit target", "profit_target"),
        ("time stop", "stop"),
        ("max days", "time"),
        ("short strike tested", "delta"),
        ("daily loss limit", "daily_loss"),
        ("kill switch", "kill_switch"),
        ("End of data", "end_of_data"),
        ("opposite signal", "signal"),
        ("manual", "manual"),
        ("closed by hand", "manual"),
        ("", "manual"),
        ("needed the money", "other"),
        ("controlled demolition", "other"),
    ],
)
def test_what_a_reason_means(text: str, code: str) -> None:
    assert close_code(text) == code


def test_a_label_means_itself_in_any_writing() -> None:
    for reason in ExitReason:
        if reason:
            assert close_code(reason.label) == reason.label
            assert close_code(reason.label.upper().replace("_", " ")) == reason.label


@pytest.mark.parametrize(
    ("legs", "credit", "bounds"),
    [
        ([(-1, "put", 95.0, 1.0), (1, "put", 90.0, 1.0)], 1.9, (1.9, 3.1)),
        ([(1, "call", 100.0, 1.0), (-1, "call", 105.0, 1.0)], -2.0, (3.0, 2.0)),
        ([(-1, "put", 95.0, 1.0)], 2.9, (2.9, 92.1)),
        ([(-1, "call", 105.0, 1.0)], 2.0, (2.0, None)),
        ([(1, "call", 105.0, 1.0)], -2.0, (None, 2.0)),
        ([(1, "put", 95.0, 1.0)], -3.0, (92.0, 3.0)),
        # iron condor: one side can lose
        (
            [
                (-1, "put", 95.0, 1.0),
                (1, "put", 90.0, 1.0),
                (-1, "call", 105.0, 1.0),
                (1, "call", 112.0, 1.0),
            ],
            2.5,
            (2.5, 4.5),
        ),
        # jade lizard whose credit covers the call spread: nothing to lose above
        ([(-1, "put", 95.0, 1.0), (-1, "call", 105.0, 1.0), (1, "call", 107.0, 1.0)], 2.2, (2.2, 92.8)),
        ([(-1, "put", 100.0, 1.0), (-1, "call", 100.0, 1.0)], 8.0, (8.0, None)),
        # one bought, two sold: the second is naked
        ([(1, "call", 100.0, 1.0), (-1, "call", 105.0, 2.0)], 0.5, (5.5, None)),
        ([(1, "put", 90.0, 1.0), (-1, "put", 90.0, 1.0)], 0.1, (0.1, 0.0)),
    ],
)
def test_what_a_package_can_make_and_lose(
    legs: list[tuple[int, str, float, float]], credit: float, bounds: tuple[float | None, float | None]
) -> None:
    assert package_bounds(legs, credit) == bounds


LEG = st.tuples(
    st.sampled_from([-1, 1]), st.sampled_from(["call", "put"]), st.integers(20, 180).map(float),
    st.sampled_from([1.0, 2.0]),
)  # fmt: skip


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.lists(LEG, min_size=1, max_size=4), st.integers(-500, 500).map(lambda cents: cents / 100))
def test_bounds_are_those_of_the_payoff_over_all_prices(
    legs: list[tuple[int, str, float, float]], credit: float
) -> None:
    spots = np.arange(0.0, 1001.0, 1.0)
    payoff = np.full(spots.shape, credit)
    for side, kind, strike, ratio in legs:
        inside = strike - spots if kind == "put" else spots - strike
        payoff += side * ratio * np.maximum(inside, 0.0)
    rising, falling = payoff[-1] > payoff[-2] + 0.5, payoff[-1] < payoff[-2] - 0.5
    best, worst = package_bounds(legs, credit)
    assert best == (None if rising else pytest.approx(payoff.max()))
    assert worst == (None if falling else pytest.approx(max(0.0, -payoff.min())))


def test_sums_of_a_trade_by_hand() -> None:
    fills = [
        Cash("open", 1, 100.0, 50.0, 1.0, 1.0),
        Cash("open", 1, 50.0, 53.0, 1.0, 1.0),
        Cash("close", -1, 60.0, 55.0, 1.0, 0.5),
        Cash("none", -1, 1.0, 12.0, 1.0, 0.0),
        Cash("none", 1, 0.0, 0.0, 1.0, 2.0),
    ]
    sums = summarise(1, 1.0, fills, open_quantity=90.0)
    # average 51; 60 x 4 of the part, 12 of dividend, fees 1 + 1 + 0.5 + 2
    assert sums == (51.0, 55.0, 4.5, 252.0, 247.5)
    nothing: tuple[object, ...] = summarise(
        -1, 100.0, [Cash("open", -1, 7.0, 1.9, 100.0, 7.0)], open_quantity=7.0
    )
    assert nothing == (pytest.approx(1.9), None, 7.0, 0.0, -7.0)


FILL = st.tuples(st.integers(1, 400), st.integers(1, 20_000), st.integers(0, 500))


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(
    st.sampled_from([-1, 1]),
    st.sampled_from([1.0, 100.0]),
    st.lists(FILL, min_size=1, max_size=5),
    st.lists(FILL, min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_fills_never_matters(
    side: int,
    multiplier: float,
    entries: list[tuple[int, int, int]],
    exits: list[tuple[int, int, int]],
    order: random.Random,
) -> None:
    entered, left = sum(quantity for quantity, _, _ in entries), 0
    fills = [Cash("open", side, float(q), p / 100, multiplier, f / 100) for q, p, f in entries]
    open_quantity = entered
    for quantity, price, fee in exits:
        part = min(quantity, open_quantity)
        if part:
            fills.append(Cash("close", -side, float(part), price / 100, multiplier, fee / 100))
            open_quantity -= part
    left = open_quantity
    first = summarise(side, multiplier, fills, open_quantity=float(left))
    shuffled = fills.copy()
    order.shuffle(shuffled)
    assert summarise(side, multiplier, shuffled, open_quantity=float(left)) == first
    if left == 0:
        # in whole cents, which are exact
        scale = int(multiplier)
        cash = sum(-side * scale * q * p for q, p, _ in entries)
        cash += sum(
            side * scale * int(f.quantity) * round(f.price * 100) for f in fills if f.effect == "close"
        )
        fees = sum(round(f.fees * 100) for f in fills)
        assert first.pnl == pytest.approx((cash - fees) / 100, abs=1e-6)
        gross = side * ((first.exit_price or 0.0) - first.entry_price) * entered * multiplier
        assert first.gross_pnl == pytest.approx(gross, abs=1e-6)


def test_what_was_kept() -> None:
    assert capture_percent("option", -1, 665.0, 1330.0, 1330.0) == pytest.approx(50.0)
    assert capture_percent("option", -1, -1330.0, 1330.0, None) == pytest.approx(-100.0)
    assert capture_percent("option", 1, 150.0, 200.0, 300.0) == pytest.approx(50.0)
    assert capture_percent("option", 1, 150.0, 200.0, None) is None
    assert capture_percent("option", -1, 0.0, 0.0, None) is None
    assert capture_percent("stock", 1, 10.0, 100.0, 20.0) is None


def test_slippage_is_what_was_lost_against_the_mid() -> None:
    assert slippage(-1, 1.85, 1.90, 7.0, 100.0) == pytest.approx(35.0)
    assert slippage(1, 50.1, 50.0, 100.0, 1.0) == pytest.approx(10.0)
    assert slippage(-1, 1.95, 1.90, 1.0, 100.0) == pytest.approx(-5.0)
    assert slippage(1, 50.0, None, 1.0, 1.0) is None


def test_days_are_those_of_the_calendar() -> None:
    late = nanoseconds(datetime(2026, 1, 5, 23, 59, tzinfo=UTC))
    early = nanoseconds(datetime(2026, 1, 6, 0, 1, tzinfo=UTC))
    assert (days_between(late, early), days_between(late, late)) == (1.0, 0.0)


def test_symbols_of_options() -> None:
    assert occ_symbol("SPY", "2026-02-20", "call", 7.5) == "SPY260220C00007500"
    assert occ_symbol("GOOGL", "2026-12-18", "put", 1234.56) == "GOOGL261218P01234560"
