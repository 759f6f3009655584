"""The last day of an option package: its exit fills while there are quotes; what is left is settled then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live.following import BrokerSession, followed, parted
from live.following.explain import explain
from live.parity import verify_parity
from simulator import Bars, Signals
from simulator.kernel.dtypes import QUOTE
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from tests.simulator.kernel.test_packages import AT_MID, STRIKES

PART = 65 * 60_000_000_000
PER_DAY = 6
SPREAD = [[(-1, "put", 95.0), (1, "put", 90.0)]]


def market(closes: list[float], *, quoted: int) -> tuple[Bars, int]:
    """Six bars in each of two sessions; what ends with the second has quotes in the first `quoted` bars."""
    begins = [np.datetime64(f"2026-03-0{day}T14:30", "ns").astype(np.int64) for day in (2, 3)]
    ts = np.concatenate([begin + np.arange(PER_DAY) * PART for begin in begins])
    spot = np.asarray(closes)
    panel = np.stack([spot] * 4 + [np.full(len(ts), 1e6)], axis=-1)[:, None, :]
    bars = Bars.from_arrays(("A",), ts, panel, daily=False)
    expiry = int(bars.session[-1])
    rows = [
        (row, 0, day, right, strike, worth + 0.95, worth + 1.05, 0.2, right * 0.3)
        for row in range(len(ts))
        for day in (expiry, expiry + 30)  # the later ones are quoted to the end
        if row < quoted or day > expiry
        for right in (-1, 1)
        for strike in STRIKES
        for worth in [max(0.0, right * (spot[row] - strike)) + (0.5 if strike == 95.0 else 0.0)]
    ]
    return bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.zeros(len(ts)))), expiry


def opened(folder: Path, bars: Bars) -> BrokerSession:
    return BrokerSession(
        folder / "journal.db", like=bars, name="desk", costs=AT_MID, risk=None, sleep=lambda _: None
    )


def play(session: BrokerSession, bars: Bars, expiry: int, first: int, last: int, **rules: Any) -> None:
    mine = package_signals(
        bars, [1], 0, -1, make_legs(SPREAD, expiry=expiry), make_rules(1, **rules), qty=1.0
    )
    for row in range(first, last):
        records = mine.records[mine.records["ts"] == int(bars.ts[row])]
        session.push(
            bars[row : row + 1],
            Signals(
                records, mine.symbols, strategies=mine.strategies, tags=mine.tags, packages=mine.packages,
                legs=mine.legs,
            ),
        )  # fmt: skip


def ends_of(session: BrokerSession) -> list[tuple[str, str]]:
    """State and kind of every order, in their order."""
    return [(one.state.label, one.kind) for one in session.broker.get_orders(open_only=False)]


@pytest.mark.parametrize("quoted", [12, 8])
def test_a_stop_of_the_last_day_leaves_at_the_market(tmp_path: Path, quoted: int) -> None:
    """The price that triggers it is the last one quoted, or one of many."""
    bars, expiry = market([100.0] * 7 + [92.0] + [100.0] * 4, quoted=quoted)
    with opened(tmp_path, bars) as session:
        play(session, bars, expiry, 0, PER_DAY + 1, stop_loss=2.0)
        assert len(session.broker.get_positions()) == 2
        play(session, bars, expiry, PER_DAY + 1, PER_DAY + 2, stop_loss=2.0)
        assert session.broker.get_positions() == []
        assert ends_of(session) == [("filled", "limit"), ("filled", "market")]
        (close,) = [one for one in followed(session.session.database, "desk") if one.role == "close"]
        assert close.reason == "stop"
        play(session, bars, expiry, PER_DAY + 2, 12, stop_loss=2.0)
        assert [one.kind for one in session.broker.executions()] == ["trade"] * 4
        assert parted(session.session.database, "desk") == ()
        standing = session.status()
        assert (standing.differences, standing.problems) == ((), ())
        assert standing.equity == pytest.approx(session.session.equity)
        assert (standing.equity or 0.0) < 100_000.0


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("quoted", "end", "kept"), [(12, 100.0, 50.0), (6, 100.0, 50.0), (6, 80.0, -450.0)])
def test_plan_and_broker_settle_at_the_close(
    tmp_path: Path, quoted: int, end: float, kept: float, restarted: bool
) -> None:
    """Sold for half a point: kept where nothing is in the money, less the width where both legs are."""
    bars, expiry = market([100.0] * 7 + [90.0] * 4 + [end], quoted=quoted)
    session = opened(tmp_path, bars)
    play(session, bars, expiry, 0, 11)
    assert len(session.broker.get_positions()) == 2
    assert len(session.session.positions()) == 1
    if restarted:
        session.close()
        session = opened(tmp_path, bars)
    play(session, bars, expiry, 11, 12)  # the last bar of the session
    for _ in range(2):
        session.poll()
    assert ends_of(session) == [("filled", "limit")]
    assert session.broker.get_positions() == []
    assert [one.kind for one in session.broker.executions()][:2] == ["trade", "trade"]
    assert [one.kind for one in parted(session.session.database, "desk")] == ["ended", "settled"]
    standing = session.status()
    assert (standing.differences, standing.problems, standing.switch) == ((), (), "ACTIVE")
    assert standing.equity == pytest.approx(100_000.0 + kept)
    assert session.session.equity == pytest.approx(100_000.0 + kept)
    told = explain(session.session.database, "desk")
    assert told.ok, str(told)
    session.close()
    assert verify_parity(tmp_path / "journal.db", "desk").ok
