"""Option packages on bars within the day: they live to the close of their last session, and no longer.

The reference walks over the same bars with a table of closing times written by hand, and knows nothing of
the kernel: fills at the mid, no costs, so that every answer is a sum of a few prices.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Bars, Conventions, Costs
from simulator.engine import Run
from simulator.errors import DataError
from simulator.kernel import codes
from simulator.kernel.dtypes import QUOTE
from simulator.options.exposure import portfolio_greeks
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.options.pricing import price
from simulator.options.surface import Surface, run
from simulator.results import Result
from simulator.signals import Signals
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import DRIVERS, by_backtest, by_stream, by_sweep, difference
from tests.simulator.kernel.generate import Configuration, Shape
from tests.simulator.kernel.test_packages import AT_MID, traded

HALF_HOUR = 1_800_000_000_000
STRIKES = (85.0, 90.0, 95.0, 100.0, 105.0, 110.0, 115.0)
# New York around Thanksgiving 2025: the Friday ends at 13:00, and so do its options.
HOURS = {
    "2025-11-26": ("14:30", "21:00"),
    "2025-11-28": ("14:30", "18:00"),
    "2025-12-01": ("14:30", "21:00"),
    "2025-12-02": ("14:30", "21:00"),
}
DAYS = tuple(HOURS)
SHAPES: dict[str, tuple[int, list[LegSpec]]] = {
    "short put": (-1, [(-1, "put", 100.0)]),
    "put spread": (-1, [(-1, "put", 95.0), (1, "put", 90.0)]),
    "call spread": (-1, [(-1, "call", 105.0), (1, "call", 110.0)]),
    "condor": (-1, [(-1, "put", 95.0), (1, "put", 90.0), (-1, "call", 105.0), (1, "call", 110.0)]),
    "straddle": (1, [(1, "put", 100.0), (1, "call", 100.0)]),
}


def instant(day: str, clock: str) -> int:
    return int(np.datetime64(f"{day}T{clock}", "ns").astype(np.int64))


def number(day: str) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def starts(days: Sequence[str] = DAYS) -> list[int]:
    """Openings of all half hours of the sessions."""
    hours = [(instant(day, HOURS[day][0]), instant(day, HOURS[day][1])) for day in days]
    return [ts for first, last in hours for ts in range(first, last, HALF_HOUR)]


def is_last(ts: int) -> bool:
    """Whether the half hour that begins then is the last one of its session."""
    day = str(np.datetime64(ts, "ns"))[:10]
    return ts + HALF_HOUR >= instant(day, HOURS[day][1])


Prices = Sequence[float] | npt.NDArray[np.float64]
Quotes = dict[tuple[int, int, int, float], tuple[float, float, float]]


@dataclass
class Scene:
    """A market, what was made of it, and the same as plain values."""

    bars: Bars
    quotes: Quotes
    opens: list[float]
    closes: list[float]


def scene(
    closes: Prices,
    *,
    ts: Sequence[int] | None = None,
    opens: Prices | None = None,
    expiries: Sequence[str] = ("2025-11-28",),
    time_value: float = 1.0,
    gone: npt.NDArray[np.bool_] | None = None,
    unquoted: Sequence[int] = (),
    **more: Any,
) -> Scene:
    """Half hours of A; NaN in `closes` is a missing bar; what is `gone` or `unquoted` has no quotes."""
    ts = starts() if ts is None else ts
    spot = np.asarray(closes, float)
    first = spot if opens is None else np.where(np.isnan(spot), np.nan, opens)
    panel = np.stack([first, np.maximum(first, spot), np.minimum(first, spot), spot, spot * 0 + 1e6], axis=-1)
    other = np.full_like(panel, 50.0)  # B trades always, so that a bar without A is a bar
    bars = Bars.from_arrays(
        ("A", "B"), np.array(ts), np.stack([panel, other], axis=1), daily=False,
        close_ts=np.array(ts) + HALF_HOUR, **more,
    )  # fmt: skip
    quotes: Quotes = {}
    records = []
    for row in range(len(ts)):
        if np.isnan(spot[row]) or row in unquoted:
            continue
        for expiry in map(number, expiries):
            hours = max(0.0, (expiry - int(bars.session[row])) * 6.5 + 1.0)
            for right in (-1, 1):
                for at, strike in enumerate(STRIKES):
                    if gone is not None and gone[row, at]:
                        continue
                    inside = right * (spot[row] - strike)
                    near = math.exp(-((inside / 10.0) ** 2))
                    mid = max(0.0, inside) + 0.02 + 0.3 * time_value * math.sqrt(hours) * near
                    bid, ask = max(0.01, mid - 0.05), mid + 0.05
                    delta = right * (0.5 + 0.4 * math.tanh(inside / 8.0))
                    records.append((row, 0, expiry, right, strike, bid, ask, 0.2, delta))
                    quotes[row, expiry, right, strike] = bid, ask, delta
    market = OptionMarket.from_quotes(np.array(records, QUOTE), np.zeros(len(ts)))
    return Scene(bars.replaced(options=market), quotes, first.tolist(), spot.tolist())


def opened(
    bars: Bars, row: int, side: int, legs: Sequence[LegSpec], expiry: str = "2025-11-28", **rules: Any
) -> Signals:
    made = make_legs([legs], expiry=number(expiry))
    return package_signals(bars, [row], 0, side, made, make_rules(1, **rules), qty=1.0)


def configuration(bars: Bars, signals: Signals, cuts: list[int]) -> Configuration:
    shape = Shape(
        0, 2, len(bars), 0, 0, 0.0, 0.0, False, False, 0, 0, 0, False, False, False, 100_000.0, 1e6, {}, {},
        None, cuts,
    )  # fmt: skip
    return Configuration(shape, bars, signals, [], Conventions.of("realistic"), AT_MID, None)


def agreed(bars: Bars, signals: Signals, cuts: list[int]) -> None:
    """Hold every driver to the same bytes."""
    c = configuration(bars, signals, cuts)
    expected = by_backtest(c)
    answers = {name: driver(c) for name, driver in DRIVERS.items()}
    answers |= {"sweep": by_sweep([c, c])[1], "stream": by_stream(c)}
    for name, answer in answers.items():
        found = difference(expected, answer)
        assert not found, f"{name} differs from backtest in {found}"


# The reference


@dataclass
class End:
    """How a package should end: when, why, at which worth per share, and the account's equity at the end."""

    row: int
    reason: str
    worth: float
    shares: int
    equity: float


def payoff(legs: Sequence[LegSpec], spot: float) -> tuple[float, int, bool]:
    """Worth of the legs at expiry, the shares that they become, and whether a sold one is in the money."""
    worth, shares, sold = 0.0, 0, False
    for leg in legs:
        side, kind, strike = leg[0], leg[1], leg[2]
        sign = 1 if kind == "call" else -1
        inside = max(0.0, sign * (spot - strike))
        worth += side * inside
        if inside > 0:
            shares += side * sign
            sold = sold or side < 0
    return worth, shares, sold


def exit_reason(worth: float, sold_delta: float, entry: float, rules: dict[str, Any]) -> str:
    """The rule that a quoted worth meets first, or nothing."""
    gain, premium = worth - entry, abs(entry)
    if rules["stop_loss"] and gain <= -rules["stop_loss"] * premium:
        return "stop"
    if rules["profit_target"] and gain >= rules["profit_target"] * premium:
        return "profit_target"
    return "delta" if rules["delta_exit"] and sold_delta >= rules["delta_exit"] else ""


def expected_end(
    s: Scene, begin: int, legs: Sequence[LegSpec], expiry: str, rules: dict[str, Any]
) -> End | None:
    """Walk over the bars; None where nothing can be bought or sold at the first."""
    day_of = [number(str(np.datetime64(int(ts), "ns"))[:10]) for ts in s.bars.ts]
    last_day = number(expiry)

    def quoted(row: int) -> tuple[float, float] | None:
        worth, sold = 0.0, 0.0
        for leg in legs:
            found = s.quotes.get((row, last_day, 1 if leg[1] == "call" else -1, leg[2]))
            if found is None:
                return None
            worth += leg[0] * (found[0] + found[1]) / 2
            sold = max(sold, abs(found[2])) if leg[0] < 0 else sold
        return worth, sold

    opening = quoted(begin)
    if opening is None:
        return None
    entry = opening[0]
    money = 100_000.0 - 100.0 * entry

    def settled(row: int, spot: float, sold_from: int) -> End:
        worth, shares, sold = payoff(legs, spot)
        equity = money + 100.0 * worth
        shares = shares if rules["physical"] else 0
        if shares:
            later = [r for r in range(sold_from, len(day_of)) if not math.isnan(s.closes[r])]
            equity += 100.0 * shares * ((s.opens[later[0]] if later else spot) - spot)
        reason = "assignment" if sold and rules["physical"] else "expiry"
        return End(row, reason, worth, shares, equity)

    last = math.nan
    for row in range(begin + 1, len(day_of)):
        spot, day = s.closes[row], day_of[row]
        if day > last_day and not math.isnan(last):
            return settled(row, last, row)
        if math.isnan(spot):
            continue
        if day >= last_day and (day > last_day or is_last(int(s.bars.ts[row]))):
            return settled(row, spot, row + 1)
        last = spot if day == last_day else last
        seen = quoted(row)
        reason = "" if seen is None else exit_reason(*seen, entry, rules)
        if seen is not None and reason:
            return End(row, reason, seen[0], 0, money + 100.0 * seen[0])
    return End(-1, "", 0.0, 0, math.nan)


@pytest.mark.thorough
def test_packages_end_as_the_reference_says_in_every_driver() -> None:
    seen: Counter[str] = Counter()

    @drawn(250, 80)
    @given(st.integers(0, 2**31))
    def agree(seed: int) -> None:
        random = np.random.default_rng(seed)
        name = str(random.choice(sorted(SHAPES)))
        expiry = str(random.choice(DAYS[1:3]))
        ending = str(random.choice(["whole", "dropped", "missing", "early"]))
        rules = {
            "stop_loss": float(random.choice([0.0, 0.0, 1.0, 2.0])),
            "profit_target": float(random.choice([0.0, 0.0, 0.6])),
            "delta_exit": float(random.choice([0.0, 0.0, 0.75])),
            "physical": int(random.choice([0, 1])),
        }
        cuts = [int(cut) for cut in random.integers(0, 60, 4)]
        ts = starts()
        on_last = np.array([str(np.datetime64(each, "ns"))[:10] == expiry for each in ts])
        # calm until the last day, so that much is still open then
        closes = 100.0 * np.exp(np.cumsum(random.normal(0.0, 1.0, len(ts)) * np.where(on_last, 0.02, 0.004)))
        closes[random.random(len(ts)) < 0.1] = np.nan
        closes[0] = 100.0
        opens = closes * np.exp(random.normal(0.0, 0.005, len(ts)))
        tail = np.flatnonzero(on_last)[-int(random.integers(1, 5)) :]
        if ending == "missing":
            closes[tail] = np.nan
        kept = np.ones(len(ts), bool)
        if ending == "dropped":
            kept[tail] = False
        if ending == "early":
            kept[np.flatnonzero(on_last)[-1] + 1 :] = False  # the data end with the session
        s = scene(
            closes[kept], ts=[each for each, keep in zip(ts, kept, strict=True) if keep], opens=opens[kept],
            expiries=(expiry,), gone=random.random((int(kept.sum()), len(STRIKES))) < 0.03,
        )  # fmt: skip
        side, legs = SHAPES[name]
        begin = int(random.choice([0, 5, 12]))
        signals = opened(s.bars, begin, side, legs, expiry, **rules)
        want = expected_end(s, begin, legs, expiry, rules)
        result = traded(s.bars, signals)
        trades = result.raw.trades
        if want is None:
            assert not len(trades)
            return
        agreed(s.bars, signals, cuts)
        day = str(np.datetime64(int(s.bars.ts[want.row]), "ns"))[:10] if want.row >= 0 else ""
        seen[f"{want.reason}{' on the day' if day == expiry else ' late' if day > expiry else ''}"] += 1
        if want.row < 0:
            assert trades[0]["exit_reason"] == codes.EXIT_END_OF_DATA
            return
        assert result.trades.iloc[0]["exit_reason"] == want.reason
        assert trades[0]["exit_row"] == want.row
        if not want.shares:
            assert trades[0]["exit_price"] * side == pytest.approx(want.worth, abs=1e-9)
        assert float(result.equity.iloc[-1]) == pytest.approx(want.equity, abs=1e-6)

    agree()
    print(sorted(seen.items()))
    for reason in ("stop", "profit_target", "delta", "expiry", "assignment"):
        assert seen[f"{reason} on the day"] >= 1, reason
    assert seen["expiry late"] >= 1
    assert seen["assignment late"] >= 1


# By hand


FLAT = [100.0] * len(starts())
FIRST, HALF_DAY, AFTER = 0, 13, 20  # first rows of the sessions; the second has seven bars
PUT_SPREAD = SHAPES["put spread"][1]


def with_changes(changes: dict[int, float]) -> list[float]:
    """Closes at 100, and from each given row on at another price."""
    closes = list(FLAT)
    for row, value in changes.items():
        closes[row:] = [value] * (len(closes) - row)
    return closes


def first_trade(bars: Bars, signals: Signals, **options: Any) -> dict[str, Any]:
    result = traded(bars, signals, **options)
    return {**result.trades.iloc[0], "exit_row": int(result.raw.trades[0]["exit_row"])}


def test_a_package_is_settled_at_the_close_of_its_session_and_not_at_its_first_bar() -> None:
    # out of the money until the last half hour, which ends at 13:00
    s = scene(with_changes({AFTER - 1: 88.0}))
    trade = first_trade(s.bars, opened(s.bars, 1, -1, PUT_SPREAD, physical=0))
    assert (trade["exit_row"], trade["exit_reason"], trade["exit_price"]) == (AFTER - 1, "expiry", 5.0)
    whole = scene(with_changes({AFTER: 88.0}))
    trade = first_trade(whole.bars, opened(whole.bars, 1, -1, PUT_SPREAD, physical=0))
    assert (trade["exit_row"], trade["exit_price"]) == (AFTER - 1, 0.0)


def test_stops_of_the_last_day_need_a_quote_and_the_settlement_does_not() -> None:
    closes = with_changes({HALF_DAY + 2: 91.0})
    s = scene(closes)
    trade = first_trade(s.bars, opened(s.bars, 1, -1, PUT_SPREAD, stop_loss=1.0))
    assert (trade["exit_row"], trade["exit_reason"]) == (HALF_DAY + 2, "stop")
    bare = scene(closes, unquoted=range(HALF_DAY, AFTER))
    trade = first_trade(bare.bars, opened(bare.bars, 1, -1, PUT_SPREAD, stop_loss=1.0, physical=0))
    assert (trade["exit_row"], trade["exit_reason"], trade["exit_price"]) == (AFTER - 1, "expiry", 4.0)
    rules = result_rules(traded(bare.bars, opened(bare.bars, 1, -1, PUT_SPREAD, physical=0)))
    assert rules == {codes.PRICE_QUOTE}
    agreed(bare.bars, opened(bare.bars, 1, -1, PUT_SPREAD, physical=0), [HALF_DAY, HALF_DAY + 3])


def result_rules(result: Result) -> set[int]:
    return {int(rule) for rule in result.raw.fills["rule"]}


def test_a_missing_last_bar_ends_as_if_it_had_been_flat() -> None:
    # 93 is the last price of the session; it reopens at 97
    closes = np.array(with_changes({HALF_DAY + 3: 93.0, AFTER: 96.0}))
    opens = closes.copy()
    opens[AFTER] = 97.0
    whole = scene(closes, opens=opens)
    hole = closes.copy()
    hole[AFTER - 2 : AFTER] = np.nan
    pierced = scene(hole, opens=opens)
    signals = [opened(each.bars, 1, -1, PUT_SPREAD) for each in (whole, pierced)]
    one, other = (traded(each.bars, mine) for each, mine in zip((whole, pierced), signals, strict=True))
    # the 95 put is assigned: 100 shares at 95, sold at the next open at 97
    assert [len(each.trades) for each in (one, other)] == [2, 2]
    assert one.trades["pnl"].tolist() == other.trades["pnl"].tolist()
    assert one.trades.iloc[1][["entry_price", "exit_price"]].tolist() == [95.0, 97.0]
    assert one.raw.trades["exit_row"].tolist() == [AFTER - 1, AFTER]
    assert other.raw.trades["exit_row"].tolist() == [AFTER, AFTER]
    assert one.equity.iloc[-1] == other.equity.iloc[-1]
    agreed(pierced.bars, signals[1], [AFTER])


def test_without_any_bar_of_its_session_a_package_waits_for_the_first_price() -> None:
    closes = np.array(with_changes({AFTER: 93.0, AFTER + 1: 80.0}))
    closes[HALF_DAY:AFTER] = np.nan
    s = scene(closes)
    trade = first_trade(s.bars, opened(s.bars, 1, -1, PUT_SPREAD, physical=0))
    assert (trade["exit_row"], trade["exit_price"]) == (AFTER, 2.0)


def test_a_split_overnight_moves_the_price_that_waits_too() -> None:
    closes = np.array(with_changes({HALF_DAY + 3: 92.0, AFTER: 46.0}))
    closes[AFTER - 1] = np.nan
    split = [{"date": "2025-12-01", "symbol": "A", "kind": "split", "value": 2.0}]
    s = scene(closes, actions=split, raw=True)
    result = traded(s.bars, opened(s.bars, 1, -1, PUT_SPREAD, physical=0))
    credit = float(result.raw.fills["price"][0])
    assert result.equity.iloc[-1] == pytest.approx(100_000.0 + 100.0 * (credit - 3.0))


def test_a_calendar_without_the_last_bar_ends_its_front_at_the_last_price_of_the_session() -> None:
    closes = np.array(with_changes({HALF_DAY + 3: 97.0, AFTER: 90.0}))
    closes[AFTER - 1] = np.nan
    s = scene(closes, expiries=("2025-11-28", "2025-12-19"))
    front, back = number("2025-11-28"), number("2025-12-19")
    legs = make_legs([[(-1, "put", 100.0), (1, "put", 100.0)]], expiry=front)
    legs["expiry"][0, 1] = back
    signals = package_signals(s.bars, [1], 0, 1, legs, make_rules(1, physical=0), qty=1.0)
    trade = first_trade(s.bars, signals)
    bid, ask, _ = s.quotes[AFTER, back, -1, 100.0]
    # the front at 97 is worth 3, though the market has opened at 90
    assert (trade["exit_row"], trade["exit_price"]) == (AFTER, pytest.approx((bid + ask) / 2 - 3.0))
    agreed(s.bars, signals, [AFTER, AFTER + 1])


def test_leaving_on_the_last_day_costs_fees_and_expiring_does_not() -> None:
    costs = dataclasses.replace(AT_MID, commission_per_contract=1.0)
    s = scene(with_changes({HALF_DAY + 2: 91.0}))
    left = first_trade(s.bars, opened(s.bars, 1, -1, PUT_SPREAD, stop_loss=1.0), costs=costs)
    stayed = first_trade(s.bars, opened(s.bars, 1, -1, PUT_SPREAD, physical=0), costs=costs)
    assert (left["exit_reason"], left["fees"]) == ("stop", 4.0)
    assert (stayed["exit_reason"], stayed["fees"]) == ("expiry", 2.0)


def test_a_deep_put_is_not_assigned_before_the_close_of_its_last_day() -> None:
    # less time value than a day's interest: the day before that is reason enough, on the day itself none
    s = scene(with_changes({HALF_DAY: 91.0}), time_value=0.0)
    assert s.bars.options is not None
    rated = dataclasses.replace(s.bars.options, rates=np.full(len(s.bars), 0.2))
    bars = s.bars.replaced(options=rated)
    trade = first_trade(bars, opened(bars, 1, -1, SHAPES["short put"][1]))
    assert (trade["exit_row"], trade["exit_reason"]) == (AFTER - 1, "assignment")


# Of a modelled surface


def modelled(closes: Sequence[float]) -> Bars:
    s = scene(closes)
    return s.bars.replaced(options=OptionMarket.modelled(s.bars, {"A": 0.3}, rate=0.04))


@pytest.mark.parametrize("style", ["american", "european"])
def test_a_modelled_option_keeps_its_time_value_until_the_close(style: str) -> None:
    bars = modelled(FLAT)
    legs: list[LegSpec] = [(-1, "put", 100.0)]
    signals = opened(bars, 1, -1, legs, american=int(style == "american"))
    account = Run(bars, signals, cash=100_000.0, risk=None, costs=AT_MID)
    record = Surface.preset("index").record()
    worths = []
    for row in range(AFTER - 1):
        account.step()
        if row < HALF_DAY:
            continue
        hours = 3.5 - (row - HALF_DAY + 1) * 0.5
        years = hours / 24.0 / 365.0
        volatility = run("volatilities_over", record, 0.3, 100.0, 0.04, 0.0, 100.0, years)
        terms: dict[str, Any] = {"volatility": float(volatility), "rate": 0.04, "dividend_yield": 0.0}
        worth = price("put", 100.0, 100.0, years, style=style, **terms)
        held = account.state.positions[0]
        tick = 0.03  # bid and ask are rounded away from the price
        assert float(held["mark"]) == pytest.approx(float(worth), abs=tick)
        worths.append(float(held["mark"]))
        # heat and Greeks see an option that still moves
        assert held["unit_loss"] > 100.0
        assert portfolio_greeks(account, bars, row=row).gamma < 0.0
    assert worths == sorted(worths, reverse=True)
    assert worths[-1] >= 0.1
    account.step()
    assert account.state.account["n_packages"][0] == 0


def test_bars_pushed_one_by_one_are_modelled_like_all_at_once() -> None:
    bars = modelled(with_changes({HALF_DAY + 1: 98.0, HALF_DAY + 4: 95.5}))
    signals = opened(bars, 1, -1, SHAPES["short put"][1], stop_loss=2.0, physical=0)
    assert result_rules(traded(bars, signals)) == {codes.PRICE_MODEL}
    agreed(bars, signals, [HALF_DAY, HALF_DAY + 2, AFTER])


def test_around_the_clock_a_session_ends_at_midnight() -> None:
    hour = 2 * HALF_HOUR
    ts = instant("2025-11-28", "00:00") + np.arange(72) * hour
    spot = np.where(np.arange(72) < 47, 100.0, 90.0)
    bars = Bars.from_arrays(
        ("A",), ts, np.stack([spot] * 5, axis=-1)[:, None, :], daily=False, calendar="24/7"
    )
    rows = [(0, 0, number("2025-11-29"), -1, 95.0, 0.95, 1.05, 0.2, -0.2)]
    bars = bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.zeros(72)))
    signals = opened(bars, 0, -1, [(-1, "put", 95.0)], "2025-11-29", physical=0)
    trade = first_trade(bars, signals, costs=Costs())
    assert (trade["exit_row"], trade["exit_price"]) == (47, 5.0)


def test_a_market_has_one_source_of_prices() -> None:
    stored, surface = scene(FLAT).bars.options, modelled(FLAT).options
    assert stored is not None
    assert surface is not None
    with pytest.raises(DataError, match="DATA_QUOTES"):
        dataclasses.replace(surface, quotes=stored.quotes, start=stored.start)
