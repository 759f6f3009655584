"""Positions worked out by hand: growth, targets, moving stops, time, actions, interest, detail bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simulator.bars import Bars
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.kernel import codes
from simulator.kernel.dtypes import ACTION
from tests.simulator.kernel.market import (
    DAY,
    FIRST,
    LOOSE,
    bars_of,
    events,
    fills,
    flat,
    made,
    run,
    trades,
    verdicts,
)

# Growing and shrinking

GROWS = {"qty": 100.0, "stop": 95.0, "add_r": 1.0, "add_fraction": 0.5}


def test_an_add_buys_at_its_level_and_the_entry_price_is_the_mean() -> None:
    bars = bars_of(made(100, 100, (100, 106, 100, 106), 106))
    done = run(bars, GROWS)
    assert fills(done) == [(1, "entry", 100, 100), (2, "add", 50, 105)]
    trade = done.result().raw.trades[0]
    assert trade["qty"] == 150
    assert trade["entry_price"] == pytest.approx(15_250 / 150)
    assert trade["initial_risk"] == 500  # of the first entry: what was risked when R was set
    assert trade["pnl"] == pytest.approx(100 * 6 + 50 * 1)


def test_an_add_that_gaps_buys_at_the_open_and_a_second_one_follows() -> None:
    bars = bars_of(made(100, 100, (107, 107, 107, 107), (110, 111, 110, 111), 111))
    done = run(bars, {**GROWS, "add2_r": 2.0, "add2_fraction": 0.25})
    assert fills(done) == [(1, "entry", 100, 100), (2, "add", 50, 107), (3, "add", 25, 110)]


def test_an_add_of_a_short_is_the_mirror_image() -> None:
    bars = bars_of(made(100, 100, (100, 100, 94, 94), 94))
    done = run(bars, {"side": -1, "qty": 100.0, "stop": 105.0, "add_r": 1.0})
    assert fills(done) == [(1, "entry", -100, 100), (2, "add", -100, 95)]


def test_an_exit_cancels_the_adds_that_are_left() -> None:
    bars = bars_of(made(100, 100, (100, 104, 100, 104), (104, 107, 104, 106), 108))
    done = run(bars, {**GROWS, "target": 103.0, "target_fraction": 0.5, "target2": 120.0})
    assert fills(done) == [(1, "entry", 100, 100), (2, "target", -50, 103)]


def test_an_add_that_the_cash_does_not_cover_shrinks_or_goes() -> None:
    bars = bars_of(made(100, 100, (100, 106, 100, 106), 106))
    assert fills(run(bars, GROWS, cash=12_100.0))[1] == (2, "add", 20, 105)
    done = run(bars, GROWS, cash=10_000.0)
    assert fills(done) == [(1, "entry", 100, 100)]
    assert done.state.account["cash"][0] == 0


def test_targets_take_their_fractions_and_the_last_one_the_rest() -> None:
    bars = bars_of(made(100, 100, (100, 121, 100, 121), 121))
    plan = {
        "target": 105.0,
        "target_fraction": 0.25,
        "target2": 110.0,
        "target2_fraction": 0.25,
        "target3": 120.0,
    }
    done = run(bars, {"qty": 100.0, "stop": 95.0, **plan})
    assert fills(done)[1:] == [(2, "target", -25, 105), (2, "target", -25, 110), (2, "target", -50, 120)]
    assert trades(done) == [(1, 2, "target3", pytest.approx(113.75))]
    assert done.result().raw.trades["r_multiple"][0] == pytest.approx(13.75 / 5)


def test_fractions_below_one_leave_a_rest_to_the_stop() -> None:
    bars = bars_of(made(100, 100, (100, 106, 100, 105), (100, 100, 90, 92), 92))
    done = run(bars, {"qty": 100.0, "stop": 95.0, "target": 105.0, "target_fraction": 0.4})
    assert fills(done)[1:] == [(2, "target", -40, 105), (3, "stop", -60, 95)]


def test_a_scale_out_sells_its_share_at_its_level() -> None:
    bars = bars_of(made(100, 100, (100, 106, 100, 105), (105, 111, 105, 110), 110))
    done = run(
        bars, {"qty": 100.0, "stop": 95.0, "target": 110.0, "scale_out_r": 1.0, "scale_out_fraction": 0.3}
    )
    assert fills(done)[1:] == [(2, "target", -30, 105), (3, "target", -70, 110)]
    assert trades(done)[0][2] == "target"
    kept = run(bars, {"qty": 100.0, "stop": 95.0, "scale_out_r": 1.0})
    assert fills(kept)[1:] == [(2, "target", -50, 105)]


def test_targets_follow_an_add() -> None:
    # the add at 105 makes 150 of 100; half of that leaves at 110
    bars = bars_of(made(100, 100, (100, 106, 100, 106), (106, 112, 106, 112), 112))
    done = run(bars, {**GROWS, "target": 110.0, "target_fraction": 0.5, "target2": 130.0})
    assert fills(done)[2:] == [(3, "target", -75, 110)]


# Stops that move


def test_a_stop_moves_to_the_entry_after_the_bar_that_reached_the_level() -> None:
    bars = bars_of(made(100, 100, (100, 105, 97, 104), (104, 104, 99, 99), 99))
    done = run(bars, {"qty": 1.0, "stop": 95.0, "breakeven_r": 1.0})
    assert trades(done) == [(1, 3, "breakeven", 100)]
    # one tick less and the first stop stays
    short_of = bars_of(made(100, 100, (100, 104.99, 97, 104), (104, 104, 99, 99), 99))
    assert trades(run(short_of, {"qty": 1.0, "stop": 95.0, "breakeven_r": 1.0}))[0][2] == "end_of_data"


def test_break_even_never_lowers_a_stop() -> None:
    bars = bars_of(made(100, 100, (100, 110, 100, 110), (110, 110, 104, 104), 104))
    plan = {"qty": 1.0, "stop": 95.0, "trail_amount": 5.0, "breakeven_r": 1.0}
    assert trades(run(bars, plan)) == [(1, 3, "trail", 105)]


def test_a_trail_starts_at_its_activation() -> None:
    plan = {"qty": 1.0, "stop": 90.0, "trail_amount": 3.0, "trail_activate_r": 1.0}
    bars = bars_of(made(100, 100, (100, 109, 100, 101), (101, 110, 101, 109), (109, 109, 105, 106), 106))
    # the high of 109 is short of 110, so 101 stays in; 110 starts the trail at 107
    assert trades(run(bars, plan)) == [(1, 4, "trail", 107)]


def test_the_tighter_of_stop_and_trail_is_in_force_unless_the_trail_replaces() -> None:
    bars = bars_of(made(100, 100, (100, 100, 97, 97), 97))
    plan = {"qty": 1.0, "stop": 98.0, "trail_amount": 5.0}
    assert trades(run(bars, plan))[0] == (1, 2, "stop", 98)
    replaced = run(bars, plan, conventions=Conventions(stop_and_trail="trail_replaces"))
    assert trades(replaced)[0][2] == "end_of_data"


# Time


@pytest.mark.parametrize(("exit_", "row"), [("open", 4), ("close", 3)])
@pytest.mark.parametrize("limit", ["max_bars", "max_days"])
def test_time_exits_at_the_next_open_or_at_the_close(limit: str, exit_: str, row: int) -> None:
    # in at the open of row 1: the third bar is row 3, and two days later it is too
    bars = bars_of(made(100, 100, 100, (100, 103, 100, 102), (101, 101, 101, 101), 101))
    done = run(bars, {"qty": 1.0, limit: 3 if limit == "max_bars" else 2, "exit": exit_})
    assert trades(done) == [(1, row, "time", 102 if exit_ == "close" else 101)]


def test_bars_are_counted_where_the_symbol_has_one_and_days_always() -> None:
    bars = bars_of(made(100, 100, (), (), 100, 100, 100, 100))
    assert trades(run(bars, {"qty": 1.0, "max_bars": 3}))[0][1] == 6
    assert trades(run(bars, {"qty": 1.0, "max_days": 3}))[0][1] == 5


def test_a_position_from_the_close_counts_from_the_next_bar() -> None:
    bars = bars_of(flat(100, 6))
    assert trades(run(bars, {"qty": 1.0, "entry": "close", "max_bars": 2}))[0][1] == 3
    assert trades(run(bars, {"qty": 1.0, "entry": "close", "max_bars": 2, "exit": "close"}))[0][1] == 2


def test_the_limit_of_the_risk_manager_is_the_shorter_one() -> None:
    bars = bars_of(flat(100, 8))
    plan = {"qty": 1.0, "stop": 95.0}
    assert trades(run(bars, plan, risk=LOOSE.replace(max_days_in_trade=3)))[0][1] == 5
    assert trades(run(bars, {**plan, "max_days": 2}, risk=LOOSE.replace(max_days_in_trade=3)))[0][1] == 4
    assert trades(run(bars, {**plan, "max_days": 4}, risk=LOOSE.replace(max_days_in_trade=3)))[0][1] == 5


# Corporate actions


def acting(*actions: tuple[int, int, float], symbols: int = 1) -> npt.NDArray[np.void]:
    """Return ACTION records of the first symbol from (row, kind, value)."""
    return np.array([(row, 0, kind, value) for row, kind, value in actions], ACTION)


def raw_bars(days: Any, *actions: tuple[int, int, float]) -> Bars:
    return bars_of(days, raw=True, actions=acting(*actions))


def test_a_split_changes_quantities_and_prices_and_no_value() -> None:
    split = (2, codes.ACTION_SPLIT, 2.0)
    bars = raw_bars(made(100, 100, 50, (50, 61, 50, 60), 60), split)
    plan = {"qty": 100.0, "stop": 95.0, "target": 120.0}
    done = run(bars, plan)
    assert fills(done) == [(1, "entry", 100, 100), (3, "target", -200, 60)]
    trade = done.result().raw.trades[0]
    assert (trade["qty"], trade["entry_price"], trade["exit_price"], trade["pnl"]) == (200, 50, 60, 2_000)
    assert trade["r_multiple"] == pytest.approx(4.0)
    assert list(done.result().equity) == [100_000, 100_000, 100_000, 102_000, 102_000]
    stopped = raw_bars(made(100, 100, (50, 50, 47, 47), 47), split)
    assert trades(run(stopped, plan)) == [(1, 2, "stop", 47.5)]


def test_adjusted_prices_have_their_splits_inside() -> None:
    bars = bars_of(made(100, 100, 100, 100), actions=acting((2, codes.ACTION_SPLIT, 2.0)))
    done = run(bars, {"qty": 100.0, "stop": 95.0})
    assert done.state.positions["qty"][0] == 100


def test_a_split_reaches_working_orders_trails_and_levels() -> None:
    split = (2, codes.ACTION_SPLIT, 2.0)
    resting = raw_bars(made(100, 100, (50, 50, 44, 45), (45, 45, 42, 42), 42), split)
    done = run(resting, {"qty": 100.0, "entry": "limit", "limit_price": 90.0, "stop": 86.0})
    assert fills(done) == [(2, "entry", 200, 45), (3, "stop", -200, 43)]
    trailing = raw_bars(made(100, (100, 110, 100, 110), (55, 55, 51, 51), 51), split)
    assert trades(run(trailing, {"qty": 1.0, "trail_amount": 6.0})) == [(1, 2, "trail", 52)]
    percent = raw_bars(made(100, (100, 110, 100, 110), (55, 55, 49, 51), 51), split)
    assert trades(run(percent, {"qty": 1.0, "trail_percent": 10.0})) == [(1, 2, "trail", 49.5)]
    growing = raw_bars(made(100, 100, (50, 53, 50, 53), 53), split)
    assert fills(run(growing, GROWS))[1] == (2, "add", 100, 52.5)


def test_a_split_keeps_the_trail_in_force_where_it_replaces_the_stop() -> None:
    bars = raw_bars(made(100, 100, (50, 50, 47, 48), 48), (2, codes.ACTION_SPLIT, 2.0))
    replaces = Conventions(stop_and_trail="trail_replaces")
    done = run(bars, {"qty": 1.0, "stop": 98.0, "trail_amount": 10.0}, conventions=replaces)
    assert trades(done)[0][2] == "end_of_data"


def test_a_split_of_a_short_with_a_reverse_ratio() -> None:
    bars = raw_bars(made(10, 10, 100, (100, 121, 100, 110), 110), (2, codes.ACTION_SPLIT, 0.1))
    done = run(bars, {"side": -1, "qty": 100.0, "stop": 12.0})
    assert fills(done) == [(1, "entry", -100, 10), (3, "stop", 10, 120)]
    assert done.state.account["equity"][0] == 100_000 - 200


def test_a_dividend_is_paid_and_lowers_sell_stops_and_buy_limits() -> None:
    paid = (2, codes.ACTION_DIVIDEND, 2.0)
    bars = raw_bars(made(100, 100, (98, 98, 94, 96), (96, 96, 92, 92), 92), paid)
    done = run(bars, {"qty": 100.0, "stop": 95.0})
    assert trades(done) == [(1, 3, "stop", 93)]
    trade = done.result().raw.trades[0]
    assert (trade["dividends"], trade["pnl"]) == (200, -700 + 200)
    assert done.state.account["dividends"][0] == 200
    resting = raw_bars(made(100, 100, (98, 98, 89, 90), (90, 90, 87, 90), 90), paid)
    assert fills(run(resting, {"qty": 1.0, "entry": "limit", "limit_price": 90.0}))[0] == (3, "entry", 1, 88)


def test_a_short_pays_the_dividend_and_keeps_its_stop() -> None:
    bars = raw_bars(made(100, 100, (98, 101, 98, 98), (98, 103, 98, 98), 98), (2, codes.ACTION_DIVIDEND, 2.0))
    done = run(bars, {"side": -1, "qty": 100.0, "stop": 103.0})
    assert trades(done) == [(1, 3, "stop", 103)]
    assert done.state.account["cash"][0] == 100_000 - 300 - 200


@pytest.mark.parametrize(("value", "paid"), [(30.0, 30.0), (np.nan, 101.0)])
def test_a_delisting_pays_its_value_or_the_last_close_and_ends_the_symbol(value: float, paid: float) -> None:
    bars = bars_of(made(100, 101, (), 99, 99), actions=acting((2, codes.ACTION_DELIST, value)))
    done = run(
        bars,
        {"qty": 10.0},
        {"row": 1, "qty": 1.0, "entry": "limit", "limit_price": 50.0},
        {"row": 3, "qty": 1.0},
        conventions=Conventions(same_side="add"),
    )
    assert trades(done) == [(1, 2, "delisted", paid)]
    assert events(done)[-1] == (2, "cancelled", "delisted")
    assert verdicts(done)[-1] == (3, "delisted", 0)


def test_earnings_dates_change_nothing() -> None:
    bars = raw_bars(flat(100, 4), (2, codes.ACTION_EARNINGS, np.nan))
    assert fills(run(bars, {"qty": 10.0, "stop": 95.0})) == [(1, "entry", 10, 100)]


# Interest and borrow


def test_a_short_pays_to_borrow_for_every_calendar_day() -> None:
    # sessions on days 0, 1, 2 and, after a weekend, 5
    bars = bars_of(made(100, 100, 110, 110), ts=(FIRST + np.array([0, 1, 2, 5])) * DAY)
    done = run(bars, {"side": -1, "qty": 100.0}, costs=Costs(borrow_rate_pct=36.5))
    # 0.1 % a day of the last mark: one day at 100, three at 110
    assert done.state.account["interest"][0] == pytest.approx(-(10 + 33))
    own = bars_of(made(100, 100, 100), instruments={"A": {"tick": 0.0, "borrow_rate": 0.73}})
    done = run(own, {"side": -1, "qty": 100.0}, costs=Costs(borrow_rate_pct=36.5))
    assert done.state.account["interest"][0] == pytest.approx(-20)


def test_cash_earns_and_debt_costs() -> None:
    bars = bars_of(flat(100, 4))
    earns = run(bars, costs=Costs(cash_rate_pct=3.65), cash=100_000.0)
    once = 100_000 * 1e-4
    assert earns.state.account["cash"][0] == pytest.approx(100_000 * 1.0001**3)
    assert list(earns.result().equity)[:2] == [100_000, pytest.approx(100_000 + once)]
    done = run(
        bars,
        {"qty": 1500.0, "stop": 50.0},
        risk=LOOSE.replace(leverage=2.0),
        costs=Costs(margin_rate_pct=36.5),
    )
    # in at row 1: 50,000 owed over the nights to rows 2 and 3
    assert done.state.account["interest"][0] == pytest.approx(-(50 + 50.05))


def test_interest_counts_days_and_not_bars() -> None:
    ts = np.array([(FIRST + t // 3) * DAY + (14 + t % 3) * DAY // 24 for t in range(9)])
    bars = bars_of(flat(100, 9), ts=ts)
    done = run(bars, costs=Costs(cash_rate_pct=3.65))
    assert done.state.account["cash"][0] == pytest.approx(100_000 * 1.0001**2)


# Detail bars


def detailed(days: Any, parts: dict[int, list[tuple[float, ...]]]) -> Bars:
    """Return daily bars of A with lower-timeframe bars, by row, two hours apart."""
    bars = bars_of(days)
    ts = [
        int(bars.ts[row]) + (2 + 2 * k) * DAY // 24 for row, given in parts.items() for k in range(len(given))
    ]
    finer = bars_of([part for given in parts.values() for part in given], ts=np.array(ts))
    return bars.with_detail(finer)


WIDE = (100, 111, 94, 100)
UP = (100, 111, 100, 105)
DOWN = (105, 105, 94, 100)


def test_lower_bars_say_which_of_stop_and_target_came_first() -> None:
    plan = {"qty": 1.0, "stop": 95.0, "target": 110.0}
    assert trades(run(bars_of(made(100, 100, WIDE, 100)), plan)) == [(1, 2, "stop", 95)]
    detail = detailed(made(100, 100, WIDE, 100), {1: flat(100, 2), 2: [UP, DOWN], 3: flat(100, 2)})
    assert trades(run(detail, plan)) == [(1, 2, "target", 110)]
    other = detailed(
        made(100, 100, WIDE, 100), {1: flat(100, 2), 2: [(100, 100, 94, 97), (97, 111, 97, 100)]}
    )
    assert trades(run(other, plan)) == [(1, 2, "stop", 95)]


def test_an_entry_in_one_part_is_open_in_the_next() -> None:
    days = made(100, (100, 112, 98, 110), 110)
    plan = {"qty": 1.0, "entry": "limit", "limit_price": 98.0, "stop": 90.0, "target": 110.0}
    # without detail only the stop side of the bar of a limit entry counts
    assert trades(run(bars_of(days), plan)) == [(1, 2, "target", 110)]
    detail = detailed(days, {1: [(100, 101, 98, 100), (100, 112, 100, 110)]})
    assert trades(run(detail, plan)) == [(1, 1, "target", 110)]


def test_trails_rise_from_part_to_part() -> None:
    days = made(100, 100, (100, 110, 100, 104), 104)
    plan = {"qty": 1.0, "trail_amount": 5.0}
    assert trades(run(bars_of(days), plan))[0] == (1, 3, "trail", 104)
    detail = detailed(days, {1: flat(100, 2), 2: [(100, 110, 100, 109), (109, 109, 104, 104)]})
    assert trades(run(detail, plan)) == [(1, 2, "trail", 105)]


def test_an_entry_inside_a_part_is_trailed_by_what_came_after_it() -> None:
    # filled at the part's low: its high of 110 came before
    detail = detailed(
        made(100, (100, 110, 98, 99), 99), {1: [(100, 110, 98, 99), (99, 99, 99, 99)], 2: flat(99, 2)}
    )
    low = {"qty": 1.0, "entry": "limit", "limit_price": 98.0}
    assert trades(run(detail, {**low, "trail_amount": 5.0}))[0][2] == "end_of_data"
    falls = detailed(
        made(100, (100, 110, 96, 99), 99), {1: [(100, 110, 98, 99), (99, 99, 96, 99)], 2: flat(99, 2)}
    )
    assert trades(run(falls, {**low, "stop": 95.0, "breakeven_r": 1.0}))[0][2] == "end_of_data"


@pytest.mark.parametrize("second", [(90, 92, 90, 92), (100, 100, 90, 92)])
def test_no_exit_on_the_entry_bar_means_in_none_of_its_parts(second: tuple[float, ...]) -> None:
    detail = detailed(made(100, (100, 100, 90, 92), 92), {1: [(100,) * 4, second], 2: flat(92, 2)})
    plan = {"qty": 1.0, "stop": 95.0}
    assert trades(run(detail, plan))[0][:3] == (1, 1, "stop")
    assert trades(run(detail, plan, conventions=Conventions(entry_bar="not_allowed"))) == [(1, 2, "stop", 92)]


def test_bars_without_detail_are_their_own_only_part() -> None:
    days = made(100, 100, (100, 100, 94, 96), 96)
    plan = {"qty": 1.0, "stop": 95.0}
    detail = detailed(days, {1: flat(100, 2), 3: flat(96, 2)})
    assert trades(run(detail, plan)) == [(1, 2, "stop", 95)]


def test_a_symbol_without_a_part_trades_on_its_own_bar() -> None:
    bars = bars_of({"A": flat(100, 5), "B": made(100, 100, (100, 100, 94, 96), 96, 96)})
    ts = np.array([int(bars.ts[row]) + 2 * DAY // 24 for row in range(5)])
    finer = bars_of({"A": flat(100, 5), "B": [(100,) * 4, (100,) * 4, (), (), (96,) * 4]}, ts=ts)
    detail = bars.with_detail(finer)
    done = run(detail, {"symbol": "B", "qty": 1.0, "stop": 95.0})
    assert trades(done) == [(1, 2, "stop", 95)]
    # one part a bar and none of B: its market exit takes the bar's open, not an absent part's
    left = run(detail, {"symbol": "B", "qty": 1.0}, {"row": 2, "symbol": "B", "side": 0})
    assert fills(left)[1] == (3, "exit", -1, 96)
    assert np.isfinite(left.state.account["cash"][0])


# Mirrors


@pytest.mark.parametrize("seed", range(8))
def test_a_short_on_mirrored_prices_is_the_long(seed: int) -> None:
    # prices p become 200 - p, highs become lows: everything must happen on the same bars, with equal gains
    random = np.random.default_rng(seed)
    steps = 100 + random.normal(0, 0.7, 160).cumsum().reshape(40, 4)
    panel = np.stack([steps[:, 0], steps.max(1), steps.min(1), steps[:, 3]], 1)
    mirrored = 200 - panel[:, [0, 2, 1, 3]]
    rows = range(0, 38, 6)
    plan = {"qty": 1.0, "trail_amount": 3.0, "trail_activate_r": 0.5, "breakeven_r": 1.0, "max_bars": 5}
    long = run(
        bars_of([tuple(bar) for bar in panel]),
        *({**plan, "row": row, "stop": panel[row, 3] - 2, "target": panel[row, 3] + 5} for row in rows),
    )
    short = run(
        bars_of([tuple(bar) for bar in mirrored]),
        *(
            {**plan, "row": row, "side": -1, "stop": mirrored[row, 3] + 2, "target": mirrored[row, 3] - 5}
            for row in rows
        ),
    )
    a, b = long.result().raw.trades, short.result().raw.trades
    assert len(a) > 3
    for name in ("entry_row", "exit_row", "exit_reason", "bars_held"):
        assert list(a[name]) == list(b[name])
    np.testing.assert_allclose(a["pnl"], b["pnl"], atol=1e-9)
    np.testing.assert_allclose(a["r_multiple"], b["r_multiple"], atol=1e-9)
