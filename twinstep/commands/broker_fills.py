"""`twinstep broker slippage` and `promote`: what fills cost, and letting an account trade by itself again.

Neither asks a broker. An account whose fills have become much dearer than they were is demoted, so that a
person approves its orders; only a person promotes it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from simulator.errors import ConfigError, JournalError
from twinstep.broker_options import Folder, Live, SessionName
from twinstep.console import EXIT_FOUND, emit, emit_json, note, table
from twinstep.journals import JournalPath
from twinstep.options import ConfigFile, Json, Set, settings_from

__all__ = ["PROMOTE_EXAMPLES", "SLIPPAGE_EXAMPLES", "promote", "slippage"]

SLIPPAGE_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep broker slippage\n"
    "  twinstep broker slippage --quantile 0.75 --costs ibkr-fixed --out slippage.toml\n"
    "  twinstep broker slippage --quantile mean --save usual.json"
)
PROMOTE_EXAMPLES: Final = (
    'Examples:\n\n\b\n  twinstep broker promote --by ada --reason "the spread is back to what it was"'
)


def slippage(
    quantile: Annotated[
        str, typer.Option(metavar="SHARE|mean", help="0.5 is the usual order; mean is the money lost.")
    ] = "0.5",
    costs: Annotated[
        str, typer.Option(metavar="PRESET", help="Commissions and fees to put it into.")
    ] = "zero",
    min_count: Annotated[int, typer.Option(metavar="N", help="Orders from which a figure is told.")] = 30,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write section [costs] for a configuration.", show_default=False),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the figures, for later fills to be compared with.", show_default=False
        ),
    ] = None,
    session: SessionName = None,
    live: Live = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Show what orders cost against what was expected, and make costs of it. Asks no broker."""
    from journal.database import Database
    from live.intents import IntentLog
    from live.slippage import calibrate, samples
    from live.slippage.calibrating import costs_section
    from twinstep.broker_desk import check_session, desk_account

    settings = settings_from(config, changes)
    share = _share(quantile)
    account = session or desk_account(settings.broker, live=live)
    kept = journal or settings.journal.path
    _check_there(kept)
    check_session(kept, session)
    with Database(kept) as database:
        found = samples(IntentLog(database, account))
    calibration = calibrate(found, min_count=min_count)
    brokers = {one.broker for one in found}
    name = brokers.pop() if len(brokers) == 1 else settings.broker.name
    chosen = calibration.costs(name, base=costs, quantile=share)
    if out is not None:
        out.write_text(costs_section(chosen), encoding="utf-8")
        note(f"wrote {out}")
    if save is not None:
        calibration.save(save)
        note(f"wrote {save}")
    cells = sorted(calibration.cells.values(), key=lambda one: (one.kind, one.hour or -1, one.spread))
    if as_json:
        emit_json(
            {
                "orders": len(found),
                "until": calibration.until,
                "costs": costs_section(chosen),
                "cells": [{name: getattr(one, name) for name in one.__dataclass_fields__} for one in cells],
            }
        )
        return
    emit(
        f"{_counted(len(found), 'order')} with a price that was expected; {_counted(len(cells), 'group')} of "
        f"{min_count} or more"
    )
    if cells:
        rows = [
            [one.asset, one.kind, "" if one.hour is None else f"{one.hour}h", one.spread, str(one.count)]
            + [f"{value:.2f}" for value in (one.quantiles[1], one.quantiles[3], one.quantiles[5])]
            + [one.unit]
            for one in cells
        ]
        table(["asset", "order", "hour", "spread", "n", "10 %", "50 %", "90 %", ""], rows)
    emit(costs_section(chosen))


def promote(
    by: Annotated[str, typer.Option(metavar="NAME", help="Who; a person.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why fills may be trusted again.")],
    session: SessionName = None,
    live: Live = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Let an account that was demoted for its fills trade by itself again. Asks no broker.

    Exit code 3 for an account that is not demoted.
    """
    from live import slippage as fills
    from live.people import check_name
    from twinstep.broker_desk import check_session, configured_folder, desk_account

    settings = settings_from(config, changes)
    kept = journal or settings.journal.path
    check_name(by)
    _check_there(kept)
    check_session(kept, session)
    account = session or desk_account(settings.broker, live=live)
    place = configured_folder(kept, folder)
    if not _is_demoted(kept, account):
        if as_json:
            emit_json({"account": account, "promoted": False, "by": by, "reason": reason})
        else:
            emit(f"{account} is not demoted: nothing was changed")
        raise typer.Exit(EXIT_FOUND)
    fills.promote(place, account, by=by, reason=reason)
    if as_json:
        emit_json({"account": account, "promoted": True, "by": by, "reason": reason})
    else:
        emit(f"{account} is promoted by {by}: {reason}")


def _check_there(journal: str | Path) -> None:
    """Refuse a journal that there is not: looking at one must not begin it."""
    if "://" not in str(journal) and not Path(journal).expanduser().exists():
        raise JournalError(
            f"there is no journal {journal}, so nothing was ordered with it; name another with --journal",
            code="JOURNAL_MISSING",
        )


def _is_demoted(journal: str | Path, account: str) -> bool:
    """Whether the newest word of the record is a demotion; read beside a session that runs, too."""
    from sqlalchemy import select

    from journal.database import Database
    from journal.schema import events

    kinds = ("demoted", "promoted")
    asked = select(events.c.kind).where(events.c.account == account, events.c.kind.in_(kinds))
    with Database(journal, read_only=True) as database, database.read() as connection:
        newest = connection.execute(asked.order_by(events.c.id.desc()).limit(1)).first()
    return newest is not None and newest[0] == "demoted"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _share(text: str) -> float | Literal["mean"]:
    if text == "mean":
        return "mean"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--quantile is a share such as 0.5, or mean; given: {text!r}", code="CLI_USAGE"
        ) from None
