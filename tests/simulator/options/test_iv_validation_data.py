"""Real chains and the real VIX: the white paper's figure, the published index, the measured facts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.options.chain import Chain, load_chain
from simulator.options.chain_guard import check_chain
from simulator.options.iv_index import (
    atm_term_structure,
    constant_maturity_iv,
    strip_variance,
    vix_style_history,
    vix_style_index,
)
from simulator.options.iv_rank import iv_percentile, iv_rank

pytestmark = pytest.mark.validation


@pytest.fixture(scope="module")
def validation_data() -> Path:
    """Folder of the validation data; the test is skipped where it is absent."""
    here = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("TWINSTEP_VALIDATION_DATA", here))
    if not (folder / "cboe_vix_whitepaper_2009_chain.csv").exists():
        pytest.skip(f"validation data not found in {folder}; set TWINSTEP_VALIDATION_DATA")
    return folder


@pytest.fixture(scope="module")
def paper(validation_data: Path) -> Chain:
    return load_chain(validation_data / "cboe_vix_whitepaper_2009_chain.csv")


@pytest.fixture(scope="module")
def spx(validation_data: Path) -> Chain:
    return load_chain(validation_data / "ivolatility_spx_sample.csv.gz")


@pytest.fixture(scope="module")
def vix(validation_data: Path) -> pd.Series[float]:
    table = pd.read_csv(validation_data / "vix_daily_1990_2026.csv", index_col="DATE", parse_dates=True)
    return table["CLOSE"].loc[:"2026-07-23"]


def test_the_white_papers_index(paper: Chain) -> None:
    assert vix_style_index(paper, 0.0038) == pytest.approx(61.218, abs=5e-4)
    near, far = (strip_variance(paper.strip(int(expiry)), 0.0038) for expiry in paper.expiries)
    assert near is not None
    assert far is not None
    assert (near.k0, far.k0) == (920.0, 920.0)
    assert near.forward == pytest.approx(920.50, abs=5e-3)
    assert far.forward == pytest.approx(921.00, abs=5e-3)
    assert near.variance == pytest.approx(0.4727679, rel=1e-5)
    assert far.variance == pytest.approx(0.3668180, rel=1e-5)


def test_the_published_index_of_five_days_in_2011(spx: Chain, vix: pd.Series[float]) -> None:
    # one dealer's closing quotes against the exchange's own index at 16:15: a quarter of an hour apart
    found = vix_style_history(spx, 0.0015)
    published = vix.loc["2011-01-03":"2011-01-07"]
    np.testing.assert_allclose(found, published, atol=0.05)


def test_the_chain_of_2011(spx: Chain) -> None:
    assert len(spx) == 9_832
    assert spx.times.size == 5
    assert spx.roots == ("SPX", "SPXPM", "SPXW")
    assert check_chain(spx).errors == ()
    assert check_chain(spx).counts["zero_bid"] == 997
    assert check_chain(spx).counts["missing"] == 1  # 0 to 0
    assert int(np.isnan(spx.iv).sum()) == 216  # -1
    assert len(spx.select(dte=(42, 46))) > 0


def test_iv_at_the_money_in_2011_is_as_measured(spx: Chain, vix: pd.Series[float]) -> None:
    found = constant_maturity_iv(spx, 44, rate=0.0015)
    assert found.between(0.153, 0.160).all()  # 15.3 to 15.9 % at 42 to 46 days
    share = 100 * found.to_numpy() / vix.loc["2011-01-03":"2011-01-07"].to_numpy()
    assert ((share > 0.88) & (share < 0.915)).all()
    assert found.attrs["grade"] == "real"


def test_our_iv_is_the_vendors_at_the_money(spx: Chain) -> None:
    term = atm_term_structure(spx, rate=0.0015)
    term = term[(term["years"] > 0.05) & (term["years"] < 0.5)]
    assert len(term) > 20
    for row in term.itertuples():
        strip = spx.at(row.time).strip(row.expiry, root=row.root)  # type: ignore[arg-type]
        near = np.argsort(abs(strip.strike - float(row.forward)))[:2]  # type: ignore[arg-type]
        assert float(row.iv) == pytest.approx(float(strip.iv[near].mean()), abs=0.01)  # type: ignore[arg-type]


def test_far_strikes_of_2017_have_no_index(validation_data: Path) -> None:
    chain = load_chain(validation_data / "spx_sample_2017_lambdaclass.csv")
    assert len(chain) == 392
    assert chain.times.size == 96
    assert constant_maturity_iv(chain).isna().all()


def test_rank_and_percentile_of_the_vix_since_1990(vix: pd.Series[float]) -> None:
    rank, percentile = iv_rank(vix).dropna(), iv_percentile(vix).dropna()
    assert len(vix) == 9_235
    assert len(rank) == len(percentile) == 9_235 - 251
    assert rank.mean() == pytest.approx(28.7, abs=0.05)
    assert rank.median() == pytest.approx(22.3, abs=0.05)
    assert 100 * (rank > 30).mean() == pytest.approx(37.5, abs=0.05)
    assert 100 * (rank > 50).mean() == pytest.approx(18.2, abs=0.05)
    assert 100 * (percentile > 50).mean() == pytest.approx(45.6, abs=0.05)
    assert rank.corr(percentile) == pytest.approx(0.85, abs=0.005)
