"""What a sync found: changes to the journal, and differences that somebody must look at.

A difference is a question, not a trade: the journal and the broker do not hold the same, and no execution
says why. Nothing is booked for it. Its id follows from what differs, so that it is the same as long as the
difference is, and it is gone once an execution, a statement or an entry by hand explains it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = ["Difference", "SyncReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One contract or stock that the journal and the broker do not hold alike.

    Attributes
    ----------
    id
        Twelve hexadecimal digits; the same as long as the difference is.
    symbol
        Canonical.
    journal, broker
        Quantity held, signed; contracts or shares.
    since
        Last thing the journal knows to have happened in it, so the difference is younger; None if nothing.
    cause
        What is likely.
    remedy
        What to do.
    trades
        Open trades of the journal in it.
    """

    id: str
    symbol: str
    journal: float
    broker: float
    since: datetime | None
    cause: str
    remedy: str
    trades: tuple[int, ...] = ()

    def __str__(self) -> str:
        since = "" if self.since is None else f", since {self.since:%Y-%m-%d %H:%M} UTC at the earliest"
        return (
            f"[{self.id}] {self.symbol}: journal {self.journal:+g}, broker {self.broker:+g}{since}. "
            f"{self.cause} {self.remedy}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did, and what it leaves to be looked at.

    Attributes
    ----------
    status
        "ok": journal and broker hold the same. "differences": they do not. "unknown": the broker did not
        answer, and nothing was changed or concluded.
    broker, account, source
        What was compared.
    executions
        Executions that were new.
    entries
        Trades that were logged.
    linked
        Trades that execute a recommendation or had been logged by hand before; not in `entries` where by
        hand.
    external
        Those of the entries that nothing here had recommended.
    exits
        Trades that were closed.
    partial_closes
        Trades of which a part was closed.
    expiries, assignments
        Trades with a leg that expired, or was assigned or exercised.
    unmatched
        Executions that belong to no trade, in words.
    differences
        To be reviewed.
    message
        One sentence, with the broker's error if there was one.
    """

    status: Literal["ok", "unknown", "differences"]
    broker: str
    account: str
    source: str
    executions: int = 0
    entries: tuple[int, ...] = ()
    linked: tuple[int, ...] = ()
    external: tuple[int, ...] = ()
    exits: tuple[int, ...] = ()
    partial_closes: tuple[int, ...] = ()
    expiries: tuple[int, ...] = ()
    assignments: tuple[int, ...] = ()
    unmatched: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values that JSON can hold; times are ISO text."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def __str__(self) -> str:
        lines = [f"{self.broker} {self.account}: {self.message}"]
        lines += [f"  {one}" for one in self.differences]
        lines += [f"  {one}" for one in self.unmatched]
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
