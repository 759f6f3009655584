"""The guard on 619,040 real bars with known faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.bars import Bars, GuardReport, check, load_bars
from simulator.errors import DataError

pytestmark = pytest.mark.validation


@pytest.fixture(scope="module")
def stocks(validation_data: Path) -> Bars:
    return load_bars(validation_data / "sp500_505stocks_2013_2018.csv.gz", guard="note")


@pytest.fixture(scope="module")
def report(stocks: Bars) -> GuardReport:
    return check(stocks)


def _found(report: GuardReport, rule: str) -> set[tuple[str, str]]:
    return {(f.symbol, str(np.datetime64(f.ts, "ns"))[:10]) for f in report.findings if f.rule == rule}


def test_shape(stocks: Bars) -> None:
    assert len(stocks.symbols) == 505
    assert stocks.panel.shape == (1259, 505, 5)
    assert int((~np.isnan(stocks.panel[:, :, :4])).any(axis=2).sum()) == 619_040
    assert int((~np.isnan(stocks.close)).all(axis=0).sum()) == 470


def test_known_faults_are_found(report: GuardReport) -> None:
    assert len(_found(report, "ohlc")) == 12
    nan = [finding for finding in report.findings if finding.rule == "nan"]
    assert sum(int(np.isnan(finding.values[:4]).sum()) for finding in nan) == 27
    spin_offs = {("EBAY", "2015-07-20"), ("BAX", "2015-07-01"), ("NI", "2015-07-02")}
    splits = {("DISCA", "2014-08-07"), ("DISCK", "2014-08-07")}
    assert spin_offs | splits <= _found(report, "gap")
    assert ("LNT", "2016-05-19") in _found(report, "bad_tick")


def test_false_alarms_are_few(report: GuardReport) -> None:
    # 5 bad ticks and 15 gaps among 619,040 bars; all but NFLX, MAT and the two wicks of the flash crash of
    # 2015-08-24 are spin-offs, splits or wrong data.
    assert report.counts["bad_tick"] == 5
    assert report.counts["gap"] == 15
    assert report.counts["wick"] == 2
    assert "jump" not in report.counts


def test_policies(validation_data: Path) -> None:
    path = validation_data / "sp500_505stocks_2013_2018.csv.gz"
    with pytest.raises(DataError, match="LNT 2016-05-19"):
        load_bars(path, symbols=["LNT", "AAPL"])
    dropped = load_bars(path, symbols=["LNT"], guard="drop")
    row = int(np.searchsorted(dropped.session, int(np.datetime64("2016-05-19", "D").astype(np.int64))))
    assert np.isnan(dropped.panel[row]).all()


def test_vix_history_loads_with_its_faults_noted(validation_data: Path) -> None:
    bars = load_bars(validation_data / "vix_daily_1990_2026.csv", guard="note")
    assert len(bars) == 9235
    assert check(bars).counts["ohlc"] == 47
