"""A session at a broker in memory: bars move the broker, then the plan.

`Rig.bar(row)` moves the broker's prices through the bar's open, its extremes and its close, polls after each,
and pushes the bar. `Rig.restart()` loses everything in memory. `Pieces` is a broker that fills in parts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from live.brokers.interface import BrokerInterface
from live.clock import FakeClock
from live.following import BrokerSession, Followed, Parted, followed, parted
from simulator.bars import load_bars
from simulator.bars.panel import Bars
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals
from tests.live.faulty_broker import FaultyBroker
from tests.live.memory_broker import MemoryBroker, Resting

STOPS = ("stop", "stop_limit", "trailing")
FREE = RiskLimits(daily_loss_limit=99.0)


class Pieces(MemoryBroker):
    """Fills in parts now and then: the first of two parts at once, the rest with the next price."""

    def __init__(self, seed: int, share: float = 0.4) -> None:
        super().__init__()
        self.random = random.Random(seed)  # noqa: S311 - a test's dice
        self.share = share

    def _fill(self, name: str, price: float) -> None:
        resting: Resting = self._resting[name]
        left = resting.order.quantity - resting.order.filled
        if left >= 2.0 and self.random.random() < self.share and len(resting.order.legs) == 1:
            resting.triggered = True
            self.part(name, float(self.random.randrange(1, int(left))), price)
            return
        super()._fill(name, price)


def made_bars(closes: Sequence[float], *, opens: Sequence[float] | None = None, wide: float = 0.0) -> Bars:
    """Daily bars of one symbol, AAA: each opens where the one before closed, unless told."""
    import pandas as pd

    days = pd.bdate_range("2024-01-02", periods=len(closes))
    first = [closes[0], *closes[:-1]] if opens is None else list(opens)
    frame = pd.DataFrame(
        {
            "open": first, "high": [max(a, b) + wide for a, b in zip(first, closes, strict=True)],
            "low": [min(a, b) - wide for a, b in zip(first, closes, strict=True)], "close": closes,
            "volume": 1_000_000.0,
        },
        index=days,
    )  # fmt: skip
    return Bars.from_frames({"AAA": frame})


def signal(bars: Bars, row: int, side: int = 1, **columns: Any) -> Signals:
    """One signal at the close of a row."""
    given = {name: [value] for name, value in columns.items()}
    return Signals.from_arrays(bars, [row], columns.pop("symbol", [0]), [side], **given)


@dataclass
class Rig:
    """A session, its broker, and the rules that always hold."""

    folder: Path
    bars: Bars
    signals: Signals | None = None
    memory: MemoryBroker = field(default_factory=MemoryBroker)
    options: dict[str, Any] = field(default_factory=dict)
    inner: BrokerInterface | None = None
    moved: int = 0

    def __post_init__(self) -> None:
        self.faulty = FaultyBroker(self.memory if self.inner is None else self.inner)
        self.clock = FakeClock(self.memory.now)
        self.told: list[tuple[str, str]] = []
        self.memory.prices.update(
            {name: float(self.bars.close[0, i]) for i, name in enumerate(self.bars.symbols)}
        )
        self.session = self.opened()

    @property
    def path(self) -> Path:
        return self.folder / "journal.db"

    def opened(self) -> BrokerSession:
        self.clock.set(self.memory.now)
        return BrokerSession(
            self.path, self.faulty, name="desk", clock=self.clock, sleep=lambda _: None,
            **{"like": self.bars, "risk": FREE, "costs": None, **self.options},
        )  # fmt: skip

    def restart(self) -> None:
        """Lose everything in memory, and start again."""
        self.session.close()
        self.session = self.opened()

    def move(self, prices: dict[str, float]) -> None:
        self.memory.move(prices)
        self.clock.set(self.memory.now)

    def market(self, row: int, *, poll: bool = True) -> None:
        """Let the broker see a bar, once: its open, the nearer extreme, the other one, its close."""
        if row < self.moved:
            return
        self.moved = row + 1
        bar = self.bars
        rise = bar.high[row] - bar.open[row] < bar.open[row] - bar.low[row]
        first, second = (
            np.where(rise, bar.high[row], bar.low[row]),
            np.where(rise, bar.low[row], bar.high[row]),
        )
        for prices in (bar.open[row], first, second, bar.close[row]):
            self.move({name: float(prices[i]) for i, name in enumerate(bar.symbols)})
        if poll:
            self.session.poll()

    def push(self, row: int) -> Any:
        part = self.bars[row : row + 1]
        mine = None
        if self.signals is not None:
            records = self.signals.records
            mine = Signals(
                records[records["ts"] == int(part.ts[0])], self.signals.symbols, tags=self.signals.tags,
                strategies=self.signals.strategies,
            )  # fmt: skip
        return self.session.push(part, mine)

    def bar(self, row: int, *, poll: bool = True) -> Any:
        self.market(row, poll=poll)
        return self.push(row)

    def play(self, first: int, last: int, *, poll: bool = True) -> None:
        for row in range(first, last):
            self.bar(row, poll=poll)

    # Looking

    def held(self, symbol: str = "AAA") -> float:
        return next((one.quantity for one in self.memory.get_positions() if one.symbol == symbol), 0.0)

    def planned(self, symbol: str = "AAA") -> float:
        """What the plan holds, signed."""
        state = self.session.session.state
        column = self.bars.column(symbol)
        live = (state.positions["live"] == 1) & (state.positions["sym"] == column)
        return float((state.positions["qty"] * state.positions["side"])[live].sum())

    def working(self, *kinds: str) -> list[Any]:
        return [one for one in self.memory.get_orders() if one.is_open and (not kinds or one.kind in kinds)]

    def records(self, *roles: str) -> list[Followed]:
        return [
            one for one in followed(self.session.session.database, "desk") if not roles or one.role in roles
        ]

    def parted(self, *kinds: str) -> list[Parted]:
        found = parted(self.session.session.database, "desk")
        return [one for one in found if (one.kind in kinds if kinds else one.kind != "ended")]

    def close(self) -> None:
        self.session.close()


def sample(spec: str) -> Bars:
    return load_bars(spec)
