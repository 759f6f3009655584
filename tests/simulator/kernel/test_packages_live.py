"""A live session of bars within the day holds a package to its last close with the bytes of a backtest."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from live.parity import verify_parity
from simulator.bars import Bars
from simulator.kernel import codes
from simulator.options.packages import LegSpec
from simulator.signals import Signals
from tests.live.sessions import answer_of, backtest_of, push_all
from tests.live.sessions import opened as session_of
from tests.simulator.kernel.test_packages import traded
from tests.simulator.kernel.test_packages_intraday import (
    AFTER,
    HALF_DAY,
    PUT_SPREAD,
    configuration,
    modelled,
    opened,
    scene,
    with_changes,
)

LAST_DAY = range(HALF_DAY, AFTER)


def quoted(hole: bool, unquoted: range | tuple[int, ...]) -> Bars:
    closes = np.array(with_changes({HALF_DAY + 3: 93.0, AFTER - 1: 91.0, AFTER: 96.0}))
    if hole:
        closes[AFTER - 2 : AFTER] = np.nan
    return scene(closes, unquoted=unquoted).bars


MARKETS = {
    "quoted to the end": lambda: quoted(False, ()),
    "without quotes on the last day": lambda: quoted(False, LAST_DAY),
    "some bars without quotes": lambda: quoted(False, (HALF_DAY, HALF_DAY + 2, AFTER - 1)),
    "without the last bars": lambda: quoted(True, ()),
    "without the last bars and quotes": lambda: quoted(True, LAST_DAY),
    "modelled": lambda: modelled(with_changes({HALF_DAY + 3: 93.0, AFTER - 1: 91.0, AFTER: 96.0})),
}


@pytest.mark.parametrize("physical", [0, 1])
@pytest.mark.parametrize("name", sorted(MARKETS))
def test_a_session_settles_as_its_backtest_does(tmp_path: Path, name: str, physical: int) -> None:
    bars = MARKETS[name]()
    signals = signals_of(bars, physical)
    c = configuration(bars, signals, [])
    edges = [*range(AFTER + 2), len(bars)]
    path = tmp_path / "journal.db"
    session = session_of(path, c)
    for first, last in itertools.pairwise(edges):
        if first in (HALF_DAY + 1, AFTER):  # restarted on the last day, and before what follows it
            session.close()
            session = session_of(path, c)
        push_all(session, c, [first, last])
    answer, expected = answer_of(session), backtest_of(c)
    session.close()
    assert [key for key in expected if answer[key] != expected[key]] == []
    receipt = verify_parity(path, "paper")
    assert receipt.ok, str(receipt)


@pytest.mark.parametrize("name", sorted(MARKETS))
def test_the_rule_of_a_price_is_the_market_s_and_not_the_bar_s(name: str) -> None:
    bars = MARKETS[name]()
    rules = set(traded(bars, signals_of(bars, 0)).raw.fills["rule"].tolist())
    assert rules == {codes.PRICE_MODEL if name == "modelled" else codes.PRICE_QUOTE}
    assert bars.options is not None
    grades = {bars.options.rows(row, row + 1).grade for row in range(len(bars))}
    assert grades == {bars.options.grade}


def signals_of(bars: Bars, physical: int) -> Signals:
    """A put spread; of the modelled market a put near enough to have a bid."""
    assert bars.options is not None
    legs: list[LegSpec] = PUT_SPREAD if bars.options.grade == "quoted" else [(-1, "put", 99.0)]
    return opened(bars, 1, -1, legs, physical=physical)
