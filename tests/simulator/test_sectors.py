"""A signal may name its sector, one that no instrument has included: a bucket of its own, in every driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from simulator import RiskLimits, Signals, Stepper, backtest, sweep
from simulator.bars import Bars
from simulator.results import Result
from tests.simulator.kernel.market import bars_of, flat

LIMITS = RiskLimits(max_correlation=None)
STOP = 95.0
"""2 % of 100,000 over 5 are 400 shares, 40,000 at 100; a sector takes 25,000, 250 shares."""


def market(**keywords: Any) -> Bars:
    return bars_of({name: flat(100, 4) for name in "AB"}, **keywords)


def named(bars: Bars, sectors: Sequence[str | None]) -> Signals:
    return Signals.from_arrays(bars, [0, 0], ["A", "B"], 1, stop=STOP, sector=list(sectors))


def granted(result: Result) -> list[float]:
    return result.verdicts["granted"].tolist()


@pytest.mark.parametrize(
    ("sectors", "sizes"),
    [
        (("Energy", "Tech"), [250, 250]),
        (("Energy", "Energy"), [250, 0]),
        (("Energy", None), [250, 250]),
        ((None, None), [250, 0]),
        (("Unknown", None), [250, 0]),
        (("", None), [250, 0]),
    ],
)
def test_a_sector_that_a_signal_names_is_a_bucket(sectors: Sequence[str | None], sizes: list[float]) -> None:
    assert granted(backtest(market(), named(market(), sectors), risk=LIMITS)) == sizes


def test_it_is_the_bucket_of_the_instruments_that_have_it() -> None:
    bars = market(sectors={"B": "Energy"})
    assert granted(backtest(bars, named(bars, ("Energy", None)), risk=LIMITS)) == [250, 0]
    assert granted(backtest(bars, named(bars, ("Tech", None)), risk=LIMITS)) == [250, 250]


def test_every_driver_gives_the_same() -> None:
    bars = market()
    signals = named(bars, ("Energy", "Tech"))
    whole = backtest(bars, signals, risk=LIMITS)
    assert whole.trades["sector"].tolist() == ["Energy", "Tech"]
    assert backtest(bars, signals, risk=LIMITS, chunk=1).fingerprint == whole.fingerprint
    parts = [Signals.from_arrays(bars, [0], "B", 1, stop=STOP, sector="Tech")]
    parts.append(Signals.from_arrays(bars, [0], "A", 1, stop=STOP, sector="Energy"))
    merged = backtest(bars, Signals.concat(parts[::-1]), risk=LIMITS)
    assert merged.fingerprint == whole.fingerprint
    stepper = Stepper(bars, risk=LIMITS)
    for row in range(len(bars)):
        stepper.push(bars[row : row + 1], parts[1] if row == 0 else None)
    alone = backtest(bars, parts[1], risk=LIMITS)
    assert stepper.state.positions["sector"][0] != 0
    assert stepper.state.account["equity"][0] == alone.equity.iloc[-1]
    table = sweep(bars, [signals], risk=LIMITS)
    assert table["admitted"].tolist() == [2]


@pytest.mark.parametrize("sectors", [("Tech", "Energy"), ("Energy", "Metals")])
def test_the_interval_and_the_ledger_of_refusals_know_it(sectors: Sequence[str]) -> None:
    bars = market(sectors={"A": "Energy", "B": "Tech"})
    result = backtest(bars, named(bars, sectors), risk=LIMITS)
    assert len(result.interval().frame) == 2
    assert len(result.counterfactuals().frame) == 2  # both were shrunk
    assert result.by("sector")["trades"].to_dict() == dict.fromkeys(sectors, 1)
    assert np.isfinite(result.equity).all()
