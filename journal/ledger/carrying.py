"""What becomes of a position without a plain exit: rolls, single legs, assignment, exercise, expiry, cash.

Conventions, all of which keep the cash of the fills equal to the profit of the trades:

- A roll closes one trade and opens the next; both belong to one campaign.
- An assigned or exercised option ends at 0, its shares change hands at the strike, as the broker books it.
  The option trade keeps its whole credit, the shares bear the loss: what the idea brought is the campaign's
  profit. Shares first close what the campaign holds on the other side, and the rest is a trade of its own.
- Legs may go one by one. A package is open as long as any leg of it is; the cash of a single leg counts for
  its trade at once.
- A cash-settled package ends at what it is worth: an exit of the kind "expiry" at that price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from journal import schema
from journal.accounting import was_all
from journal.entry import Entry
from journal.ledger.entering import enter, join_campaign, stamp_of, whole, write_legs
from journal.ledger.exiting import check_exit, closing_quantity, leave, settle
from journal.ledger.lookup import get_trade
from journal.ledger.sums import add_fill, owner_of, sums_of, write_trade
from journal.records import Leg, Trade, TradeOutcome
from journal.values import amount, from_nanoseconds, integer, number
from simulator.errors import DataError

__all__ = ["assign", "book_cash", "lapse", "leave_leg", "roll"]

CASH_KINDS = ("dividend", "fee", "interest")


def roll(
    connection: Connection,
    trade_id: int | str,
    *,
    exit_debit: float | None,
    exit_price: float | None,
    exit_fees: float,
    quantity: float | None,
    close_reason: str,
    when: datetime | int | None,
    entry: Entry,
    source: str,
    now: int,
) -> tuple[TradeOutcome, int]:
    """Close a trade, or a part of it, and open the one that continues it."""
    trade = get_trade(connection, trade_id)
    ts = check_exit(trade, when, now)
    if trade.kind != "option":
        raise DataError(f"trade {trade.id} is in shares; only options are rolled", code="JOURNAL_ROLL")
    closing = closing_quantity(trade, quantity)
    if entry.expiry is None and not entry.legs:
        raise DataError(
            f"a roll of trade {trade.id} needs expiry= or legs= of what follows", code="JOURNAL_ROLL"
        )
    legs = entry.legs or [_moved(leg, entry.expiry) for leg in trade.legs if leg.open_quantity]
    outcome = leave(
        connection, trade.id, exit_debit=exit_debit, exit_price=exit_price, quantity=closing,
        close_reason=close_reason, notes="", when=ts, fees=exit_fees, mae=None, mfe=None, now=now,
        code="roll",
    )  # fmt: skip
    following = replace(
        entry,
        symbol=trade.symbol,
        strategy=trade.strategy if entry.strategy is None else entry.strategy,
        kind="option",
        legs=legs,
        multiplier=trade.multiplier,
        width=trade.width if entry.width is None and not legs else entry.width,
        actual_contracts=(
            closing if entry.actual_contracts is None and entry.quantity is None else entry.actual_contracts
        ),
        sector=trade.sector if entry.sector is None else entry.sector,
        signal_type=trade.signal_type if entry.signal_type is None else entry.signal_type,
        account=trade.account if entry.account is None else entry.account,
        source=trade.source,
        iv_rank_definition=trade.iv_rank_definition if entry.iv_rank is not None else None,
        parameter_set=trade.parameter_set_id if entry.parameter_set is None else entry.parameter_set,
        campaign=trade.id,
        when=ts,
    )
    follower = enter(connection, following, source=source, now=now)
    write_trade(connection, follower, {"rolled_from_id": trade.id})
    return outcome, follower


def leave_leg(
    connection: Connection,
    trade_id: int | str,
    leg: int | str,
    *,
    price: float,
    quantity: float | None,
    close_reason: str,
    notes: str,
    when: datetime | int | None,
    fees: float,
    now: int,
    kind: str = "trade",
    code: str | None = None,
    execution_key: str | None = None,
    broker: str = "",
    order_id: str = "",
) -> TradeOutcome:
    """Close contracts of one leg; the trade is closed when no leg is open any more."""
    trade = get_trade(connection, trade_id)
    ts = check_exit(trade, when, now)
    part = leg_of_trade(trade, leg)
    held = part.open_quantity or 0.0
    contracts = held if quantity is None else whole("quantity", quantity)
    if contracts > held or held == 0:
        raise DataError(
            f"quantity is {contracts:g}, but leg {part} of trade {trade.id} has {held:g} contracts open",
            code="JOURNAL_QUANTITY",
        )
    add_fill(
        connection, owner_of(trade), ts=ts, effect="close", side=-part.side, quantity=contracts,
        price=amount("price", price), fees=number("fees", fees), kind=kind, leg=part.position,
        symbol=part.symbol, execution_key=execution_key, broker=broker, order_id=order_id,
    )  # fmt: skip
    left = held - contracts
    write_legs(connection, {part.id: left})
    packages = max(
        (left if other.id == part.id else other.open_quantity or 0.0) / other.ratio for other in trade.legs
    )
    return settle(
        connection,
        trade,
        min(packages, trade.open_quantity),
        ts=ts,
        close_reason=close_reason,
        notes=notes,
        code=code,
    )


def assign(
    connection: Connection,
    trade_id: int | str,
    leg: int | str | None,
    *,
    quantity: float | None,
    when: datetime | int | None,
    fees: float,
    notes: str,
    spot: float | None,
    execution_key: str | None,
    now: int,
) -> tuple[TradeOutcome, int | None]:
    """Turn contracts of one leg into shares at its strike.

    Returns
    -------
    tuple
        What the option trade came to, and the number of the trade in shares that was opened; None where the
        shares only closed what was held.
    """
    trade = get_trade(connection, trade_id)
    ts = check_exit(trade, when, now)
    part = leg_of_trade(trade, _only_sold(trade) if leg is None else leg)
    if part.strike is None or part.kind not in ("call", "put"):
        raise DataError(f"leg {part} of trade {trade.id} is no option", code="JOURNAL_LEGS")
    contracts = (part.open_quantity or 0.0) if quantity is None else whole("quantity", quantity)
    kind = "assignment" if part.side < 0 else "exercise"
    outcome = leave_leg(
        connection, trade.id, part.position, price=0.0, quantity=contracts, close_reason=kind, notes=notes,
        when=ts, fees=0.0, now=now, kind=kind, code="assignment", execution_key=execution_key,
    )  # fmt: skip
    # a sold put or a bought call brings shares, a bought put or a sold call takes them
    shares_side = part.side if part.kind == "call" else -part.side
    shares = contracts * trade.multiplier
    campaign = join_campaign(connection, trade.id)
    paid = number("fees", fees)
    left, paid = _deliver(connection, trade, campaign, shares_side, shares, part.strike, ts, paid, kind, now)
    if left <= 0:
        return outcome, None
    entry = Entry(
        symbol=trade.symbol, strategy=trade.strategy, kind="stock", side=shares_side, quantity=left,
        entry_price=part.strike, when=ts, fees=paid, sector=trade.sector, signal_type=trade.signal_type,
        account=trade.account, source=trade.source, campaign=campaign, spot=spot,
        parameter_set=trade.parameter_set_id, notes=f"{kind} of {part} of trade {trade.id}",
    )  # fmt: skip
    opened = enter(connection, entry, source=trade.source, now=now, fill_kind=kind)
    return outcome, opened


def lapse(
    connection: Connection,
    trade_id: int | str,
    *,
    settlement: float,
    when: datetime | int | None,
    fees: float,
    notes: str,
    now: int,
) -> TradeOutcome:
    """Let a package expire: worthless, or settled in cash at what it is worth."""
    trade = get_trade(connection, trade_id)
    if trade.kind != "option":
        raise DataError(f"trade {trade.id} is in shares, which do not expire", code="JOURNAL_EXPIRY")
    day = from_nanoseconds(stamp_of(when, now)).date().isoformat()
    if trade.expiry is not None and day < trade.expiry:
        raise DataError(
            f"trade {trade.id} expires on {trade.expiry}, not on {day}; log_trade_exit closes it before",
            code="JOURNAL_EXPIRY",
        )
    return leave(
        connection, trade.id, exit_debit=None, exit_price=settlement, quantity=None, close_reason="expiry",
        notes=notes, when=when, fees=fees, mae=None, mfe=None, now=now, code="expiry", kind="expiry",
    )  # fmt: skip


def book_cash(
    connection: Connection,
    trade_id: int | str,
    value: float,
    *,
    kind: str,
    when: datetime | int | None,
    execution_key: str | None,
    now: int,
) -> Trade:
    """Add cash that belongs to a trade and changes no position: a dividend, interest, or a fee on its own.

    A fee is a cost whatever its sign says elsewhere: 1.50 was paid. Of a closed trade, profit and R follow.
    """
    trade = get_trade(connection, trade_id)
    if kind not in CASH_KINDS:
        raise DataError(f"kind is {kind!r}; it must be one of {', '.join(CASH_KINDS)}", code="JOURNAL_CHOICE")
    paid = number("amount", value)
    ts = stamp_of(when, now)
    if ts < trade.entry_ts:
        raise DataError(
            f"cash of {from_nanoseconds(ts):%Y-%m-%d} is before the entry of trade {trade.id}",
            code="JOURNAL_ORDER",
        )
    add_fill(
        connection, owner_of(trade), ts=ts, effect="none", side=1 if paid < 0 else -1,
        quantity=0.0 if kind == "fee" else 1.0, price=0.0 if kind == "fee" else abs(paid), multiplier=1.0,
        fees=paid if kind == "fee" else 0.0, kind=kind, execution_key=execution_key,
    )  # fmt: skip
    if trade.status == "open":
        write_trade(connection, trade.id, sums_of(connection, trade, trade.open_quantity)._asdict())
    else:
        reason, code = trade.close_reason or "", trade.close_code
        settle(connection, trade, 0.0, ts=trade.exit_ts or ts, close_reason=reason, notes="", code=code)
    return get_trade(connection, trade.id)


def leg_of_trade(trade: Trade, leg: int | str) -> Leg:
    """Return a leg by its position, its symbol or its short form such as "-95P".

    Raises
    ------
    DataError
        JOURNAL_LEGS where the trade has none such.
    """
    if isinstance(leg, str):
        plain = leg.replace(" ", "")  # a broker may pad the root: "SPY   260220P00095000"
        found = [part for part in trade.legs if plain in (part.symbol.replace(" ", ""), str(part))]
    else:
        found = [part for part in trade.legs if part.position == integer("leg", leg)]
    if len(found) != 1:
        has = ", ".join(f"{part.position}: {part}" for part in trade.legs) or "none"
        raise DataError(f"trade {trade.id} has no one leg {leg!r}; its legs: {has}", code="JOURNAL_LEGS")
    return found[0]


def _only_sold(trade: Trade) -> int:
    sold = [leg.position for leg in trade.legs if leg.side < 0 and leg.open_quantity]
    if len(sold) != 1:
        has = ", ".join(f"{leg.position}: {leg}" for leg in trade.legs) or "none"
        raise DataError(
            f"trade {trade.id} has {len(sold)} sold legs open; say which with leg=. Its legs: {has}",
            code="JOURNAL_LEGS",
        )
    return sold[0]


def _moved(leg: Leg, expiry: date | str | None) -> Mapping[str, Any]:
    return {"side": leg.side, "kind": leg.kind, "strike": leg.strike, "ratio": leg.ratio, "expiry": expiry}


def _deliver(
    connection: Connection,
    trade: Trade,
    campaign: int,
    side: int,
    shares: float,
    strike: float,
    ts: int,
    fees: float,
    kind: str,
    now: int,
) -> tuple[float, float]:
    """Close shares of the campaign that stand on the other side; return what is left, and its fees."""
    table = schema.trades.c
    held = connection.execute(
        select(table.id, table.open_quantity)
        .where(
            table.campaign_id == campaign, table.status == "open", table.kind == "stock", table.side == -side,
            table.symbol == trade.symbol, table.entry_ts <= ts,
        )
        .order_by(table.entry_ts, table.id)
    ).all()  # fmt: skip
    for number_, open_quantity in held:
        part = min(shares, open_quantity)
        if part <= 0:
            break
        leave(
            connection, number_, exit_debit=None, exit_price=strike, quantity=part, close_reason=kind,
            notes="", when=ts, fees=fees, mae=None, mfe=None, now=now, code="assignment", kind=kind,
        )  # fmt: skip
        shares, fees = shares - part, 0.0
    return (0.0 if was_all(shares, 0.0, trade.quantity) else shares), fees
