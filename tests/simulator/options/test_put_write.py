"""A put-write on modelled prices earns what the market paid: the replica of the CBOE PUT index, 1990 to 2018.

The bands are wide enough for the replica's known differences (closing prices for averages of trades,
settlement at the close, four years fewer), and narrow enough to refuse the VIX as volatility at the money.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from simulator.options.pricing import price
from simulator.options.surface import Surface

pytestmark = pytest.mark.validation

ROOT = Path(__file__).resolve().parents[3]
BANDS = {"cagr": 1.5, "deviation": 0.75, "drawdown": 4.0, "premium": 0.15}

Replica = Callable[[Surface], dict[str, float]]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Import the example, or skip where its data are absent."""
    if importlib.util.find_spec("skfolio") is None:
        pytest.skip("the S&P 500 closes come with the package skfolio, which is not installed")
    folder = Path(os.environ.get("TWINSTEP_VALIDATION_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "vix_daily_1990_2026.csv").exists():
        pytest.skip(f"validation data not found in {folder}; set TWINSTEP_VALIDATION_DATA")
    spec = importlib.util.spec_from_file_location(
        "put_write_replica", ROOT / "examples" / "put_write_replica.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def replica(example: ModuleType) -> Replica:
    market = example.load_market(example.default_file())

    def run(surface: Surface) -> dict[str, float]:
        figures: dict[str, float] = example.figures(*example.put_write(market, surface))
        return figures

    return run


def outside(found: dict[str, float], published: dict[str, float]) -> set[str]:
    return {name for name, band in BANDS.items() if abs(found[name] - published[name]) > band}


def test_the_replica_lies_within_the_bands(example: ModuleType, replica: Replica) -> None:
    found = replica(Surface.preset("index"))
    assert outside(found, example.PUBLISHED) == set(), found


def test_the_vix_as_volatility_at_the_money_does_not(example: ModuleType, replica: Replica) -> None:
    found = replica(Surface.preset("flat"))
    assert {"cagr", "premium"} <= outside(found, example.PUBLISHED), found


def test_a_dearer_put_earns_more(replica: Replica) -> None:
    shares = [replica(Surface().replace(atm_share=share)) for share in (0.8, 0.9, 1.0)]
    assert shares[0]["cagr"] < shares[1]["cagr"] < shares[2]["cagr"]
    assert shares[0]["premium"] < shares[1]["premium"] < shares[2]["premium"]


def test_the_mechanics_by_hand(example: ModuleType) -> None:
    # a market that stands at 102 until it falls to 90 before the roll of April 2015; bills pay nothing
    sessions = pd.bdate_range("2015-01-16", "2015-05-15")
    spot = np.where(sessions < pd.Timestamp("2015-04-10"), 102.0, 90.0)
    market = example.Market(sessions, spot, np.full(spot.size, 0.2), np.zeros(spot.size))
    value, premium = example.put_write(market, Surface.preset("flat"))
    rolls = pd.to_datetime(["2015-01-16", "2015-02-20", "2015-03-20", "2015-04-17", "2015-05-15"])
    assert premium.index.tolist() == rolls[:-1].tolist()
    strikes, ends = (100.0, 100.0, 100.0, 90.0), (102.0, 102.0, 90.0, 90.0)
    expected = 1.0
    for at, (strike, end) in enumerate(zip(strikes, ends, strict=True)):
        start = 90.0 if at == 3 else 102.0
        years = (rolls[at + 1] - rolls[at]).days / 365
        put = premium.iloc[at] * start
        assert put == pytest.approx(price("put", start, strike, years, 0.0, 0.2, 0.02), rel=1e-9)
        expected *= (strike - max(strike - end, 0.0)) / (strike - put)
        assert value[rolls[at + 1]] == pytest.approx(expected, rel=1e-9)


def test_it_prints_its_table(
    example: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["put_write_replica.py"])
    example.main()
    text = capsys.readouterr().out
    assert "modelled" in text
    assert len([line for line in text.splitlines() if "modelled" in line or "published" in line]) == 5
