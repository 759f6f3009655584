"""Under the profile `vectorbt`, every trade equals vectorbt's: bars, prices, size and fees."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from simulator import load_bars

from .cases import PeerTrade, Prices, differences, our_trades
from .vectorbt_cases import (
    COUNT,
    VectorbtCase,
    case_on,
    random_cases,
    twinstep_trades,
    vectorbt_orders,
    vectorbt_trades,
)

pytest.importorskip("vectorbt")

SAMPLES = (
    "sample:stocks AAPL", "sample:stocks FB", "sample:stocks GOOG", "sample:stocks IBM", "sample:stocks MSFT",
    "sample:spx", "sample:nasdaq",
)  # fmt: skip
CASES_PER_SAMPLE = 12


@lru_cache(maxsize=1)
def cases_and_trades() -> tuple[list[VectorbtCase], list[list[PeerTrade]]]:
    cases = random_cases()
    return cases, vectorbt_trades(cases)


def report(cases: list[VectorbtCase], peers: list[list[PeerTrade]]) -> list[str]:
    lines = []
    for case, expected in zip(cases, peers, strict=True):
        lines += [f"case {case.index}: {line}" for line in differences(twinstep_trades(case), expected)]
    return lines


def test_every_trade_of_500_random_cases_agrees() -> None:
    cases, peers = cases_and_trades()
    assert len(cases) == COUNT == 500
    assert sum(map(len, peers)) > 4000
    lines = report(cases, peers)
    assert not lines, "\n".join(lines[:10])


def test_the_random_cases_cover_what_they_should() -> None:
    cases, peers = cases_and_trades()
    trades = [trade for found in peers for trade in found]
    assert {trade.side for trade in trades} == {1, -1}
    assert any(trade.open for trade in trades)
    for kind in ("stop only", "target only", "trail only", "stop and target", "trail and target", "none"):
        assert sum(exits_of(case) == kind for case in cases) >= 20, kind
    assert sum(case.at_open for case in cases) > 150
    assert sum(not case.at_open for case in cases) > 150
    assert sum(bool(case.fees and case.slippage) for case in cases) > 100
    assert sum(bool(case.close.any()) for case in cases) > 50


def exits_of(case: VectorbtCase) -> str:
    stop = "trail" if case.trails else "stop" if case.stop == case.stop else ""
    target = case.target == case.target
    if stop:
        return f"{stop} and target" if target else f"{stop} only"
    return "target only" if target else "none"


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_trade_on_real_prices_agrees(sample: str) -> None:
    prices = real_prices(sample)
    cases = [
        case_on(index, prices, np.random.default_rng([7, SAMPLES.index(sample), index]))
        for index in range(CASES_PER_SAMPLE)
    ]
    peers = vectorbt_trades(cases)
    assert sum(map(len, peers)) > 100
    lines = report(cases, peers)
    assert not lines, "\n".join(lines[:10])


def real_prices(sample: str) -> Prices:
    source, _, symbol = sample.partition(" ")
    bars = load_bars(source, guard="note")
    column = bars.column(symbol) if symbol else 0
    panel = bars.panel[:, column, :4]
    panel = panel[~np.isnan(panel).any(axis=1)]
    open_, close = panel[:, 0], panel[:, 3]
    # a handful of bars have an open or close outside their range; both engines get the same repaired ones
    high = np.maximum(panel[:, 1], np.maximum(open_, close))
    low = np.minimum(panel[:, 2], np.minimum(open_, close))
    return Prices(open_, high, low, close)


def test_the_stop_and_trail_given_together_trail_as_in_vectorbt() -> None:
    # vectorbt has one stop, trailing or not: where both are given the trail replaces the stop
    cases = [case for case in random_cases(120, seed=3) if case.trails]
    for case, expected in zip(cases, vectorbt_trades(cases), strict=True):
        rows = np.flatnonzero(case.long | case.short)
        ours = our_trades(
            case.prices,
            {
                "row": rows,
                "side": np.where(case.long[rows], 1, -1),
                "entry": "open" if case.at_open else "close",
                "qty": case.size,
                "stop_percent": 40.0 * case.stop,  # much tighter than the trail, and without effect
                "trail_percent": 100.0 * case.stop,
                **({} if case.target != case.target else {"target_percent": 100.0 * case.target}),
            },
            conventions="vectorbt",
        )
        if not case.close.any() and case.fees == 0.0 and case.slippage == 0.0:
            assert not differences(ours, expected)


def test_both_engines_of_vectorbt_write_the_same_orders() -> None:
    pytest.importorskip("vectorbt_rust")
    cases, _ = cases_and_trades()
    assert vectorbt_orders(cases[:100], "numba").tobytes() == vectorbt_orders(cases[:100], "rust").tobytes()


def test_the_comparison_notices_another_convention() -> None:
    cases, peers = cases_and_trades()
    noticed = 0
    for case, expected in zip(cases[:60], peers[:60], strict=True):
        if case.stop == case.stop:
            rows = np.flatnonzero(case.long | case.short)
            side = np.where(case.long[rows], 1, -1)
            name = "trail_percent" if case.trails else "stop_percent"
            ours = our_trades(
                case.prices,
                {"row": rows, "side": side, "qty": case.size, name: 100.0 * case.stop},
                conventions="realistic",
            )
            noticed += bool(differences(ours, expected))
    assert noticed > 20
