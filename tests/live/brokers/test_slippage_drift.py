"""How often the test for drift cries about nothing, and how often it sees what was planted.

Streams are of 400 orders of mixed sorts: 200 of the calibration, 200 that are watched. What an order costs is
that of its sort, a spell that all sorts share (autoregressive), and a heavy tail of its own (Student's t with
three degrees of freedom); `share` is how much of the variance the spell has. The figures of docs/live.md are
printed by `pytest -m slow -s tests/live/brokers/test_slippage_drift.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from live.slippage import Drift, Sample, calibrate, find_drift
from live.slippage.drift import ALPHA, BLOCK, LEAST_BPS

AT = datetime(2024, 5, 6, 14, 30, tzinfo=UTC)
ORDERS, CALIBRATED = 400, 200

SORTS = (("market", 0.40, 2.0, 3.0), ("limit", 0.10, -1.0, 3.0), ("stop", 0.25, 4.0, 3.0),
         ("package_2", 0.25, 0.16, 0.05))  # fmt: skip
"""Order type, how many of the orders, what it costs on average, and the standard deviation of one order."""

SPELLS = ((0.0, 0.0), (0.5, 0.3), (0.8, 0.3), (0.95, 0.3), (0.8, 0.6), (0.95, 0.6))
"""Autocorrelation of the spell from order to order, and its share of the variance."""

Test = Callable[[list[Sample], int], list[Drift]]


def stream(rng: np.random.Generator, spell: float, share: float, drift: float = 0.0) -> list[Sample]:
    """Return a stream; `drift` is in standard deviations of one order, from order 200 on."""
    sorts = rng.choice(len(SORTS), size=ORDERS, p=[one[1] for one in SORTS])
    state = np.empty(ORDERS)
    state[0] = rng.standard_normal()
    news = rng.standard_normal(ORDERS) * math.sqrt(1.0 - spell * spell)
    for number in range(1, ORDERS):
        state[number] = spell * state[number - 1] + news[number]
    own = rng.standard_t(3.0, ORDERS) / math.sqrt(3.0)
    noise = math.sqrt(share) * state + math.sqrt(1.0 - share) * own
    found = []
    for number, sort in enumerate(sorts):
        kind, _, usual, deviation = SORTS[sort]
        value = usual + deviation * (noise[number] + (drift if number >= CALIBRATED else 0.0))
        package = kind.startswith("package")
        found.append(
            Sample(
                order=f"o{number}", time=AT + timedelta(minutes=number), broker="alpaca",
                asset="option" if package else "stock", kind=kind, symbol="AAPL",
                slippage_bps=math.nan if package else min(0.0, value) if kind == "limit" else value,
                spread_share=value if package else None, spread_bps=3.0,
            )
        )  # fmt: skip
    return found


def rate(seed: int, streams: int, spell: float, share: float, drift: float = 0.0) -> float:
    """Return the share of streams in which something is said."""
    rng = np.random.default_rng(seed)
    said = 0
    for _ in range(streams):
        found = stream(rng, spell, share, drift)
        said += bool(find_drift(found, calibrate(found[:CALIBRATED])))
    return said / streams


def classic(seed: int, streams: int, spell: float, share: float) -> float:
    """Return the same for market orders by the test that takes every order for news."""
    rng = np.random.default_rng(seed)
    said = 0
    for _ in range(streams):
        found = stream(rng, spell, share)
        old, new = (
            [one.slippage_bps for one in part if one.kind == "market"]
            for part in (found[:CALIBRATED], found[CALIBRATED:])
        )
        blocks = [new[start : start + BLOCK] for start in range(0, len(new) - BLOCK + 1, BLOCK)]
        said += any(
            np.median(block) - np.median(old) >= LEAST_BPS
            and mannwhitneyu(block, old, alternative="greater").pvalue <= ALPHA
            for block in blocks
        )
    return said / streams


def test_spells_and_heavy_tails_raise_few_alarms_about_nothing() -> None:
    for spell, share in ((0.0, 0.0), (0.8, 0.3), (0.95, 0.6)):
        assert rate(1, 50, spell, share) <= 0.04, (spell, share)


def test_what_was_planted_is_seen() -> None:
    assert rate(2, 20, 0.0, 0.0, drift=1.0) >= 0.9
    assert rate(2, 20, 0.8, 0.3, drift=1.5) >= 0.75
    # and what costs less than a basis point is not
    assert rate(2, 20, 0.0, 0.0, drift=0.05) == 0.0


def test_the_classic_test_would_cry_in_spells() -> None:
    assert classic(1, 50, 0.95, 0.6) > 0.2
    assert rate(1, 50, 0.95, 0.6) <= 0.04


def test_better_fills_raise_nothing() -> None:
    assert rate(3, 20, 0.8, 0.3, drift=-2.0) == 0.0


@pytest.mark.slow
def test_rates_of_500_streams(capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for spell, share in SPELLS:
        false = rate(11, 500, spell, share)
        power = [rate(12, 200, spell, share, drift=drift) for drift in (1.0, 1.5, 2.0)]
        rows.append((spell, share, false, classic(11, 500, spell, share), *power))
        # five or so spells are in a calibration of the slowest: of its variance little can be known
        assert false <= (0.045 if spell > 0.9 else 0.02)
    assert rows[0][4] >= 0.95
    assert rows[2][5] >= 0.75
    with capsys.disabled():
        print("\nspell share | false alarms, classic | seen at 1, 1.5, 2 deviations")
        for row in rows:
            print("{:5.2f} {:5.1f} | {:6.3f} {:6.3f} | {:5.2f} {:5.2f} {:5.2f}".format(*row))
