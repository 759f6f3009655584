"""The truth table: what each engine makes of a bar that holds the stop, the target, or both.

Long at the open of bar 1 at 100, stop 90, target 110; every row is one bar that a convention has to decide.
Cells are (bar of the exit, price), or None for no exit. The columns of backtesting.py, vectorbt and
backtrader are run here on the installed engines. That of freqtrade 2026.9 was read off the engine, run on the
same bars, and stands here as constants with their reason. `realistic`, `worst` and `best` are derived by
hand, with the reasoning beside each value. Every cell is tested for a long, and mirrored at 100 for a short.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from .backtesting_cases import backtesting_trades
from .backtrader_cases import BacktraderCase, backtrader_trades
from .cases import PeerTrade, Prices, our_trades
from .vectorbt_cases import VectorbtCase, vectorbt_trades

Bar = tuple[float, float, float, float]
Cell = tuple[int, float] | None

SIGNAL_BAR: Bar = (100.0, 100.0, 100.0, 100.0)
CALM: Bar = (100.0, 101.0, 99.0, 100.0)


class Row(NamedTuple):
    """Entry bar (bar 1), the bar after it (bar 2), and the cell of every engine and profile."""

    entry_bar: Bar
    later_bar: Bar
    cells: dict[str, Cell]


TABLE: dict[str, Row] = {
    "later bar, high 112, low 89": Row(
        CALM,
        (100.0, 112.0, 89.0, 95.0),
        {
            "backtesting.py": (2, 90.0),  # the stop's order stands first in the queue
            "vectorbt": (2, 90.0),
            "backtrader": (2, 90.0),
            "freqtrade": (2, 90.0),  # should_exit lists the stop loss before the ROI
            "realistic": (2, 90.0),  # both inside one bar: stop first
            "worst": (2, 90.0),  # stop first
            "best": (2, 110.0),  # target first
        },
    ),
    "next open 85": Row(
        CALM,
        (85.0, 97.0, 84.0, 95.0),
        {
            "backtesting.py": (2, 85.0),  # a sell stop fills at min(open, stop)
            "vectorbt": (2, 85.0),
            "backtrader": (2, 85.0),
            # at the stop unless the whole bar is beyond it, and the high of 97 is not
            "freqtrade": (2, 90.0),
            "realistic": (2, 85.0),  # gap through the stop: the first price there is
            "worst": (2, 85.0),  # the same
            "best": (2, 90.0),  # at the stop price, which the bar reaches later
        },
    ),
    "next open 85, the whole bar below the stop": Row(
        CALM,
        (85.0, 88.0, 84.0, 87.0),
        {
            "backtesting.py": (2, 85.0),
            "vectorbt": (2, 85.0),
            "backtrader": (2, 85.0),
            "freqtrade": (2, 85.0),  # stop above the high: the open
            "realistic": (2, 85.0),
            "worst": (2, 85.0),
            "best": (2, 85.0),  # 90 was never traded, so even the best case gets the open
        },
    ),
    "next open 115": Row(
        CALM,
        (115.0, 117.0, 108.0, 112.0),
        {
            "backtesting.py": (2, 115.0),  # a sell limit fills at max(open, limit)
            "vectorbt": (2, 115.0),
            "backtrader": (2, 115.0),
            "freqtrade": (2, 110.0),  # the ROI's rate, kept inside the bar: min(max(110, low), high)
            "realistic": (2, 115.0),  # a resting limit fills at the better open
            "worst": (2, 110.0),  # at the limit
            "best": (2, 115.0),  # at the open
        },
    ),
    "next open 115, the whole bar above the target": Row(
        CALM,
        (115.0, 117.0, 113.0, 114.0),
        {
            "backtesting.py": (2, 115.0),
            "vectorbt": (2, 115.0),
            "backtrader": (2, 115.0),
            "freqtrade": (2, 113.0),  # max(110, low): no price outside the bar
            "realistic": (2, 115.0),
            "worst": (2, 113.0),  # at the limit, or the price nearest to it that was traded
            "best": (2, 115.0),
        },
    ),
    "next open 115, then low 89": Row(
        CALM,
        (115.0, 117.0, 89.0, 92.0),
        {
            "backtesting.py": (2, 90.0),  # the stop's order sees the whole bar before the target's
            "vectorbt": (2, 90.0),  # the stop is looked at first, over the whole bar
            "backtrader": (2, 90.0),  # as in backtesting.py: submitted first, tried first
            "freqtrade": (2, 90.0),  # stop loss before ROI
            "realistic": (2, 115.0),  # the open came first, and it was beyond the target
            "worst": (2, 90.0),  # target gap: stop
            "best": (2, 115.0),  # target gap: target, at the open
        },
    ),
    "entry bar, low 88": Row(
        (100.0, 101.0, 88.0, 95.0),
        CALM,
        {
            "backtesting.py": (1, 90.0),  # the bracket is processed again after the entry fill
            "vectorbt": None,  # stops are looked at before the bar's own order
            "backtrader": None,  # children wake on the bar after the parent's fill
            "freqtrade": (1, 90.0),  # exits are checked on the candle of the entry
            "realistic": (1, 90.0),  # filled at the open, so the low came later
            "worst": (1, 90.0),  # the same
            "best": None,  # no exits on the entry bar
        },
    ),
    "entry bar, high 112, low 88": Row(
        (100.0, 112.0, 88.0, 95.0),
        CALM,
        {
            "backtesting.py": (1, 90.0),
            "vectorbt": None,
            "backtrader": None,
            "freqtrade": (1, 90.0),
            "realistic": (1, 90.0),  # both inside the bar: stop first
            "worst": (1, 90.0),  # stop first
            "best": None,  # no exits on the entry bar
        },
    ),
    "entry bar, high 112": Row(
        (100.0, 112.0, 99.0, 105.0),
        CALM,
        {
            "backtesting.py": (1, 110.0),
            "vectorbt": None,
            "backtrader": None,
            "freqtrade": (1, 110.0),
            "realistic": (1, 110.0),  # filled at the open, so the high came later
            "worst": (1, 110.0),  # the same: with exits allowed on the entry bar there is no other outcome
            "best": None,  # no exits on the entry bar
        },
    ),
}

PROFILES = ("backtesting.py", "vectorbt", "backtrader", "freqtrade", "realistic", "worst", "best")


def prices_of(row: Row, side: int) -> Prices:
    bars = np.array([SIGNAL_BAR, row.entry_bar, row.later_bar, CALM, CALM])
    if side < 0:
        bars = 200.0 - bars[:, [0, 2, 1, 3]]
    return Prices(*(np.ascontiguousarray(column) for column in bars.T))


def cell_of(trades: list[PeerTrade], side: int) -> Cell:
    """Read a cell off the only trade, mirrored back for a short."""
    (trade,) = trades
    assert (trade.side, trade.entry_bar, trade.entry_price) == (side, 1, 100.0)
    if trade.open:
        return None
    return trade.exit_bar, trade.exit_price if side > 0 else 200.0 - trade.exit_price


def same(found: Cell, expected: Cell) -> bool:
    if found is None or expected is None:
        return found is expected
    return found[0] == expected[0] and found[1] == pytest.approx(expected[1], abs=1e-9)


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", TABLE)
def test_our_profiles_fill_the_table(name: str, profile: str, side: int) -> None:
    row = TABLE[name]
    expected = row.cells[profile]
    prices = prices_of(row, side)
    signal = {"row": [0], "side": side, "qty": 10.0}
    as_prices = our_trades(
        prices, {**signal, "stop": 100.0 - 10.0 * side, "target": 100.0 + 10.0 * side}, conventions=profile
    )
    as_percent = our_trades(
        prices, {**signal, "stop_percent": 10.0, "target_percent": 10.0}, conventions=profile
    )
    for trades in (as_prices, as_percent):
        assert same(cell_of(trades, side), expected), (trades, expected)


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
def test_vectorbt_itself_fills_its_column(side: int) -> None:
    pytest.importorskip("vectorbt")
    first = np.array([True, False, False, False, False])
    cases = [
        VectorbtCase(
            index=index,
            prices=prices_of(row, side),
            long=first & (side > 0),
            short=first & (side < 0),
            close=first & False,
            at_open=True,
            size=10.0,
            stop=0.1,
            trails=False,
            target=0.1,
            fees=0.0,
            slippage=0.0,
        )
        for index, row in enumerate(TABLE.values())
    ]
    for row, trades in zip(TABLE.values(), vectorbt_trades(cases), strict=True):
        assert same(cell_of(trades, side), row.cells["vectorbt"])


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("name", TABLE)
def test_backtrader_itself_fills_its_column(name: str, side: int) -> None:
    pytest.importorskip("backtrader")
    levels = np.array([1.0, np.nan, np.nan, np.nan, np.nan])
    case = BacktraderCase(
        index=0,
        prices=prices_of(TABLE[name], side),
        signal=np.array([side, 0, 0, 0, 0]),
        kind="bracket",
        stop=(100.0 - 10.0 * side) * levels,
        target=(100.0 + 10.0 * side) * levels,
        trail=0.0,
        size=10.0,
        commission=0.0,
    )
    assert same(cell_of(backtrader_trades(case), side), TABLE[name].cells["backtrader"])


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("name", TABLE)
def test_backtesting_itself_fills_its_column(name: str, side: int) -> None:
    pytest.importorskip("backtesting")
    trades = backtesting_trades(
        prices_of(TABLE[name], side), side=side, stop=100.0 - 10.0 * side, target=100.0 + 10.0 * side
    )
    assert same(cell_of(trades, side), TABLE[name].cells["backtesting.py"])


def test_the_table_has_every_cell() -> None:
    for row in TABLE.values():
        assert tuple(row.cells) == PROFILES
