"""What becomes of a trade: `twinstep journal add`, `close`, `roll`, `assign`, `expire`, `stop`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.journal_words import (
    Credit,
    Debit,
    Expiry,
    IvRank,
    Legs,
    Price,
    credit_of,
    entered,
    outcome,
    outcome_and,
)
from twinstep.journals import (
    Fees,
    JournalPath,
    JournalSource,
    Notes,
    TradeArgument,
    When,
    aware,
    legs_of,
    place,
    record,
    writing,
)
from twinstep.options import Json

__all__ = ["add", "assign", "close", "expire", "roll", "stop"]

ADD_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep journal add 1 --quantity 3 --credit 2.10"
CLOSE_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    '  twinstep journal close 1 --debit 0.95 --reason "50% profit rule"\n'
    '  twinstep journal close TRADE_002 --price 55.20 --quantity 50 --reason "first target"\n'
    "  twinstep journal close 3 --leg -95P --price 0.40"
)
ROLL_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep journal roll 1 --debit 2.60 --credit 3.10 --expiry 2030-03-15"
)
ASSIGN_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep journal assign 1 --spot 93.20"
EXPIRE_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep journal expire 1"
STOP_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep journal stop 2 49.50"


def add(
    trade: TradeArgument,
    quantity: Annotated[float, typer.Option(metavar="N", help="Packages or shares that were added.")],
    credit: Credit = None,
    debit: Debit = None,
    price: Price = None,
    fees: Fees = 0.0,
    when: When = None,
    notes: Notes = "",
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log that an open trade was enlarged; its entry price becomes the average."""
    arguments = {
        "trade_id": trade, "quantity": quantity, "entry_credit": credit_of(credit, debit, price),
        "entry_price": price, "fees": fees, "when": aware("--when", when), "notes": notes,
    }  # fmt: skip
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(opened, "log_trade_add", arguments, as_json=as_json, answer=entered)


def close(
    trade: TradeArgument,
    debit: Debit = None,
    credit: Credit = None,
    price: Price = None,
    quantity: Annotated[
        float | None,
        typer.Option(metavar="N", help="Of a part; all that is open by default.", show_default=False),
    ] = None,
    leg: Annotated[
        str | None,
        typer.Option(
            metavar="LEG",
            help="Only this leg, at --price: its position or form, as -95P.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, in your words.", show_default=False)] = "",
    fees: Fees = 0.0,
    when: When = None,
    mae: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="Worst profit on the way, 0 or below.", show_default=False),
    ] = None,
    mfe: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="Best profit on the way, 0 or above.", show_default=False),
    ] = None,
    notes: Notes = "",
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log that a trade was closed, in whole or in part; says what it came to and what it teaches."""
    common = {
        "trade_id": trade, "quantity": quantity, "close_reason": reason, "fees": fees, "notes": notes,
        "when": aware("--when", when),
    }  # fmt: skip
    received = credit_of(credit, debit, price)
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        if leg is None:
            name = "log_trade_exit"
            paid = None if received is None else -received
            arguments = {**common, "exit_debit": paid, "exit_price": price, "mae": mae, "mfe": mfe}
        elif price is None or mae is not None or mfe is not None:
            raise ConfigError("--leg takes --price, and neither --mae nor --mfe", code="CLI_EXCLUSIVE")
        else:
            name, arguments = "log_leg_exit", {**common, "leg": _leg(leg), "price": price}
        record(opened, name, arguments, as_json=as_json, answer=outcome)


def roll(
    trade: TradeArgument,
    debit: Annotated[float, typer.Option(metavar="PRICE", help="Paid to close the old package.")],
    credit: Annotated[float, typer.Option(metavar="PRICE", help="Received for the new one.")],
    expiry: Expiry = None,
    legs: Legs = None,
    contracts: Annotated[
        float | None, typer.Option(metavar="N", help="New packages; as many as before.", show_default=False)
    ] = None,
    iv_rank: IvRank = None,
    fees: Annotated[float, typer.Option(metavar="AMOUNT", help="Paid for the new package.")] = 0.0,
    exit_fees: Annotated[float, typer.Option(metavar="AMOUNT", help="Paid to close the old one.")] = 0.0,
    when: When = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, in your words.")] = "roll",
    notes: Notes = "",
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log that a package was closed and another opened in its place."""
    held = {
        "trade_id": trade, "exit_debit": debit, "entry_credit": credit, "expiry": expiry,
        "legs": legs_of(legs, expiry) or None, "actual_contracts": contracts, "iv_rank": iv_rank,
        "fees": fees, "exit_fees": exit_fees, "when": aware("--when", when), "close_reason": reason,
        "notes": notes,
    }  # fmt: skip
    arguments = {key: value for key, value in held.items() if value is not None}
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(
            opened, "log_roll", arguments, as_json=as_json,
            answer=lambda done: outcome_and(done, "rolled into", opened),
        )  # fmt: skip


def assign(
    trade: TradeArgument,
    leg: Annotated[
        str | None,
        typer.Option(
            metavar="LEG", help="Which leg, if several are open: position or form.", show_default=False
        ),
    ] = None,
    quantity: Annotated[
        float | None, typer.Option(metavar="N", help="Contracts; all by default.", show_default=False)
    ] = None,
    spot: Annotated[
        float | None, typer.Option(metavar="PRICE", help="Price of the underlying.", show_default=False)
    ] = None,
    fees: Fees = 0.0,
    when: When = None,
    notes: Notes = "",
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log an assignment, or the exercise of a bought leg; the shares become a trade of their own."""
    arguments = {
        "trade_id": trade, "leg": None if leg is None else _leg(leg), "quantity": quantity, "spot": spot,
        "fees": fees, "when": aware("--when", when), "notes": notes,
    }  # fmt: skip
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(
            opened, "log_assignment", arguments, as_json=as_json,
            answer=lambda done: outcome_and(done, "shares in", opened),
        )  # fmt: skip


def expire(
    trade: TradeArgument,
    settlement: Annotated[
        float, typer.Option(metavar="PRICE", help="Settled in cash at this much per unit; 0 is worthless.")
    ] = 0.0,
    fees: Fees = 0.0,
    when: When = None,
    notes: Notes = "",
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log that a package expired."""
    arguments = {
        "trade_id": trade, "settlement": settlement, "fees": fees, "when": aware("--when", when),
        "notes": notes,
    }  # fmt: skip
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(opened, "log_expiry", arguments, as_json=as_json, answer=outcome)


def stop(
    trade: TradeArgument,
    price: Annotated[float, typer.Argument(metavar="PRICE", help="Where the stop is now.")],
    when: When = None,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log that the stop of an open trade was moved; the planned one is kept beside it."""
    arguments = {"trade_id": trade, "stop_price": price, "when": aware("--when", when)}
    with writing(place(journal, source)) as opened:
        opened.trade(trade)
        record(
            opened, "move_stop", arguments, as_json=as_json,
            answer=lambda _: (f"stop of trade {trade} at {price:,.2f}", {"trade": trade, "stop": price}),
        )  # fmt: skip


def _leg(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
