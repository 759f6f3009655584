"""Payoff diagrams against hand calculations, and what the report makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator import Bars, Conventions, Costs, Signals, backtest, load_bars
from simulator.kernel.dtypes import QUOTE
from simulator.options import OptionMarket, make_legs, make_rules, package_signals, price
from simulator.options.packages import LegSpec
from simulator.results import Result
from simulator.results.pagedata import PACKAGES, page_data
from simulator.results.payoff import POINTS, Payoff, payoffs

DAY = 86_400_000_000_000
MONDAY = int(np.datetime64("2020-01-06", "ns").astype(np.int64))
RATE = 0.03
AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)
RULES: dict[str, Any] = {
    "cash": 1e7, "risk": None, "costs": AT_MID, "conventions": Conventions(same_side="add"),
}  # fmt: skip


def market(closes: list[float], **options: Any) -> Bars:
    panel = np.repeat(np.array(closes)[:, None, None], 5, axis=2)
    panel[:, :, 4] = 1e6
    return Bars.from_arrays(
        ("IDX",), MONDAY + np.arange(len(closes)) * DAY, panel, calendar="24/7", **options
    )


def modelled(closes: list[float], **options: Any) -> Bars:
    bars = market(closes, **options)
    return bars.with_options(OptionMarket.modelled(bars, {"IDX": 0.25}, surface="flat", rate=RATE))


def traded(
    bars: Bars,
    legs: list[LegSpec],
    side: int,
    *,
    days: int | tuple[int, ...] = 40,
    qty: float = 2.0,
    **rules: Any,
) -> Result:
    ends = np.broadcast_to(np.asarray(days), (1, 4)) if isinstance(days, int) else np.array([days])
    records = make_legs([legs], expiry=int(bars.session[1]) + ends)
    signals = package_signals(bars, [1], 0, side, records, make_rules(1, **rules), qty=qty)
    return backtest(bars, signals, **RULES)


def only(result: Result) -> Payoff:
    found = payoffs(result.raw, result.raw.trades["id"][:1])
    assert len(found) == 1
    return found[0]


def test_a_credit_spread_breaks_even_at_its_strike_less_the_credit() -> None:
    closes = [100.0, 101.0, 99.0, 96.0, 97.0]
    result = traded(modelled(closes), [(-1, "put", 95.0), (1, "put", 90.0)], -1, american=0)
    one, credit = only(result), float(result.trades["entry_price"].iloc[0])
    assert one.break_evens == [pytest.approx(95.0 - credit)]
    assert one.corners[1:-1].tolist() == [90.0, 95.0]
    width = -100 * (5 - credit)
    assert one.expiry == pytest.approx([width, width, 100 * credit, 100 * credit])
    assert (one.entry_spot, one.exit_spot) == (101.0, 97.0)
    # open at the end: what it would make at its last mark
    assert one.realised == pytest.approx(result.trades["pnl"].iloc[0] / 2.0)
    assert one.legs == [(-1, -1, 95.0, 40), (1, -1, 90.0, 40)]
    assert len(one.spots) == POINTS
    assert one.spots[0] == one.corners[0] < 90.0
    assert one.spots[-1] == one.corners[-1] > 101.0


@pytest.mark.parametrize("american", [0, 1])
def test_the_entry_line_is_what_the_pricing_functions_say(american: int) -> None:
    legs: list[LegSpec] = [(-1, "put", 95.0), (1, "put", 90.0), (-1, "call", 105.0), (1, "call", 110.0, 2)]
    result = traded(modelled([100.0, 101.0, 102.0]), legs, -1, american=american, physical=0)
    one, paid = only(result), -float(result.trades["entry_price"].iloc[0])
    style = "american" if american else "european"
    want = np.zeros(POINTS)
    for side, kind, strike, *ratio in legs:
        worth = price(kind, one.spots, strike, 40 / 365, RATE, 0.25, style=style)
        want += side * (ratio[0] if ratio else 1) * worth
    assert one.now == pytest.approx(100 * (want - paid), rel=1e-9, abs=1e-9)
    # at the mid of the quotes nothing is given away, but for the grid that quotes are on
    assert abs(np.interp(101.0, one.spots, one.now)) < 12.0
    assert len(one.break_evens) == 3


def test_a_calendar_is_priced_at_its_first_expiry() -> None:
    result = traded(
        modelled([100.0, 100.0, 101.0]),
        [(-1, "put", 100.0), (1, "put", 100.0)],
        1,
        days=(20, 60, 60, 60),
        american=0,
    )
    one, paid = only(result), float(result.trades["entry_price"].iloc[0])
    far = price("put", one.corners, 100.0, 40 / 365, RATE, 0.25)
    want = 100 * (far - np.maximum(100.0 - one.corners, 0.0) - paid)
    assert one.expiry == pytest.approx(want, rel=1e-9, abs=1e-9)
    # it earns most at the strike, which is a corner, and breaks even once on each side
    assert one.corners[np.argmax(one.expiry)] == 100.0
    below, above = one.break_evens
    assert one.spots[0] < below < 100.0 < above < one.spots[-1]


def test_a_covered_call_counts_its_shares() -> None:
    result = traded(modelled([100.0, 100.0, 95.0]), [(1, "shares", 0.0), (-1, "call", 105.0)], 1)
    one, paid = only(result), float(result.trades["entry_price"].iloc[0])
    assert one.break_evens == [pytest.approx(paid)]
    assert one.expiry[-1] == pytest.approx(100 * (105.0 - paid))
    assert one.expiry[0] == pytest.approx(100 * (one.corners[0] - paid))


def test_a_sold_straddle_shows_both_break_evens() -> None:
    legs: list[LegSpec] = [(-1, "put", 100.0), (-1, "call", 100.0)]
    result = traded(modelled([100.0, 100.0, 100.5]), legs, -1, days=300, naked=1, physical=0)
    one, credit = only(result), float(result.trades["entry_price"].iloc[0])
    assert one.break_evens == pytest.approx([100.0 - credit, 100.0 + credit])
    assert one.spots[0] < 100.0 - credit < 100.0 + credit < one.spots[-1]


def test_an_early_assignment_is_part_of_what_was_made() -> None:
    closes = [95.0, 94.0, 92.0, 93.0, 92.0]
    bars = market(closes)
    rows = []
    for t, close in enumerate(closes):
        for strike in (90.0, 110.0):
            mid = max(0.0, strike - close) + [1.0, 0.5, 0.005, 0.5, 0.5][t]
            rows.append((t, 0, int(bars.session[1]) + 40, -1, strike, mid - 0.005, mid + 0.005, 0.2, -0.5))
    bars = bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.full(5, 0.05)))
    result = traded(bars, [(-1, "put", 110.0), (1, "put", 90.0)], -1)
    assert result.trades["exit_reason"].tolist() == ["assignment"]
    # sold for 16 and bought 0.5; shares at 110 were sold at 93 with the put that was worth 0.50
    assert only(result).realised == pytest.approx(100 * (16.5 - 0.5 - 110.0 + 93.0 + 0.5))


def test_prices_are_those_of_the_entry_where_a_split_came_after() -> None:
    day = str(np.datetime64(MONDAY + 3 * DAY, "ns").astype("datetime64[D]"))
    actions = [{"date": day, "symbol": "IDX", "kind": "split", "value": 4.0}]
    bars = modelled([100.0, 101.0, 100.0, 24.5, 24.0], raw=True, actions=actions)
    result = traded(bars, [(-1, "put", 95.0), (1, "put", 90.0)], -1, physical=0)
    one = only(result)
    assert (one.entry_spot, one.exit_spot) == (101.0, 96.0)
    assert one.realised == pytest.approx(result.trades["pnl"].iloc[0] / 2.0)


def test_ids_that_are_no_packages_are_left_out(daily: Result) -> None:
    assert payoffs(daily.raw, daily.raw.trades["id"]) == []


# On the page


@pytest.fixture(scope="module")
def many() -> Result:
    """More packages than the page draws, and shares, over more bars than its curves keep."""
    made = load_bars("synthetic:1x5000?seed=1")
    bars = made.with_options(OptionMarket.modelled(made, {made.symbols[0]: 0.4}, rate=RATE))
    rows = np.append(np.arange(20, 4900, 16), 4990)
    spot = bars.close[rows, 0]
    legs = make_legs(
        [[(-1, "put", 0.97 * s), (1, "put", 0.94 * s)] for s in spot], expiry=bars.session[rows] + 40
    )
    rules = make_rules(len(rows), physical=0, dte_exit=21, stop_loss=1.0)
    sold = package_signals(bars, rows, 0, -1, legs, rules, qty=50.0)
    shares = Signals.from_arrays(
        bars, np.arange(50, 4000, 500), 0, 1, qty=100.0, max_bars=100, stop_percent=5.0
    )
    return backtest(bars, Signals.concat([sold, shares]), **RULES)


def test_the_page_has_greeks_heat_and_payoffs(many: Result) -> None:
    data = json.loads(json.dumps(page_data(many), allow_nan=False))
    packages = data["packages"]
    assert len(many.package_ids) > PACKAGES == len(packages)
    assert data["left_out"]["packages"] == len(many.package_ids) - PACKAGES
    by_id = many.packages.set_index("id")
    # the page begins with the largest loss, and what is open is on it
    assert packages[data["package_shown"]][0] == by_id["pnl"].idxmin()
    open_ = by_id.index[by_id["exit_reason"] == "end_of_data"]
    assert len(open_) == 1
    ids = {one[0] for one in packages}
    assert set(open_) <= ids <= {trade[0] for trade in data["trades"]}
    left = by_id.loc[~by_id.index.isin(ids), "pnl"].abs()
    assert left.max() <= by_id.loc[list(ids - set(open_)), "pnl"].abs().min()
    for one, want in zip(packages, payoffs(many.raw, [one[0] for one in packages]), strict=True):
        assert one[7] == pytest.approx(want.now, rel=1e-4, abs=1e-4)
        assert np.array(one[8]) == pytest.approx(np.stack([want.corners, want.expiry], axis=1), rel=1e-5)


def test_the_curves_of_the_page_keep_gaps_and_extremes(many: Result) -> None:
    exposure = page_data(many)["exposure"]
    rows = np.cumsum(exposure["row"])
    assert len(rows) < len(many.equity)
    for name, values in exposure["greeks"].items():
        column = many.greeks[name]
        assert max(values) == pytest.approx(column.max(), rel=1e-3)
        assert min(values) == pytest.approx(column.min(), rel=1e-3)
        assert values == pytest.approx(column.iloc[rows].tolist(), rel=1e-3, abs=1e-9)
    assert exposure["heat"] == pytest.approx(many.exposure["heat"].iloc[rows].tolist(), abs=1e-5)


def test_an_unknown_bar_is_a_gap_on_the_page() -> None:
    bars = market([100.0 + t % 7 for t in range(4500)])
    level = np.full(4500, 0.25)
    level[2000:2003] = np.nan
    bars = bars.with_options(OptionMarket.modelled(bars, {"IDX": level}, surface="flat", rate=RATE))
    result = traded(bars, [(-1, "put", 95.0), (1, "put", 90.0)], -1, days=4000, physical=0)
    exposure = page_data(result)["exposure"]
    shown = dict(zip(np.cumsum(exposure["row"]).tolist(), exposure["greeks"]["vega"], strict=True))
    assert shown[2000] is None
    assert None not in [value for row, value in shown.items() if not 2000 <= row < 2003]


def test_a_report_of_packages_is_labelled_and_small(many: Result, tmp_path: Path) -> None:
    path = many.report(tmp_path / "r.html")
    assert path.stat().st_size < 1_000_000
    text = path.read_text(encoding="utf-8")
    for needed in ("GREEKS MODELLED", "Payoff of a package", 'id="vega-chart"', 'id="heat-chart"'):
        assert needed in text, needed
    assert f"{len(many.package_ids) - PACKAGES} packages with smaller profits" in text


def test_a_report_of_stocks_has_heat_alone(daily: Result, tmp_path: Path) -> None:
    text = daily.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="heat-chart"' in text
    for absent in ('id="vega-chart"', 'id="payoff"', "GREEKS MODELLED"):
        assert absent not in text, absent
    exposure = page_data(daily)["exposure"]
    assert exposure["greeks"] is None
    assert exposure["heat"] == pytest.approx(daily.exposure["heat"].tolist(), abs=1e-5)
    assert exposure["limit"] == 0.06


def test_a_page_of_stored_quotes_says_what_is_modelled_and_draws_no_line_that_is_unknown(
    tmp_path: Path,
) -> None:
    closes = [60.0, 60.0, 61.0, 60.5]
    bars = market(closes)
    expiry = int(bars.session[1]) + 40
    # deep in the money an American put is worth its exercise, which tells of no volatility
    rows = [
        (t, 0, expiry, -1, strike, worth - 0.01, worth + 0.01, 0.2, -0.5)
        for t, close in enumerate(closes)
        for strike, worth in ((110.0, 110.0 - close), (58.0, 1.5))
    ]
    bars = bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.full(4, RATE)))
    deep = traded(bars, [(1, "put", 110.0)], 1, physical=0)
    assert np.isnan(only(deep).now).all()
    assert only(deep).break_evens == [pytest.approx(60.0)]
    data = json.loads(json.dumps(page_data(deep), allow_nan=False))
    assert data["packages"][0][7] is None
    sold = traded(bars, [(-1, "put", 58.0)], -1, physical=0)
    assert np.isfinite(only(sold).now).all()
    text = sold.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert "MODELLED FROM QUOTES" in text
    assert "what the quotes imply" in text
    assert "GREEKS MODELLED" not in text
