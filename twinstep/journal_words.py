"""Options that say what was traded and at what price, and the words that answer an entry or an exit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from journal.records import Trade, TradeOutcome
    from journal.trade_journal import TradeJournal

__all__ = [
    "PLAN",
    "Credit",
    "Debit",
    "Expiry",
    "IvRank",
    "Legs",
    "Price",
    "credit_of",
    "entered",
    "outcome",
    "outcome_and",
]

PLAN: Final = "Plan and market"
PRICE: Final = "Price"

Credit = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE",
        help="Received, per unit of the underlying.",
        rich_help_panel=PRICE,
        show_default=False,
    ),
]
Debit = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE", help="Paid, per unit of the underlying.", rich_help_panel=PRICE, show_default=False
    ),
]
Price = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE", help="Of one share, or of a package.", rich_help_panel=PRICE, show_default=False
    ),
]
Expiry = Annotated[
    str | None, typer.Option(metavar="DATE", help="Expiry of the legs, as 2026-02-20.", show_default=False)
]
Legs = Annotated[
    str | None,
    typer.Option(
        metavar="LEGS",
        help='As "-95P +90P": sold or bought, strike, P or C; +2x90P is two, @2026-03-20 its own expiry.',
        show_default=False,
    ),
]
IvRank = Annotated[
    float | None,
    typer.Option(metavar="0-100", help="IV rank at entry.", rich_help_panel=PLAN, show_default=False),
]


def credit_of(credit: float | None, debit: float | None, price: float | None) -> float | None:
    """Return what was received per unit, negative where it was paid."""
    given = [f"--{name}" for name, value in (("credit", credit), ("debit", debit), ("price", price))
             if value is not None]  # fmt: skip
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} exclude each other; keep one", code="CLI_EXCLUSIVE")
    if debit is not None and debit < 0:
        raise ConfigError(f"--debit is {debit:g}; what was received is a --credit", code="CLI_EXCLUSIVE")
    return credit if debit is None else -debit


def entered(trade: Trade) -> tuple[str, dict[str, Any]]:
    """Return text and document of a trade."""
    from twinstep.journal_tables import document

    return str(trade), {"trade": document(trade)}


def outcome(done: TradeOutcome) -> tuple[str, dict[str, Any]]:
    """Return text and document of what an exit came to."""
    from twinstep.journal_tables import document

    return str(done), {"outcome": document(done)}


def outcome_and(
    done: tuple[TradeOutcome, int | None], words: str, journal: TradeJournal
) -> tuple[str, dict[str, Any]]:
    """Return text and document of an exit, and of the trade that it opened."""
    (text, found), number = outcome(done[0]), done[1]
    if number is None:
        return text, found | {"opened": None}
    return f"{text}\n{words} {journal.trade(number)}", found | {"opened": number}
