"""`twinstep counterfactuals`: what rules and people kept out of the account, and what that was worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import JournalError
from twinstep.console import emit, emit_json, note, working
from twinstep.journals import JournalPath, JournalSource, Place, place, reading, writing
from twinstep.options import ConfigFile, End, Json, Source, Start, Symbols, settings_from

if TYPE_CHECKING:
    from journal.counterfactuals import CounterfactualLedger, Found
    from journal.trade_journal import TradeJournal
    from simulator.bars import Bars

__all__ = ["EXAMPLES", "counterfactuals"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep counterfactuals paper\n"
    "  twinstep counterfactuals paper --journal desk.db --json\n"
    "  twinstep counterfactuals --data yfinance:AAPL,MSFT --source live\n"
    "  twinstep counterfactuals"
)


def counterfactuals(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="Bring the ledger up to date with this session first, and show its cases only.",
            show_default=False,
        ),
    ] = None,
    data: Source = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    config: ConfigFile = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Show what every rule and every human decision saved or cost, in R, with an interval.

    Signals that were vetoed, rejected or ignored are run alone to their end. Without SESSION and --data, what
    is stored is shown as it is. With --data, what people decided against runs on those bars.
    """
    chosen = place(journal, source or "paper")
    market = None
    if data is not None:
        from twinstep.wiring import read_bars

        settings = settings_from(config, None, source=data, symbols=symbols, start=start, end=end)
        market = read_bars(settings)
    found = None
    if session is None and market is None:
        with reading(chosen) as opened:
            document, text = _shown(_ledger(opened, chosen, None), None)
    else:
        found, document, text = _updated(chosen, session, market)
    if found is not None:
        for line in found.notes:
            note(f"left out: {line}")
    if as_json:
        stored = None if found is None or found.stored is None else found.stored
        counts = None if stored is None else {name: getattr(stored, name) for name in stored.__slots__}
        emit_json({"journal": chosen.where, "session": session, **document, "stored": counts})
        return
    emit(text)


def _updated(chosen: Place, session: str | None, market: Bars | None) -> tuple[Found, dict[str, Any], str]:
    """Bring the ledger up to date; where another process writes to the journal, or nobody may, only look."""
    try:
        with writing(chosen) as opened:
            ledger = _ledger(opened, chosen, session)
            return _look(ledger, session, market, store=True)
    except JournalError as error:
        if error.code not in ("JOURNAL_LOCKED", "JOURNAL_READ_ONLY"):
            raise
        locked = error.code == "JOURNAL_LOCKED"
    why = "another process writes to the journal" if locked else "the journal cannot be written to"
    note(f"{why}: what follows is not stored")
    with reading(chosen) as opened:
        ledger = _ledger(opened, chosen, session)
        return _look(ledger, session, market, store=False)


def _look(
    ledger: CounterfactualLedger, session: str | None, market: Bars | None, *, store: bool
) -> tuple[Found, dict[str, Any], str]:
    from live.counterfactuals import SessionLedger

    with working("running what was refused"):
        if session is not None and isinstance(ledger, SessionLedger):
            found = ledger.update(session, market, store=store)
        else:
            assert market is not None  # noqa: S101 - else nothing is brought up to date
            found = ledger.update_decisions(market, store=store)
        document, text = _shown(ledger, session)
    return found, document, text


def _ledger(journal: TradeJournal, chosen: Place, session: str | None) -> CounterfactualLedger:
    if session is not None:
        from live.counterfactuals import SessionLedger

        return SessionLedger(journal, source=chosen.one_source)
    from journal.counterfactuals import CounterfactualLedger

    return CounterfactualLedger(journal, source=chosen.one_source)


def _shown(ledger: CounterfactualLedger, session: str | None) -> tuple[dict[str, Any], str]:
    return ledger.plain(session=session), ledger.report(session=session)
