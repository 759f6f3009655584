"""Keeps the journal in step with an account: nobody has to log what the broker already knows.

A sync asks first, for holdings and for executions. If either fails, or the account changes in between, the
answer is unknown: nothing is stored and nothing is concluded, least of all that the account is flat. Then, in
one transaction, every new execution is stored once and made into trades by the code that imports statements:

- An order that opens what was recommended executes that recommendation; one that was logged by hand takes the
  place of what was typed; anything else is a trade of the strategy "external".
- Orders that close, expiries, assignments and exercises close trades, the oldest first unless the order says
  which. P&L, insights, mistakes and running figures follow as after `TradeJournal.log_trade_exit`.

Last, the open legs of the journal and the holdings are compared over the union of their symbols. What no
execution explains becomes a `Difference` for review. No fill is ever made up.

>>> tracker = PositionTracker("trades.db", account)   # doctest: +SKIP
>>> print(tracker.sync())   # doctest: +SKIP
paper paper: 2 new executions: 1 entry (1 linked), 0 exits; journal and broker agree
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, func, insert, select

from journal import schema
from journal.database import Database
from journal.ledger import recommending
from journal.statements.rows import StatementRow
from journal.statements.storing import Outcome, inserted_number, regroup, stored_row
from journal.tracking.differences import compare
from journal.tracking.hand import close_by_hand_logged
from journal.tracking.links import inherit, link
from journal.tracking.matching import Match, match
from journal.tracking.report import Difference, SyncReport
from journal.tracking.rows import covered, held_quantities, rows_of
from journal.trade_journal import TradeJournal
from journal.values import from_nanoseconds, nanoseconds
from simulator.brokerage import BrokerPositions

__all__ = ["Difference", "PositionTracker", "SyncReport"]

OVERLAP = timedelta(days=7)
"""How far before the last stored execution a sync asks again, for those that a broker reports late."""

_ATTEMPTS = 3
_KEYS_PER_QUERY = 500


class PositionTracker:
    """Compares an account with the open trades of a journal, and logs what happened in it.

    Parameters
    ----------
    journal
        A `TradeJournal`, an open `Database`, or the path or URL of one.
    positions
        The account: `PaperPositions`, or a broker's adapter.
    clock
        Returns the time, aware; that of the journal by default.
    source
        "live", "paper" or "backtest". By default "paper" where the broker is called that, else the journal's.
    """

    def __init__(
        self,
        journal: TradeJournal | Database | str | os.PathLike[str],
        positions: BrokerPositions,
        *,
        clock: Callable[[], datetime] | None = None,
        source: str | None = None,
    ) -> None:
        self._owned = not isinstance(journal, TradeJournal | Database)
        self.journal = journal if isinstance(journal, TradeJournal) else TradeJournal(journal, clock=clock)
        self.positions = positions
        default = "paper" if positions.broker == "paper" else self.journal.source
        self.source = self.journal.sources(default if source is None else source)[0]
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal if it was opened here."""
        if self._owned:
            self.journal.close()

    def sync(self, *, since: datetime | None = None) -> SyncReport:
        """Log what happened in the account since the last sync, and compare what is held.

        Parameters
        ----------
        since
            Ask for executions from then on; by default from `OVERLAP` before the last stored one, or for all.

        Returns
        -------
        SyncReport
            "unknown" where the broker did not answer or its answer cannot be; the journal is unchanged then.

        Raises
        ------
        JournalError
            Where the journal cannot be written; nothing was stored then.

        Notes
        -----
        Modifies the journal in one transaction. A sync that was killed has stored all or nothing, and the
        next one stores the rest.
        """
        broker, account = self.positions.broker, self.positions.account
        now = self.journal.now() if self._clock is None else nanoseconds(self._clock(), "clock")
        start = since if since is not None else self._start(broker, account)
        try:
            held, rows = self._ask(broker, account, start)
        except Exception as error:
            said = " ".join(str(error).split())
            return SyncReport(
                status="unknown",
                broker=broker,
                account=account,
                source=self.source,
                message=f"positions are unknown, nothing was changed: {type(error).__name__}: {said}",
            )
        with self.journal.database.write() as connection:
            one = _Sync(connection, self.source, broker, account, now)
            one.store(rows)
            return one.report(held)

    def _start(self, broker: str, account: str) -> datetime | None:
        fills = schema.fills.c
        query = select(func.max(fills.ts)).where(
            fills.broker == broker, fills.account == account, fills.source == self.source
        )
        with self.journal.database.read() as connection:
            last = connection.execute(query).scalar()
        return None if last is None else from_nanoseconds(last) - OVERLAP

    def _ask(
        self, broker: str, account: str, since: datetime | None
    ) -> tuple[dict[str, float], list[StatementRow]]:
        held = held_quantities(self.positions.holdings())
        for _ in range(_ATTEMPTS):
            rows = rows_of(self.positions.executions(since), broker, account)
            again = held_quantities(self.positions.holdings())
            if again == held:
                return held, rows
            held = again
        raise RuntimeError(f"the account kept changing during {_ATTEMPTS} queries; sync again")


class _Sync:
    """One sync inside its transaction."""

    def __init__(self, connection: Connection, source: str, broker: str, account: str, now: int) -> None:
        self.connection = connection
        self.source, self.broker, self.account, self.now = source, broker, account, now
        self.outcome = Outcome()
        self.fresh: list[StatementRow] = []
        self.linked: set[int] = set()
        self.external: set[int] = set()
        self.hand_closed: dict[int, bool] = {}

    def store(self, rows: list[StatementRow]) -> None:
        """Store new executions and bring the trades in line."""
        recommending.expire(self.connection, self.now)
        self.fresh = self._new(rows)
        if not self.fresh:
            return
        statement = self._statement()
        touched = sorted({row.underlying for row in self.fresh})
        for underlying in touched:
            some = [row for row in self.fresh if row.underlying == underlying]
            self._one(
                underlying, match(self.connection, self.source, self.broker, self.account, some), statement
            )
        self.external = inherit(self.connection, self.outcome.opened - self.linked, self.account)
        self.outcome.finish(self.connection, self.source)

    def report(self, held: dict[str, float]) -> SyncReport:
        """Compare what is held, and say what was done."""
        differences, unnamed = compare(
            self.connection, source=self.source, broker=self.broker, account=self.account, held=held,
            now=self.now,
        )  # fmt: skip
        entries = self.outcome.opened
        kinds, closing = self._touched()
        exits = self.outcome.closed | {number for number, closed in self.hand_closed.items() if closed}
        linked = self.linked | self.outcome.linked
        plural = "exit" if len(exits) == 1 else "exits"
        words = (
            f"{len(self.fresh)} new execution{'' if len(self.fresh) == 1 else 's'}: "
            f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'} ({len(linked)} linked), "
            f"{len(exits)} {plural}; "
        )
        words += f"{len(differences)} to review" if differences else "journal and broker agree"
        if unnamed:
            words += f"; {unnamed} open trades name no account and were not compared"
        return SyncReport(
            status="differences" if differences else "ok",
            broker=self.broker,
            account=self.account,
            source=self.source,
            executions=len(self.fresh),
            entries=tuple(sorted(entries)),
            linked=tuple(sorted(linked)),
            external=tuple(sorted(self.external)),
            exits=tuple(sorted(exits)),
            partial_closes=tuple(sorted(closing - exits - self._closed(closing))),
            expiries=tuple(sorted(kinds["expiry"])),
            assignments=tuple(sorted(kinds["assignment"] | kinds["exercise"])),
            unmatched=tuple(self.outcome.unmatched),
            differences=tuple(differences),
            message=words,
        )

    def _one(self, underlying: str, found: Match, statement: int) -> None:
        for row, trades in found.by_hand_closes:
            rest = close_by_hand_logged(
                self.connection, row, trades, broker=self.broker, account=self.account, now=self.now,
                closed=self.hand_closed,
            )  # fmt: skip
            if rest is not None:
                found.rows.append(rest)
        if found.rows:
            stored = [
                stored_row(
                    row, broker=self.broker, account=self.account, source=self.source, statement=statement
                )
                | {"trade_id": found.by_hand.get(row.key)}
                | ({"effect": "open"} if row.key in found.by_hand else {})
                for row in found.rows
            ]
            self.connection.execute(insert(schema.fills), stored)
            regroup(
                self.connection, self.source, self.broker, self.account, underlying, self.outcome,
                apart=found.apart,
            )  # fmt: skip
        self.outcome.linked |= set(found.by_hand.values())
        self.linked |= link(self.connection, found.recommended, self.now)
        found.adopt_shares(self.connection, self.outcome.opened, self.hand_closed)

    def _new(self, rows: list[StatementRow]) -> list[StatementRow]:
        column = schema.fills.c.execution_key
        known: set[str] = set()
        keys = [row.key for row in rows]
        for begin in range(0, len(keys), _KEYS_PER_QUERY):
            some = select(column).where(column.in_(keys[begin : begin + _KEYS_PER_QUERY]))
            known.update(self.connection.execute(some).scalars())
        fresh = [row for row in rows if row.key not in known]
        known |= covered(self.connection, self.broker, [(self.account, row) for row in fresh])
        return [row for row in fresh if row.key not in known]

    def _statement(self) -> int:
        """Store where the rows came from, as an import stores its file."""
        digest = hashlib.sha256("\n".join(row.key for row in self.fresh).encode()).hexdigest()
        values = {
            "broker": self.broker, "account": self.account, "digest": digest, "file": "",
            "imported_ts": self.now, "rows_read": len(self.fresh), "rows_new": len(self.fresh),
        }  # fmt: skip
        return inserted_number(self.connection.execute(insert(schema.statements).values(**values)))

    def _touched(self) -> tuple[dict[str, set[int]], set[int]]:
        """Return trades by the kind of their new fills, and those of which something was closed."""
        kinds: dict[str, set[int]] = {"trade": set(), "expiry": set(), "assignment": set(), "exercise": set()}
        closing: set[int] = set()
        keys = {row.key for row in self.fresh}
        fills = schema.fills.c
        for underlying in sorted({row.underlying for row in self.fresh}):
            query = select(fills.execution_key, fills.trade_id, fills.kind, fills.effect, fills.leg).where(
                fills.underlying == underlying,
                fills.source == self.source,
                fills.trade_id.is_not(None),
                fills.ts >= min(row.ts for row in self.fresh),
            )
            for fill in self.connection.execute(query):
                if fill.execution_key.partition("~")[0] in keys:
                    if fill.leg is not None:
                        kinds.setdefault(fill.kind, set()).add(fill.trade_id)
                    if fill.effect == "close":
                        closing.add(fill.trade_id)
        return kinds, closing

    def _closed(self, numbers: set[int]) -> set[int]:
        trades = schema.trades.c
        query: Any = select(trades.id).where(trades.id.in_(sorted(numbers)), trades.status == "closed")
        return set(self.connection.execute(query).scalars()) if numbers else set()
