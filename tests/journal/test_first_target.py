"""The target of a stored trade: the price at which the engine took it, from a backtest and a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from journal.trade_journal import TradeJournal
from live import Session
from simulator import Costs, Signals, backtest, load_bars
from strategies.registry import strategy_class
from tests.simulator.kernel.market import bars_of, flat

FREE = Costs()


def rows_of(path: Path) -> list[dict[str, Any]]:
    with Database(path, read_only=True) as database, database.read() as connection:
        found = connection.exec_driver_sql("SELECT * FROM trades ORDER BY symbol, entry_ts").mappings().all()
        return [dict(row) for row in found]


@pytest.mark.parametrize(
    ("side", "levels"),
    [
        (1, {"target": 103.0}),
        (1, {"target_percent": 3.0}),
        (1, {"target_r": 1.5}),
        (-1, {"target": 97.0}),
        (-1, {"target_percent": 3.0}),
        (-1, {"target_r": 1.5}),
    ],
)
def test_it_is_where_the_position_left(tmp_path: Path, side: int, levels: dict[str, float]) -> None:
    far = 100.0 + 4.0 * side
    last = (100.0, max(far, 100.0), min(far, 100.0), far)  # within the bar, so that the fill is at the target
    bars = bars_of({"A": [*flat(100, 3), last]})
    signals = Signals.from_arrays(bars, [0], "A", side, stop=100.0 - 2.0 * side, qty=10.0, **levels)
    result = backtest(bars, signals, risk=None, costs=FREE)
    assert result.trades["exit_reason"].tolist() == ["target"]
    with TradeJournal(tmp_path / "backtest.db", source="backtest") as journal:
        result.to_journal(journal, source="backtest")
    with Session(tmp_path / "session.db", like=bars, risk=None, costs=FREE) as session:
        for row in range(len(bars)):
            session.push(bars[row : row + 1], signals if row == 0 else None)
    for name in ("backtest.db", "session.db"):
        stored = rows_of(tmp_path / name)[0]
        assert stored["target_price"] == pytest.approx(100.0 + 3.0 * side, rel=1e-12), name
        assert stored["exit_price"] == stored["target_price"], name


def test_session_and_backtest_say_the_same_of_many(tmp_path: Path) -> None:
    bars = load_bars("sample:stocks")[:500]
    chosen = [strategy_class(name)() for name in ("rsi-pullback", "donchian-breakout")]
    with Session(tmp_path / "session.db", like=bars, strategies=chosen, group=50) as session:
        session.push(bars)
    with TradeJournal(tmp_path / "backtest.db", source="backtest") as journal:
        backtest(bars, chosen).to_journal(journal, source="backtest")
    mine = {(one["symbol"], one["entry_ts"]): one["target_price"] for one in rows_of(tmp_path / "session.db")}
    theirs = {
        (one["symbol"], one["entry_ts"]): one["target_price"]
        for one in rows_of(tmp_path / "backtest.db")
        if one["close_code"] != "end_of_data"
    }
    assert mine == theirs
    assert len({target for target in mine.values() if target is not None}) > 3


def test_nobody_says_what_a_split_has_made_of_it(tmp_path: Path) -> None:
    days = bars_of({"A": [*flat(100, 3), *flat(50, 3)]})
    split = {"date": str(days.index[3].date()), "symbol": "A", "kind": "split", "value": 2.0}
    bars = bars_of({"A": [*flat(100, 3), *flat(50, 3)]}, actions=[split], raw=True)
    signals = Signals.from_arrays(bars, [0], "A", 1, stop=90.0, target=150.0, qty=10.0)
    with TradeJournal(tmp_path / "backtest.db", source="backtest") as journal:
        backtest(bars, signals, risk=None, costs=FREE).to_journal(journal, source="backtest")
    assert [row["target_price"] for row in rows_of(tmp_path / "backtest.db")] == [None]
