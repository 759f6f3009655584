"""`TradeJournal`: every recommendation, entry and exit, stored when the call returns.

A call is one durable transaction: what it returned survives a crash, and what raised left nothing. Trades are
named by number or name (1, "1", "TRADE_001" are the same); times are aware and default to now; percent is
percent. Conventions of prices, sides and amounts are those of `journal.schema`, explained in
`docs/journal.md`.

>>> journal = TradeJournal("trades.db")   # doctest: +SKIP
>>> journal.log_trade_entry(symbol="SPY", actual_contracts=7, entry_credit=1.90)   # doctest: +SKIP
1
>>> journal.log_trade_exit("TRADE_001", exit_debit=0.95).pnl   # doctest: +SKIP
665.0
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from sqlalchemy import Connection, delete, select

from journal import schema
from journal.entry import Entry, EntryDetails
from journal.inbox import Command, Inbox, Outcome
from journal.ledger import adding, carrying, entering, exiting, lookup, noting, recommending
from journal.ledger.commands import COMMANDS, PARAMETER_COMMANDS, pack, unpack
from journal.ledger.reading import JournalReader, TradeId
from journal.ledger.sums import write_trade
from journal.parameters import ParameterStore, in_force
from journal.performance.mistakes import MistakeCategory
from journal.records import Trade, TradeOutcome
from journal.values import amount, nanoseconds
from simulator.errors import DataError, did_you_mean
from simulator.opportunity import Opportunity, Sizing
from simulator.types import TradingSignal

if TYPE_CHECKING:
    from journal.from_result import StoredRun
    from simulator.results import Result

__all__ = ["TradeJournal"]


class TradeJournal(JournalReader):
    """A journal of trades in an SQLite file, or in PostgreSQL by its URL.

    Parameters
    ----------
    where
        Path or URL, or an open `Database`; `trade_journal.db` in the working folder by default.
    source
        What is logged here where a call does not say: "live", "paper" or "backtest". Views take the same
        source by default and never mix sources unasked.
    clock
        Returns the time, aware; the system's by default.
    read_only
        Open for reading only.
    days_valid
        Days after which a recommendation expires where the call does not say, and an option's never lasts
        beyond its expiry.
    """

    # Recommendations

    def log_recommendation(
        self,
        opp: Opportunity | TradingSignal,
        sizing: Sizing | None = None,
        reason: str = "",
        *,
        expires: datetime | timedelta | None = None,
        source: str | None = None,
        parameter_set: int | None = None,
    ) -> int:
        """Store what was proposed and return its number.

        Parameters
        ----------
        opp
            An `Opportunity` of the options scanner, or a `TradingSignal`.
        sizing
            What the `PositionSizer` made of an opportunity; a signal has its own size.
        reason
            Why it was made.
        expires
            Until when one may act on it: an aware time, or how long from now.
        source
            "live", "paper" or "backtest"; that of the journal by default.
        parameter_set
            Number of the learned parameters that it rests on; those in force by default.
        """
        now = self.now()
        with self.database.write() as connection:
            recommending.expire(connection, now)
            return recommending.recommend(
                connection, opp, sizing, reason=reason, expires=expires, days_valid=self.days_valid,
                source=self._one_source(source), parameter_set=parameter_set, now=now,
            )  # fmt: skip

    def ignore_recommendation(self, rec_id: int | str, reason: str = "") -> None:
        """Say that a recommendation will not be traded."""
        now = self.now()
        with self.database.write() as connection:
            recommending.decide(connection, rec_id, "ignored", decision=reason, now=now)

    def expire_recommendations(self, now: datetime | None = None) -> int:
        """Mark recommendations whose time is over and return how many; every write does so by itself."""
        stamp = self.now() if now is None else nanoseconds(now, "now")
        with self.database.write() as connection:
            return recommending.expire(connection, stamp)

    # Entries and exits

    def log_trade_entry(
        self,
        rec_id: int | str | None = None,
        actual_contracts: float | None = None,
        entry_credit: float | None = None,
        iv_rank: float | None = None,
        notes: str = "",
        **details: Unpack[EntryDetails],
    ) -> int:
        """Store a trade that was opened and return its number.

        Parameters
        ----------
        rec_id
            Recommendation that it follows; the trade inherits legs, plan and the market at that time, and
            what is said here goes before it. None for a trade of one's own, which needs a `symbol`.
        actual_contracts
            Packages that were really entered; may be more than was recommended, which is remembered.
        entry_credit
            Fill price per unit of the underlying: a credit is positive, a debit negative.
        iv_rank
            IV rank at entry, 0 to 100.
        notes
            Anything.
        details
            See `journal.entry.EntryDetails`.

        Raises
        ------
        DataError
            JOURNAL_... for what cannot be so; nothing is stored then.
        UnknownNameError
            JOURNAL_RECOMMENDATION, JOURNAL_TRADE.
        """
        entry = Entry(
            rec_id=rec_id, actual_contracts=actual_contracts, entry_credit=entry_credit, iv_rank=iv_rank,
            notes=notes, **details,
        )  # fmt: skip
        now = self.now()
        with self.database.write() as connection:
            recommending.expire(connection, now)
            return entering.enter(connection, entry, source=self.source, now=now)

    def log_trade_add(
        self,
        trade_id: TradeId,
        quantity: float | None = None,
        *,
        entry_price: float | None = None,
        entry_credit: float | None = None,
        when: datetime | None = None,
        fees: float = 0.0,
        notes: str = "",
        mid_price: float | None = None,
        execution_key: str | None = None,
        broker: str = "",
        order_id: str = "",
    ) -> Trade:
        """Add to an open trade and return it; its entry price becomes the average of all entries."""
        now = self.now()
        with self.database.write() as connection:
            return adding.add_to(
                connection, trade_id, quantity=quantity, entry_price=entry_price, entry_credit=entry_credit,
                when=when, fees=fees, notes=notes, mid_price=mid_price, execution_key=execution_key,
                broker=broker, order_id=order_id, now=now,
            )  # fmt: skip

    def log_trade_exit(
        self,
        trade_id: TradeId,
        exit_debit: float | None = None,
        close_reason: str = "",
        notes: str = "",
        *,
        exit_price: float | None = None,
        quantity: float | None = None,
        when: datetime | None = None,
        fees: float = 0.0,
        mae: float | None = None,
        mfe: float | None = None,
        mid_price: float | None = None,
        execution_key: str | None = None,
        broker: str = "",
        order_id: str = "",
    ) -> TradeOutcome:
        """Store that a trade, or a part of it, was closed; return what it came to.

        When nothing is open any more, the same transaction stores insights and automatic mistakes and
        updates the performance figures.

        Parameters
        ----------
        trade_id
            Number or name.
        exit_debit
            What was paid per unit of the underlying to close; negative where something was received, as for
            a package that was bought. Or say `exit_price`, which is never negative.
        close_reason
            Why, in your words; `close_code` of the trade is what it means ("50% profit rule" is
            "profit_target").
        notes
            Anything.
        quantity
            Packages or shares closed; all that is open by default.
        when, fees
            Aware time of the fill (now), and what was paid for it.
        mae, mfe
            Worst and best profit while it was held, currency for the whole trade: 0 or negative, 0 or
            positive.
        mid_price, execution_key, broker, order_id
            Of the fill, as known from the broker.

        Raises
        ------
        DataError
            JOURNAL_... for what cannot be so; nothing is stored then.
        UnknownNameError
            JOURNAL_TRADE.
        """
        now = self.now()
        with self.database.write() as connection:
            return exiting.leave(
                connection, trade_id, exit_debit=exit_debit, exit_price=exit_price, quantity=quantity,
                close_reason=close_reason, notes=notes, when=when, fees=fees, mae=mae, mfe=mfe, now=now,
                mid_price=mid_price, execution_key=execution_key, broker=broker, order_id=order_id,
            )  # fmt: skip

    def log_leg_exit(
        self,
        trade_id: TradeId,
        leg: int | str,
        price: float,
        *,
        quantity: float | None = None,
        close_reason: str = "",
        notes: str = "",
        when: datetime | None = None,
        fees: float = 0.0,
        execution_key: str | None = None,
        broker: str = "",
        order_id: str = "",
    ) -> TradeOutcome:
        """Store that contracts of one leg were closed; the trade is closed when no leg is open any more.

        Parameters
        ----------
        leg
            Position (0, 1, ...), symbol, or short form such as "-95P".
        price
            Of one contract per unit of the underlying, never negative.
        quantity
            Contracts; all that are open by default.
        """
        now = self.now()
        with self.database.write() as connection:
            return carrying.leave_leg(
                connection, trade_id, leg, price=price, quantity=quantity, close_reason=close_reason,
                notes=notes, when=when, fees=fees, now=now, execution_key=execution_key, broker=broker,
                order_id=order_id,
            )  # fmt: skip

    def log_roll(
        self,
        trade_id: TradeId,
        exit_debit: float | None = None,
        entry_credit: float | None = None,
        *,
        exit_price: float | None = None,
        exit_fees: float = 0.0,
        exit_quantity: float | None = None,
        close_reason: str = "roll",
        iv_rank: float | None = None,
        notes: str = "",
        **details: Unpack[EntryDetails],
    ) -> tuple[TradeOutcome, int]:
        """Store that a package was closed and another opened in its place; return both.

        Parameters
        ----------
        exit_debit, exit_price, exit_fees, exit_quantity
            Of what is closed, as in `log_trade_exit`.
        entry_credit, iv_rank, notes, details
            Of what is opened, as in `log_trade_entry`. With `expiry` the legs keep their strikes; `legs` says
            otherwise. Symbol, strategy, account and source are those of the trade that is rolled.
        """
        given = {name: details.get(name) for name in ("symbol", "source", "campaign", "kind")}
        if said := [name for name, value in given.items() if value is not None]:
            raise DataError(
                f"{said[0]} of a roll is that of the trade rolled; leave it out", code="JOURNAL_ROLL"
            )
        entry = Entry(entry_credit=entry_credit, iv_rank=iv_rank, notes=notes, **details)
        now = self.now()
        with self.database.write() as connection:
            recommending.expire(connection, now)
            return carrying.roll(
                connection, trade_id, exit_debit=exit_debit, exit_price=exit_price, exit_fees=exit_fees,
                quantity=exit_quantity, close_reason=close_reason, when=entry.when, entry=entry,
                source=self.source, now=now,
            )  # fmt: skip

    def log_assignment(
        self,
        trade_id: TradeId,
        leg: int | str | None = None,
        *,
        quantity: float | None = None,
        when: datetime | None = None,
        fees: float = 0.0,
        notes: str = "",
        spot: float | None = None,
        execution_key: str | None = None,
    ) -> tuple[TradeOutcome, int | None]:
        """Store an assignment, or the exercise of a bought leg: the option ends at 0, shares change hands.

        Parameters
        ----------
        leg
            As in `log_leg_exit`; may be left out where one sold leg is open.
        quantity
            Contracts; all that are open by default.
        fees
            Of the shares.
        spot
            Price of the underlying, for the record.

        Returns
        -------
        tuple
            What the option trade came to, and the number of the trade in shares that it opened, at the strike
            and in the same campaign; None where the shares closed what the campaign held.
        """
        now = self.now()
        with self.database.write() as connection:
            return carrying.assign(
                connection, trade_id, leg, quantity=quantity, when=when, fees=fees, notes=notes, spot=spot,
                execution_key=execution_key, now=now,
            )  # fmt: skip

    def log_expiry(
        self,
        trade_id: TradeId,
        settlement: float = 0.0,
        *,
        when: datetime | None = None,
        fees: float = 0.0,
        notes: str = "",
    ) -> TradeOutcome:
        """Store that a package expired: worthless, or settled in cash at `settlement` per unit."""
        now = self.now()
        with self.database.write() as connection:
            return carrying.lapse(
                connection, trade_id, settlement=settlement, when=when, fees=fees, notes=notes, now=now
            )

    def log_cash(
        self,
        trade_id: TradeId,
        value: float,
        kind: str = "dividend",
        *,
        when: datetime | None = None,
        execution_key: str | None = None,
    ) -> Trade:
        """Add a "dividend", "interest" or "fee" to a trade, open or closed, and return the trade.

        Dividends and interest received are positive; a fee paid is positive.
        """
        now = self.now()
        with self.database.write() as connection:
            return carrying.book_cash(
                connection, trade_id, value, kind=kind, when=when, execution_key=execution_key, now=now
            )

    def move_stop(self, trade_id: TradeId, stop_price: float, when: datetime | None = None) -> None:
        """Store that the stop of an open trade was moved; the planned one is kept beside it."""
        now = self.now()
        with self.database.write() as connection:
            trade = lookup.get_trade(connection, trade_id)
            exiting.check_exit(trade, when, now)
            write_trade(connection, trade.id, {"current_stop_price": amount("stop_price", stop_price)})

    # Mistakes and lessons

    def add_mistake(
        self, trade_id: TradeId, mistake_category: MistakeCategory | str, description: str = ""
    ) -> int:
        """Store a mistake that was made in a trade, open or closed, and return its number.

        Raises
        ------
        UnknownNameError
            JOURNAL_TRADE for a trade that is not in the journal.
        DataError
            JOURNAL_CHOICE for what is no `MistakeCategory`.
        """
        now = self.now()
        with self.database.write() as connection:
            return noting.note_mistake(connection, trade_id, mistake_category, description, now=now)

    def remove_mistake(self, trade_id: TradeId, mistake_category: MistakeCategory | str) -> int:
        """Take a category off a trade, also where it was found automatically; returns how many went."""
        with self.database.write() as connection:
            return noting.remove_mistake(connection, trade_id, mistake_category)

    def add_lesson(self, trade_id: TradeId, lesson: str) -> int:
        """Store what was learned from a trade, open or closed, and return its number."""
        now = self.now()
        with self.database.write() as connection:
            return noting.note_lesson(connection, trade_id, lesson, now=now)

    def add_note(self, trade_id: TradeId, note: str) -> str:
        """Add a line to the notes of a trade, to those at entry while it is open, and return them all."""
        with self.database.write() as connection:
            return noting.note_words(connection, trade_id, note)

    # Tags

    def add_tag(self, trade_id: TradeId, tag: str) -> None:
        """Give a trade a word to find it by."""
        with self.database.write() as connection:
            entering.tag(connection, lookup.resolve(connection, trade_id), tag)

    def remove_tag(self, trade_id: TradeId, tag: str) -> None:
        """Take a tag away; one that it does not have is an error."""
        table = schema.tags
        with self.database.write() as connection:
            number = lookup.resolve(connection, trade_id)
            gone = connection.execute(delete(table).where(table.c.trade_id == number, table.c.tag == tag))
            if gone.rowcount == 0:
                known = connection.execute(select(table.c.tag).where(table.c.trade_id == number)).scalars()
                has = ", ".join(sorted(known)) or "none"
                raise DataError(f"trade {number} has no tag {tag!r}; its tags: {has}", code="JOURNAL_TAG")

    def store_result(self, result: Result, *, source: str = "backtest", label: str = "") -> StoredRun:
        """Store a simulated run with its trades and verdicts; the same result a second time adds nothing.

        Parameters
        ----------
        result
            What `backtest` returned; `result.to_journal(journal)` is the same call.
        source
            "backtest", or "paper" for a run over a market that was live.
        label
            A name for the run; that of its bars by default.
        """
        from journal.from_result import store

        now = self.now()
        with self.database.write() as connection:
            return store(connection, result, source=self._one_source(source), label=label, now=now)

    # Learned parameters

    def parameters_for(self, name: str) -> Mapping[str, Any]:
        """Return the learned parameters of a component that are in force; empty where none are.

        A live journal gives only what a person has approved.
        """
        with self.database.read() as connection:
            found = in_force(connection, name, source=self.source)
        return {} if found is None else dict(found.settings)

    # From other processes

    def queue(self, name: str, **arguments: Any) -> str:
        """Leave a call for the process that writes to this journal, and return its id.

        For a journal that is open elsewhere: `TradeJournal(path, read_only=True).queue("log_trade_exit",
        trade_id=1, exit_debit=0.95)`. The writer takes it by `drain`.

        Raises
        ------
        DataError
            JOURNAL_COMMAND for a call that cannot be queued.
        """
        _check_command(name)
        return self._inbox().drop(name, pack(arguments))

    def drain(self) -> list[Outcome]:
        """Do what other processes have queued, each exactly once, and return what became of it.

        Commands for a paper session (`session_...`) wait for it.
        """
        if self.database.path is None:
            return []
        return self._inbox().drain(self.database, self._obey, leave=lambda name: name.startswith("session_"))

    def apply(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call one of `COMMANDS` by its name, with arguments as Python or as `queue` stores them.

        Raises
        ------
        DataError
            JOURNAL_COMMAND for a name that is none, JOURNAL_ARGUMENT for arguments that do not fit.
        """
        _check_command(name)
        decision = PARAMETER_COMMANDS.get(name)
        method = getattr(self, name) if decision is None else getattr(ParameterStore(self), decision)
        given = unpack(arguments)
        try:
            inspect.signature(method).bind(**given)
        except TypeError as error:
            raise DataError(f"{name} cannot be called so: {error}", code="JOURNAL_ARGUMENT") from error
        return method(**given)

    def _obey(self, _: Connection, command: Command) -> None:
        self.apply(command.name, command.arguments)

    def _inbox(self) -> Inbox:
        return Inbox(self.database.name if self.database.path is None else self.database.path)


def _check_command(name: str) -> None:
    if name not in COMMANDS:
        raise DataError(f"no command {name!r}.{did_you_mean(name, COMMANDS)}", code="JOURNAL_COMMAND")
