"""Four drivers, one truth: whoever calls the step, a run answers with the same bytes."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings

from simulator.types import ExitReason, FillKind, OrderState, PriceRule, Reason
from tests.simulator.kernel.drivers import DRIVERS, Answer, by_backtest, by_stream, by_sweep, difference
from tests.simulator.kernel.generate import Configuration, configurations

EXAMPLES = 320


def test_every_driver_answers_with_the_same_bytes() -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(configurations())
    def agree(c: Configuration) -> None:
        answers = {name: driver(c) for name, driver in DRIVERS.items()}
        expected = answers["backtest"]
        for name, answer in answers.items():
            found = difference(expected, answer)
            assert not found, f"{name} differs from backtest in {found}"
        # a sweep and a stream take no commands
        plain = dataclasses.replace(c, commands=[])
        if c.commands:
            expected = by_backtest(plain)
        for name, answer in (("sweep", by_sweep([plain, plain])[1]), ("stream", by_stream(plain))):
            found = difference(expected, answer)
            assert not found, f"{name} differs from backtest in {found}"
        _count(seen, c, answers["backtest"])

    agree()
    print(seen["configurations"], "configurations,", seen["fills"], "fills,", seen["verdicts"], "verdicts")
    print("\n".join(f"{k}: {v}" for k, v in sorted(seen.items())))


def _count(seen: Counter[str], c: Configuration, answer: Answer) -> None:
    seen["configurations"] += 1
    seen["with the risk manager"] += c.risk is not None
    seen["chunks"] += len(c.cuts) - 1
    seen["trades"] += len(answer["trades"])
    for log, field, names in (
        ("fills", "kind", FillKind),
        ("fills", "rule", PriceRule),
        ("trades", "exit_reason", ExitReason),
        ("verdicts", "reason", Reason),
        ("events", "reason", Reason),
        ("events", "state", OrderState),
    ):
        records = answer[log]
        assert not isinstance(records, bytes)
        for code, count in zip(*np.unique(records[field], return_counts=True), strict=True):
            seen[f"{log} {names(int(code)).label}"] += int(count)
