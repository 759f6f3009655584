"""Orders worked out by hand: how entries fill, wait, expire and cancel each other."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.types import FillKind
from tests.simulator.kernel.market import (
    DAY,
    FIRST,
    LOOSE,
    bars_of,
    events,
    fills,
    flat,
    made,
    rules_of,
    run,
    trades,
    verdicts,
)

TENTH = Conventions(volume_cap=0.1)


def thin(*days: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Return flat bars from (price, volume), or whole bars as they are."""
    return [(day[0],) * 4 + (day[1],) if len(day) == 2 else day for day in days]


# Partial fills


def test_a_volume_cap_fills_an_entry_in_parts() -> None:
    bars = bars_of(thin((100, 1000), (100, 1000), (101, 500), (102, 9000), (102, 9000)))
    done = run(bars, {"qty": 250.0, "stop": 90.0}, conventions=TENTH)
    assert fills(done) == [(1, "entry", 100, 100), (2, "entry", 50, 101), (3, "entry", 100, 102)]
    assert events(done) == [
        (0, "pending", "admitted"),
        (1, "submitted", "none"),
        (1, "partially_filled", "volume_cap"),
        (2, "partially_filled", "volume_cap"),
        (3, "filled", "none"),
    ]
    trade = done.result().raw.trades[0]
    assert trade["qty"] == 250
    assert trade["entry_price"] == pytest.approx((100 * 100 + 50 * 101 + 100 * 102) / 250)


@pytest.mark.parametrize(("opens", "kind"), [(94.0, "stop"), (112.0, "target")])
def test_the_first_partial_fill_arms_the_children_and_a_child_fill_cancels_the_rest(
    opens: float, kind: str
) -> None:
    bars = bars_of(thin((100, 1000), (100, 1000), (opens, 5000), (100, 5000)))
    done = run(bars, {"qty": 1000.0, "stop": 95.0, "target": 110.0}, conventions=TENTH)
    assert fills(done) == [(1, "entry", 100, 100), (2, kind, -100, opens)]
    assert events(done)[-1] == (2, "cancelled", "sibling_filled")
    assert len(trades(done)) == 1


def test_a_stop_that_volume_holds_back_leaves_at_the_next_opens() -> None:
    # row 2: the entry takes the bar's share at the open, so the stop inside the bar finds none left
    bars = bars_of(
        thin((100, 1000), (100, 1000), (100, 100, 94, 96, 1000), (97, 1000), (98, 1000), (98, 1000))
    )
    done = run(bars, {"qty": 1000.0, "stop": 95.0}, conventions=TENTH)
    assert fills(done) == [
        (1, "entry", 100, 100),
        (2, "entry", 100, 100),
        (3, "stop", -100, 97),
        (4, "stop", -100, 98),
    ]
    assert events(done)[-1] == (3, "cancelled", "sibling_filled")
    assert trades(done) == [(1, 4, "stop", 97.5)]


def test_a_target_that_volume_holds_back_stays_at_its_price() -> None:
    bars = bars_of(
        thin((100, 9000), (100, 9000), (100, 111, 100, 104, 300), (104, 9000), (104, 111, 104, 105, 9000))
    )
    done = run(bars, {"qty": 100.0, "stop": 90.0, "target": 110.0}, conventions=TENTH)
    assert fills(done) == [(1, "entry", 100, 100), (2, "target", -30, 110), (4, "target", -70, 110)]


def test_without_volume_nothing_fills_under_a_cap() -> None:
    bars = bars_of(thin((100, 1000), (100, 0), (101, 5000)))
    assert fills(run(bars, {"qty": 10.0}, conventions=TENTH)) == [(2, "entry", 10, 101)]


def test_two_positions_of_a_symbol_share_the_volume_of_a_bar() -> None:
    bars = bars_of(thin((100, 9000), (100, 1000), (100, 1000)))
    both = TENTH.replace(same_side="add")
    done = run(bars, {"qty": 80.0}, {"qty": 80.0}, conventions=both)
    assert fills(done) == [(1, "entry", 80, 100), (1, "entry", 20, 100), (2, "entry", 60, 100)]


# At the fill


@pytest.mark.parametrize(("side", "stop", "opens"), [(1, 95.0, 94.0), (1, 95.0, 95.0), (-1, 105.0, 106.0)])
def test_a_fill_beyond_its_own_stop_is_cancelled_and_the_verdict_stays(
    side: int, stop: float, opens: float
) -> None:
    bars = bars_of(made(100, opens, 100))
    done = run(bars, {"side": side, "qty": 10.0, "stop": stop})
    assert fills(done) == []
    assert verdicts(done) == [(0, "admitted", 10)]
    assert events(done)[-1] == (1, "cancelled", "gapped_stop")


def test_slippage_counts_when_a_fill_is_held_against_its_stop() -> None:
    # 2 % slippage sells short at 98.98, beyond no stop; a long stop just below the open is not passed either
    bars = bars_of(made(100, 101, 101))
    short = run(bars, {"side": -1, "qty": 10.0, "stop": 101.5}, costs=Costs(slippage_bps=200))
    assert fills(short) == [(1, "entry", -10, pytest.approx(98.98))]
    assert short.result().raw.fills["slippage"][0] == pytest.approx(2.02)


def test_buying_power_shrinks_an_order_at_its_fill() -> None:
    bars = bars_of(made(100, 125, 125))
    done = run(bars, {"qty": 100.0}, cash=10_000.0)
    assert fills(done) == [(1, "entry", 80, 125)]
    assert verdicts(done) == [(0, "admitted", 100)]
    assert events(done)[-2:] == [(1, "submitted", "fill_buying_power"), (1, "filled", "none")]
    assert done.state.account["cash"][0] == 0.0


def test_with_the_risk_manager_it_shrinks_to_whole_lots() -> None:
    bars = bars_of(made(100, 130, 130), instruments={"A": {"tick": 0.0, "lot": 10.0}})
    done = run(bars, {"qty": 100.0, "stop": 50.0}, cash=10_000.0, risk=LOOSE)
    assert fills(done) == [(1, "entry", 70, 130)]


def test_fees_are_inside_the_buying_power() -> None:
    bars = bars_of(made(100, 100, 100))
    costs = Costs(commission_per_share=1.0, commission_per_order=50.0)
    done = run(bars, {"qty": np.inf}, cash=10_150.0, costs=costs)
    assert fills(done) == [(1, "entry", 100, 100)]
    assert done.state.account["cash"][0] == pytest.approx(0.0, abs=1e-9)


def test_a_minimum_commission_is_inside_the_buying_power() -> None:
    bars = bars_of(made(100, 100, 100))
    costs = Costs(commission_per_share=0.005, commission_min=5.0)
    done = run(bars, {"qty": 100.0}, cash=10_000.0, costs=costs)
    # the per-share fee is set aside too, though the minimum covers it
    assert 0.0 <= done.state.account["cash"][0] < 0.005 * 100


def test_an_order_that_nothing_is_left_for_is_cancelled() -> None:
    bars = bars_of({"A": flat(100, 3), "B": flat(100, 3)})
    done = run(bars, {"qty": np.inf}, {"symbol": "B", "qty": 5.0}, cash=1_000.0)
    assert fills(done) == [(1, "entry", 10, 100)]
    assert events(done)[-1] == (1, "cancelled", "fill_buying_power")


# OCO


def test_the_first_of_a_group_to_fill_cancels_the_others() -> None:
    bars = bars_of(made(100, (100, 106, 99, 104), (104, 104, 90, 92), 92))
    up = {"qty": 10.0, "entry": "stop", "entry_price": 105.0, "oco": 1}
    down = {"qty": 10.0, "entry": "limit", "limit_price": 95.0, "oco": 1}
    done = run(bars, up, down)
    assert fills(done) == [(1, "entry", 10, 105)]
    assert (1, "cancelled", "oco") in events(done)


def test_only_one_of_a_group_fills_where_a_bar_reaches_both() -> None:
    bars = bars_of(made(100, (100, 106, 90, 104), (104, 106, 90, 92)))
    up = {"qty": 10.0, "entry": "stop", "entry_price": 105.0, "oco": 1}
    down = {"qty": 10.0, "entry": "limit", "limit_price": 95.0, "oco": 1}
    assert fills(run(bars, up, down)) == [(1, "entry", 10, 105)]
    assert fills(run(bars, down, up)) == [(1, "entry", 10, 95)]


def test_a_group_reaches_over_symbols_and_sides_and_other_groups_stay() -> None:
    bars = bars_of({"A": flat(100, 3), "B": made(50, 50, (50, 50, 39, 40))})
    done = run(
        bars,
        {"symbol": "B", "side": -1, "qty": 1.0, "entry": "stop", "entry_price": 45.0, "oco": 7},
        {"symbol": "B", "qty": 1.0, "entry": "limit", "limit_price": 42.0, "oco": 8},
        {"symbol": "A", "qty": 1.0, "oco": 7},
        conventions=Conventions(opposite_side="ignore"),
    )
    assert fills(done)[0] == (1, "entry", 1, 100)
    assert (1, "cancelled", "oco") in events(done)
    # the second signal of B met the first one's order on the other side
    assert verdicts(done)[1] == (0, "opposite_side_open", 0)


# Resting entries


def stop_limit(trigger: float, limit: float) -> dict[str, object]:
    return {"qty": 10.0, "entry": "stop_limit", "entry_price": trigger, "limit_price": limit}


def test_a_stop_limit_fills_at_its_trigger_inside_the_bar() -> None:
    bars = bars_of(made(100, (104, 107, 103, 106), 106))
    done = run(bars, stop_limit(105, 106))
    assert fills(done) == [(1, "entry", 10, 105)]
    assert (1, "submitted", "triggered") in events(done)


def test_a_stop_limit_that_gaps_past_its_limit_waits_for_it() -> None:
    waits = bars_of(made(100, (108, 109, 107, 108), (107, 108, 105.5, 106), 106))
    assert fills(run(waits, stop_limit(105, 106))) == [(2, "entry", 10, 106)]
    same_bar = bars_of(made(100, (108, 109, 105, 108), 108))
    assert fills(run(same_bar, stop_limit(105, 106))) == [(1, "entry", 10, 106)]
    opens_below = bars_of(made(100, (108, 109, 107, 108), 103))
    assert fills(run(opens_below, stop_limit(105, 106))) == [(2, "entry", 10, 103)]


def test_a_stop_limit_with_its_limit_below_the_trigger_needs_a_way_back() -> None:
    bars = bars_of(made(100, (100, 106, 99, 105), (105, 105, 103, 104), 104))
    assert fills(run(bars, stop_limit(105, 104))) == [(2, "entry", 10, 104)]


def test_a_short_stop_limit_is_the_mirror_image() -> None:
    bars = bars_of(made(100, (92, 93, 91, 92), (93, 94.5, 92, 93), 93))
    done = run(bars, {**stop_limit(95, 94), "side": -1})
    assert fills(done) == [(2, "entry", -10, 94)]


def test_a_limit_entry_takes_a_better_open_and_a_stop_entry_a_worse_one() -> None:
    bars = bars_of(made(100, (90, 92, 88, 91), 91))
    done = run(bars, {"qty": 1.0, "entry": "limit", "limit_price": 95.0})
    assert fills(done) == [(1, "entry", 1, 90)]
    assert rules_of(done) == ["open_gap"]
    bars = bars_of(made(100, (110, 112, 108, 111), 111))
    assert fills(run(bars, {"qty": 1.0, "entry": "stop", "entry_price": 105.0})) == [(1, "entry", 1, 110)]


def test_at_their_prices_where_the_convention_says_so() -> None:
    at_limit = Conventions(limit_gap="limit", stop_gap="stop_price")
    reached = bars_of(made(100, (90, 97, 88, 91), 91))
    buy = {"qty": 1.0, "entry": "limit", "limit_price": 95.0}
    assert fills(run(reached, buy, conventions=at_limit)) == [(1, "entry", 1, 95)]
    not_reached = bars_of(made(100, (90, 92, 88, 91), 91))
    assert fills(run(not_reached, buy, conventions=at_limit)) == [(1, "entry", 1, 92)]
    through = bars_of(made(100, (110, 112, 104, 111), 111))
    up = {"qty": 1.0, "entry": "stop", "entry_price": 105.0}
    assert fills(run(through, up, conventions=at_limit)) == [(1, "entry", 1, 105)]


def test_entries_at_a_close() -> None:
    bars = bars_of(made((100, 101, 99, 100.5), (102, 103, 101, 102.5), 104))
    assert fills(run(bars, {"qty": 1.0, "entry": "close"})) == [(0, "entry", 1, 100.5)]
    assert fills(run(bars, {"qty": 1.0, "entry": "moc"})) == [(1, "entry", 1, 102.5)]
    assert fills(run(bars, {"qty": 1.0})) == [(1, "entry", 1, 102)]


def test_a_market_on_close_order_lives_to_see_its_close() -> None:
    bars = bars_of(flat(100, 4))
    assert fills(run(bars, {"qty": 1.0, "entry": "moc", "valid_bars": 1})) == [(1, "entry", 1, 100)]
    assert fills(run(bars, {"qty": 1.0, "entry": "moc", "tif": "DAY"})) == [(1, "entry", 1, 100)]


def test_a_market_entry_waits_for_a_bar() -> None:
    bars = bars_of(made(100, (), 103, 104))
    assert fills(run(bars, {"qty": 1.0})) == [(2, "entry", 1, 103)]
    assert fills(run(bars, {"qty": 1.0, "entry": "moc"})) == [(2, "entry", 1, 103)]


# Time in force

LOW = {"qty": 1.0, "entry": "limit", "limit_price": 50.0}


def test_a_day_order_expires_with_its_first_session() -> None:
    done = run(bars_of(flat(100, 5)), {**LOW, "tif": "DAY"})
    assert events(done)[1:] == [(1, "submitted", "none"), (2, "expired", "tif_expired")]
    reached = bars_of(made(100, 100, (100, 100, 49, 60), 60))
    assert fills(run(reached, {**LOW, "tif": "DAY"})) == []
    assert fills(run(reached, LOW)) == [(2, "entry", 1, 50)]


def test_a_day_order_works_through_an_intraday_session() -> None:
    # three bars a session; the signal is known at the close of a session's last bar
    ts = np.array([(FIRST + t // 3) * DAY + (14 + t % 3) * DAY // 24 for t in range(9)])
    bars = bars_of(flat(100, 9), ts=ts)
    done = run(bars, {**LOW, "tif": "DAY", "row": 2})
    assert events(done)[1:] == [(3, "submitted", "none"), (6, "expired", "tif_expired")]
    inside = run(bars, {**LOW, "tif": "DAY", "row": 0})
    assert events(inside)[-1] == (3, "expired", "tif_expired")


def test_a_day_order_starts_with_the_first_session_that_has_a_bar() -> None:
    done = run(bars_of(made(100, (), 100, 100, 100)), {**LOW, "tif": "DAY"})
    assert events(done)[1:] == [(2, "submitted", "none"), (3, "expired", "tif_expired")]


def test_a_gtd_order_works_up_to_its_date() -> None:
    bars = bars_of(flat(100, 6))
    done = run(bars, {**LOW, "tif": "GTD", "valid_until": int(bars.ts[3])})
    assert events(done)[-1] == (4, "expired", "tif_expired")
    reached = bars_of(made(100, 100, 100, (100, 100, 49, 60), 60))
    assert fills(run(reached, {**LOW, "tif": "GTD", "valid_until": int(bars.ts[3])})) == [(3, "entry", 1, 50)]
    assert fills(run(reached, {**LOW, "tif": "GTD", "valid_until": int(bars.ts[2])})) == []


def test_a_gtd_order_keeps_to_its_time_inside_a_session() -> None:
    ts = np.array([FIRST * DAY + (9 + t) * DAY // 24 for t in range(5)])
    bars = bars_of(made(100, 100, 100, (100, 100, 49, 60), 60), ts=ts)
    assert fills(run(bars, {**LOW, "tif": "GTD", "valid_until": int(ts[3])})) == [(3, "entry", 1, 50)]
    done = run(bars, {**LOW, "tif": "GTD", "valid_until": int(ts[2])})
    assert fills(done) == []
    assert events(done)[-1] == (3, "expired", "tif_expired")


def test_an_order_is_valid_for_so_many_bars_of_its_symbol() -> None:
    bars = bars_of(made(100, 100, (), 100, 100, 100))
    done = run(bars, {**LOW, "valid_bars": 2})
    assert events(done)[-1] == (3, "expired", "tif_expired")
    reached = bars_of(made(100, 100, (100, 100, 49, 60), 60))
    assert fills(run(reached, {**LOW, "valid_bars": 2})) == [(2, "entry", 1, 50)]
    assert fills(run(reached, {**LOW, "valid_bars": 1})) == []


# What a symbol already has


def test_a_second_signal_on_the_same_side_is_ignored_or_added() -> None:
    bars = bars_of(flat(100, 5))
    twice = ({"qty": 1.0}, {"row": 2, "qty": 2.0})
    assert verdicts(run(bars, *twice)) == [(0, "admitted", 1), (2, "same_side_open", 0)]
    done = run(bars, *twice, conventions=Conventions(same_side="add"))
    assert fills(done) == [(1, "entry", 1, 100), (3, "entry", 2, 100)]
    assert len(trades(done)) == 2


def test_a_signal_on_the_other_side_is_ignored_closes_or_reverses() -> None:
    bars = bars_of(flat(100, 5))
    turn = ({"qty": 1.0}, {"row": 2, "side": -1, "qty": 2.0})
    assert verdicts(run(bars, *turn))[1] == (2, "opposite_side_open", 0)
    closed = run(bars, *turn, conventions=Conventions(opposite_side="close"))
    assert fills(closed) == [(1, "entry", 1, 100), (3, "exit", -1, 100)]
    reversed_ = run(bars, *turn, conventions=Conventions(opposite_side="reverse"))
    assert fills(reversed_) == [(1, "entry", 1, 100), (3, "exit", -1, 100), (3, "entry", -2, 100)]
    assert trades(reversed_)[0] == (1, 3, "signal", 100)


@pytest.mark.parametrize(("entry", "row"), [("open", 3), ("close", 2)])
def test_a_signal_of_side_zero_closes_and_cancels(entry: str, row: int) -> None:
    bars = bars_of({"A": flat(100, 5), "B": flat(100, 5)})
    done = run(
        bars,
        {"qty": 1.0},
        {"symbol": "B", **LOW},
        {"row": 2, "side": 0, "entry": entry},
        {"row": 2, "side": 0, "symbol": "B"},
        {"row": 3, "side": 0, "symbol": "B"},
    )
    assert fills(done) == [(1, "entry", 1, 100), (row, "exit", -1, 100)]
    assert (2, "cancelled", "close_accepted") in events(done)
    assert [reason for _, reason, _ in verdicts(done)][2:] == [
        "close_accepted",
        "close_accepted",
        "nothing_to_close",
    ]


def test_a_strategy_closes_what_is_its_own() -> None:
    bars = bars_of(flat(100, 5))
    both = ({"qty": 1.0, "strategy": "one"}, {"qty": 2.0, "strategy": "two"})
    add = Conventions(same_side="add")
    done = run(bars, *both, {"row": 2, "side": 0, "strategy": "two"}, conventions=add)
    assert fills(done)[2:] == [(3, "exit", -2, 100)]
    done = run(bars, *both, {"row": 2, "side": 0}, conventions=add)
    assert fills(done)[2:] == [(3, "exit", -1, 100), (3, "exit", -2, 100)]


def test_signals_of_one_close_go_by_priority_then_in_the_given_order() -> None:
    bars = bars_of({name: flat(100, 3) for name in "ABCD"})
    done = run(
        bars,
        {"symbol": "A", "qty": 1.0},
        {"symbol": "B", "qty": 1.0, "priority": 1.0},
        {"symbol": "C", "qty": 1.0, "priority": 2.0},
        {"symbol": "D", "qty": 1.0},
    )
    order = done.result().raw.fills["sym"]
    assert [bars.symbols[sym] for sym in order] == ["C", "B", "A", "D"]


def test_every_working_child_is_announced_once() -> None:
    done = run(bars_of(flat(100, 3)), {"qty": 1.0, "stop": 95.0})
    assert events(done, FillKind.STOP) == [(1, "submitted", "none")]
