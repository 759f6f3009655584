"""What may never be, over random bars, signals of every kind, fills in parts, and restarts anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.parity import verify_parity
from live.reconciling.fill_ledger import DUST
from simulator.bars.panel import Bars
from simulator.signals import Signals
from tests.live.following.rig import Pieces, Rig, made_bars
from tests.live.sessions import few, scratch

ENTRIES = ("open", "open", "close", "moc", "limit", "stop")


def walk(random: np.random.Generator, count: int) -> Bars:
    closes = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.02, count)))
    opens = np.roll(closes, 1) * np.exp(random.normal(0.0, 0.006, count))
    opens[0] = closes[0]
    return made_bars(np.round(closes, 2).tolist(), opens=np.round(opens, 2).tolist(), wide=0.6)


def drawn(random: np.random.Generator, bars: Bars) -> Signals:
    """Longs of every kind, at most one at a time."""
    parts, row = [], 1
    while row < len(bars) - 8:
        close = float(bars.close[row, 0])
        columns: dict[str, Any] = {"qty": [float(random.integers(1, 30))]}
        kind = str(random.choice(ENTRIES))
        columns["entry"] = [kind]
        if kind in ("limit", "stop"):
            columns["entry_price"] = [close * (0.99 if kind == "limit" else 1.01)]
            columns["valid_bars"] = [int(random.integers(1, 4))]
        if random.random() < 0.3:
            columns["trail_percent"] = [float(random.uniform(2.0, 5.0))]
        else:
            columns["stop_percent"] = [float(random.uniform(2.0, 5.0))]
        if random.random() < 0.4:
            columns["target_r"] = [3.0]
        elif random.random() < 0.5:
            columns |= {
                "target_r": [2.5],
                "target_fraction": [0.4],
                "target2_r": [3.5],
                "target2_fraction": [0.3],
            }
        if random.random() < 0.3:
            columns["breakeven_r"] = [1.0]
        if random.random() < 0.3:
            columns |= {"scale_out_r": [1.0], "scale_out_fraction": [0.3]}
        if random.random() < 0.25:
            columns |= {"add_r": [0.5], "add_fraction": [0.5]}
        if random.random() < 0.5:
            columns |= {"max_bars": [int(random.integers(1, 8))]}
            if random.random() < 0.5:
                columns["exit"] = ["close"]
        parts.append(Signals.from_arrays(bars, [row], [0], [1], **columns))
        if random.random() < 0.3:
            parts.append(Signals.from_arrays(bars, [row + 3], [0], [0]))
        row += int(random.integers(3, 10))
    return Signals.concat(parts)


class Watched(Rig):
    """Looks at what may never be after every poll."""

    most: dict[int, float]

    def check(self) -> None:
        follower = self.session.follower
        entered: dict[int, float] = {}
        decided = [one for mine in follower._hands.records.values() for one in mine if one.role == "entry"]
        for one in decided:
            if one.reason != "add":
                assert one.order not in entered, "two entries for one decision"
            entered[one.order] = entered.get(one.order, 0.0) + one.quantity
        assert len(set(self.faulty.received)) == len(self.faulty.received), "an id was sent twice"
        held = self.held()
        assert held >= 0.0, "the other way round"
        wanted = {one.order: one for one in follower._wants()}
        for number, want in wanted.items():
            granted = max(0.0 if want.entry is None else want.entry.quantity, 0.0 if want.holding is None else
                          want.holding.entered + want.holding.added)  # fmt: skip
            if number in entered:
                assert entered[number] <= max(granted, self.granted.get(number, 0.0)) + DUST
            self.granted[number] = max(granted, self.granted.get(number, 0.0))
        guarded = sum(
            one.quantity - one.filled
            for one in self.working()
            if one.legs[0].quantity < 0.0 and one.kind in ("stop", "market")
        )
        assert guarded >= held - DUST, f"{held} held, {guarded} guarded: {self.working()}"

    def __post_init__(self) -> None:
        self.granted: dict[int, float] = {}
        super().__post_init__()

    def market(self, row: int, *, poll: bool = True) -> None:
        super().market(row, poll=False)

    def move(self, prices: dict[str, float]) -> None:
        super().move(prices)
        self.session.poll()
        self.check()


def played(seed: int, share: float, *, restarts: bool, count: int = 24) -> None:
    random = np.random.default_rng(seed)
    bars = walk(random, count)
    with scratch() as folder:
        r = Watched(Path(folder), bars, drawn(random, bars), memory=Pieces(seed, share))
        for row in range(len(bars)):
            r.bar(row)
            r.check()
            if restarts and random.random() < 0.2:
                r.restart()
                r.check()
        r.session.session.command("close_all")
        for _ in range(12):
            r.move({"AAA": float(bars.close[-1, 0])})
        if r.planned() == 0.0 and not any(want.entry for want in r.session.follower._wants()):
            assert abs(r.held()) <= DUST, "flat in the plan, and not at the broker"
            assert r.working() == []
        r.close()
        assert verify_parity(r.path, "desk").ok


@few(2)
@given(st.integers(0, 2**32 - 1))
def test_whole_fills(seed: int) -> None:
    played(seed, 0.0, restarts=False)


@few(3)
@given(st.integers(0, 2**32 - 1))
def test_fills_in_parts_and_restarts(seed: int) -> None:
    played(seed, 0.4, restarts=True)


@pytest.mark.slow
@few(60)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0.0, 0.2, 0.6)))
def test_many(seed: int, share: float) -> None:
    played(seed, share, restarts=True, count=40)
