"""Pattern scans: golden values derived by hand, an independent reference, and causality."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from simulator.bars import Bars
from simulator.errors import StrategyError, UnknownNameError
from strategies.patterns import COMPONENTS, HISTORY, PATTERNS, PatternScan, scan_patterns
from strategies.registry import strategy_class

DAY = 86_400_000_000_000
MakeMarket = Callable[..., Bars]
Array = npt.NDArray[np.float64]


def drawn(path: list[float], half: float = 0.5) -> Bars:
    """Bars that close in the middle of a range of one point, on usual volume, the last one on twice that."""
    close = np.asarray(path, np.float64)
    volume = np.full(len(close), 1e6)
    volume[-1] = 2e6
    panel = np.stack([close, close + half, close - half, close, volume], axis=1)[:, None, :]
    return Bars.from_arrays(
        ["TEST"], np.arange(18_000, 18_000 + len(close)) * DAY, panel, sectors={"TEST": "Energy"}
    )


def line(first: float, last: float, bars: int) -> list[float]:
    return [float(value) for value in np.round(np.linspace(first, last, bars + 1)[1:], 4)]


PATHS: dict[str, list[float]] = {
    "volatility-contraction": [
        *line(60, 90, 60),
        *(line(90, 100, 5) + line(100, 84, 5) + line(84, 98, 5)),
        *(line(98, 90, 7) + line(90, 98, 8)),
        *(line(98, 95, 7) + line(95, 97.5, 8)),
        99.0,
    ],
    "cup-and-handle": [
        *[50.0] * 20,
        *line(60, 100, 60),
        *[round(100 - 20 * math.sin(math.pi * k / 80), 4) for k in range(1, 81)],
        *(line(100, 95, 5) + line(95, 99, 5)),
        101.5,
    ],
    "flag": [*[80.0] * 40, *line(80, 100, 12), *line(100, 95, 7), 101.5],
    "base-breakout": [
        *line(70, 99, 60),
        99.5,
        *[98.0, 96.0, 95.0, 94.0, 93.0, 94.0, 95.0, 96.0] * 3,
        *[97.0, 96.0, 96.0, 95.0, 96.0],
        101.0,
    ],
    "double-bottom": [
        *[100.0] * 60,
        *(line(100, 82, 18) + line(82, 92, 12) + line(92, 82.5, 12) + line(82.5, 92, 9)),
        93.5,
    ],
    "52-week-high": [*[100.0] * 200, *line(100, 120, 20), *line(120, 112, 20), *line(112, 119, 30), 121.5],
}

# pattern: pivot, structure low (None: not used), target, and the components that follow by hand
GOLDEN: dict[str, tuple[float, float | None, float, dict[str, float]]] = {
    # whole pattern 100.5 to 83.5: height 17 on the last window's high 98.0714 (97.5714 + 0.5);
    # ranges 17/100.5, 9/98.5, 3.5/98.0714: 0.211 of the first: full marks; usual volume: no dry-up;
    # (100.5 - 98.0714) / 100.5 = 2.4165 % below the high: 10 * (1 - 0.24165)
    "volatility-contraction": (
        98.0714,
        94.5,
        115.0714,
        {"contraction": 30.0, "dry_volume": 0.0, "volume": 20.0, "near_high": 7.5835},
    ),
    # rims 100.5, bottom 79.5: depth 21 = 20.9 %; handle low 94.5: 6/21 = 0.2857 given back
    "cup-and-handle": (
        100.5,
        94.5,
        121.5,
        {
            "depth": 25.0,
            "rims": 15.0,
            "roundness": 20.0,
            "handle": 20.0 * (0.5 - 6 / 21) / 0.3,
            "volume": 20.0,
        },
    ),
    # pole 79.5 to 100.5 = 21; flag low 94.5
    "flag": (
        100.5,
        94.5,
        121.5,
        {
            "shallow": 25.0 * (0.5 - 6 / 21) / 0.3,
            "pole": 25.0,
            "dry_volume": 0.0,
            "volume": 20.0,
            "trend": 15.0,
        },
    ),
    # top 100, bottom 92.5: 7.5 % deep: 30 * (15 - 7.5) / 10; closes at half the range: no points
    "base-breakout": (100.0, 92.5, 107.5, {"tightness": 22.5, "volume": 25.0, "age": 10.0, "close": 0.0}),
    # lows 81.5 and 82, peak 92.5: height 11, the lows 4.5 % of it apart
    "double-bottom": (92.5, 81.5, 103.5, {"symmetry": 25.0, "decline": 15.0, "volume": 25.0, "close": 0.0}),
    # the old high is 51 bars old: 20 * 41 / 50
    "52-week-high": (120.5, None, math.nan, {"volume": 25.0, "trend": 25.0, "pause": 16.4, "close": 0.0}),
}

SCORES = {
    "volatility-contraction": 75.909,
    "cup-and-handle": 94.286,
    "flag": 77.857,
    "base-breakout": 73.473,
    "double-bottom": 82.881,
    "52-week-high": 77.717,
}


def wilder_atr(bars: Bars, length: int = 14) -> float:
    high, low, close = bars.high[:, 0], bars.low[:, 0], bars.close[:, 0]
    spans = [
        max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1]))
        for t in range(1, len(bars))
    ]
    average = sum(spans[:length]) / length
    for span in spans[length:]:
        average = (average * (length - 1) + span) / length
    return float(average)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_golden_stop_target_and_score(pattern: str) -> None:
    bars = drawn(PATHS[pattern])
    (scan,) = scan_patterns(bars, pattern, last=1)
    pivot, low, target, points = GOLDEN[pattern]
    atr = wilder_atr(bars)
    assert scan.pivot == pytest.approx(pivot, abs=1e-9)
    assert scan.entry == PATHS[pattern][-1]
    if low is None:
        assert scan.stop == pytest.approx(scan.entry - 2 * atr)
        assert scan.target == pytest.approx(scan.entry + 6 * atr)
    else:
        assert scan.stop == pytest.approx(max(low, pivot - atr))
        assert scan.target == pytest.approx(target, abs=1e-9)
    for name, value in points.items():
        assert scan.components[name] == pytest.approx(value, abs=1e-3), name
    assert scan.score == pytest.approx(SCORES[pattern], abs=1e-3)
    assert scan.score == pytest.approx(sum(scan.components.values()))
    assert tuple(scan.components) == COMPONENTS[pattern]
    assert scan.side == 1
    assert scan.stop < scan.pivot < scan.entry < scan.target
    assert (scan.symbol, scan.ticker, scan.sector, scan.row) == ("TEST", "TEST", "Energy", len(bars) - 1)
    assert scan.time == datetime.fromtimestamp((18_000 + len(bars) - 1) * 86_400, UTC)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_close_at_the_pivot_is_not_a_breakout(pattern: str) -> None:
    path = [*PATHS[pattern][:-1], GOLDEN[pattern][0]]
    assert scan_patterns(drawn(path), pattern, last=1) == []


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if "close" in COMPONENTS[name]])
def test_the_close_of_the_breakout_bar_earns_up_to_its_points(pattern: str) -> None:
    bars = drawn(PATHS[pattern])
    panel = bars.panel.copy()
    panel[-1, 0, 1] = panel[-1, 0, 3]  # closes at its high
    changed = Bars.from_arrays(["TEST"], bars.ts, panel)
    (scan,) = scan_patterns(changed, pattern, last=1)
    assert scan.components["close"] == 15.0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_history_is_what_the_pattern_needs(pattern: str) -> None:
    path = PATHS[pattern]
    whole = scan_patterns(drawn(path), pattern, last=1)
    need = HISTORY[pattern]
    if len(path) < need:
        path = [path[0]] * (need - len(path)) + path
    assert scan_patterns(drawn(path[-need + 1 :]), pattern, last=1) == []
    if whole:
        assert len(scan_patterns(drawn(path[-max(need, len(path)) :]), pattern, last=1)) == 1


def test_without_volume_half_of_the_volume_points_are_given() -> None:
    bars = drawn(PATHS["flag"])
    panel = bars.panel.copy()
    panel[:, :, 4] = 0.0
    (scan,) = scan_patterns(Bars.from_arrays(["TEST"], bars.ts, panel), "flag", last=1)
    assert (scan.components["volume"], scan.components["dry_volume"]) == (10.0, 7.5)


def test_missing_bars_are_skipped() -> None:
    bars = drawn(PATHS["flag"])
    holes = np.full((len(bars) + 3, 1, 5), np.nan)
    keep = np.delete(np.arange(len(bars) + 3), [10, 45, 55])
    holes[keep] = bars.panel
    wide = Bars.from_arrays(["TEST"], np.arange(18_000, 18_000 + len(holes)) * DAY, holes)
    (one,) = scan_patterns(bars, "flag", last=1)
    (two,) = scan_patterns(wide, "flag", last=1)
    assert (one.score, one.stop, one.target) == (two.score, two.stop, two.target)
    assert keep[one.start] == two.start


def test_scans_are_causal_at_every_bar(make_market: MakeMarket) -> None:
    bars = make_market(420, 2, seed=21)
    full = scan_patterns(bars)
    assert {scan.pattern for scan in full} >= {"52-week-high", "base-breakout", "flag"}
    for rows in range(1, len(bars)):
        today = scan_patterns(bars[:rows], last=1)
        assert today == [scan for scan in full if scan.row == rows - 1]


def ramp(value: float, zero: float, full: float) -> float:
    return min(max((value - zero) / (full - zero), 0.0), 1.0)


# one paragraph per pattern, as in the documentation, rather than a function each
def reference(bars: Bars) -> dict[tuple[str, int], tuple[float, float, float, float]]:  # noqa: C901
    """Search every bar for every pattern in the words of the documentation, without any shortcut."""
    o, h, lo, c, v = (bars.panel[:, 0, k] for k in range(5))
    found: dict[tuple[str, int], tuple[float, float, float, float]] = {}

    def window(values: Array, first: int, last: int) -> Array:
        return values[first : last + 1]

    def latest(values: Array, first: int, last: int, best: Callable[[Array], float]) -> int:
        part = window(values, first, last)
        return first + int(np.flatnonzero(part == best(part))[-1])

    for i in range(51, len(bars)):
        atr = wilder_atr(bars[: i + 1])
        usual, average = float(v[i - 50 : i].mean()), float(c[i - 49 : i + 1].mean())
        volume = ramp(v[i] / usual, 1, 2)
        trend = ramp((c[i] - average) / atr, 0, 4)
        close = ramp((c[i] - lo[i]) / (h[i] - lo[i]), 0.5, 1.0) if h[i] > lo[i] else 1.0

        def report(
            name: str, pivot: float, low: float, height: float, score: float, i: int = i, atr: float = atr
        ) -> None:
            found[name, i] = (pivot, max(low, pivot - atr), pivot + height, min(score, 100.0))

        # volatility contraction
        a, b, d = (slice(i - 45, i - 30), slice(i - 30, i - 15), slice(i - 15, i))
        pivot = float(h[d].max())
        shares = [float((h[s].max() - lo[s].min()) / h[s].max()) for s in (a, b, d)]
        top = float(h[i - 45 : i].max())
        if (
            c[i] > pivot
            and shares[1] <= 0.85 * shares[0]
            and shares[2] <= 0.85 * shares[1]
            and (top - pivot) / top <= 0.1
        ):
            score = 30 * ramp(shares[2] / shares[0], 0.85**2, 0.3) + 20 * ramp(v[d].mean() / usual, 1, 0.6)
            score += 20 * volume + 20 * trend + 10 * ramp((top - pivot) / top, 0.1, 0)
            report("volatility-contraction", pivot, lo[d].min(), top - lo[i - 45 : i].min(), score)
        # base
        peak = latest(h, i - 30, i - 1, np.max)
        pivot, low = float(h[peak]), float(lo[i - 30 : i].min())
        depth = (pivot - low) / pivot
        if c[i] > pivot and depth <= 0.15 and i - peak >= 5:
            score = (
                30 * ramp(depth, 0.15, 0.05)
                + 25 * volume
                + 20 * trend
                + 10 * ramp(i - peak, 5, 20)
                + 15 * close
            )
            report("base-breakout", pivot, low, pivot - low, score)
        # flag
        peak = latest(h, i - 15, i - 1, np.max)
        foot = latest(lo, peak - 15, peak, np.min)
        pivot, height = float(h[peak]), float(h[peak] - lo[foot])
        if c[i] > pivot and i - peak >= 5 and height >= 4 * atr and foot < peak:
            low = float(lo[peak + 1 : i].min())
            back = (pivot - low) / height
            if back <= 0.5:
                dry = ramp(v[peak + 1 : i].mean() / v[foot : peak + 1].mean(), 1, 0.5)
                score = (
                    25 * ramp(back, 0.5, 0.2)
                    + 25 * ramp(height / atr, 4, 8)
                    + 15 * dry
                    + 20 * volume
                    + 15 * trend
                )
                report("flag", pivot, low, height, score)
        # double bottom
        if i >= 90:
            second = latest(lo, i - 20, i - 1, np.min)
            first = latest(lo, second - 50, second - 10, np.min)
            pivot, low = float(h[first + 1 : second].max()), float(min(lo[first], lo[second]))
            apart, height = abs(float(lo[first] - lo[second])), pivot - low
            clean = lo[first : second + 1].min() >= low and h[second:i].max() <= pivot
            if c[i] > pivot and apart <= 0.03 * lo[first] and height >= 3 * atr and clean:
                drop = float(h[first - 20 : first + 1].max() - lo[first])
                score = 25 * ramp(apart / height, 0.25, 0.05) + 20 * ramp(height / atr, 3, 8)
                score += 15 * ramp(drop / atr, 2, 8) + 25 * volume + 15 * close
                report("double-bottom", pivot, low, height, score)
        # cup and handle
        if i >= 150:
            right = latest(h, i - 20, i - 1, np.max)
            left = latest(h, right - 130, right - 30, np.max)
            bottom = latest(lo, left, right, np.min)
            pivot, height = float(h[right]), float(h[right] - lo[bottom])
            low = float(lo[right + 1 : i].min()) if right + 1 < i else math.inf
            gap = abs(float(h[left] - pivot)) / float(h[left])
            side = (bottom - left) / (right - left)
            rounded = float((c[left : right + 1] < lo[bottom] + height / 2).mean())
            back = (pivot - low) / height
            highest = float(h[left : right + 1].max()) <= max(float(h[left]), pivot)
            good = i - right >= 5 and gap <= 0.06 and highest and 0.1 <= height / pivot <= 0.4
            if c[i] > pivot and good and 0.2 <= side <= 0.8 and rounded >= 0.25 and back <= 0.5:
                score = 25 * min(ramp(height / pivot, 0.1, 0.15), ramp(height / pivot, 0.4, 0.3))
                score += (
                    15 * ramp(gap, 0.06, 0.01) + 20 * ramp(rounded, 0.25, 0.5) + 20 * ramp(back, 0.5, 0.2)
                )
                report("cup-and-handle", pivot, low, height, score + 20 * volume)
        # 52-week high
        if i >= 252:
            peak = latest(h, i - 252, i - 1, np.max)
            if c[i] > h[peak] and i - peak >= 10:
                score = 25 * volume + 25 * trend + 20 * ramp(i - peak, 10, 60)
                score += 15 * ramp((c[i] - h[peak]) / atr, 2, 0.5) + 15 * close
                found["52-week-high", i] = (float(h[peak]), c[i] - 2 * atr, c[i] + 6 * atr, score)
    assert o.size == c.size
    return found


def test_agrees_with_an_independent_search(make_market: MakeMarket) -> None:
    kinds = set()
    for seed in range(8):
        bars = make_market(420, 1, seed=seed, missing=0.0)
        expected = reference(bars)
        scans = {(scan.pattern, scan.row): scan for scan in scan_patterns(bars)}
        assert set(scans) == set(expected)
        for key, (pivot, stop, target, score) in expected.items():
            scan = scans[key]
            assert (scan.pivot, scan.stop, scan.target) == pytest.approx((pivot, stop, target))
            assert scan.score == pytest.approx(score)
            kinds.add(key[0])
    assert kinds >= set(PATTERNS) - {"cup-and-handle"}


def test_filters(market: Bars) -> None:
    everything = scan_patterns(market)
    assert all(0 <= scan.score <= 100 for scan in everything)
    assert [scan.row for scan in everything] == sorted(scan.row for scan in everything)
    good = scan_patterns(market, min_score=60)
    assert good == [scan for scan in everything if scan.score >= 60]
    assert scan_patterns(market, ["flag"]) == [scan for scan in everything if scan.pattern == "flag"]


def test_unknown_and_empty_pattern_lists_are_refused(market: Bars) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'flag'") as caught:
        scan_patterns(market, "flags")
    assert caught.value.code == "NAME_PATTERN"
    with pytest.raises(StrategyError) as nothing:
        scan_patterns(market, [])
    assert nothing.value.code == "STRATEGY_NO_PATTERN"
    with pytest.raises(UnknownNameError):
        strategy_class("pattern-scan")(patterns="flag, vcp")


def test_strategy_trades_what_the_scan_reports() -> None:
    bars = drawn(PATHS["cup-and-handle"])
    signals = strategy_class("pattern-scan")(min_score=50.0).signals(bars)
    # three patterns complete on the last bar; the best score is taken
    (record,) = signals.records[signals.records["row"] == len(bars) - 1]
    (scan,) = scan_patterns(bars, "cup-and-handle", last=1)
    assert (record["stop"], record["target"], record["score"]) == (scan.stop, scan.target, scan.score)
    assert signals.tags[record["tag"]] == "cup-and-handle"
    assert record["strength"] == 4
    only = strategy_class("pattern-scan")(patterns="flag", min_score=50.0).signals(bars)
    assert only.frame()["tag"].tolist() == ["flag"]


def test_risk_reward_of_a_scan() -> None:
    moment = datetime(2020, 1, 2, tzinfo=UTC)
    assert PatternScan("A", "own", 70.0, 100.0, 95.0, 112.5, moment).risk_reward == 2.5
    short = PatternScan("A", "own", 70.0, 100.0, 105.0, 90.0, moment)
    assert (short.side, short.risk_reward) == (-1, 2.0)
    assert math.isnan(PatternScan("A", "own", 70.0, 100.0, 100.0, 90.0, moment).risk_reward)
