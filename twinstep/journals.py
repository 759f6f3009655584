"""What the commands on a journal share: which one it is, whose trades, and who writes to it.

The journal is the one that `--journal` names, else `[journal] path` of the configuration, else
`trade_journal.db`; a file name or the address of a PostgreSQL database. Only `log`, `import`, `scan` and
`backtest` begin one: the others refuse a name that nothing is stored under, since it is usually misspelt.

One process writes to a journal. Where another has it open for writing, the live loop for instance, a command
goes into the journal's inbox, and that process does it; what still waits there is done before anything new.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, JournalError
from twinstep.console import emit, emit_json, note
from twinstep.options import OUTPUT

if TYPE_CHECKING:
    from journal.trade_journal import TradeJournal
    from simulator.results import Result

__all__ = [
    "AccountName",
    "Fees",
    "JournalPath",
    "JournalSource",
    "Notes",
    "Place",
    "StoreIn",
    "SymbolName",
    "TradeArgument",
    "When",
    "aware",
    "check_journal",
    "chosen_source",
    "closed_elsewhere",
    "day",
    "legs_of",
    "place",
    "reading",
    "record",
    "store_result",
    "stored_words",
    "writing",
]

WHERE: Final = "Journal"
ALL: Final = "all"

JournalPath = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PATH|URL",
        help="The journal; without it, what the configuration says, else trade_journal.db.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
JournalSource = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="live|paper|backtest",
        help="Whose trades; without it, what the configuration says, else live; learn and report take others "
        "where it has no closed one. "
        "Where trades are only read, all mixes them.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
TradeArgument = Annotated[
    str, typer.Argument(metavar="TRADE", help="Number or name of the trade, as 1 or TRADE_001.")
]
When = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="When it happened, with its zone, as 2026-01-05T15:30+00:00; now by default.",
        show_default=False,
    ),
]
Fees = Annotated[float, typer.Option(metavar="AMOUNT", help="What was paid for the fill.")]
Notes = Annotated[str, typer.Option(metavar="TEXT", help="Anything worth keeping.", show_default=False)]
SymbolName = Annotated[
    str | None, typer.Option(metavar="SYMBOL", help="Only this symbol.", show_default=False)
]
AccountName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Account at the broker.", show_default=False)
]

StoreIn = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PATH|URL",
        help="Store the run with its trades in this journal, as backtest; the same run twice adds nothing.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Place:
    """A journal and a source of trades; `source` may be "all" where trades are only read."""

    where: str
    source: str

    @property
    def one_source(self) -> str:
        """The source, for what belongs to one of them."""
        if self.source == ALL:
            raise ConfigError(
                "--source all only mixes trades that are looked at; name live, paper or backtest",
                code="CLI_SOURCE",
            )
        return self.source

    @property
    def is_there(self) -> bool:
        """Whether a file is there; of a server this cannot be said without asking it."""
        return "://" in self.where or Path(self.where).expanduser().exists()


def place(journal: str | None, source: str | None) -> Place:
    """Return what the flags say, else the configuration file of this folder, else the defaults."""
    from twinstep.config import load_settings
    from twinstep.schema import TRADE_SOURCES

    if source is not None and source not in (*TRADE_SOURCES, ALL):
        known = (*TRADE_SOURCES, ALL)
        raise ConfigError(
            f"--source is {source!r}; it may be {', '.join(known)}",
            code="CLI_SOURCE",
        )
    if journal is None or source is None:
        settings = load_settings().journal
        journal, source = journal or settings.path, source or settings.source
    return Place(journal, source)


@contextmanager
def reading(chosen: Place) -> Iterator[TradeJournal]:
    """Open the journal for reading, beside whoever writes to it."""
    from journal.trade_journal import TradeJournal

    source = "live" if chosen.source == ALL else chosen.source
    with TradeJournal(chosen.where, source=source, read_only=True) as journal:
        yield journal


@contextmanager
def writing(chosen: Place, *, begin: bool = False) -> Iterator[TradeJournal]:
    """Open the journal for writing, and first do what waits in its inbox."""
    from journal.trade_journal import TradeJournal

    if not begin and not chosen.is_there:
        with reading(chosen):  # says what is missing
            pass
    with TradeJournal(chosen.where, source=chosen.one_source) as journal:
        try:
            outcomes = journal.drain()
        except JournalError as error:
            if error.code != "JOURNAL_LOCKED":
                raise
            outcomes = []  # whoever holds it takes them
        done = sum(outcome.state == "applied" for outcome in outcomes)
        if outcomes:
            note(f"inbox: {done} waiting commands done, {len(outcomes) - done} rejected")
        for outcome in outcomes:
            if outcome.state == "rejected":
                note(f"rejected {outcome.id}: {outcome.reason}")
        yield journal


def check_journal(where: str | None) -> None:
    """Refuse a journal that cannot be opened before a run is made for it; begins one where none is."""
    if where is not None:
        from journal.database import Database

        Database(where).close()


def chosen_source(journal: TradeJournal, chosen: Place, given: str | None) -> str:
    """Return whose trades are looked at: as named, else the default, else the only others that are there.

    Where nobody named a source and the default one has no closed trade, the first of live, paper and backtest
    that has one takes its place, and a line says so: a journal of paper trades is not empty.
    """
    if given is not None:
        return chosen.source
    elsewhere = {} if chosen.source == ALL else closed_elsewhere(journal, chosen.source)
    for name in ("live", "paper", "backtest"):
        if name in elsewhere:
            others = "".join(f"; {count:,} {one}" for one, count in elsewhere.items() if one != name)
            note(
                f"no {chosen.source} trade is closed: these are the {elsewhere[name]:,} closed {name} trades "
                f"(--source {name}{others})"
            )
            return name
    return chosen.source


def closed_elsewhere(journal: TradeJournal, source: str) -> dict[str, int]:
    """Return how many closed trades the other sources have, where this one has none; else nothing."""
    from sqlalchemy import func, select

    from journal.schema import trades

    closed = select(trades.c.source, func.count()).where(trades.c.status == "closed")
    with journal.database.read() as connection:
        rows = connection.execute(closed.group_by(trades.c.source).order_by(trades.c.source)).all()
    found = {str(name): int(count) for name, count in rows}
    return {} if source in found else found


def store_result(result: Result, where: str) -> dict[str, Any]:
    """Store a run in a journal as a backtest, and return what was stored."""
    with writing(Place(where, "backtest"), begin=True) as journal:
        return {"path": journal.database.name, **asdict(result.to_journal(journal, source="backtest"))}


def stored_words(stored: Mapping[str, Any]) -> str:
    """Return what `store_result` did in words."""
    if not stored["new"]:
        return f"run {stored['run_id']} of {stored['path']} is this very run; nothing is added"
    return f"stored run {stored['run_id']} with {stored['trades']} trades in {stored['path']}"


def record(
    journal: TradeJournal,
    name: str,
    arguments: Mapping[str, Any],
    *,
    as_json: bool,
    answer: Callable[[Any], tuple[str, Mapping[str, Any]]],
    shown: bool = True,
) -> None:
    """Call a logging method and show what it returned, or leave the call in the inbox and say so.

    Parameters
    ----------
    answer
        Makes of what the method returned a text and a document.
    shown
        False where several calls make one command, and the last of them shows what came of it.
    """
    try:
        text, document = answer(journal.apply(name, arguments))
    except JournalError as error:
        if error.code != "JOURNAL_LOCKED":
            raise
        identity = leave(journal, name, arguments)
        text = f"another process writes to {journal.database.name}: left the command in its inbox"
        document = {"queued": identity, "command": name, "reason": str(error.args[0])}
    if not shown:
        return
    if as_json:
        emit_json({"journal": journal.database.name, **document})
    else:
        emit(text)


def leave(journal: TradeJournal, name: str, arguments: Mapping[str, Any]) -> str:
    """Leave a call in the inbox; it happened now, and not when it is taken."""
    known = {"when": datetime.now(UTC)} if name in _TIMED else {}
    return journal.queue(name, **{**arguments, **known, **_given(arguments, "when")})


_TIMED: Final = (
    "log_trade_entry", "log_trade_add", "log_trade_exit", "log_leg_exit", "log_roll", "log_assignment",
    "log_expiry", "log_cash", "move_stop",
)  # fmt: skip


def _given(arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: arguments[name]} if arguments.get(name) is not None else {}


def aware(name: str, text: str | None) -> datetime | None:
    """Read a time with its zone.

    Raises
    ------
    ConfigError
        CLI_TIME for what is no time, or one without a zone.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            f"{name} is {text!r}; a time is written with its zone, as 2026-01-05T15:30+00:00 or "
            "2026-01-05T15:30Z",
            code="CLI_TIME",
        )
    return moment


def day(name: str, text: str | None, *, end: bool = False) -> datetime | None:
    """Read a date (the begin of that day in UTC, or its end), or a time with its zone."""
    if text is None:
        return None
    if "T" in text or ":" in text:
        return aware(name, text)
    try:
        read = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}; a date is written 2026-01-05", code="CLI_TIME") from None
    return datetime.combine(read, time.max if end else time.min, tzinfo=UTC)


_LEG: Final = re.compile(
    r"(?P<side>[+-])(?:(?P<ratio>\d+)x)?(?:(?P<shares>shares)|(?P<strike>\d+(?:\.\d+)?)(?P<kind>[CP]))"
    r"(?:@(?P<expiry>\d{4}-\d{2}-\d{2}))?",
    re.IGNORECASE,
)


def legs_of(text: str | None, expiry: str | None) -> list[dict[str, Any]]:
    """Read legs as the scanner prints them.

    >>> legs_of("-95P +2x90P@2026-03-20", "2026-02-20")[1]
    {'side': 1, 'kind': 'put', 'strike': 90.0, 'ratio': 2, 'expiry': '2026-03-20'}

    Raises
    ------
    ConfigError
        CLI_LEGS for what is no leg, or has no expiry.
    """
    legs = []
    for word in (text or "").replace(",", " ").split():
        found = _LEG.fullmatch(word)
        if found is None:
            raise ConfigError(
                f"{word!r} is no leg; legs are written -95P +90P: sold or bought, count if not 1 (+2x90P), "
                "strike, P or C, and an expiry of their own behind @",
                code="CLI_LEGS",
            )
        given = found["expiry"] or expiry
        if given is None:
            raise ConfigError(f"leg {word} has no expiry; give --expiry 2026-02-20", code="CLI_LEGS")
        kinds = {"P": "put", "C": "call", "": "shares"}
        legs.append(
            {
                "side": 1 if found["side"] == "+" else -1,
                "kind": kinds[(found["kind"] or "").upper()],
                "strike": float(found["strike"] or 0.0),
                "ratio": int(found["ratio"] or 1),
                "expiry": given,
            }
        )
    return legs
