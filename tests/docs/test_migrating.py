"""The pages for users of other engines: the same strategy, run by both, and trades that agree.

Each peer's own code runs (freqtrade's trades are a file, made by `freqtrade_trades`) over the five bundled
stocks, and so does ours. The differences that the pages list are found, and no others. Fills at an open agree
to 1e-9. Stops and targets agree to half a tick, to which ours are rounded; without a tick they agree to 1e-9
as well, and the difference that the tick had made is gone.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd
import pytest

from simulator import Bars, load_bars
from tests.docs.freqtrade_trades import TRADES

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "examples" / "migration"
PEERS: Final = ("backtrader", "vectorbt", "backtesting_py", "freqtrade")
SYMBOLS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
HALF_A_TICK: Final = 0.005
EXACT: Final = {"backtrader": 1e-9, "vectorbt": 1e-9, "backtesting_py": 1e-9, "freqtrade": 2e-8}
"""freqtrade's prices lie on its market's grid of 1e-8."""
COUNT: Final = 130
COLUMNS: Final = {
    "vectorbt": ("Entry Timestamp", "Exit Timestamp", "Avg Entry Price", "Avg Exit Price"),
    "backtesting_py": ("EntryTime", "ExitTime", "EntryPrice", "ExitPrice"),
}
OURS: Final = ("entry_time", "exit_time", "entry_price", "exit_price")

GAPPED: Final = ("AAPL", "2004-01-15", "only theirs")
IBM_OPEN: Final = ("IBM", "2012-12-31", "open at the end")
MSFT_OPEN: Final = ("MSFT", "2013-01-28", "open at the end")
TICK: Final = ("MSFT", "2011-09-22", "another exit")
DIFFERENCES: Final[dict[str, set[tuple[str, str, str]]]] = {
    "backtrader": {GAPPED, TICK, IBM_OPEN, MSFT_OPEN},
    "vectorbt": set(),
    "backtesting_py": {GAPPED, IBM_OPEN, MSFT_OPEN},
    "freqtrade": {MSFT_OPEN},
}


class Trade(NamedTuple):
    entry: str
    exit: str
    entry_price: float
    exit_price: float
    open: bool


@cache
def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"migration_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # backtrader looks its strategies' modules up
    spec.loader.exec_module(found)
    return found


@cache
def prices(symbol: str) -> Bars:
    return load_bars("sample:stocks", symbols=[symbol])


@cache
def theirs(peer: str, symbol: str) -> list[Trade]:
    if peer == "freqtrade":
        table = pd.read_csv(TRADES)
        table = table[table["symbol"] == symbol]
        return plain(table, OURS, table["exit_reason"] == "force_exit")
    table = module(f"{peer}_before").trades(prices(symbol).frame(symbol))
    if peer == "backtrader":
        return plain(table, OURS, table["exit_time"].isna())
    last = prices(symbol).index[-1].strftime("%Y-%m-%d")
    columns = COLUMNS[peer]
    return plain(table, columns, table[columns[1]].dt.strftime("%Y-%m-%d") == last)


def ours(peer: str, bars: Bars) -> list[Trade]:
    table = module(f"{peer}_after").run(bars).trades
    return plain(table, OURS, table["exit_reason"] == "end_of_data")


def plain(table: pd.DataFrame, columns: tuple[str, ...], left_open: pd.Series[bool]) -> list[Trade]:
    entry, exit_, bought, sold = (table[name] for name in columns)
    days = [pd.to_datetime(times).dt.strftime("%Y-%m-%d").fillna("") for times in (entry, exit_)]
    return [Trade(*row) for row in zip(*days, bought, sold, left_open, strict=True)]


def differences(mine: list[Trade], peers: list[Trade], tolerance: float) -> dict[str, str]:
    """Say what differs, by day of entry; exits at an open lie within the tolerance too."""
    by_day = {trade.entry: trade for trade in mine}
    them = {trade.entry: trade for trade in peers}
    assert len(by_day) == len(mine)
    assert len(them) == len(peers)
    found = {day: "only ours" for day in by_day.keys() - them} | {
        day: "only theirs" for day in them.keys() - by_day
    }
    for day in by_day.keys() & them:
        one, other = by_day[day], them[day]
        if abs(one.entry_price - other.entry_price) > 2e-8:
            found[day] = "another entry"
        elif one.open and other.open:
            if not abs(one.exit_price - other.exit_price) <= tolerance:
                found[day] = "open at the end"
        elif one.exit != other.exit or not abs(one.exit_price - other.exit_price) <= tolerance:
            found[day] = "another exit"
    return found


def found_in(peer: str, tolerance: float, change: Callable[[Bars], Bars]) -> set[tuple[str, str, str]]:
    return {
        (symbol, day, what)
        for symbol in SYMBOLS
        for day, what in differences(
            ours(peer, change(prices(symbol))), theirs(peer, symbol), tolerance
        ).items()
    }


def without_tick(bars: Bars) -> Bars:
    symbol = bars.symbols[0]
    frames = {symbol: bars.frame(symbol)}
    return Bars.from_frames(frames, calendar="XNYS", instruments={symbol: {"tick": 0.0}}, guard="note")


@pytest.mark.parametrize("peer", PEERS)
def test_the_trades_are_the_peers_but_for_what_the_page_lists(peer: str) -> None:
    assert sum(len(ours(peer, prices(symbol))) for symbol in SYMBOLS) >= COUNT - 1
    assert sum(len(theirs(peer, symbol)) for symbol in SYMBOLS) == COUNT
    assert found_in(peer, HALF_A_TICK + 1e-9, lambda bars: bars) == DIFFERENCES[peer]
    text = (ROOT / "docs" / f"migrating_{peer}.md").read_text(encoding="utf-8")
    listed = {(symbol, day) for symbol, day in re.findall(r"\| (\w+), entered (\d{4}-\d\d-\d\d) \|", text)}
    assert listed == {(symbol, day) for symbol, day, _ in DIFFERENCES[peer]}


@pytest.mark.parametrize("peer", PEERS)
def test_without_a_tick_prices_are_exact_and_its_difference_is_gone(peer: str) -> None:
    assert found_in(peer, EXACT[peer], without_tick) == DIFFERENCES[peer] - {TICK}


def test_the_entry_that_only_they_make_gaps_beyond_its_stop() -> None:
    events = module("backtrader_after").run(prices("AAPL")).events
    assert "gapped_stop" in set(events.astype(str).to_numpy().ravel())
    frame = prices("AAPL").frame("AAPL")
    row = frame.index.get_loc(pd.Timestamp("2004-01-15", tz="UTC"))
    assert isinstance(row, int)
    assert frame["open"].iloc[row] < 0.95 * frame["close"].iloc[row - 1]


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.py")))
def test_the_page_shows_the_file(name: str) -> None:
    peer = name.rpartition("_")[0]
    page = (ROOT / "docs" / f"migrating_{peer}.md").read_text(encoding="utf-8")
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines(keepends=True)
    shown = "".join(line for line in lines if not re.match(r"# (mypy|ruff): ", line))
    assert f"```python\n{shown}```\n" in page


def test_every_page_is_found() -> None:
    overview = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    assert all(f"(migrating_{peer}.md)" in overview for peer in PEERS)
    assert "(migrating.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
