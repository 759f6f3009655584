"""`twinstep parameters`: learned settings, looked at, compared, approved, rejected, rolled back.

`learn --propose` and `optimize journal` propose sets; here a person decides about them. The same commands are
reached by their former name, `twinstep journal params`, where `history` is `show`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, JournalError, UnknownNameError, did_you_mean
from twinstep.console import emit, emit_json, table
from twinstep.journals import JournalPath, leave, place, reading, writing
from twinstep.options import Json

if TYPE_CHECKING:
    from journal.parameters import ParameterSet, ParameterStore

__all__ = ["app"]

IN_FORCE: Final = "in-force"
DEFAULTS: Final = "defaults"

SHOW_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep parameters show\n"
    "  twinstep parameters show options_scanner\n"
    "  twinstep parameters show 3"
)
DIFF_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep parameters diff 3\n"
    "  twinstep parameters diff 3 1\n"
    "  twinstep parameters diff 3 defaults"
)
APPROVE_EXAMPLES: Final = (
    'Examples:\n\n\b\n  twinstep parameters approve 3 --by Ada --reason "more premium at high ranks"'
)
REJECT_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep parameters reject 3 --by Ada"
ROLL_BACK_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep parameters roll-back options_scanner --by Ada"

app = typer.Typer(
    no_args_is_help=True,
    help="Learned settings: look at them, compare, approve, reject, roll back.",
    rich_markup_mode="rich",
)

Number = Annotated[int, typer.Argument(metavar="SET", help="Number of the set, from `show`.")]
By = Annotated[
    str,
    typer.Option(metavar="NAME", help="Who decides; sets learned from live trades need a person's name."),
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why.", show_default=False)]
Component = Annotated[
    str, typer.Argument(metavar="COMPONENT", help="As options_scanner or signal_generator.")
]
Shown = Annotated[
    str | None,
    typer.Argument(
        metavar="COMPONENT|SET",
        help="Only the sets of this component, or one set with its evidence and decisions; all by default.",
        show_default=False,
    ),
]


@app.command("show", epilog=SHOW_EXAMPLES)
def show(what: Shown = None, journal: JournalPath = None, as_json: Json = False) -> None:
    """Show every version of every set, oldest first, with who decided; or one set in full."""
    from journal.parameters import ParameterStore

    one = what is not None and what.isdigit()
    with reading(place(journal, "live")) as opened:
        store = ParameterStore(opened)
        if what is not None and not one:
            _check_component(store, what)
        found = [_numbered(store, int(str(what)))] if one else store.history(what)
    if as_json:
        emit_json(found[0].as_dict() if one else [each.as_dict() for each in found])
    elif one:
        _show_one(found[0])
    else:
        _show_all(found)


app.command("history", hidden=True)(show)


@app.command("diff", epilog=DIFF_EXAMPLES)
def diff(
    number: Number,
    against: Annotated[
        str,
        typer.Argument(
            metavar="SET|in-force|defaults",
            help="What to compare with; in-force: where the set itself is, what it took the place of.",
        ),
    ] = IN_FORCE,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Show what a set changes."""
    from journal.parameters import ParameterStore

    with reading(place(journal, "live")) as opened:
        store = ParameterStore(opened)
        new = _numbered(store, number)
        old = _compared(store, new, against)
    before = {} if old is None else old.settings
    defaults = _defaults(new.component, {*before, *new.settings})
    changes = [
        {
            "setting": name,
            "from": before.get(name, defaults[name]),
            "to": new.settings.get(name, defaults[name]),
        }
        for name in sorted({*before, *new.settings})
    ]
    changes = [one for one in changes if _plain(one["from"]) != _plain(one["to"])]
    old_name = f"defaults of {new.component}" if old is None else _title(old)
    if as_json:
        emit_json({"from": None if old is None else old.id, "to": new.id, "changes": changes})
    elif not changes:
        emit(f"{_title(new)} changes nothing: it is the same as {old_name}")
    else:
        emit(f"from {old_name}")
        emit(f"to   {_title(new)}")
        table(
            ("setting", "from", "to"),
            [(one["setting"], _word(one["from"]), _word(one["to"])) for one in changes],
        )


@app.command("approve", epilog=APPROVE_EXAMPLES)
def approve(
    number: Number,
    by: By = "automatic",
    reason: Reason = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Put a proposed set in force."""
    _decided("approve_parameters", journal, as_json=as_json, set_id=number, by=by, reason=reason or "")


@app.command("reject", epilog=REJECT_EXAMPLES)
def reject(
    number: Number,
    by: By = "automatic",
    reason: Reason = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Turn a proposed set down."""
    _decided("reject_parameters", journal, as_json=as_json, set_id=number, by=by, reason=reason or "")


@app.command("roll-back", epilog=ROLL_BACK_EXAMPLES)
def roll_back(
    component: Component,
    by: By = "automatic",
    reason: Reason = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Take the set in force back, and put the one before it in force again."""
    from journal.parameters import ParameterStore

    with reading(place(journal, "live")) as opened:
        store = ParameterStore(opened)
        _check_component(store, component)
        current = store.in_force(component)
    # the set that is meant is named: by the time a command is taken, another one may be in force
    _decided(
        "roll_back_parameters", journal, as_json=as_json, component=component, by=by, reason=reason or "",
        set_id=None if current is None else current.id,
    )  # fmt: skip


def _decided(name: str, journal: str | None, *, as_json: bool, **arguments: Any) -> None:
    """Decide, or leave the decision for the process that writes, which checks it again."""
    with writing(place(journal, "live")) as opened:
        try:
            found = opened.apply(name, arguments)
        except JournalError as error:
            if error.code != "JOURNAL_LOCKED":
                raise
            identity = leave(opened, name, arguments)
            if as_json:
                emit_json({"queued": identity, "command": name, "reason": str(error.args[0])})
            else:
                emit(f"another process writes to {opened.database.name}: left the command in its inbox")
            return
    if as_json:
        emit_json(None if found is None else found.as_dict())
    elif found is None:
        emit(f"{arguments['component']}: no set is in force, defaults apply")
    else:
        emit(str(found))


def _show_all(found: list[ParameterSet]) -> None:
    if not found:
        emit("0 parameter sets: nothing was proposed yet, the defaults apply")
        return
    table(
        ("set", "component", "version", "status", "learned from", "settings", "proposed", "by"),
        [
            (one.id, one.component, one.version, one.status, one.source, _settings(one),
             f"{one.created_time:%Y-%m-%d %H:%M} UTC", one.decided_by)
            for one in found
        ],
        title="1 parameter set" if len(found) == 1 else f"{len(found)} parameter sets",
    )  # fmt: skip


def _show_one(found: ParameterSet) -> None:
    from journal.values import from_nanoseconds

    emit(f"set {found.id}: {_title(found)}, {found.status}, learned from {found.source} trades")
    # a decision has its own reason, and takes the place of that of the proposal
    why = "" if found.decisions else _because(found.reason)
    emit(f"proposed {found.created_time:%Y-%m-%d %H:%M} UTC{why}")
    for decision in found.decisions:
        when = from_nanoseconds(int(decision["ts"]))
        emit(
            f"{decision['action']} {when:%Y-%m-%d %H:%M} UTC by {decision['by']}"
            f"{_because(decision['reason'])}"
        )
    defaults = _defaults(found.component, set(found.settings))
    table(
        ("setting", "value", "default"),
        [(name, _word(value), _word(defaults[name])) for name, value in sorted(found.settings.items())],
    )
    evidence = list(_flat(found.evidence))
    if evidence:
        table(("evidence", "value"), evidence)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _check_component(store: ParameterStore, name: str) -> None:
    from journal.learning.rules import DEFAULTS as LEARNED

    known = sorted({*LEARNED, "options_scanner", "premium", *(one.component for one in store.history())})
    if name not in known:
        hint = did_you_mean(name, known) or f" There are {', '.join(known)}."
        raise UnknownNameError(f"no component {name!r} has parameter sets.{hint}", code="NAME_COMPONENT")


def _numbered(store: ParameterStore, number: int) -> ParameterSet:
    found = next((one for one in store.history() if one.id == number), None)
    if found is None:
        raise UnknownNameError(f"the journal has no parameter set {number}", code="NAME_PARAMETER_SET")
    return found


def _compared(store: ParameterStore, new: ParameterSet, against: str) -> ParameterSet | None:
    """Return the set to compare with, None for the defaults of the component."""
    if against == DEFAULTS:
        return None
    if against == IN_FORCE:
        if new.status != "in_force":
            return store.in_force(new.component)
        return None if new.parent_id is None else _numbered(store, new.parent_id)
    if not against.isdigit():
        raise ConfigError(
            f"a set is compared with {against!r}; give the number of another, in-force or defaults",
            code="CLI_COMPARE",
        )
    old = _numbered(store, int(against))
    if old.component != new.component:
        raise ConfigError(
            f"set {old.id} is of {old.component} and set {new.id} of {new.component}; they have no settings "
            "in common",
            code="CLI_COMPARE",
        )
    return old


def _defaults(component: str, names: set[str]) -> dict[str, Any]:
    """Return what applies where a set does not say; None where that is not known."""
    from journal.learning.rules import DEFAULTS as LEARNED

    known: dict[str, Any] = dict(LEARNED.get(component, {}))
    if component == "options_scanner":
        import dataclasses

        from strategies.scanner_settings import ScanSettings

        known = {spec.name: spec.default for spec in dataclasses.fields(ScanSettings)} | known
    return {name: known.get(name) for name in names}


def _title(one: ParameterSet) -> str:
    return f"{one.component} version {one.version}"


def _settings(one: ParameterSet) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(one.settings.items())) or "defaults"


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one) for one in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _flat(evidence: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Evidence in lines: a value under its path, a list of many by its length."""
    for name, value in evidence.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list) and (
            len(value) > _MOST or any(isinstance(v, (dict, list)) for v in value)
        ):
            yield path, f"{len(value)} entries, in full with --json"
        else:
            yield path, _word(value)


_MOST: Final = 8
"""Values of a list that a line still shows."""
