"""Flex statements: what happened in sessions before this one, and what is no order.

A gateway tells executions of its session only, and never an assignment, an expiry, a dividend or a split. A
Flex query of the account (Client Portal, Performance & Reports, Flex Queries) has all of them, a day later
where it is an activity query. It needs the sections Trades with trade id, execution id and order reference,
Option Exercises, Cash Transactions and Corporate Actions.

The service wants its token in the address. So no address is ever shown, and no error of the transport is let
through, which would show it. Statements grow slowly and the service counts requests: what was fetched holds
for `lasts` seconds, and a statement that cannot be renewed still says what it said.
"""

from __future__ import annotations

import os
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from live.brokers.interactive_brokers.readings import first_id
from live.brokers.told import Activity
from simulator.brokerage import Execution
from simulator.errors import ConfigError, FetchError

if TYPE_CHECKING:
    from journal.statements.rows import StatementRow

__all__ = ["FlexStatements"]

ADDRESS: Final = "https://ndcdyn.interactivebrokers.com/AccountManagement/FlexWebService/"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a statement that are read at most."""

AGAIN_AFTER: Final = 60.0
"""Seconds without another attempt after one that has failed."""

_BUSY: Final = frozenset(
    {"1001", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1018", "1019", "1021"}
)
"""Codes of the service that mean "ask again later"."""

_BOOKED: Final = ("exercise", "assignment", "expiry")


class FlexStatements:
    """One Flex query.

    Parameters
    ----------
    token, query
        Of the Flex web service.
    account
        Rows of other accounts are passed over; "" takes all.
    address
        Folder of the service; None takes IB_FLEXREPORT_URL or the service of the broker.
    timeout
        Seconds for the whole of a download.
    lasts
        Seconds for which a statement holds.
    clock, sleep
        Injected for tests.
    """

    def __init__(
        self,
        token: str,
        query: str,
        *,
        account: str = "",
        address: str | None = None,
        timeout: float = 30.0,
        lasts: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._token, self._query, self._account = token, query, account
        self._address = address or os.environ.get("IB_FLEXREPORT_URL") or ADDRESS
        if not re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", self._address):
            raise ConfigError(
                "the address of Flex statements must begin with https://, since a token goes there",
                code="LIVE_BROKER_CONFIG",
            )
        self._timeout, self._lasts = timeout, lasts
        self._clock, self._sleep = clock, sleep
        self._rows: list[StatementRow] | None = None
        self._fetched = self._again = 0.0
        self._problem: FetchError | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"FlexStatements(query={self._query!r})"

    def rows(self) -> list[StatementRow]:
        """Return the rows of the newest statement.

        Raises
        ------
        FetchError
            LIVE_FLEX where none was ever fetched, and now there is no answer.
        DataError
            JOURNAL_STATEMENT_ROW, JOURNAL_STATEMENT_LAYOUT for what cannot be read.
        """
        with self._lock:
            now = self._clock()
            if self._rows is None or now - self._fetched >= self._lasts:
                if self._problem is not None and now < self._again:
                    raise self._problem
                try:
                    self._rows = self._read(self._fetch())
                except FetchError as error:
                    self._again = now + AGAIN_AFTER
                    if self._rows is None:
                        self._problem = error
                        raise
                # one attempt in a while, also where it has failed
                self._fetched = now
            return self._rows

    def executions(self, order_id_of: Callable[[str], str] = lambda _: "") -> list[Execution]:
        """Return fills, exercises, assignments and expiries, oldest first.

        Parameters
        ----------
        order_id_of
            Gives the permId to an order reference, "" where it is not known.
        """
        found: dict[str, Execution] = {}
        for row in self.rows():
            if row.kind not in ("trade", *_BOOKED) or row.key.startswith("cancel:"):
                continue
            key = row.key if row.kind != "trade" else first_id(row.key)
            ref = str(row.raw.get("orderReference", ""))
            # of a corrected trade the last row is the valid one
            found[key] = Execution(
                execution_id=key,
                order_id=(order_id_of(ref) if ref else "") or row.order_id,
                time=_time(row),
                symbol=row.symbol,
                side=row.side,
                quantity=row.quantity,
                price=row.price,
                multiplier=row.multiplier,
                fees=row.fees,
                kind=cast(Any, row.kind),
                effect=cast(Any, row.effect if row.effect in ("open", "close") else ""),
            )
        return sorted(found.values(), key=lambda one: (one.time, one.execution_id))

    def activities(self, since: datetime | None = None) -> Sequence[Activity]:
        """Return what was no trade at or after `since`, oldest first."""
        found = []
        for row in self.rows():
            if row.kind == "trade" or (since is not None and _time(row) < since):
                continue
            cash = row.effect == "none"
            found.append(
                Activity(
                    activity_id=row.key,
                    kind=cast(Any, row.kind),
                    time=_time(row),
                    symbol=row.symbol,
                    quantity=0.0 if cash else row.side * row.quantity,
                    price=0.0 if cash else row.price,
                    amount=-row.side * row.price if cash else 0.0,
                )
            )
        return sorted(found, key=lambda one: (one.time, one.activity_id))

    def _read(self, text: str) -> list[StatementRow]:
        from journal.statements.ib_flex import parse_ib_flex

        rows = parse_ib_flex(text, f"Flex query {self._query}")
        return [row for account, row in rows if account in ("", self._account) or not self._account]

    def _fetch(self) -> str:
        ends = self._clock() + self._timeout
        pause = 1.0
        reference = ""
        while True:
            step, wanted = ("GetStatement", reference) if reference else ("SendRequest", self._query)
            text = self._get(step, wanted, max(1.0, ends - self._clock()))
            if "<FlexQueryResponse" in text[:1000]:
                return text
            code, words = _tag(text, "ErrorCode"), _tag(text, "ErrorMessage")
            if not reference and (reference := _tag(text, "ReferenceCode")):
                continue
            if code not in _BUSY or self._clock() + pause >= ends:
                raise FetchError(
                    f"Flex query {self._query}: {words or 'an answer that is no statement'} ({code or '-'})",
                    code="LIVE_FLEX",
                )
            self._sleep(pause)
            pause = min(2.0 * pause, 10.0)

    def _get(self, step: str, wanted: str, seconds: float) -> str:
        fields = urllib.parse.urlencode({"t": self._token, "q": wanted, "v": "3"})
        problem = ""
        try:
            request = urllib.request.Request(  # noqa: S310 - the constructor has checked the scheme
                f"{self._address.rstrip('/')}/{step}?{fields}", headers={"User-Agent": "twinstep"}
            )
            with _OPENER.open(request, timeout=seconds) as answer:
                return str(answer.read(LARGEST).decode())
        except (OSError, ValueError) as error:
            problem = type(error).__name__
        # outside of the handler, so that nothing that has the address in it comes along
        raise FetchError(f"Flex query {self._query}: no answer ({problem})", code="LIVE_FLEX")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody: the token would go along."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_Stay)


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{0,500}})</{name}>", text)
    return found[1].strip() if found else ""


def _time(row: StatementRow) -> datetime:
    return datetime.fromtimestamp(row.ts // 1_000_000_000, UTC)
