"""`new_strategy`: a commented starting point for a strategy of one's own, with a test that passes.

The files are for the user to change. The test proves the prefix rule on synthetic bars, so that the first
look ahead that creeps in is caught the day it does.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from simulator.errors import StrategyError

__all__ = ["new_strategy"]


def new_strategy(name: str, folder: str | Path = ".") -> tuple[Path, Path]:
    """Write `<name>.py` and `test_<name>.py` and return their paths.

    Parameters
    ----------
    name
        In any of the usual spellings: my-idea, my_idea, MyIdea.
    folder
        Where to write; made if it does not exist.

    Raises
    ------
    StrategyError
        STRATEGY_NAME for a name that cannot be a class and a file, STRATEGY_EXISTS where a file would be
        overwritten, STRATEGY_FOLDER where the folder cannot be written.
    """
    words = _words(name)
    names = {
        "kebab": "-".join(words),
        "snake": "_".join(words),
        "camel": "".join(word[0].upper() + word[1:] for word in words),
    }
    target = Path(folder).expanduser()
    paths = target / f"{names['snake']}.py", target / f"test_{names['snake']}.py"
    for path in paths:
        if path.exists():
            raise StrategyError(
                f"{path} exists already and is not overwritten; choose another name or folder",
                code="STRATEGY_EXISTS",
            )
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, (_STRATEGY, _TEST), strict=True):
            path.write_text(Template(text).substitute(names), encoding="utf-8")
    except OSError as error:
        raise StrategyError(f"{target} cannot be written: {error}", code="STRATEGY_FOLDER") from error
    return paths


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.split(r"[\s_-]+", spaced) if word]
    snake = "_".join(words)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", snake) or keyword.iskeyword(snake):
        raise StrategyError(
            f"{name!r} cannot name a strategy: use letters, digits and dashes, a letter first, and no word "
            "that Python keeps for itself (for example: my-idea)",
            code="STRATEGY_NAME",
        )
    return words


_STRATEGY = '''\
"""$camel: say here in one sentence what it bets on, and who loses when it wins.

Backtest it:     twinstep backtest $snake.py:$camel --data sample:stocks
Prove it causal: twinstep lookahead $snake.py:$camel
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strategies import Float, Int, Strategy, param
from strategies.indicators import atr, crossed_above, lag, rolling_high

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from simulator import Bars, Signals


class $camel(Strategy):
    """Buys closes above the high of the last `length` bars, with a stop and a target."""

    name = "$kebab"

    # Parameters: a default, what a search may try, what is legal. Frozen, so that a run can be repeated.
    @dataclass(frozen=True)
    class Params:
        """Lengths in bars, distances in average true ranges."""

        length: int = param(20, Int(10, 60, 10), minimum=2, help="bars of the channel")
        stop_atr: float = param(2.0, Float(1.0, 4.0, 0.5), minimum=0.1, help="stop below the fill, in ATR")
        target_r: float = param(2.5, Float(2.0, 5.0, 0.5), minimum=0.1, help="target in units of risk")

    params: Params

    @property
    def warmup(self) -> int:
        """Bars before the first signal can be trusted; Wilder's ATR needs about three lengths to settle."""
        return max(self.params.length + 2, 45)

    def values(self, bars: Bars) -> Mapping[str, npt.NDArray[np.float64]]:
        """Series behind the signals, shape (bars, symbols); held to the prefix rule like the signals."""
        return {
            # lag(): the high of the bars BEFORE this one. Never index the future, never wrap around
            # (np.roll), never scale by the whole sample: signals on bars[:t] must not change later.
            "upper": lag(rolling_high(bars.high, self.params.length)),
            "atr": atr(bars.high, bars.low, bars.close, 14),
        }

    def signals(self, bars: Bars) -> Signals:
        """One signal wherever the condition is true; it is known at that bar's close, and trades after it."""
        series = self.values(bars)
        enter = crossed_above(bars.close, series["upper"]) & (series["atr"] > 0)
        return self.emit(
            bars,
            enter,
            1,  # +1 long, -1 short, 0 closes
            stop_atr=self.params.stop_atr,
            target_r=self.params.target_r,
            atr=series["atr"],
            max_bars=40,  # time exit
            tag="$kebab",
            # Others: entry="limit", limit_price=..., trail_atr=..., breakeven_r=..., qty=..., score=...
        )
'''

_TEST = '''\
"""Tests of $camel; run them with: python -m pytest test_$snake.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator import Bars
from strategies import load_class
from strategies.lookahead import lookahead

HERE = Path(__file__).parent
MINE = load_class(f"{HERE / '$snake.py'}:$camel")
DAY_NS = 86_400_000_000_000


@pytest.fixture
def bars() -> Bars:
    """Three symbols, 300 days, synthetic and always the same."""
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.015, (300, 3)), axis=0))
    open_ = close * (1.0 + rng.normal(0.0, 0.004, close.shape))
    high = np.maximum(open_, close) * 1.004
    low = np.minimum(open_, close) * 0.996
    panel = np.stack([open_, high, low, close, np.full(close.shape, 1e6)], axis=2)
    days = np.arange(18_000, 18_300) * DAY_NS
    return Bars.from_arrays(["AAA", "BBB", "CCC"], days, panel, origin="synthetic")


def test_gives_signals(bars: Bars) -> None:
    assert len(MINE().signals(bars)) > 0


def test_never_looks_ahead(bars: Bars) -> None:
    report = lookahead(MINE(), bars)
    assert report.passed, report.summary()


def test_parameters_matter(bars: Bars) -> None:
    fast, slow = (MINE(length=length).signals(bars) for length in (10, 60))
    assert len(fast) > len(slow)
'''
