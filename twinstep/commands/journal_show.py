"""Looking trades up, and writing about them: `show`, `search`, `tag`, `note`, `lesson`, `mistake`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, emit_json
from twinstep.journals import (
    JournalPath,
    JournalSource,
    Place,
    SymbolName,
    TradeArgument,
    day,
    place,
    reading,
    record,
    writing,
)
from twinstep.options import Json

if TYPE_CHECKING:
    from journal.records import Trade

__all__ = ["lesson", "mistake", "note", "search", "show", "tag"]

SHOW_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep journal show\n"
    "  twinstep journal show 1\n"
    "  twinstep journal show --status closed --symbol SPY --since 2026-01-01\n"
    "  twinstep journal show --recommendations all --limit 10"
)
SEARCH_EXAMPLES: Final = 'Examples:\n\n\b\n  twinstep journal search "better price"'
TAG_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep journal tag 1 earnings hedge\n  twinstep journal tag 1 hedge --remove"
)
LESSON_EXAMPLES: Final = 'Examples:\n\n\b\n  twinstep journal lesson 1 "Take the half when it is there"'
NOTE_EXAMPLES: Final = 'Examples:\n\n\b\n  twinstep journal note 1 "Sold into the gap; volume was thin"'
MISTAKE_EXAMPLES: Final = (
    'Examples:\n\n\b\n  twinstep journal mistake 1 premature_exit "Nervous before the meeting"\n'
    "  twinstep journal mistake 1 premature_exit --remove"
)

Limit = Annotated[int, typer.Option(metavar="N", min=1, help="At most so many, the latest.")]


def show(
    trade: Annotated[
        str | None,
        typer.Argument(metavar="TRADE", help="One trade, with all that is known of it.", show_default=False),
    ] = None,
    status: Annotated[str, typer.Option(metavar="open|closed|all", help="Which trades.")] = "open",
    recommendations: Annotated[
        str | None,
        typer.Option(
            metavar="STATE|REC",
            help="Recommendations instead: recommended, executed, ignored, expired, all, or a number.",
            show_default=False,
        ),
    ] = None,
    symbol: SymbolName = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this strategy.", show_default=False)
    ] = None,
    tag: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only with this tag.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Closed, or opened, since.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Closed, or opened, until.", show_default=False)
    ] = None,
    limit: Limit = 50,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Show open trades, closed ones, one of them, or recommendations."""
    chosen = place(journal, source)
    if trade is not None and recommendations is not None:
        raise ConfigError("TRADE and --recommendations exclude each other", code="CLI_EXCLUSIVE")
    if recommendations is not None:
        _show_recommendations(chosen, recommendations, symbol, limit, as_json=as_json)
        return
    if trade is not None:
        _show_trade(chosen, trade, as_json=as_json)
        return
    with reading(chosen) as opened:
        found = opened.trades(
            None if status == "all" else status, source=chosen.source, symbol=symbol, strategy=strategy,
            tag=tag, since=day("--since", since), until=day("--until", until, end=True), limit=limit,
        )  # fmt: skip
        _show_trades(found, "" if status == "all" else f"{status} ", chosen, as_json=as_json)


def search(
    words: Annotated[
        str, typer.Argument(metavar="TEXT", help="In names, symbols, strategies, notes, reasons and tags.")
    ],
    limit: Limit = 50,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Find trades by a text, in any case."""
    chosen = place(journal, source)
    with reading(chosen) as opened:
        found = opened.search(words, source=chosen.source, limit=limit)
        _show_trades(found, "", chosen, as_json=as_json)


def tag(
    trade: TradeArgument,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Words to find the trade by.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take them away.")] = False,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Give a trade tags, or take them away."""
    name = "remove_tag" if remove else "add_tag"
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        for word in words:
            record(
                opened, name, {"trade_id": trade, "tag": word}, as_json=as_json,
                shown=word == words[-1],
                answer=lambda _: (
                    f"trade {trade} has the tags: {', '.join(opened.tags(trade)) or 'none'}",
                    {"trade": trade, "tags": opened.tags(trade)},
                ),
            )  # fmt: skip


def note(
    trade: TradeArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be remembered.")],
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Add a line to a trade's notes: to those at entry while it is open, else to those at exit."""
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(
            opened, "add_note", {"trade_id": trade, "note": text}, as_json=as_json,
            answer=lambda notes: (f"trade {trade}: the note is stored", {"trade": trade, "notes": notes}),
        )  # fmt: skip


def lesson(
    trade: TradeArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it teaches.")],
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Write down what a trade taught."""
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(
            opened, "add_lesson", {"trade_id": trade, "lesson": text}, as_json=as_json,
            answer=lambda number: (
                f"trade {trade}: lesson {number} is stored", {"trade": trade, "lesson": number}
            ),
        )  # fmt: skip


def mistake(
    trade: TradeArgument,
    category: Annotated[
        str | None,
        typer.Argument(metavar="CATEGORY", help="Which; without it, all are listed.", show_default=False),
    ] = None,
    description: Annotated[
        str, typer.Argument(metavar="TEXT", help="What happened.", show_default=False)
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the category off the trade.")] = False,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Write down a mistake that was made in a trade, or take it off."""
    from journal.ledger.lookup import chosen as check_choice
    from journal.performance.mistakes import MistakeCategory

    if category is None:
        names = [one.value for one in MistakeCategory]
        _said("\n".join(names), {"categories": names}, as_json=as_json)
        return
    # what is wrong is said now, also where the command then waits in the inbox
    check_choice("mistake_category", category, [one.value for one in MistakeCategory])
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        named = {"trade_id": trade, "mistake_category": category}
        if remove:
            record(
                opened, "remove_mistake", named, as_json=as_json,
                answer=lambda gone: (f"trade {trade}: {gone} removed", {"trade": trade, "removed": gone}),
            )  # fmt: skip
            return
        record(
            opened, "add_mistake", {**named, "description": description}, as_json=as_json,
            answer=lambda number: (f"trade {trade}: {category}", {"trade": trade, "mistake": number}),
        )  # fmt: skip


def _said(text: str, document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit_json(document)
    else:
        emit(text)


def _show_trades(found: list[Trade], kind: str, chosen: Place, *, as_json: bool) -> None:
    from twinstep.journal_tables import document, trade_table

    if as_json:
        emit_json({"source": chosen.source, "trades": [document(one) for one in found]})
    elif found:
        mixed = ", sources mixed" if chosen.source == "all" else f", {chosen.source}"
        trade_table(found, f"{len(found)} {kind}trade{'s' if len(found) > 1 else ''}{mixed}")
    else:
        emit(f"no {kind}trades from {chosen.source}")


def _show_trade(chosen: Place, trade: str, *, as_json: bool) -> None:
    from journal.performance_tracker import PerformanceTracker
    from twinstep.journal_tables import document, show_trade

    with reading(chosen) as opened:
        found = PerformanceTracker(opened).record(trade)
        fills, campaign = opened.fills(trade), opened.campaign(trade)
    if not as_json:
        show_trade(found, fills, campaign.trades)
        return
    emit_json(
        {
            "trade": document(found.trade),
            "outcome": found.outcome,
            "fills": [document(fill) for fill in fills],
            "insights": found.insights,
            "mistakes": [
                {"category": name, "description": words, "automatic": name in found.automatic}
                for name, words in found.mistakes
            ],
            "lessons": found.lessons,
            "tags": found.tags,
            "campaign": {"trades": [one.id for one in campaign.trades], "pnl": campaign.pnl},
        }
    )


def _show_recommendations(
    chosen: Place, which: str, symbol: str | None, limit: int, *, as_json: bool
) -> None:
    from twinstep.journal_tables import document, recommendation_table, show_recommendation
    from twinstep.quality import qualities

    one = which[:1].isdecimal() or which.lower().startswith("rec_")
    with reading(chosen) as opened:
        if one:
            found = [opened.recommendation(which)]
        else:
            found = opened.recommendations(
                None if which == "all" else which, symbol=symbol, source=chosen.source, limit=limit
            )
        judged, notes = qualities(opened, found)
    if as_json:
        documents = [
            {**document(each), "quality": asdict(judged[each.id]) if each.id in judged else None}
            for each in found
        ]
        emit_json({"source": chosen.source, "recommendations": documents, "quality": notes})
        return
    if one:
        show_recommendation(found[0], judged.get(found[0].id))
    elif found:
        recommendation_table(found, f"{len(found)} recommendations, {chosen.source}", judged)
    else:
        emit(f"no such recommendations from {chosen.source}")
    for note in notes:
        emit(note)
