"""Tuning over the simulator: journals of simulated trades, and refused candidates run to their end."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from journal import ParameterStore, TradeJournal
from journal.counterfactuals import CounterfactualLedger
from optimize import tune_journal
from optimize.tuning.reading import Reading, read_cases
from optimize.tuning.refused import log_refused
from simulator import Bars, RiskLimits, backtest, load_bars
from simulator.options import OptionMarket
from strategies import OptionsScanner
from strategies.premium import ShortPutSpread
from strategies.scanner_market import ScanMarket

DAY = "2015-02-03"
"""IV rank 44: below the scanner's 50, above 40."""


@pytest.fixture(scope="module")
def volatility() -> pd.Series[float]:
    vix = load_bars("sample:vix")
    return pd.Series(vix.close[:, 0], vix.index)


@pytest.fixture(scope="module")
def market(volatility: pd.Series[float]) -> Bars:
    bars = load_bars("sample:spx", start=volatility.index[0].date())
    modelled = OptionMarket.modelled(
        bars, {"SPX": volatility / 100.0}, surface="index", rate=0.01, dividend_yield=0.02
    )
    return bars.with_options(modelled)


class Clock:
    """A time that is set."""

    now = datetime.fromisoformat(DAY).replace(hour=22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paper(tmp_path: Path, clock: Clock) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "paper.db", source="paper", clock=clock) as journal:
        yield journal


def scanner(market: Bars, volatility: pd.Series[float], journal: TradeJournal) -> OptionsScanner:
    quotes = ScanMarket.modelled(
        "SPX", pd.Series(market.close[:, 0], market.index), volatility, rate=0.01, dividend_yield=0.02
    )
    return OptionsScanner(quotes, parameters=journal, strategies=("short-put-spread", "iron-condor"))


def read(journal: TradeJournal, source: str, **options: Any) -> Reading:
    with journal.database.read() as connection:
        return read_cases(connection, source, **options)


def test_a_journal_of_simulated_trades_is_read_as_the_result_has_it(market: Bars, tmp_path: Path) -> None:
    strategy = ShortPutSpread(min_iv_rank=0.0, min_credit_pct=0.0)
    result = backtest(market, strategy, cash=1e6, risk=RiskLimits(max_sector_exposure_pct=100.0))
    with TradeJournal(tmp_path / "j.db", source="backtest") as journal:
        result.to_journal(journal)
        found = read(journal, "backtest")
        assert tune_journal(journal, store=False).cases.outcome.tolist() == found.cases.outcome.tolist()
    trades = result.trades[result.trades["exit_reason"] != "end_of_data"].reset_index(drop=True)
    packages = result.packages.set_index("id").loc[trades["id"]]
    assert len(found.cases) == len(trades) > 30
    np.testing.assert_allclose(found.cases.features["iv_rank"], packages["iv_rank"], rtol=1e-12)
    np.testing.assert_array_equal(found.cases.features["dte"], packages["dte"])
    # margin from the strikes: width less credit, times a hundred
    legs = [[float(word[:-1]) for word in text.split() if word.endswith("P")] for text in packages["legs"]]
    width = np.array([max(strikes) - min(strikes) for strikes in legs])
    margin = (width - trades["entry_price"]) * 100.0 * trades["qty"]
    days = (trades["exit_time"] - trades["entry_time"]).dt.total_seconds() / 86_400.0
    r = trades["pnl"] / margin
    assert found.rate == pytest.approx(r.sum() / days.sum(), rel=1e-9)
    assert found.cases.outcome.mean() == pytest.approx(found.rate, rel=1e-9)
    np.testing.assert_allclose(found.cases.r, trades["r_multiple"], rtol=1e-9)
    # in units of R per mean day: nothing loses more than its margin, or keeps more than the credit
    mean = days.mean()
    np.testing.assert_allclose(found.cases.worst, -1.0 / mean, rtol=1e-9)
    np.testing.assert_allclose(
        found.cases.best, (trades["entry_price"] * 100 * trades["qty"] / margin) / mean
    )
    assert (r / mean <= found.cases.best + 1e-12).all()


def test_candidates_below_the_threshold_are_run_to_their_end_and_learned_from(
    market: Bars, volatility: pd.Series[float], paper: TradeJournal, clock: Clock
) -> None:
    looking = scanner(market, volatility, paper)
    assert looking.scan_for_opportunities(as_of=DAY) == []
    before = looking.candidates
    numbers = log_refused(paper, looking, as_of=DAY)
    assert 0 < len(numbers) <= 20
    assert looking.candidates.equals(before)
    logged = paper.recommendations(status="ignored")
    assert {one.id for one in logged} == set(numbers)
    assert all(one.iv_rank is not None and 40 <= one.iv_rank < 50 for one in logged)
    assert "below the least" in logged[0].decision
    # once a day is enough
    assert log_refused(paper, looking, as_of=DAY) == []
    # nothing has ended yet
    assert len(read(paper, "paper").cases) == 0
    clock.now += timedelta(days=120)
    ledger = CounterfactualLedger(paper)
    ledger.update_decisions(market)
    # it was the scanner that refused them, and no person
    assert [line.name for line in ledger.lines("rule")] == ["scanner iv_rank"]
    assert ledger.lines("decision") == []
    cases = read(paper, "paper").cases
    ended = [entry.case for entry in ledger.entries() if entry.case.state == "closed"]
    assert len(cases) == len(ended) > 0
    assert not cases.taken.any()
    assert cases.features["iv_rank"] == pytest.approx(44.005, abs=0.001)
    assert (cases.features["delta"] > 0.1).all()
    assert sorted(cases.r) == pytest.approx(sorted(case.r for case in ended))


def test_what_the_scanner_takes_is_not_logged_as_refused(
    market: Bars, volatility: pd.Series[float], paper: TradeJournal
) -> None:
    looking = scanner(market, volatility, paper)
    looking.settings = looking.settings.__class__(min_iv_rank=40.0, strategies=("short-put-spread",))
    taken = looking.scan_for_opportunities(as_of=DAY)
    assert taken
    log_refused(paper, looking, as_of=DAY)
    refused = paper.recommendations(status="ignored")
    # only other days to expiry are left to be refused
    assert {one.dte for one in refused}.isdisjoint({opp.dte for opp in taken})
    assert all("days to expiry" in one.decision for one in refused)


def test_the_blacklist_is_looked_behind(
    market: Bars, volatility: pd.Series[float], paper: TradeJournal
) -> None:
    store = ParameterStore(paper)
    store.approve(store.propose("options_scanner", {"blacklist": ["SPX"], "min_iv_rank": 30.0}).id)
    looking = scanner(market, volatility, paper)
    assert looking.scan_for_opportunities(as_of=DAY) == []
    numbers = log_refused(paper, looking, as_of=DAY, most=3)
    assert len(numbers) == 3
    assert {one.decision for one in paper.recommendations(status="ignored")} == {
        "scanner: SPX is on the blacklist"
    }


def test_the_example_tells_an_honest_answer_from_a_planted_edge(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = Path(__file__).resolve().parents[2] / "examples" / "tune_journal.py"
    monkeypatch.setattr("sys.argv", [str(script), "--out", str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    simulated, made_up = capsys.readouterr().out.split("== Made-up")
    assert "Adopt" not in simulated
    assert "backtest trades: 497 closed" in simulated
    assert "Adopt min_iv_rank 65 instead of 50" in made_up
    scans = [line for line in made_up.splitlines() if line.startswith("scan with")]
    assert [line.split()[5] for line in scans] == ["50", "65", "50"]
    assert scans[1].endswith("as IV rank 57.8 is below 65")
