"""`twinstep learn`: what the journal teaches."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, emit_json
from twinstep.journals import (
    JournalPath,
    JournalSource,
    Place,
    chosen_source,
    day,
    place,
    reading,
    writing,
)
from twinstep.options import Json

__all__ = ["LEARN_EXAMPLES", "Run", "learn"]

LEARN_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep learn\n  twinstep learn --source backtest --json\n  twinstep learn --propose"
)
Run = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="Which stored backtest, with --source backtest; the last by default.",
        show_default=False,
    ),
]


def learn(
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only trades closed until then.", show_default=False),
    ] = None,
    run: Run = None,
    propose: Annotated[
        bool,
        typer.Option("--propose", help="Store significant advice as parameter sets that await approval."),
    ] = False,
    all_advice: Annotated[
        bool, typer.Option("--all", help="With --propose: also what is not significant.")
    ] = False,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Say what works, by the closed trades of the journal, and what to change."""
    from journal.learning_system import TradeLearningSystem

    chosen = place(journal, source)
    if all_advice and not propose:
        raise ConfigError("--all belongs to --propose", code="CLI_EXCLUSIVE")
    with reading(chosen) as opened:
        chosen = Place(chosen.where, chosen_source(opened, chosen, source))
        learner = TradeLearningSystem(opened, source=chosen.source, run=run)
        found = learner.analysis(as_of=day("--as-of", as_of, end=True))
    proposed = _propose(chosen, run, significant_only=not all_advice) if propose else []
    if as_json:
        emit_json(found.as_dict() | {"proposed": proposed})
        return
    emit(found.text())
    if propose:
        emit(
            "\n".join(f"proposed set {one['id']}: {one['component']} {one['settings']}" for one in proposed)
            or "nothing is proposed: no advice is significant"
        )


def _propose(chosen: Place, run: int | None, *, significant_only: bool) -> list[dict[str, object]]:
    from journal.learning_system import TradeLearningSystem

    with writing(chosen) as opened:
        learner = TradeLearningSystem(opened, run=run)
        return [one.as_dict() for one in learner.propose(significant_only=significant_only)]
