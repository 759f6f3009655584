"""Option packages: opened as one order at the plan's net price, and left as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from live.following import BrokerSession, followed
from live.parity import verify_parity
from simulator.bars.panel import Bars
from simulator.signals import Signals
from tests.simulator.kernel.test_packages import AT_MID, PUT_SPREAD, market, opened


def played(folder: Path, bars: Bars, signals: Signals, **options: Any) -> BrokerSession:
    session = BrokerSession(
        folder / "journal.db",
        like=bars,
        name="desk",
        costs=AT_MID,
        risk=None,
        sleep=lambda _: None,
        **options,
    )
    for row in range(len(bars)):
        records = signals.records[signals.records["ts"] == int(bars.ts[row])]
        mine = Signals(
            records, signals.symbols, strategies=signals.strategies, tags=signals.tags,
            packages=signals.packages, legs=signals.legs,
        )  # fmt: skip
        session.push(bars[row : row + 1], mine)
    return session


def test_a_credit_spread_opens_and_takes_its_profit(tmp_path: Path) -> None:
    bars = market([93.0, 93.0, 93.0, 93.0, 94.5, 94.5, 94.5, 94.5], last=7)
    session = played(tmp_path, bars, opened(bars, 7, PUT_SPREAD, row=1, qty=2.0, profit_target=0.4))
    found = followed(session.session.database, "desk")
    assert [(one.role, one.reason) for one in found] == [("entry", "entry"), ("close", "profit_target")]
    assert session.broker.get_positions() == []
    (short, long) = found[0].legs
    assert (short.symbol, short.quantity, long.symbol, long.quantity) == (
        "A200113P00095000", -2.0, "A200113P00090000", 2.0,
    )  # fmt: skip
    assert found[0].quantity == 2.0
    session.close()
    assert verify_parity(tmp_path / "journal.db", "desk").ok


@pytest.mark.parametrize("rules", [{"dte_exit": 3}, {"stop_loss": 0.5}])
def test_what_must_go_leaves_at_the_market(tmp_path: Path, rules: dict[str, Any]) -> None:
    later = 91.0 if "stop_loss" in rules else 93.0
    bars = market([93.0, 93.0, 93.0, *[later] * 6], last=8)
    session = played(tmp_path, bars, opened(bars, 8, PUT_SPREAD, row=1, qty=1.0, **rules))
    found = followed(session.session.database, "desk")
    assert [one.role for one in found] == ["entry", "close"]
    assert session.status().positions == ()
    assert session.broker.get_positions() == []
    session.close()
