"""The rules of learning: one proposal where they agree and where they do not, with what it is worth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from journal.learning.analysis import SHARES
from journal.learning.evidence import STAKES, adjust, link_wealth, mean_wealth, more_needed
from journal.learning.rules import DEFAULTS, Recommendation
from journal.learning.votes import SCANNER, SIGNALS, THRESHOLDS
from journal.learning_system import LearningAnalysis, TradeLearningSystem, main
from journal.parameters import ParameterStore
from journal.trade_journal import TradeJournal
from simulator.errors import DataError, JournalError, TwinstepError
from strategies.scanner_settings import ScanSettings
from strategies.signal_generator import SignalGenerator

Row = tuple[str, float, int, float, str]
START = datetime(2020, 3, 2, 15, tzinfo=UTC)

# symbol, IV rank, DTE, profit, close reason: the journal of the layout's example
EXAMPLE = [
    ("SPY", 68.0, 45, 520.0, "50% profit rule"),
    ("SPY", 66.0, 45, 700.0, "50% profit rule"),
    ("SPY", 64.0, 46, 660.0, "50% profit rule"),
    ("SPY", 40.0, 35, -280.0, "Stop loss"),
    ("QQQ", 65.0, 44, 600.0, "50% profit rule"),
    ("QQQ", 63.0, 45, 400.0, "50% profit rule"),
    ("QQQ", 44.0, 35, -150.0, "Stop loss"),
    ("NVDA", 66.0, 45, 300.0, "21 DTE"),
    ("NVDA", 42.0, 35, -60.0, "Stop loss"),
    ("IWM", 65.0, 45, 200.0, "expired"),
]


class Clock:
    def __init__(self) -> None:
        self.now = START + timedelta(days=2000)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def journal(where: str) -> Iterator[TradeJournal]:
    with TradeJournal(where, clock=Clock()) as opened:
        yield opened


def log(journal: TradeJournal, rows: list[Row], source: str = "live", days: int = 1) -> None:
    """Log closed put spreads, one every so many days, each with 1,200 at risk."""
    when = START
    with journal.database.write():  # one transaction for all
        for symbol, rank, dte, profit, why in rows:
            number = journal.log_trade_entry(
                symbol=symbol, strategy="short-put-spread", actual_contracts=4, entry_credit=3.0,
                iv_rank=rank, dte=dte, max_loss=1200.0, max_profit=1200.0, when=when, source=source,
            )  # fmt: skip
            journal.log_trade_exit(
                number, exit_debit=3.0 - profit / 400, close_reason=why, when=when + timedelta(hours=3)
            )
            when += timedelta(days=days)


def analysed(journal: TradeJournal, source: str | None = None) -> LearningAnalysis:
    return TradeLearningSystem(journal, source=source, out=lambda text: None).analyze_what_works()


def advice(analysis: LearningAnalysis, kind: str) -> Recommendation:
    return next(one for one in analysis.recommendations if one.kind == kind)


def test_the_report_has_the_layout_of_the_example(journal: TradeJournal) -> None:
    log(journal, EXAMPLE)
    printed: list[str] = []
    TradeLearningSystem(journal, out=printed.append).analyze_what_works()
    text = "\n".join(printed)
    in_order = [
        "LEARNING ANALYSIS: What Works?\n" + "=" * 80,
        "IV RANK ANALYSIS:\n  Winners avg IV:  65.3%\n  Losers avg IV:   42.0%",
        "  💡 INSIGHT: Higher IV rank (65.3%) correlates with wins",
        "  → RECOMMENDATION: ",
        "DTE ANALYSIS:\n  Winners avg DTE: 45 days\n  Losers avg DTE:  35 days",
        "SYMBOL PERFORMANCE (2+ trades):\n  SPY    - 4 trades, 75% win rate, Avg P&L: $400.00",
        "  QQQ    - 3 trades, 67% win rate, Avg P&L: $283.33",
        "  NVDA   - 2 trades, 50% win rate, Avg P&L: $120.00",
        "CLOSE REASONS:\n  50% profit rule: 5 trades, Avg P&L: $576.00",
        "  Stop loss: 3 trades, Avg P&L: -$163.33",
        "PARAMETER RECOMMENDATIONS\n" + "=" * 80 + "\n✓ Excellent win rate (70%) - Consider:",
        "Focus on SPY",
        "Continue following 50% profit rule",
    ]
    at = -1
    for part in in_order:
        assert part in text, part
        assert text.index(part) > at, part
        at = text.index(part)
    assert "IWM    -" not in text


def test_rules_that_contradict_each_other_give_one_proposal_with_its_reasons(journal: TradeJournal) -> None:
    log(journal, EXAMPLE)
    one = advice(analysed(journal), "min_iv_rank")
    assert (one.current, one.proposed, one.changes, one.significant) == (50.0, 50.0, False, False)
    assert any(reason.endswith(": raise") for reason in one.reasons)
    assert any(reason.endswith(": lower") for reason in one.reasons)
    assert sum(each.kind == "min_iv_rank" for each in analysed(journal).recommendations) == 1


def test_a_low_win_rate_raises_the_threshold_by_one_step(journal: TradeJournal) -> None:
    log(journal, [("SPY", 55.0, 45, profit, "x") for profit in (100.0, -300.0, -250.0, 120.0, -80.0, -90.0)])
    one = advice(analysed(journal), "min_iv_rank")
    assert (one.proposed, one.significant) == (60.0, False)
    assert one.text == "Increase min_iv_rank threshold to 60%"
    assert "win rate 33% is under 50%" in one.reasons[0]
    assert one.mark.startswith("not significant")


def test_a_high_win_rate_that_pays_lowers_it_and_one_that_does_not_pay_moves_nothing(
    journal: TradeJournal,
) -> None:
    log(journal, [("SPY", 55.0, 45, profit, "x") for profit in (100.0, 110.0, 90.0, -50.0)])
    assert advice(analysed(journal), "min_iv_rank").proposed == 40.0
    log(journal, [("SPY", 55.0, 45, -900.0, "x")] + [("SPY", 55.0, 45, 40.0, "x")] * 4)
    one = advice(analysed(journal), "min_iv_rank")
    assert (one.proposed, one.evidence) == (50.0, None)
    assert "its break-even is" in one.reasons[0]


def test_the_step_starts_from_the_set_in_force(journal: TradeJournal) -> None:
    store = ParameterStore(journal)
    store.approve(store.propose(SCANNER, {"min_iv_rank": 90.0, "target_dte": 30}).id, by="Ada")
    log(journal, [("SPY", 95.0, 30, profit, "x") for profit in (100.0, -300.0, -250.0, -80.0)])
    one = advice(analysed(journal), "min_iv_rank")
    assert (one.current, one.proposed) == (90.0, 90.0)  # at its bound


def test_a_planted_edge_becomes_a_proposal_that_a_person_approves(journal: TradeJournal) -> None:
    random = np.random.default_rng(3)
    rows = []
    for _ in range(400):
        rank = float(random.uniform(5, 95))
        won = random.random() < (0.9 if rank > 50 else 0.35)
        rows.append(("SPY", rank, 45, 500.0 if won else -700.0, "x"))
    log(journal, rows)
    learner = TradeLearningSystem(journal, out=lambda text: None)
    one = advice(learner.analysis(), "min_iv_rank")
    assert (one.proposed, one.significant) == (60.0, True)
    assert one.evidence is not None
    assert one.evidence.adjusted_p < 0.05
    assert [figure.trades > 0 and figure.low is not None for figure in one.estimates] == [True, True]
    (proposed,) = learner.propose()
    assert proposed.settings["min_iv_rank"] == 60.0
    assert proposed.status == "proposed"
    assert proposed.evidence["trades"] == 400
    assert learner.propose()[0].id == proposed.id  # asked twice, stored once
    ParameterStore(journal).approve(proposed.id, by="Ada")
    assert journal.parameters_for(SCANNER)["min_iv_rank"] == 60.0
    assert advice(learner.analysis(), "min_iv_rank").current == 60.0


def test_strong_evidence_in_both_directions_is_never_called_not_significant(journal: TradeJournal) -> None:
    # a low IV rank loses, and the whole wins about 80 % of the time
    random = np.random.default_rng(8)
    rows = []
    for _ in range(500):
        rank = float(random.integers(5, 95))
        won = random.random() < (0.4 if rank < 30 else 0.97)
        rows.append(("SPY", rank, 45, 400.0 if won else -400.0, "x"))
    log(journal, rows)
    found = analysed(journal)
    one = advice(found, "min_iv_rank")
    assert one.evidence is not None
    assert one.evidence.adjusted_p < 1e-3
    assert (one.changes, one.significant) == (False, False)
    assert one.text == "Keep min_iv_rank at 50%"
    assert one.mark.startswith("strong evidence in both directions, for raising (p = ")
    assert " and for lowering (p = " in one.mark
    assert one.mark.endswith(": it stays")
    assert one.verdict == "strong evidence, but kept"
    text = found.text()
    for line, mark in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if "Keep min_iv_rank" in line:
            assert "not significant" not in mark
    learner = TradeLearningSystem(journal, out=lambda text: None)
    assert SCANNER not in found.proposals() or "min_iv_rank" not in found.proposals()[SCANNER]
    week = learner.weekly_report((START + timedelta(days=499)).date())
    assert advice(week.analysis, "min_iv_rank").kept
    shown = sum(one.kept != "" for one in week.analysis.recommendations)
    assert week.html().count("strong evidence, but kept") == shown


def test_strong_evidence_at_a_bound_says_that_the_bound_holds(journal: TradeJournal) -> None:
    rows = [("SPY", 50.0, 45, 500.0, "x") for _ in range(200)]
    log(journal, rows, days=7)
    store = ParameterStore(journal)
    low = next(one.low for one in THRESHOLDS if one.setting == "min_iv_rank")
    given = store.propose(SCANNER, {"min_iv_rank": low}, evidence={}, source="live")
    store.approve(given.id, by="Ada")
    one = advice(analysed(journal), "min_iv_rank")
    assert (one.current, one.proposed, one.significant) == (low, low, False)
    assert one.mark.startswith("strong evidence for lowering (p = ")
    assert one.mark.endswith("but min_iv_rank stands at its bound: it stays")


@pytest.mark.parametrize(("count", "foretold"), [(1, False), (4, False), (5, True), (8, True)])
def test_a_few_trades_foretell_nothing(journal: TradeJournal, count: int, foretold: bool) -> None:
    log(journal, [("SPY", 50.0, 45, 300.0, "x")] * count, days=7)
    found = analysed(journal)
    marks = [one.mark for one in found.recommendations]
    assert marks
    assert any("more trades like these would decide" in mark for mark in marks) is foretold


def test_a_losing_symbol_is_blacklisted_and_a_winning_one_favoured(journal: TradeJournal) -> None:
    random = np.random.default_rng(5)
    rows = []
    for _ in range(150):
        rows.append(("GOOD", 50.0, 45, 500.0 if random.random() < 0.8 else -500.0, "x"))
        rows.append(("BAD", 50.0, 45, 500.0 if random.random() < 0.2 else -500.0, "x"))
    log(journal, rows, days=3)
    found = analysed(journal)
    assert {(one.kind, one.proposed) for one in found.significant if one.setting} >= {
        ("favourite", "GOOD"),
        ("blacklist", "BAD"),
    }
    assert found.proposals()[SCANNER] == {"favourites": ["GOOD"], "blacklist": ["BAD"]}


def test_nothing_is_proposed_without_significance_unless_asked_for(journal: TradeJournal) -> None:
    log(journal, [("SPY", 55.0, 45, profit, "x") for profit in (100.0, -300.0, -250.0, 120.0, -80.0)])
    learner = TradeLearningSystem(journal, out=lambda text: None)
    assert learner.propose() == []
    (asked,) = learner.propose(significant_only=False)
    assert asked.settings == {"min_iv_rank": 60.0, "blacklist": ["SPY"]}


def test_sources_are_never_mixed_silently(journal: TradeJournal) -> None:
    log(journal, EXAMPLE)
    log(journal, EXAMPLE[:3], source="paper")
    assert analysed(journal).examination.records["all"].trades == 10
    assert analysed(journal, source="paper").examination.records["all"].trades == 3
    mixed = analysed(journal, source="all")
    assert mixed.examination.records["all"].trades == 13
    assert "Mixes trades of several sources" in mixed.text()
    with pytest.raises(TwinstepError, match="one source"):
        TradeLearningSystem(journal, source="all").propose(significant_only=False)
    with pytest.raises(DataError, match="papr"):
        TradeLearningSystem(journal, source="papr")


def test_an_empty_journal_says_so(journal: TradeJournal) -> None:
    found = analysed(journal)
    assert "No closed trades yet" in found.text()
    assert found.recommendations == ()


def test_everything_is_json(journal: TradeJournal) -> None:
    log(journal, EXAMPLE)
    packed = json.loads(json.dumps(analysed(journal).as_dict(), allow_nan=False))
    assert packed["records"]["all"]["trades"] == 10
    assert {one["kind"] for one in packed["recommendations"]} >= {"min_iv_rank", "target_dte", "close_reason"}
    assert all("mark" in one for one in packed["recommendations"])


def test_the_command_line_prints_both_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "trade_journal.db"
    with TradeJournal(place) as journal:
        log(journal, EXAMPLE)
    assert main([str(place)]) == 0
    printed = capsys.readouterr().out
    assert "LEARNING ANALYSIS" in printed
    assert "WEEKLY REPORT" in printed
    assert main([str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sources"] == ["live"]
    assert main([str(tmp_path / "none.db")]) == 2
    assert "JOURNAL_MISSING" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(JournalError):
        TradeLearningSystem(tmp_path / "none.db")


def test_signs_that_a_terminal_does_not_know_do_not_stop_the_report(journal: TradeJournal) -> None:
    log(journal, EXAMPLE)
    printed: list[str] = []

    def ascii_only(text: str) -> None:
        printed.append(text.encode("ascii").decode())

    TradeLearningSystem(journal, out=ascii_only).analyze_what_works()
    assert "INSIGHT: Higher IV rank" in printed[0]


def test_defaults_are_those_of_the_components() -> None:
    settings = ScanSettings()
    assert DEFAULTS[SCANNER] == {
        "min_iv_rank": settings.min_iv_rank, "target_dte": settings.target_dte, "blacklist": (),
    }  # fmt: skip
    assert DEFAULTS[SIGNALS] == {"min_pattern_score": SignalGenerator().min_pattern_score}


def test_shares_of_the_level_sum_to_one() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)


# The evidence itself, against direct computation.


def test_mean_wealth_is_the_average_of_the_bettors() -> None:
    outcomes = np.array([0.3, -1.0, 0.2, 0.5, np.nan, -0.4])
    bets = np.array([7, 7, 8, 8, 8, 9])
    groups = np.array([0, 0, 0, 1, 1, 0])
    found = mean_wealth(outcomes, bets, groups, 3)
    first = np.mean([(1 - s * 0.35) * (1 + s * 0.2) * (1 - s * 0.4) for s in STAKES])
    second = np.mean([1 + s * 0.5 for s in STAKES])
    assert np.exp(found) == pytest.approx([first, second, 1.0])


def test_wealth_is_fair_when_every_order_of_outcomes_is_as_likely() -> None:
    """Over all 16 sequences of a fair coin the mean wealth is exactly what was paid in."""
    total = 0.0
    for code in range(16):
        outcomes = np.array([1.0 if code >> bit & 1 else -1.0 for bit in range(4)])
        total += float(np.exp(mean_wealth(outcomes, np.arange(4), np.zeros(4, dtype=np.intp), 1)[0]))
    assert total / 16 == pytest.approx(1.0)


def test_link_wealth_is_fair_when_levels_and_outcomes_are_matched_at_random() -> None:
    import itertools

    levels, most = np.array([10.0, 20.0, 50.0, 90.0, 55.0, 35.0]), np.full(6, 0.5)
    outcomes = np.array([-1.0, 0.5, 0.2, -0.3, 0.5, -0.7])
    wealth = [
        np.exp(link_wealth(levels, outcomes[list(order)], most)[:2])
        for order in itertools.permutations(range(6))
    ]
    assert np.mean(wealth, axis=0) == pytest.approx([1.0, 1.0])
    assert max(each[0] for each in wealth) > 1.2
    assert link_wealth(levels[:5], outcomes[:5], most[:5]) == (0.0, 0.0, 0)


def test_holm_with_equal_weights_is_holm() -> None:
    assert adjust([0.01, 0.04, 0.03], [1 / 3] * 3) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust([0.01], [0.1]) == pytest.approx([0.1])
    assert adjust([], []) == []


def test_more_trades_are_extrapolated_from_the_growth_so_far() -> None:
    assert more_needed(-0.1, 50, 0.1) is None
    assert more_needed(20.0, 50, 0.1) == 0
    needed = more_needed(1.0, 100, 0.1)
    assert needed is not None
    assert needed == pytest.approx(100 * (np.log(200) - 1), abs=1)
