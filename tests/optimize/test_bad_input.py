"""What is no market, strategy, space, set or objective is refused before a trial runs, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optimize import walk_forward
from optimize.evaluator import evaluate
from optimize.strategy import tune_strategy
from simulator import load_bars
from simulator.bars import Bars
from simulator.errors import TwinstepError
from strategies import strategy_class
from strategies.space import Float, Int

Call = Callable[[Bars], object]


def tuned(bars: Any, strategy: Any = None, **given: Any) -> object:
    strategy = strategy_class("donchian-breakout")() if strategy is None else strategy
    return tune_strategy(bars, strategy, trials=2, progress=False, **given)


CASES: list[tuple[str, Call, str, str]] = [
    ("a study of a path", lambda bars: tuned("sample:stocks"), "DATA_TYPE", "load_bars('sample:stocks')"),
    (
        "a walk-forward of a path",
        lambda bars: walk_forward("sample:stocks", strategy_class("sma-cross")()),  # type: ignore[arg-type]
        "DATA_TYPE",
        "load_bars('sample:stocks')",
    ),
    (
        "a strategy's name",
        lambda bars: tuned(bars, "sma-cross"),
        "CONFIG_SWEEP",
        "strategy_class('sma-cross')",
    ),
    ("a number for a strategy", lambda bars: tuned(bars, 3), "CONFIG_SWEEP", "cannot be scored"),
    (
        "a walk-forward of a name",
        lambda bars: walk_forward(bars, "sma-cross"),
        "CONFIG_SWEEP",
        "strategy_class('sma-cross')",
    ),
    (
        "a set that is a number",
        lambda bars: evaluate(bars, strategy_class("sma-cross")(), [3]),  # type: ignore[list-item]
        "CONFIG_SWEEP",
        "mapping",
    ),
    (
        "an objective that is a number",
        lambda bars: tuned(bars, objective=3),
        "OPTIMIZE_OBJECTIVE",
        "objective is 3",
    ),
    ("stretches that are no pairs", lambda bars: tuned(bars, without=[(1,)]), "OPTIMIZE_WINDOW", "pairs"),
    ("a range without an end", lambda bars: Float(1.0, float("inf")), "STRATEGY_SPACE", "high is inf"),
    ("a step that is no number", lambda bars: Float(1.0, 2.0, float("nan")), "STRATEGY_SPACE", "step is nan"),
    ("halves of whole numbers", lambda bars: Int(1.5, 3), "STRATEGY_SPACE", "low is 1.5"),  # type: ignore[arg-type]
    (
        "a range below what is legal",
        lambda bars: tuned(bars, space={"length": Int(-5, 20)}),
        "OPTIMIZE_SPACE",
        "at least",
    ),
]


@pytest.mark.parametrize(
    ("call", "code", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_input_is_named(call: Call, code: str, words: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        call(load_bars("synthetic:1x60?seed=1"))
    assert caught.value.code == code
    assert words in str(caught.value)
