"""Four drivers, one truth: whoever calls the step, a run answers with the same bytes."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.signals import Signals
from simulator.types import ExitReason, FillKind, OrderState, PriceRule, Reason
from tests.budget import THOROUGH, many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import (
    DRIVERS,
    Answer,
    by_backtest,
    by_stream,
    by_sweep,
    difference,
)
from tests.simulator.kernel.generate import Configuration, Shape, build, configurations

EXAMPLES = many_or_few(400, 100)

# What the configurations must have met, or their agreement would say little.
EXPECTED = {
    "fills kind": {"entry", "add", "stop", "trail", "target", "exit"},
    "fills rule": {"open", "stop", "limit", "close", "given", "open_gap"},
    "trades": {
        *("stop", "target", "target2", "target3", "trail", "breakeven", "time", "signal", "scale_out"),
        *("daily_loss", "manual", "delisted", "end_of_data"),
    },
    "verdicts": {
        *(
            "admitted",
            "shrunk",
            "killed",
            "reducing",
            "daily_loss_halt",
            "drawdown_halt",
            "no_bar",
            "no_stop",
        ),
        *("same_side_open", "opposite_side_open", "exit_on_this_bar", "invalid_stop", "min_strength"),
        *("min_score", "min_reward_risk", "max_positions", "symbol_cap", "strategy_cap", "cooldown"),
        *("correlation", "correlation_unknown", "heat", "sector", "position_size", "gross_exposure"),
        *("buying_power", "min_quantity", "capacity", "nothing_to_close", "close_accepted", "delisted"),
    },
    "rules": {"net_delta"},
    "events": {
        *("gapped_stop", "tif_expired", "oco", "sibling_filled", "halt", "fill_buying_power", "volume_cap"),
        *("triggered", "command", "split", "dividend", "session_release", "armed", "deposit", "reversed"),
        *("killed", "reducing", "daily_loss_halt", "drawdown_halt", "delisted", "stop_exit_took_precedence"),
    },
    "states": {"pending", "submitted", "partially_filled", "filled", "cancelled", "expired"},
}
# What few configurations need not meet.
RARE = {
    "trades daily_loss", "verdicts drawdown_halt", "rules net_delta", "events drawdown_halt",
    "events dividend",
}  # fmt: skip


def _roomy(c: Configuration) -> Configuration:
    # behind all the limits on size, buying power would hardly ever be the one that decides
    risk = c.shape.risk and {
        name: None if name.startswith("max_") and name.endswith("_pct") else value
        for name, value in c.shape.risk.items()
    }
    return build(dataclasses.replace(c.shape, risk=risk))


@pytest.mark.thorough
def test_every_driver_answers_with_the_same_bytes() -> None:
    seen: Counter[str] = Counter()

    @drawn(EXAMPLES, EXAMPLES)
    @given(st.one_of(configurations(), configurations(), configurations().map(_roomy)))
    def agree(c: Configuration) -> None:
        answers = {name: driver(c) for name, driver in DRIVERS.items()}
        expected = answers["backtest"]
        for name, answer in answers.items():
            found = difference(expected, answer)
            assert not found, f"{name} differs from backtest in {found}"
        _count(seen, c, expected)
        # a sweep and a stream take no commands
        plain = dataclasses.replace(c, commands=[])
        if c.commands:
            expected = by_backtest(plain)
        for name, answer in (("sweep", by_sweep([plain, plain])[1]), ("stream", by_stream(plain))):
            found = difference(expected, answer)
            assert not found, f"{name} differs from backtest in {found}"

    agree()
    print(", ".join(f"{count} {name}" for name, count in sorted(seen.items()) if "/" not in name))
    assert seen["configurations"] == EXAMPLES
    missed = [
        f"{log} {name}" for log, names in EXPECTED.items() for name in names if not seen[f"{log}/{name}"]
    ]
    assert set(missed) <= (set() if THOROUGH else RARE)


def _count(seen: Counter[str], c: Configuration, answer: Answer) -> None:
    seen["configurations"] += 1
    seen["with the risk manager"] += c.risk is not None
    seen["with detail bars"] += c.bars.detail is not None
    seen["chunks"] += len(c.cuts) - 1
    for label, log, field, names in (
        ("fills kind", "fills", "kind", FillKind),
        ("fills rule", "fills", "rule", PriceRule),
        ("trades", "trades", "exit_reason", ExitReason),
        ("verdicts", "verdicts", "reason", Reason),
        ("rules", "verdicts", "rule", Reason),
        ("events", "events", "reason", Reason),
        ("states", "events", "state", OrderState),
    ):
        records = answer[log]
        assert not isinstance(records, bytes)
        for code, count in zip(*np.unique(records[field], return_counts=True), strict=True):
            seen[f"{label}/{names(int(code)).label}"] += int(count)
            seen[label] += int(count)


@pytest.mark.thorough
def test_lanes_with_their_own_rules_are_runs_of_their_own() -> None:
    # lanes share one state, one after the other, and threads share the market
    lanes: list[Configuration] = []

    @drawn(40, 25)
    @given(configurations(most_bars=60))
    def collect(c: Configuration) -> None:
        if c.risk is not None:
            lanes.append(c)

    collect()
    first = lanes[0]
    lanes = [
        dataclasses.replace(c, shape=first.shape, bars=first.bars, signals=first.signals, commands=[])
        for c in lanes
    ]
    assert len(lanes) > 10
    for threads in (1, 2):
        for c, swept in zip(lanes, by_sweep(lanes, threads=threads), strict=True):
            found = difference(by_backtest(c), swept)
            assert not found


@pytest.fixture(scope="module")
def trailing() -> Configuration:
    """Trailing stops over bars that rise and fall by more than they trail."""
    shape = Shape(
        seed=11, symbols=3, bars=120, per_session=0, detail=0, missing=0.0, bad=0.0, cents=True, raw=False,
        actions=0, signals=0, commands=0, halts=False, fixed=False, quoted=False, cash=100_000.0, volume=1e6,
        conventions={}, costs={}, risk=None, cuts=[40, 41, 80],
    )  # fmt: skip
    c = build(shape)
    rows = np.repeat(np.arange(0, 115, 5), 3)
    given = Signals.from_arrays(
        c.bars, rows, np.tile(np.arange(3), len(rows) // 3), 1, qty=10.0, trail_percent=2.0
    )
    return dataclasses.replace(c, signals=given)


@pytest.mark.parametrize("rule", ["raise_first", "path", "close_only"])
@pytest.mark.parametrize("driver", list(DRIVERS))
def test_a_wrong_trailing_rule_in_one_driver_is_noticed(
    trailing: Configuration, driver: str, rule: str
) -> None:
    wrong = dataclasses.replace(trailing, conventions=trailing.conventions.replace(trail_rule=rule))
    expected = by_backtest(trailing)
    assert not difference(expected, DRIVERS[driver](trailing))
    found = difference(expected, DRIVERS[driver](wrong))
    assert found.startswith("fills: "), found
    swept = difference(expected, by_sweep([wrong])[0])
    assert swept.startswith("metrics: "), swept
