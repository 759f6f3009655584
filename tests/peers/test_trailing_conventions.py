"""The trailing conventions: the same bars, and where each engine's trailing stop takes the trade out.

Long at the open of bar 1 at 100 with a trail of 5 %, so the stop starts at 95. Every sequence isolates one
question: in which order a bar raises and tests the stop, what it is raised with, whether the entry bar
counts. Cells are (bar of the exit, price); the derivation stands above each sequence. backtesting.py,
vectorbt and backtrader are run here on the installed engines. freqtrade 2026.9 was run on the same bars
elsewhere. The others were not run: their cells are derived from their rules:

| engine | rule | here as |
|---|---|---|
| backtesting.py | raise with the close, then test from the next bar on | profile `backtesting.py` |
| lumibot | as vectorbt, once submitted | profile `vectorbt` |
| Lean | test, then raise with the high; fills at min(stop, close) | `previous` |
| Nautilus | along the price path, nearer extreme first (its adaptive ordering) | `path` |
| ml4t | LAGGED, INTRABAR, or watermark CLOSE: selectable | `previous`, `raise_first`, `close_only` |
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from simulator.conventions import Conventions

from .backtesting_cases import backtesting_trades
from .backtrader_cases import BacktraderCase, backtrader_trades
from .cases import PeerTrade, Prices, our_trades
from .vectorbt_cases import VectorbtCase, vectorbt_trades

Bar = tuple[float, float, float, float]
Cell = tuple[int, float]

SIGNAL_BAR: Bar = (100.0, 100.0, 100.0, 100.0)
TRAIL = 0.05

ENGINES: dict[str, str | Conventions] = {
    "backtesting.py": "backtesting.py",
    "vectorbt": "vectorbt",
    "lumibot": "vectorbt",
    "Lean": Conventions(trail_rule="previous"),
    "backtrader": "backtrader",
    "freqtrade": "freqtrade",
    "Nautilus": Conventions(trail_rule="path"),
    "ml4t LAGGED": Conventions(trail_rule="previous"),
    "ml4t INTRABAR": Conventions(trail_rule="raise_first"),
    "ml4t CLOSE": Conventions(trail_rule="close_only"),
    "realistic": "realistic",
    "worst": "worst",
    "best": "best",
}


class Sequence(NamedTuple):
    """Bars from the entry bar (bar 1) on, and the exit under each rule."""

    bars: tuple[Bar, ...]
    cells: dict[str, Cell]


SEQUENCES: dict[str, Sequence] = {
    # Bar 2 rises to 110 and has a low of 101.
    #   raise first: 110 · 0.95 = 104.5 is above the low of the same bar: out in bar 2.
    #   previous:    95 is tested in bar 2, 104.5 from bar 3 on, whose low of 104 is below.
    #   path:        102 is nearer to 101 than to 110, so the low came first; 108 is above 104.5; out in
    #                bar 3, which goes to 108 first and then to 104.
    #   close only:  108 · 0.95 = 102.6 holds in bar 3 and is hit by bar 4's low of 102.
    "order inside a bar": Sequence(
        (
            (100.0, 100.0, 100.0, 100.0),
            (102.0, 110.0, 101.0, 108.0),
            (107.0, 108.0, 104.0, 106.0),
            (105.0, 106.0, 102.0, 103.0),
            (103.0, 103.0, 103.0, 103.0),
        ),
        {
            "backtesting.py": (4, 102.6),
            "vectorbt": (3, 104.5),
            "lumibot": (3, 104.5),
            "Lean": (3, 104.5),  # bar 3 closes at 106, above the stop, so min(stop, close) is the stop
            "backtrader": (4, 102.6),
            "freqtrade": (2, 104.5),
            "Nautilus": (3, 104.5),
            "ml4t LAGGED": (3, 104.5),
            "ml4t INTRABAR": (2, 104.5),
            "ml4t CLOSE": (4, 102.6),
            "realistic": (3, 104.5),  # test against the extreme of earlier bars, then raise
            "worst": (2, 104.5),  # raise, then test
            "best": (4, 102.6),  # raised by closes only
        },
    ),
    # Bar 2 opens at 100, nearer to its high of 102 than to its low of 96.5, so the path goes up first.
    #   path and raise first: 102 · 0.95 = 96.9 is above the low of 96.5: out in bar 2.
    #   previous:   95 holds in bar 2; 96.9 is hit by bar 3's low of 96.
    #   close only: 97 · 0.95 = 92.15 raises nothing; 95 is hit in bar 4.
    "path with the high first": Sequence(
        (
            (100.0, 100.0, 100.0, 100.0),
            (100.0, 102.0, 96.5, 97.0),
            (97.0, 98.0, 96.0, 97.0),
            (96.0, 96.5, 94.5, 95.0),
            (95.0, 95.0, 95.0, 95.0),
        ),
        {
            "backtesting.py": (4, 95.0),
            "vectorbt": (3, 96.9),
            "lumibot": (3, 96.9),
            "Lean": (3, 96.9),
            "backtrader": (4, 95.0),
            "freqtrade": (2, 96.9),
            "Nautilus": (2, 96.9),
            "ml4t LAGGED": (3, 96.9),
            "ml4t INTRABAR": (2, 96.9),
            "ml4t CLOSE": (4, 95.0),
            "realistic": (3, 96.9),
            "worst": (2, 96.9),
            "best": (4, 95.0),
        },
    ),
    # Bar 2 rises to 110 and has a low of 94, below the stop of 95 that was in force when it opened. Nobody
    # raises first: freqtrade asks `dir_correct` (is the old stop still below the low?) and exits at the old
    # stop. The path goes to 94 first, because it is nearer to 100 than 110 is.
    "old stop hit, no raise": Sequence(
        (
            (100.0, 100.0, 100.0, 100.0),
            (100.0, 110.0, 94.0, 105.0),
            (105.0, 105.0, 105.0, 105.0),
        ),
        dict.fromkeys(ENGINES, (2, 95.0)),
    ),
    # Bar 2 has a high of 108 and closes at 101.
    #   high as the watermark: 108 · 0.95 = 102.6. raise first: above bar 2's own low, out in bar 2. path: the
    #     low of 99.5 is nearer and came first, but the close of 101 came after the high, out in bar 2.
    #     previous: bar 3's low of 102 is below it.
    #   close as the watermark: 101 · 0.95 = 95.95, then 103 · 0.95 = 97.85, hit in bar 4.
    "watermark, high or close": Sequence(
        (
            (100.0, 100.0, 100.0, 100.0),
            (100.0, 108.0, 99.5, 101.0),
            (103.0, 104.0, 102.0, 103.0),
            (98.0, 98.0, 97.0, 97.5),
            (97.5, 97.5, 97.5, 97.5),
        ),
        {
            "backtesting.py": (4, 97.85),
            "vectorbt": (3, 102.6),
            "lumibot": (3, 102.6),
            "Lean": (3, 102.6),
            "backtrader": (4, 97.85),
            "freqtrade": (2, 102.6),
            "Nautilus": (2, 102.6),
            "ml4t LAGGED": (3, 102.6),
            "ml4t INTRABAR": (2, 102.6),
            "ml4t CLOSE": (4, 97.85),
            "realistic": (3, 102.6),
            "worst": (2, 102.6),
            "best": (4, 97.85),
        },
    ),
    # The entry bar rises to 106 and closes at 105; its low is its open.
    #   counted, high:   106 · 0.95 = 100.7, hit by bar 2's low of 100.2.
    #   counted, close:  105 · 0.95 = 99.75, hit by bar 4's low of 97.
    #   not counted, high:  bar 2 raises to 103 · 0.95 = 97.85, hit in bar 4.
    #   not counted, close: bar 2 raises to 101 · 0.95 = 95.95, hit by bar 5's low of 95.5.
    #   freqtrade exits on the entry bar, because the low of 100 is below 100.7, and at the worst price that
    #     fits: the price rises just far enough and dives, max(low, 100 · 0.95) = 100. `worst` likewise.
    "entry bar": Sequence(
        (
            (100.0, 106.0, 100.0, 105.0),
            (102.0, 103.0, 100.2, 101.0),
            (101.0, 102.0, 99.9, 100.0),
            (100.0, 100.0, 97.0, 98.0),
            (97.0, 97.0, 95.5, 96.0),
            (96.0, 96.0, 96.0, 96.0),
        ),
        {
            "backtesting.py": (4, 99.75),
            "vectorbt": (4, 97.85),
            "lumibot": (4, 97.85),
            "backtrader": (5, 95.95),
            "freqtrade": (1, 100.0),
            # 100 is its own low: the path goes there first, to 106, and closes at 105
            "Nautilus": (2, 100.7),
            "realistic": (2, 100.7),  # the fill was at the open, so the high came later and counts
            "worst": (1, 100.0),
            "best": (5, 95.95),  # closes only, and no exits on the entry bar
        },
    ),
    # The trail is at 104.5 when bar 3 opens at 90 and never comes back: the open, for everyone.
    "gap through the trail": Sequence(
        (
            (100.0, 100.0, 100.0, 100.0),
            (106.0, 110.0, 105.0, 110.0),
            (90.0, 92.0, 88.0, 91.0),
            (91.0, 91.0, 91.0, 91.0),
        ),
        dict.fromkeys(ENGINES, (3, 90.0)),
    ),
}


def prices_of(sequence: Sequence) -> Prices:
    bars = np.array([SIGNAL_BAR, *sequence.bars])
    return Prices(*(np.ascontiguousarray(column) for column in bars.T))


def cell_of(trades: list[PeerTrade]) -> Cell:
    (trade,) = trades
    assert (trade.entry_bar, trade.entry_price, trade.open) == (1, 100.0, False)
    return trade.exit_bar, trade.exit_price


def same(found: Cell, expected: Cell) -> bool:
    return found[0] == expected[0] and abs(found[1] - expected[1]) <= 1e-9


def cells() -> list[tuple[str, str]]:
    return [(name, engine) for name, sequence in SEQUENCES.items() for engine in sequence.cells]


@pytest.mark.parametrize(("name", "engine"), cells())
def test_each_convention_exits_where_its_engine_does(name: str, engine: str) -> None:
    sequence = SEQUENCES[name]
    trades = our_trades(
        prices_of(sequence),
        {"row": [0], "side": 1, "qty": 1.0, "trail_percent": 100.0 * TRAIL},
        conventions=ENGINES[engine],
    )
    assert same(cell_of(trades), sequence.cells[engine]), trades


def test_vectorbt_itself_fills_its_column() -> None:
    pytest.importorskip("vectorbt")
    for name, sequence in SEQUENCES.items():
        prices = prices_of(sequence)
        first = np.arange(len(prices)) == 0
        case = VectorbtCase(
            index=0, prices=prices, long=first, short=first & False, close=first & False, at_open=True,
            size=1.0, stop=TRAIL, trails=True, target=np.nan, fees=0.0, slippage=0.0,
        )  # fmt: skip
        assert same(cell_of(vectorbt_trades([case])[0]), sequence.cells["vectorbt"]), name


@pytest.mark.parametrize("name", SEQUENCES)
def test_backtrader_itself_fills_its_column(name: str) -> None:
    pytest.importorskip("backtrader")
    prices = prices_of(SEQUENCES[name])
    nothing = np.full(len(prices), np.nan)
    case = BacktraderCase(
        index=0, prices=prices, signal=(np.arange(len(prices)) == 0).astype(np.int64), kind="trail_percent",
        stop=nothing, target=nothing, trail=TRAIL, size=1.0, commission=0.0,
    )  # fmt: skip
    assert same(cell_of(backtrader_trades(case)), SEQUENCES[name].cells["backtrader"])


@pytest.mark.parametrize("name", SEQUENCES)
def test_backtesting_itself_fills_its_column(name: str) -> None:
    pytest.importorskip("backtesting")
    trades = backtesting_trades(prices_of(SEQUENCES[name]), stop=100.0 * (1.0 - TRAIL), trail=TRAIL)
    assert same(cell_of(trades), SEQUENCES[name].cells["backtesting.py"])


# The same order of events with a trail of 5 in currency, where a short is the exact mirror of a long at 100:
# 110 - 5 = 105 is hit in bar 2 (raise first) or bar 3 (previous); 108 - 5 = 103 in bar 4 (close only).
AMOUNT_CELLS: dict[str, Cell] = {
    "backtesting.py": (4, 103.0),
    "vectorbt": (3, 105.0),
    "backtrader": (4, 103.0),
    "freqtrade": (2, 105.0),
    "realistic": (3, 105.0),
    "worst": (2, 105.0),
    "best": (4, 103.0),
}


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("profile", AMOUNT_CELLS)
def test_a_trail_in_currency_and_its_mirror(profile: str, side: int) -> None:
    prices = prices_of(SEQUENCES["order inside a bar"])
    if side < 0:
        prices = Prices(*(200.0 - column for column in (prices.open, prices.low, prices.high, prices.close)))
    trades = our_trades(
        prices, {"row": [0], "side": side, "qty": 1.0, "trail_amount": 5.0}, conventions=profile
    )
    bar, price = AMOUNT_CELLS[profile]
    assert same(cell_of(trades), (bar, price if side > 0 else 200.0 - price)), trades


def test_every_engine_has_a_cell_for_every_question_it_answers() -> None:
    for name, sequence in SEQUENCES.items():
        # whether the entry bar counts is not established for Lean, and selectable in ml4t
        missing = {"Lean", "ml4t LAGGED", "ml4t INTRABAR", "ml4t CLOSE"} if name == "entry bar" else set()
        assert set(sequence.cells) == set(ENGINES) - missing
