"""The arithmetic of trades, by hand and against sums made in other ways."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
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
from tests.budget import cases

MEANINGS = {
    "profit_target": (
        "50% profit rule", "Took profit at 52% of max", "75 % of credit", "take profit", "Profit target",
        "profit 50%", "Profit: 50 %", "closed at 50%", "close at 40%", "took 50%", "took 52.5%", "max profit",
        "maximum profit", "TP", "tp hit", "TP1", "50% of max profit", "50% rule", "50% target",
        "profit at 75%", "bought back at 50%", "closed for 40%", "hit 50%", "out at 60%", "captured 80%",
        "took the profit", "taking some profits", "profits taken", "profit taking",
    ),
    "stop": (
        "Stop loss", "stopped out", "2x credit stop", "stop", "STOP", "stop-loss", "stoploss hit", "SL",
        "sl hit", "hit SL", "max loss", "loss limit", "cut my loss", "cut the loss",
        "stopped out of the profit run", "stop at 50% loss",
    ),
    "time": ("time stop", "Time-stop", "timed exit", "time based exit", "time exit", "max days", "too long"),
    "trail": ("trailing stop", "trailing SL", "trailed out"),
    "breakeven": ("stop at break-even", "breakeven"),
    "dte": ("21 DTE", "21dte", "21 days to expiration", "3 days before expiry", "closed at 21 DTE"),
    "expiry": ("expired worthless", "Expiration", "expired at max profit"),
    "assignment": ("assigned early", "called away", "exercised"),
    "roll": ("rolled to March", "roll out"),
    "target": ("price target", "target reached"),
    "target2": ("target2",),
    "scale_out": ("scaled out 50%", "partial"),
    "delta": ("short strike tested", "delta 30"),
    "daily_loss": ("daily loss limit",),
    "kill_switch": ("kill switch",),
    "end_of_data": ("End of data",),
    "signal": ("opposite signal", "trend reversal"),
    "manual": ("manual", "closed by hand", "", "  "),
    "other": (
        "needed the money", "controlled demolition", "market not stopping", "market would not stop falling",
        "never stopped believing", "non-stop selling", "closed at 50% loss", "lost 50%", "down 50%",
        "gave back 50% of profit", "closed 50% of the position", "http traffic", "sleep", "slow",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"), [(text, code) for code, several in MEANINGS.items() for text in several]
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


@cases(many=300, few=60)
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


@cases(many=200, few=40)
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


def exactly(value: float | None) -> Decimal:
    """Return the shortest decimal that a float stands for, which is what SQL and JSON show."""
    return Decimal(repr(value))


CENTS = st.integers(1, 99_999).map(lambda cents: Decimal(cents) / 100)
PART = st.tuples(st.integers(1, 60), CENTS, st.integers(0, 500).map(lambda cents: Decimal(cents) / 100))


@cases(many=500, few=100)
@given(st.sampled_from([-1, 1]), st.sampled_from([1, 100]), CENTS, st.lists(PART, min_size=1, max_size=8))
def test_decimal_money_stays_decimal(
    side: int, multiplier: int, price: Decimal, parts: list[tuple[int, Decimal, Decimal]]
) -> None:
    quantity = sum(part for part, _, _ in parts)
    fills = [Cash("open", side, float(quantity), float(price), float(multiplier), 1.3)]
    fills += [Cash("close", -side, float(q), float(p), float(multiplier), float(f)) for q, p, f in parts]
    sums = summarise(side, float(multiplier), fills, open_quantity=0.0)
    gross = sum((side * q * multiplier * (p - price) for q, p, _ in parts), Decimal(0))
    fees = sum((f for _, _, f in parts), Decimal("1.3"))
    assert exactly(sums.entry_price) == price
    assert exactly(sums.gross_pnl) == gross
    assert exactly(sums.fees) == fees
    assert exactly(sums.pnl) == gross - fees


@cases(many=500, few=100)
@given(
    st.sampled_from([-1, 1]),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9_999)), min_size=2, max_size=8),
)
def test_what_nets_to_nothing_is_exactly_nothing(side: int, parts: list[tuple[int, int]]) -> None:
    cents = sum(quantity * price for quantity, price in parts)
    quantity = sum(quantity for quantity, _ in parts)
    # entered in two lots that cost what the exits bring, to the cent
    low, rest = divmod(cents, quantity)
    lots = [(quantity - rest, low), (rest, low + 1)]
    fills = [Cash("open", side, float(q), p / 100, 100.0, 0.0) for q, p in lots if q]
    fills += [Cash("close", -side, float(q), p / 100, 100.0, 0.0) for q, p in parts]
    sums = summarise(side, 100.0, fills, open_quantity=0.0)
    assert (str(sums.pnl), str(sums.gross_pnl)) == ("0.0", "0.0")  # and no negative zero


def test_a_scratch_in_three_parts_is_no_loss() -> None:
    fills = [Cash("open", -1, 3.0, 0.30, 100.0, 0.0)]
    fills += [Cash("close", 1, 1.0, price, 100.0, 0.0) for price in (0.10, 0.20, 0.60)]
    assert summarise(-1, 100.0, fills, open_quantity=0.0) == (0.3, 0.3, 0.0, 0.0, 0.0)


def test_small_money_beside_large_is_kept() -> None:
    fills = [Cash("open", 1, 1e6, 500.0, 1.0, 0.0), Cash("close", -1, 1e6, 500.0, 1.0, 0.01)]
    assert summarise(1, 1.0, fills, open_quantity=0.0).pnl == -0.01
    coin = [Cash("open", 1, 1e-6, 1e-4, 1.0, 0.0), Cash("close", -1, 1e-6, 2e-4, 1.0, 0.0)]
    assert summarise(1, 1.0, coin, open_quantity=0.0).pnl == 1e-10


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
