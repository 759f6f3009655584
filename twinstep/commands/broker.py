"""`twinstep broker`: look at an account, place and cancel single orders, protect positions, what fills cost.

Which broker is said by section [broker] of the configuration. Without `--live` it is a paper account; with
it, real money is reached behind three locks (docs/live.md).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, TwinstepError
from twinstep.broker_options import Folder, Live, SessionName, Yes, at_desk, place_of
from twinstep.broker_orders import (
    ORDER_COLUMNS,
    SENT,
    money,
    order_fields,
    order_request,
    order_row,
    protection_rows,
    send_order,
    sent_words,
)
from twinstep.commands.broker_accept import ACCEPT_EXAMPLES, accept
from twinstep.commands.broker_fills import PROMOTE_EXAMPLES, SLIPPAGE_EXAMPLES, promote, slippage
from twinstep.confirm import confirm
from twinstep.console import EXIT_FOUND, emit, emit_json, note, table
from twinstep.journals import JournalPath
from twinstep.options import ConfigFile, Json, Set, settings_from

if TYPE_CHECKING:
    from twinstep.config import Settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="A broker's account: look, order, cancel, and what fills cost.")

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


@app.command("status", epilog=STATUS_EXAMPLES)
def status(
    session: SessionName = None,
    live: Live = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Reconcile, and show account, positions, working orders and the switch; works during a halt."""
    from live.slippage import standing as demotion

    settings = settings_from(config, changes)
    with at_desk(settings, journal, folder, session, live=live) as at:
        desk, broker = at.desk, at.broker
        worth, held, orders = broker.get_account(), broker.get_positions(), broker.get_orders()
        guards = protection_rows(desk, at.name)
        demoted = demotion(desk.manager.intents, desk.kill_switch.folder)
        found = {
            "broker": broker.broker,
            "account": broker.account,
            "paper": broker.is_paper,
            "switch": desk.kill_switch.state,
            "why": desk.kill_switch.status["why"],
            "demoted": None if demoted is None else str(demoted),
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
    if demoted is not None:
        emit(f"{demoted}")
    emit(
        f"equity {worth.equity:,.2f} {worth.currency}, cash {worth.cash:,.2f}, buying power "
        f"{worth.buying_power:,.2f}"
    )
    if held:
        rows = [[one.symbol, f"{one.quantity:g}", money(one.average_price)] for one in held]
        table(["symbol", "quantity", "average price"], rows)
    if orders:
        table(ORDER_COLUMNS, [order_row(one) for one in orders])
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
    session: SessionName = None,
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
    where = place_of(settings, live=live)
    confirm(f"a stop {wider_pct:g} % away behind every naked stock position ({where})", "protect", yes=yes)
    with at_desk(settings, journal, folder, session, live=live) as at:
        protector = Protector(at.desk.manager, at.name, wider_pct=wider_pct)
        answers: list[Any] = list(protector.keep(datetime.now(UTC)))
        at.desk.poll()
        guards = protection_rows(at.desk, at.name)
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
    session: SessionName = None,
    live: Live = False,
    yes: Yes = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Send one order, through the kill switch and into the record. Exit code 3 where it is not confirmed.

    Says whether it was sent. The paper account of this program has no prices, so a broker has to be named.
    """
    from live.brokers.examining import advised

    settings = settings_from(config, changes)
    request = order_request(
        symbol.upper(), quantity, limit=limit, stop=stop, stop_loss=stop_loss, take_profit=take_profit,
        tif=tif, purpose=purpose, identity=identity,
    )  # fmt: skip
    _check_prices(settings, live=live)
    where = place_of(settings, live=live)
    side = "buy" if quantity > 0 else "sell"
    confirm(f"{side} {abs(quantity):g} {request.symbol}, {request.kind} ({where})", request.symbol, yes=yes)
    with at_desk(settings, journal, folder, session, live=live, armed=purpose != "protect") as at:
        answer: Any = send_order(at.desk, at.name, request)
        there, problem = None, ""
        try:
            at.desk.poll()
            there = at.broker.find_order(request.client_order_id)
        except (TwinstepError, OSError) as error:
            # it is sent, or is not, and that is said first of all
            told = advised(error, settings.broker.name)
            if told is None:
                raise
            problem = str(told)
    state = None if there is None else order_fields(there)
    outcome = answer.outcome.value
    words = sent_words(outcome, answer.code, answer.message, settings.broker.name)
    if as_json:
        emit_json(
            {
                "outcome": outcome,
                "sent": SENT[outcome],
                "id": request.client_order_id,
                "code": answer.code,
                "message": answer.message,
                "order": state,
            }
        )
    else:
        emit(f"{outcome}: {request.client_order_id} {answer.code} {answer.message}".rstrip())
        if words:
            emit(words)
        if problem and outcome != "denied":
            note(f"how it stands is not known: {problem}")
        if there is not None:
            table(ORDER_COLUMNS, [order_row(there)])
    if outcome != "confirmed":
        raise typer.Exit(EXIT_FOUND)


@app.command("cancel", epilog=CANCEL_EXAMPLES)
def cancel(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Own id, or the broker's.")],
    session: SessionName = None,
    live: Live = False,
    config: ConfigFile = None,
    changes: Set = None,
    journal: JournalPath = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Ask to cancel an order; works during a halt. Exit code 3 where it still works, or has filled."""
    settings = settings_from(config, changes)
    with at_desk(settings, journal, folder, session, live=live) as at:
        found = at.broker.find_order(identity)
        ended = at.desk.manager.cancel_order(at.name, identity if found is None else found.order_id)
        at.desk.poll()
    if as_json:
        emit_json(order_fields(ended))
    else:
        emit(f"{ended.state.label}: {ended.legs[0].symbol}, {ended.filled:g} of {ended.quantity:g} filled")
    if ended.state.label != "cancelled":
        raise typer.Exit(EXIT_FOUND)


def _check_prices(settings: Settings, *, live: bool) -> None:
    """Refuse an order by hand where there is no broker to send it to; raises `ConfigError` CLI_NO_BROKER."""
    if settings.broker.name == "paper" and not live:
        raise ConfigError(
            "no broker is configured, and the paper account of this program has no prices for an order by "
            'hand; nothing was sent. Write name = "alpaca" (or interactive_brokers, tastytrade) under '
            "[broker] in twinstep.toml, or trade stored bars: twinstep exchange, docs/exchange.md",
            code="CLI_NO_BROKER",
        )


app.command("accept", epilog=ACCEPT_EXAMPLES)(accept)
app.command("slippage", epilog=SLIPPAGE_EXAMPLES)(slippage)
app.command("promote", epilog=PROMOTE_EXAMPLES)(promote)
