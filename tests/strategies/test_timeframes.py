"""Higher timeframes: only completed bars are visible."""

from __future__ import annotations

import numpy as np

from simulator.bars import Bars
from strategies.registry import strategy_class
from strategies.timeframes import higher_trend, on_higher


def test_a_week_is_visible_from_its_last_close_on(market: Bars) -> None:
    seen = on_higher(market, "1W", lambda weekly: weekly.close)
    monday = market.session - (market.session + 3) % 7
    compared = 0
    for row in range(1, len(market) - 1):
        earlier = np.flatnonzero(monday < monday[row])
        last_of_its_week = monday[row + 1] != monday[row]
        if last_of_its_week or not earlier.size:
            continue
        week = np.flatnonzero(monday == monday[earlier[-1]])
        for column in range(len(market.symbols)):
            closes = market.close[week, column]
            closes = closes[~np.isnan(closes)]
            if closes.size and not np.isnan(seen[row, column]):
                assert seen[row, column] == closes[-1]
                compared += 1
    assert compared > 500


def test_before_the_first_complete_week_nothing_is_known(market: Bars) -> None:
    assert np.isnan(on_higher(market[:1], "1M", lambda higher: higher.close)).all()
    trend = higher_trend(market, "1W", 4)
    # the fourth week, one day short for a holiday, ends on row 14
    assert np.isnan(trend[:14]).all()
    assert not np.isnan(trend[14]).all()
    assert set(np.unique(trend[~np.isnan(trend)])) <= {-1.0, 0.0, 1.0}


def test_the_weekly_filter_only_removes_entries(market: Bars) -> None:
    free = strategy_class("donchian-breakout")(length=10).signals(market).frame()
    filtered = strategy_class("donchian-breakout")(length=10, weekly_average=8).signals(market).frame()
    keys = [set(zip(frame.time, frame.symbol, frame.side, strict=True)) for frame in (free, filtered)]
    entries = [{key for key in found if key[2] == 1} for found in keys]
    assert entries[1] < entries[0]
