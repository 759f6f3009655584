"""In which order the scanner shows what it found: track record, learned favourites, score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from simulator.opportunity import Opportunity, TrackRecord
from simulator.types import PastPerformance
from strategies import OptionsScanner
from strategies.scanner_market import ScanMarket
from tests.strategies.scanned import AT_MID, chain, only, scanner


class Journal:
    """Remembers what it is told."""

    def __init__(self, **records: TrackRecord) -> None:
        self.records = records

    def past_performance(self, symbol: str) -> TrackRecord | None:
        return self.records.get(symbol)


def ranked(ranks: Mapping[str, float], journal: Journal | None) -> list[Opportunity]:
    markets = [ScanMarket.from_chain(chain(symbol=name), iv_rank=rank) for name, rank in ranks.items()]
    looking = OptionsScanner(markets, costs=AT_MID, strategies=("short-put",), journal=journal)
    return looking.scan_for_opportunities()


def test_a_track_record_goes_before_the_score_and_a_losing_one_comes_last() -> None:
    ranks = {"LOST": 99.0, "NEW": 70.0, "BEST": 55.0, "FEW": 80.0}
    assert [opp.symbol for opp in ranked(ranks, None)] == ["LOST", "FEW", "NEW", "BEST"]
    journal = Journal(
        LOST=TrackRecord(4, 50.0, -80.0), BEST=TrackRecord(3, 66.7, 385.0), FEW=TrackRecord(1, 0.0, -500.0)
    )
    assert isinstance(journal, PastPerformance)
    found = ranked(ranks, journal)
    assert [opp.symbol for opp in found] == ["BEST", "FEW", "NEW", "LOST"]
    assert found[0].past == TrackRecord(3, 66.7, 385.0)
    assert found[2].past is None
    assert "3 trades, 67% won" in str(found[0])


def test_standing_needs_trades_profit_and_more_wins_than_losses() -> None:
    assert [
        TrackRecord(*values).standing() for values in ((2, 51.0, 1.0), (2, 50.0, 1.0), (1, 100.0, 1.0))
    ] == [1, 0, 0]
    assert [TrackRecord(*values).standing() for values in ((2, 90.0, -1.0), (2, 90.0, 0.0))] == [-1, 0]


class Learned:
    def __init__(self, **values: Any) -> None:
        self.values = values

    def parameters_for(self, name: str) -> Mapping[str, Any]:
        assert name == "options_scanner"
        return self.values


def test_learned_parameters_replace_defaults_and_yield_to_what_is_given() -> None:
    learned = Learned(min_iv_rank=60, target_dte=40, blacklist=["ABC"], profit_target=0.5)
    looking = scanner(parameters=learned)
    assert (looking.min_iv_rank, looking.target_dte, looking.blacklist) == (60, 40, frozenset({"ABC"}))
    assert scanner(parameters=learned, min_iv_rank=30).min_iv_rank == 30
    looking.scan_for_opportunities()
    assert any(note.startswith("learned: min_iv_rank=60") for note in looking.notes)


def test_the_score_is_the_documented_mean() -> None:
    opp = only(strategies="short-put", target_dte=45)
    gain = 164.0 / 1500.0 * 365 / 50
    expected = 40 * 0.6 + 30 * opp.probability_of_profit + 20 * gain + 10 * (1 - 5 / 15)
    assert opp.score == pytest.approx(expected)
    unknown = only(rank=None, strategies="short-put", unknown_iv_rank="allow")
    assert unknown.score == pytest.approx((expected - 24) / 0.6)


def test_learned_favourites_come_first_unless_their_own_record_speaks_against_them() -> None:
    markets = [
        ScanMarket.from_chain(chain(symbol=name), iv_rank=rank)
        for name, rank in {"HIGH": 90.0, "SPY": 60.0, "QQQ": 55.0}.items()
    ]
    found = OptionsScanner(
        markets,
        costs=AT_MID,
        strategies=("short-put",),
        parameters=Learned(favourites=["SPY", "QQQ"]),
        journal=Journal(QQQ=TrackRecord(4, 25.0, -120.0)),
    ).scan_for_opportunities()
    assert [opp.symbol for opp in found] == ["SPY", "HIGH", "QQQ"]
