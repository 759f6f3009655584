"""Samples, files, folders and the synthetic market behind one call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from simulator.bars import load_bars, samples
from simulator.errors import DataError, MissingExtraError, TwinstepError
from simulator.kernel import codes

if TYPE_CHECKING:
    from .conftest import MakeFrame


def test_stocks_are_adjusted_and_of_one_sector() -> None:
    bars = load_bars("sample:stocks")
    assert bars.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert bars.sector_names == ("Unknown", "Technology")
    assert bars.origin == "real"
    assert not bars.raw
    assert len(bars) == 3270
    # Anchored at the last bar, which keeps the price it was quoted at.
    np.testing.assert_allclose(bars.close[-1], [430.47, 27.78, 806.19, 202.91, 27.95], rtol=1e-12)
    moves = np.diff(np.log(bars.close[:, 0]))
    split = int(np.searchsorted(bars.session, 12_842))  # 2005-02-28
    assert abs(moves[split - 1]) < 0.05
    assert np.isnan(bars.close[0, 1])


def test_raw_stocks_carry_their_events() -> None:
    bars = load_bars("sample:stocks", adjust="none")
    assert bars.raw
    splits = bars.actions[bars.actions["kind"] == codes.ACTION_SPLIT]
    found = [
        (bars.symbols[a["sym"]], str(np.datetime64(int(bars.ts[a["row"]]), "ns"))[:10], a["value"])
        for a in splits
    ]
    assert found == [("AAPL", "2000-06-21", 2.0), ("MSFT", "2003-02-18", 2.0), ("AAPL", "2005-02-28", 2.0)]
    dividends = bars.actions[bars.actions["kind"] == codes.ACTION_DIVIDEND]
    assert dividends.size == 92
    special = max(dividends["value"][dividends["sym"] == 4])
    assert special == pytest.approx(3.08)  # MSFT 2004-11-15
    assert bars.close[0, 0] == 130.31


def test_split_adjusted_stocks_keep_dividends_out() -> None:
    bars = load_bars("sample:stocks", adjust="splits")
    assert bars.close[0, 0] == pytest.approx(130.31 / 4)
    assert bars.volume[0, 0] == pytest.approx(9_616_100 * 4)
    assert not bars.raw


@pytest.mark.parametrize(("name", "rows"), [("spx", 5031), ("nasdaq", 5031), ("vix", 1259)])
def test_indices(name: str, rows: int) -> None:
    bars = load_bars(f"sample:{name}")
    assert len(bars) == rows
    assert bars.origin == "real"
    assert bars.instruments["kind"].tolist() == [codes.INSTRUMENT_INDEX]


def test_symbols_and_dates_cut() -> None:
    bars = load_bars("sample:stocks", symbols=["MSFT", "AAPL"], start="2010-01-01", end="2010-12-31")
    assert bars.symbols == ("MSFT", "AAPL")
    assert len(bars) == 252
    assert bars.session_no[0] == 0
    assert load_bars("sample:spx", sectors={"SPX": "Broad"}).sectors == ("Broad",)


def test_samples_import_neither_their_packages_nor_pandas() -> None:
    code = (
        "import sys; from simulator.bars import load_bars;"
        "load_bars('sample:stocks'); load_bars('sample:spx');"
        "slow = ('arch', 'bokeh_sampledata', 'pandas', 'exchange_calendars', 'numba');"
        "print([m for m in slow if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_an_absent_sample_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    samples._package_folder.cache_clear()
    monkeypatch.setattr(samples, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"DATA_SAMPLE.*pip install arch"):
        load_bars("sample:spx")
    samples._package_folder.cache_clear()


# Files


def test_one_file_per_symbol_in_a_folder(tmp_path: Path, make_frame: MakeFrame) -> None:
    make_frame(seed=1).to_csv(tmp_path / "AAA.csv", index_label="Date")
    make_frame(seed=2).to_csv(tmp_path / "BBB.csv.gz", index_label="date", sep=";")
    make_frame(seed=3).reset_index(names="date").to_parquet(tmp_path / "CCC.parquet")
    (tmp_path / "sectors.csv").write_text("symbol,sector\nAAA,Energy\nCCC,Utilities\n")
    (tmp_path / "actions.csv").write_text(
        "symbol,date,kind,value\nBBB,2020-01-06,earnings,\nZZZ,2020-01-06,split,2\n"
    )
    bars = load_bars(tmp_path)
    assert bars.symbols == ("AAA", "BBB", "CCC")
    assert bars.sectors == ("Energy", "Unknown", "Utilities")
    assert bars.actions["sym"].tolist() == [1]
    np.testing.assert_allclose(bars.panel[:, 1], make_frame(seed=2).to_numpy())
    assert load_bars(tmp_path, symbols=["CCC", "AAA"]).symbols == ("CCC", "AAA")
    with pytest.raises(TwinstepError, match=r"NAME_SYMBOL.*Did you mean 'AAA'"):
        load_bars(tmp_path, symbols=["AAAA"])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_long_layout(tmp_path: Path, make_frame: MakeFrame, suffix: str) -> None:
    parts = [make_frame(seed=n).assign(Ticker=name, Sector="Energy") for n, name in enumerate(("ZZ", "NA"))]
    table = pd.concat(parts).reset_index(names="Date")
    path = tmp_path / f"all.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    bars = load_bars(path)
    assert bars.symbols == ("NA", "ZZ")
    assert bars.sectors == ("Energy", "Energy")
    np.testing.assert_allclose(bars.panel[:, 1], make_frame(seed=0).to_numpy())
    assert load_bars(path, symbols=["ZZ"]).symbols == ("ZZ",)
    with pytest.raises(TwinstepError, match="NAME_SYMBOL"):
        load_bars(path, symbols=["ZY"])


def test_a_symbol_in_two_files_is_refused(tmp_path: Path, make_frame: MakeFrame) -> None:
    make_frame().to_csv(tmp_path / "AAA.csv", index_label="date")
    make_frame().reset_index(names="date").to_parquet(tmp_path / "AAA.parquet")
    with pytest.raises(DataError, match="DATA_SYMBOLS"):
        load_bars(tmp_path)


def test_adjusted_close_of_a_file(tmp_path: Path, make_frame: MakeFrame) -> None:
    frame = make_frame()
    factor = np.where(np.arange(10) < 5, 0.98, 1.0)
    frame.assign(**{"Adj Close": frame["close"] * factor}).to_csv(tmp_path / "A.csv", index_label="Date")
    bars = load_bars(tmp_path / "A.csv")
    np.testing.assert_allclose(bars.panel[:, 0, :4], frame.to_numpy()[:, :4] * factor[:, None])
    assert bars.actions["kind"].tolist() == [codes.ACTION_DIVIDEND]
    raw = load_bars(tmp_path / "A.csv", adjust="none")
    assert raw.raw
    np.testing.assert_allclose(raw.panel[:, 0], frame.to_numpy())
    assert raw.actions["value"][0] == pytest.approx(frame["close"].iloc[4] * 0.02)


def test_intraday_file(tmp_path: Path, make_frame: MakeFrame) -> None:
    frame = make_frame()
    frame.index = pd.date_range("2020-01-02 09:30", periods=10, freq="5min", tz="America/New_York")
    frame.to_csv(tmp_path / "A.csv", index_label="timestamp")
    bars = load_bars(tmp_path / "A.csv")
    assert not bars.daily
    assert len(bars) == 10


# The synthetic market


def test_synthetic_is_labelled_and_reproducible() -> None:
    bars = load_bars("synthetic:8x300?seed=7")
    assert bars.origin == "synthetic"
    assert bars.name == "synthetic:8x300?seed=7"
    assert "SYNTHETIC" in repr(bars)
    assert bars.fingerprint == load_bars("synthetic:8x300?seed=7").fingerprint
    assert bars.fingerprint != load_bars("synthetic:8x300?seed=8").fingerprint
    assert len(set(bars.sectors)) == 4


def test_synthetic_sectors_move_together() -> None:
    bars = load_bars("synthetic:8x3000?seed=1")
    returns = np.diff(np.log(bars.close), axis=0)
    rho = np.corrcoef(returns.T)
    same = [rho[a, a + 4] for a in range(4)]
    other = [rho[a, b] for a in range(4) for b in range(4) if a < b]
    assert 0.42 < np.mean(same) < 0.6
    assert 0.22 < np.mean(other) < 0.38
    assert 0.27 < returns.std() * np.sqrt(252) < 0.33


def test_synthetic_intraday_with_missing_bars() -> None:
    bars = load_bars("synthetic:2x1000?seed=3&interval=5min&missing_pct=10")
    assert not bars.daily
    assert len(bars) == 1000
    assert 0.05 < np.isnan(bars.close).mean() < 0.15
    assert (bars.close_ts - bars.open_ts == 300_000_000_000).all()
