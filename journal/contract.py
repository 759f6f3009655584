# ruff: noqa: S101 - a test class asserts
"""`JournalContract`: what a trade journal must do, whatever database it lies on.

A test class for pytest. Derive from it, say how a journal is opened, and every check runs on your database;
the project's own tests do so for SQLite and PostgreSQL. Figures are worked by hand in the tests.

>>> class TestMine(JournalContract):   # doctest: +SKIP
...     def make_journal(self, **options):
...         return TradeJournal(self.where, **options)
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from journal import schema
from journal.parameters import ParameterStore
from journal.performance_tracker import PerformanceTracker
from journal.trade_journal import TradeJournal
from simulator.errors import ConfigError, JournalError, TwinstepError
from simulator.types import SignalStrength, TradingSignal

__all__ = ["JournalContract"]

START = datetime(2024, 1, 2, 15, 30, tzinfo=UTC)

LEGS = (
    {"side": -1, "kind": "put", "strike": 470.0, "expiry": "2024-02-16"},
    {"side": 1, "kind": "put", "strike": 465.0, "expiry": "2024-02-16"},
)


class JournalContract:
    """Checks of a `TradeJournal`; a subclass says by `make_journal` where it lies."""

    now: datetime = START

    def __init_subclass__(cls, **named: Any) -> None:
        """Refuse a subclass that does not say how a journal is opened.

        With an abstract base class pytest would pass over it without a word, and nothing would be checked.

        Raises
        ------
        ConfigError
            JOURNAL_CONTRACT.
        """
        super().__init_subclass__(**named)
        if getattr(cls.make_journal, "__isabstractmethod__", False):
            raise ConfigError(
                f"{cls.__name__} is a JournalContract without make_journal(self, **options), which opens the "
                "journal of a test",
                code="JOURNAL_CONTRACT",
            )

    @abstractmethod
    def make_journal(self, **options: Any) -> TradeJournal:
        """Open the journal of the test: the same empty place for every call within one test.

        Parameters
        ----------
        options
            To be passed on to `TradeJournal`.
        """

    def clock(self) -> datetime:
        """Return the test's time."""
        return self.now

    def open(self, **options: Any) -> TradeJournal:
        """Return the journal with the test's clock."""
        return self.make_journal(clock=self.clock, **options)

    def spread(self, journal: TradeJournal, **changed: Any) -> int:
        """Open two put spreads at 1.25 credit, five wide: 750 at risk, 250 to win."""
        given: dict[str, Any] = {
            "symbol": "SPY", "strategy": "short-put-spread", "actual_contracts": 2, "entry_credit": 1.25,
            "legs": LEGS, "expiry": "2024-02-16", "iv_rank": 62.0, "fees": 2.6, "when": START,
        }  # fmt: skip
        return journal.log_trade_entry(**{**given, **changed})

    def shares(self, journal: TradeJournal, **changed: Any) -> int:
        """Buy 100 shares at 50 with a stop at 48."""
        given: dict[str, Any] = {
            "symbol": "AAPL", "strategy": "breakout", "side": 1, "quantity": 100, "entry_price": 50.0,
            "stop_price": 48.0, "when": START,
        }  # fmt: skip
        return journal.log_trade_entry(**{**given, **changed})

    # Trades

    def test_a_credit_spread_from_entry_to_exit(self) -> None:
        """Sold at 1.25, bought back at 0.60: (1.25 - 0.60) x 2 x 100 - 5.20 in fees."""
        with self.open() as journal:
            trade_id = self.spread(journal)
            trade = journal.trade(trade_id)
            assert (trade.status, trade.side, trade.open_quantity) == ("open", -1, 2.0)
            assert (trade.max_loss, trade.max_profit) == (750.0, 250.0)
            self.now = START + timedelta(days=10)
            outcome = journal.log_trade_exit(trade_id, 0.60, "50% profit rule", fees=2.6)
            assert outcome.closed
            assert outcome.pnl == pytest.approx(124.8)
        with self.open() as journal:
            trade = journal.trade(trade_id)
            assert (trade.status, trade.open_quantity, trade.close_code) == ("closed", 0.0, "profit_target")
            assert trade.gross_pnl == pytest.approx(130.0)
            assert trade.pnl == pytest.approx(124.8)
            assert trade.fees == pytest.approx(5.2)
            assert trade.exit_time == self.now
            assert [leg.strike for leg in trade.legs] == [470.0, 465.0]

    def test_shares_long_and_short(self) -> None:
        """100 shares from 50 to 53 win 300; sold short, they lose it. The risk was 200."""
        with self.open() as journal:
            won = journal.log_trade_exit(self.shares(journal), exit_price=53.0)
            lost = journal.log_trade_exit(self.shares(journal, side=-1, stop_price=52.0), exit_price=53.0)
            assert [won.pnl, won.r_multiple] == pytest.approx([300.0, 1.5])
            assert [lost.pnl, lost.r_multiple] == pytest.approx([-300.0, -1.5])

    def test_a_position_is_closed_in_parts(self) -> None:
        """60 at 52 and 40 at 49: 120 - 40."""
        with self.open() as journal:
            trade_id = self.shares(journal)
            part = journal.log_trade_exit(trade_id, exit_price=52.0, quantity=60)
            assert not part.closed
            assert journal.trade(trade_id).open_quantity == 40.0
            rest = journal.log_trade_exit(trade_id, exit_price=49.0)
            assert rest.closed
            assert journal.trade(trade_id).pnl == pytest.approx(80.0)
            assert len(journal.fills(trade_id)) == 3

    def test_more_than_is_open_cannot_be_closed_and_nothing_is_stored(self) -> None:
        """A refused exit leaves no fill behind."""
        with self.open() as journal:
            trade_id = self.shares(journal)
            with pytest.raises(TwinstepError):
                journal.log_trade_exit(trade_id, exit_price=52.0, quantity=101)
            assert len(journal.fills(trade_id)) == 1
            assert journal.trade(trade_id).status == "open"
            journal.log_trade_exit(trade_id, exit_price=52.0)
            with pytest.raises(TwinstepError):
                journal.log_trade_exit(trade_id, exit_price=52.0)

    def test_a_roll_continues_its_campaign(self) -> None:
        """What was closed and what was opened are one campaign."""
        with self.open() as journal:
            trade_id = self.spread(journal)
            outcome, next_id = journal.log_roll(trade_id, 2.00, 2.60, expiry="2024-03-15")
            assert outcome.pnl == pytest.approx(-150.0 - 2.6)
            assert journal.trade(next_id).rolled_from_id == trade_id
            journal.log_trade_exit(next_id, 0.60)
            assert journal.campaign(trade_id).pnl == pytest.approx(-152.6 + 400.0)

    def test_an_assignment_opens_the_shares(self) -> None:
        """The sold put ends at 0, and its shares come at the strike."""
        with self.open() as journal:
            trade_id = self.spread(journal, actual_contracts=1, fees=0.0, legs=LEGS[:1])
            outcome, shares = journal.log_assignment(trade_id)
            assert outcome.closed
            assert shares is not None
            trade = journal.trade(shares)
            assert (trade.kind, trade.quantity, trade.entry_price, trade.side) == ("stock", 100.0, 470.0, 1)
            assert trade.campaign_id == trade_id

    def test_names_and_numbers_mean_the_same_trade(self) -> None:
        """TRADE_001 is trade 1; a name of one's own is taken once."""
        with self.open() as journal:
            trade_id = self.shares(journal)
            self.shares(journal, name="my hedge")
            assert journal.trade(f"TRADE_{trade_id:03d}").id == trade_id
            assert journal.trade("my hedge").name == "my hedge"
            with pytest.raises(TwinstepError):
                self.shares(journal, name="my hedge")
            with pytest.raises(LookupError):
                journal.trade("TRADE_999")
            assert len(journal.trades()) == 2

    def test_the_same_execution_is_refused_twice(self) -> None:
        """An id of the broker is stored once."""
        with self.open() as journal:
            self.shares(journal, execution_key="x-1", broker="tastytrade")
            with pytest.raises(TwinstepError):
                self.shares(journal, execution_key="x-1", broker="tastytrade")
            assert len(journal.trades()) == 1

    def test_what_cannot_be_is_refused(self) -> None:
        """NaN, infinite, negative and naive values leave nothing behind."""
        with self.open() as journal:
            for changed in (
                {"entry_price": float("nan")}, {"entry_price": float("inf")}, {"quantity": -5}, {"side": 3},
                {"when": START.replace(tzinfo=None)}, {"symbol": ""}, {"symbol": "A\x00B"},
                {"source": "dreams"},
            ):  # fmt: skip
                with pytest.raises(TwinstepError):
                    self.shares(journal, **changed)
            assert journal.trades() == []

    # Recommendations

    def signal(self) -> TradingSignal:
        """Buy AAPL at 50, stop 48, target 56."""
        return TradingSignal(
            signal_id="s-1", ticker="AAPL", side=1, entry_price=50.0, stop_loss=48.0, target_price=56.0,
            position_size=100, strength=SignalStrength.STRONG, risk_amount=200.0, reward_amount=600.0,
            risk_reward_ratio=3.0, signal_type="breakout", created_at=START,
        )  # fmt: skip

    def test_a_recommendation_is_taken_ignored_or_expires(self) -> None:
        """Recommended becomes executed, ignored or, by time alone, expired."""
        with self.open() as journal:
            span = timedelta(days=2)
            taken, ignored, late = (
                journal.log_recommendation(self.signal(), reason="test", expires=span) for _ in range(3)
            )
            assert journal.recommendation(taken).status == "recommended"
            trade_id = self.shares(journal, rec_id=taken)
            journal.ignore_recommendation(ignored, "no time")
            self.now = START + timedelta(days=3)
            assert journal.trade(trade_id).recommendation_id == taken
            states = [journal.recommendation(one).status for one in (taken, ignored, late)]
            assert states == ["executed", "ignored", "expired"]
            assert journal.expire_recommendations() == 1
            assert [one.id for one in journal.recommendations("expired")] == [late]

    # Words, lessons, figures

    def test_tags_and_words_find_a_trade(self) -> None:
        """In any case of letters."""
        with self.open() as journal:
            trade_id = self.shares(journal, notes="Gap over résistance", tags=("earnings",))
            self.shares(journal)
            journal.add_tag(trade_id, "gap")
            assert journal.tags(trade_id) == ["earnings", "gap"]
            assert [trade.id for trade in journal.trades(tag="gap")] == [trade_id]
            assert [trade.id for trade in journal.search("OVER rés")] == [trade_id]
            journal.remove_tag(trade_id, "gap")
            assert journal.trades(tag="gap") == []

    def test_lessons_and_mistakes_belong_to_a_trade(self) -> None:
        """They are refused for a trade that is not there."""
        with self.open() as journal:
            trade_id = self.shares(journal)
            tracker = PerformanceTracker(journal)
            assert tracker.add_lesson(trade_id, "Wait for the close") > 0
            with pytest.raises(LookupError):
                tracker.add_lesson(99, "nowhere")

    def test_figures_follow_each_close_and_sources_stay_apart(self) -> None:
        """A paper trade does not count among the live ones."""
        with self.open() as journal:
            for price in (53.0, 49.0, 51.0):
                journal.log_trade_exit(self.shares(journal), exit_price=price)
            journal.log_trade_exit(self.shares(journal, source="paper"), exit_price=90.0)
            record = journal.past_performance("AAPL")
            assert record is not None
            assert record.trades == 3
            assert record.win_rate == pytest.approx(200.0 / 3.0)
            with journal.database.read() as connection:
                table = schema.performance_metrics.c
                series = select(table.trades, table.total_pnl).where(
                    table.source == "live", table.scope == "all"
                )
                rows = connection.execute(series.order_by(table.id)).all()
            assert [tuple(row) for row in rows] == [(1, 300.0), (2, 200.0), (3, 300.0)]

    def test_one_set_of_parameters_is_in_force(self) -> None:
        """Approving a set supersedes the one before; rolling back brings it back."""
        with self.open() as journal:
            store = ParameterStore(journal.database, clock=self.clock)
            evidence = {"n": 40, "text": "win rate below half"}
            first = store.propose("options_scanner", {"min_iv_rank": 55.0}, evidence=evidence)
            second = store.propose("options_scanner", {"min_iv_rank": 60.0}, evidence=evidence)
            store.approve(first.id, "owner")
            store.approve(second.id, "owner")
            assert journal.parameters_for("options_scanner") == {"min_iv_rank": 60.0}
            store.roll_back("options_scanner", "owner")
            assert journal.parameters_for("options_scanner") == {"min_iv_rank": 55.0}

    # The database

    def test_reading_does_not_write(self) -> None:
        """A journal opened for reading sees what the writer stores, and refuses to store."""
        with self.open() as journal:
            trade_id = self.shares(journal)
            with self.open(read_only=True) as reader:
                assert reader.trade(trade_id).symbol == "AAPL"
                with pytest.raises(JournalError) as error:
                    self.shares(reader)
                assert error.value.code == "JOURNAL_READ_ONLY"
                journal.log_trade_exit(trade_id, exit_price=51.0)
                assert reader.trade(trade_id).status == "closed"

    def test_several_calls_in_one_write_are_stored_together_or_not_at_all(self) -> None:
        """An error after two calls undoes both."""
        with self.open() as journal:

            def both() -> None:
                with journal.database.write():
                    trade_id = self.shares(journal)
                    journal.log_trade_exit(trade_id, exit_price=51.0)
                    raise KeyError("of the caller")

            with pytest.raises(KeyError):
                both()
            assert journal.trades() == []
            with journal.database.read() as connection:
                for table in (schema.fills, schema.insights, schema.performance_metrics):
                    assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0

    def test_the_tables_keep_their_rules_by_themselves(self) -> None:
        """Past every check of the calls."""
        row = {
            "source": "live", "status": "open", "kind": "stock", "symbol": "X", "strategy": "s", "side": 1,
            "quantity": 1.0, "open_quantity": 1.0, "entry_ts": 1, "entry_price": 1.0,
        }  # fmt: skip
        wrong: tuple[dict[str, Any], ...] = (
            {"side": 2}, {"quantity": 0.0}, {"open_quantity": 2.0}, {"status": "closed"}, {"symbol": None},
            {"recommendation_id": 77}, {"entry_price": -1.0}, {"source": "x"}, {"kind": "x"},
        )  # fmt: skip
        with self.open() as journal:
            for changed in wrong:
                with pytest.raises(JournalError) as error, journal.database.write() as connection:
                    connection.execute(insert(schema.trades).values(**{**row, **changed}))
                assert error.value.code == "JOURNAL_RULE", changed
            assert journal.trades() == []
