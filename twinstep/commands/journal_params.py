"""`twinstep journal params`: learned settings, proposed, approved, rejected, rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from twinstep.console import emit, emit_json, table
from twinstep.journals import JournalPath, place, reading, writing
from twinstep.options import Json

if TYPE_CHECKING:
    from journal.parameters import ParameterSet

__all__ = ["app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep learn --propose\n"
    "  twinstep journal params history\n"
    "  twinstep journal params approve 1 --by Ada"
)

app = typer.Typer(
    no_args_is_help=True,
    help="Learned settings: look at them, approve, reject, roll back.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)

Number = Annotated[int, typer.Argument(metavar="SET", help="Number of the set, from `history`.")]
By = Annotated[
    str,
    typer.Option(metavar="NAME", help="Who decides; sets learned from live trades need a person's name."),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)]
Component = Annotated[
    str, typer.Argument(metavar="COMPONENT", help="As options_scanner or signal_generator.")
]


@app.command("history")
def history(
    component: Annotated[
        str | None, typer.Argument(metavar="COMPONENT", help="All by default.", show_default=False)
    ] = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Show every version of every set, oldest first, with who decided."""
    from journal.parameters import ParameterStore

    with reading(place(journal, "live")) as opened:
        found = ParameterStore(opened).history(component)
    if as_json:
        emit_json([one.as_dict() for one in found])
        return
    table(
        ("set", "component", "version", "status", "learned from", "settings", "proposed", "by"),
        [
            (one.id, one.component, one.version, one.status, one.source, _settings(one),
             f"{one.created_time:%Y-%m-%d %H:%M} UTC", one.decided_by)
            for one in found
        ],
        title=f"{len(found)} parameter sets",
    )  # fmt: skip


@app.command("approve")
def approve(
    number: Number,
    by: By = "automatic",
    reason: Reason = "",
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Put a proposed set in force."""
    from journal.parameters import ParameterStore

    with writing(place(journal, "live")) as opened:
        _show(ParameterStore(opened).approve(number, by, reason=reason), as_json=as_json)


@app.command("reject")
def reject(
    number: Number,
    by: By = "automatic",
    reason: Reason = "",
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Turn a proposed set down."""
    from journal.parameters import ParameterStore

    with writing(place(journal, "live")) as opened:
        _show(ParameterStore(opened).reject(number, by, reason=reason), as_json=as_json)


@app.command("roll-back")
def roll_back(
    component: Component,
    by: By = "automatic",
    reason: Reason = "",
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Take the set in force back, and put the one before it in force again."""
    from journal.parameters import ParameterStore

    with writing(place(journal, "live")) as opened:
        found = ParameterStore(opened).roll_back(component, by, reason=reason)
    if found is None and not as_json:
        emit(f"{component}: no set is in force, defaults apply")
    else:
        _show(found, as_json=as_json)


def _show(found: ParameterSet | None, *, as_json: bool) -> None:
    if as_json:
        emit_json(None if found is None else found.as_dict())
    else:
        emit(str(found))


def _settings(one: ParameterSet) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(one.settings.items())) or "defaults"
