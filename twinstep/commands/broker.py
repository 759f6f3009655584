"""`twinstep broker`: look at an account, place and cancel single orders, protect positions, what fills cost.

Which broker is said by section [broker] of the configuration. Without `--live` it is a paper account; with
it, real money is reached behind three locks (docs/live.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from twinstep.broker_orders import (
    money,
    note_quote,
    order_fields,
    order_request,
    order_row,
    protection_rows,
    send_order,
)
from twinstep.confirm import confirm
from twinstep.console import EXIT_FOUND, emit, emit_json, note, table
from twinstep.journals import JournalPath
from twinstep.options import ConfigFile, Json, Set, settings_from

if TYPE_CHECKING:
    from live.opening import Desk
    from twinstep.config import Settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="A broker's account: look, order, cancel, and what fills cost.")

Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Real money: needs [live] key = true and an armed switch of scope live too; without it, paper.",
    ),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Of the kill switch; beside the journal by default.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

STATUS_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep broker status\n  twinstep broker status --live --json"
ORDER_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep broker order AAPL 1 --limit 150\n"
    "  twinstep broker order AAPL -1 --purpose exit --yes\n"
    "  twinstep broker order AAPL 10 --limit 150 --stop-loss 141 --take-profit 168 --tif gtc"
)
PROTECT_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep broker protect\n  twinstep broker protect --wider-pct 8 --yes"
)
CANCEL_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep broker cancel tw-5f0c2a"
SLIPPAGE_EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep broker slippage\n"
    "  twinstep broker slippage --quantile 0.75 --costs ibkr-fixed --out slippage.toml"
)


@app.command("status", epilog=STATUS_EXAMPLES)
def status(
    live: Live = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Reconcile, and show account, positions, working orders and the switch; works during a halt."""
    settings = settings_from(config, changes)
    with _desk(settings, journal, folder, live=live, armed=False) as desk:
        broker = desk.manager.known(settings.broker.name)
        worth, held, orders = broker.get_account(), broker.get_positions(), broker.get_orders()
        guards = protection_rows(desk, settings.broker.name)
        found = {
            "broker": broker.broker,
            "account": broker.account,
            "paper": broker.is_paper,
            "switch": desk.kill_switch.state,
            "why": desk.kill_switch.status["why"],
            "cash": worth.cash,
            "equity": worth.equity,
            "buying_power": worth.buying_power,
            "currency": worth.currency,
            "positions": [
                {"symbol": one.symbol, "quantity": one.quantity, "average_price": one.average_price}
                for one in held
            ],
            "orders": [order_fields(one) for one in orders],
            "if_it_died_now": guards,
        }
    if as_json:
        emit_json(found)
        return
    kind = "paper" if found["paper"] else "REAL MONEY"
    emit(f"{found['broker']} {found['account']} ({kind}), switch {found['switch']}: {found['why']}")
    emit(
        f"equity {worth.equity:,.2f} {worth.currency}, cash {worth.cash:,.2f}, buying power "
        f"{worth.buying_power:,.2f}"
    )
    if held:
        rows = [[one.symbol, f"{one.quantity:g}", money(one.average_price)] for one in held]
        table(["symbol", "quantity", "average price"], rows)
    if orders:
        table(["order", "symbol", "quantity", "filled", "kind", "state"], [order_row(one) for one in orders])
    if guards:
        emit("If every program died now:")
        rows = [
            [
                one["symbol"], f"{one['guarded']:g} of {abs(one['quantity']):g}",
                money(one["loss_at_stops"]), money(one["open_loss"]), one["naked_since"] or "",
            ]
            for one in guards
        ]  # fmt: skip
        table(["symbol", "behind a stop", "lost at the stops", "lost at worst without", "naked since"], rows)


@app.command("protect", epilog=PROTECT_EXAMPLES)
def protect(
    wider_pct: Annotated[
        float, typer.Option("--wider-pct", metavar="PCT", help="From the price, percent.")
    ] = 5.0,
    live: Live = False,
    yes: Yes = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Put a stop behind every stock position that has none at the broker; works during a halt."""
    from live.brokers.protection import Protector

    settings = settings_from(config, changes)
    where = f"{settings.broker.name}, {'REAL MONEY' if live else 'paper'}"
    confirm(f"a stop {wider_pct:g} % away behind every naked stock position ({where})", "protect", yes=yes)
    with _desk(settings, journal, folder, live=live, armed=False) as desk:
        protector = Protector(desk.manager, settings.broker.name, wider_pct=wider_pct)
        answers: list[Any] = list(protector.keep(datetime.now(UTC)))
        desk.poll()
        guards = protection_rows(desk, settings.broker.name)
    if as_json:
        emit_json(
            {
                "sent": [
                    {"id": one.client_order_id, "outcome": one.outcome.value, "message": one.message}
                    for one in answers
                ],
                "if_it_died_now": guards,
            }
        )
    else:
        for one in answers:
            emit(f"{one.outcome.value}: {one.client_order_id} {one.code} {one.message}".rstrip())
        left = [one["symbol"] for one in guards if one["naked"] > 0.0]
        emit(f"still without a stop: {', '.join(left)}" if left else "every position is behind a stop")
    if any(one["naked"] > 0.0 for one in guards):
        raise typer.Exit(EXIT_FOUND)


@app.command("order", epilog=ORDER_EXAMPLES, context_settings={"ignore_unknown_options": True})
def order(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Ticker, or the OCC symbol of an option.")],
    quantity: Annotated[float, typer.Argument(metavar="QUANTITY", help="Bought; sold where below 0.")],
    limit: Annotated[
        float | None, typer.Option(metavar="PRICE", help="Limit price.", show_default=False)
    ] = None,
    stop: Annotated[
        float | None, typer.Option(metavar="PRICE", help="Stop price.", show_default=False)
    ] = None,
    stop_loss: Annotated[
        float | None, typer.Option(metavar="PRICE", help="Makes it a bracket.", show_default=False)
    ] = None,
    take_profit: Annotated[
        float | None, typer.Option(metavar="PRICE", help="Target of the bracket.", show_default=False)
    ] = None,
    tif: Annotated[str, typer.Option(metavar="day|gtc", help="How long it works.")] = "day",
    purpose: Annotated[
        str, typer.Option(metavar="entry|exit|protect", help="What it is for; decides during a halt.")
    ] = "entry",
    identity: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Own id: the same again is the same order.", show_default=False
        ),
    ] = None,
    live: Live = False,
    yes: Yes = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Send one order, through the kill switch and into the record. Exit code 3 where it is not confirmed."""
    settings = settings_from(config, changes)
    request = order_request(
        symbol.upper(), quantity, limit=limit, stop=stop, stop_loss=stop_loss, take_profit=take_profit,
        tif=tif, purpose=purpose, identity=identity,
    )  # fmt: skip
    where = f"{settings.broker.name}, {'REAL MONEY' if live else 'paper'}"
    side = "buy" if quantity > 0 else "sell"
    confirm(f"{side} {abs(quantity):g} {request.symbol}, {request.kind} ({where})", request.symbol, yes=yes)
    with _desk(settings, journal, folder, live=live, armed=purpose != "protect") as desk:
        note_quote(desk, settings.broker.name, request)
        answer: Any = send_order(desk, settings.broker.name, request)
        desk.poll()
        there = desk.manager.known(settings.broker.name).find_order(request.client_order_id)
    state = None if there is None else order_fields(there)
    if as_json:
        emit_json(
            {
                "outcome": answer.outcome.value,
                "id": request.client_order_id,
                "code": answer.code,
                "message": answer.message,
                "order": state,
            }
        )
    else:
        emit(f"{answer.outcome.value}: {request.client_order_id} {answer.code} {answer.message}".rstrip())
        if there is not None:
            table(["order", "symbol", "quantity", "filled", "kind", "state"], [order_row(there)])
    if answer.outcome.value != "confirmed":
        raise typer.Exit(EXIT_FOUND)


@app.command("cancel", epilog=CANCEL_EXAMPLES)
def cancel(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Own id, or the broker's.")],
    live: Live = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Ask to cancel an order; works during a halt. Exit code 3 where it still works, or has filled."""
    settings = settings_from(config, changes)
    with _desk(settings, journal, folder, live=live, armed=False) as desk:
        broker = desk.manager.known(settings.broker.name)
        found = broker.find_order(identity)
        ended = desk.manager.cancel_order(settings.broker.name, identity if found is None else found.order_id)
        desk.poll()
    if as_json:
        emit_json(order_fields(ended))
    else:
        emit(f"{ended.state.label}: {ended.legs[0].symbol}, {ended.filled:g} of {ended.quantity:g} filled")
    if ended.state.label != "cancelled":
        raise typer.Exit(EXIT_FOUND)


@app.command("slippage", epilog=SLIPPAGE_EXAMPLES)
def slippage(
    quantile: Annotated[float, typer.Option(metavar="SHARE", help="0.5 is the usual order.")] = 0.5,
    costs: Annotated[
        str, typer.Option(metavar="PRESET", help="Commissions and fees to put it into.")
    ] = "zero",
    min_count: Annotated[int, typer.Option(metavar="N", help="Orders from which a figure is told.")] = 30,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write section [costs] for a configuration.", show_default=False),
    ] = None,
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
    from twinstep.broker_desk import desk_account

    settings = settings_from(config, changes)
    with Database(journal or settings.journal.path) as database:
        found = samples(IntentLog(database, desk_account(settings.broker, live=live)))
    calibration = calibrate(found, min_count=min_count)
    chosen = calibration.costs(settings.broker.name, base=costs, quantile=quantile)
    if out is not None:
        out.write_text(costs_section(chosen), encoding="utf-8")
        note(f"wrote {out}")
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
    emit(f"{len(found)} orders with a price that was expected; {len(cells)} groups of {min_count} or more")
    if cells:
        rows = [
            [one.asset, one.kind, "" if one.hour is None else f"{one.hour}h", one.spread, str(one.count)]
            + [f"{value:.2f}" for value in (one.quantiles[1], one.quantiles[3], one.quantiles[5])]
            + [one.unit]
            for one in cells
        ]
        table(["asset", "order", "hour", "spread", "n", "10 %", "50 %", "90 %", ""], rows)
    emit(costs_section(chosen))


@contextmanager
def _desk(
    settings: Settings, journal: str | None, folder: str | None, *, live: bool, armed: bool
) -> Iterator[Desk]:
    from twinstep.broker_desk import desk_at_broker

    with desk_at_broker(
        settings, journal=journal or settings.journal.path, folder=folder, live=live, armed=armed
    ) as desk:
        try:
            yield desk
        finally:
            for one in desk.manager.brokers.values():
                getattr(one, "close", _nothing)()


def _nothing() -> None:
    """Stand in for what a broker without a connection has nothing to close for."""
