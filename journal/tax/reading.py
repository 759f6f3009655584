"""The fills of the journal as the tax rules see them.

Parts of one statement row (it may belong to two trades) are one execution again. What moves no property
(dividends, fees, executions that the broker took back) is left out. A package that was typed in as a whole is
one thing of its own, unless it has a single leg.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from journal import schema
from journal.statements.rows import contract
from journal.tax.matching import Execution

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["chosen_lots", "executions_of"]


def executions_of(
    connection: Connection, source: str, accounts: Sequence[str] | None = None
) -> tuple[list[Execution], dict[int, str]]:
    """Return the fills of a source as executions, and the key of each fill by its number.

    Parts of one statement row are one execution again; what moves no property is left out.
    """
    fills, legs = schema.fills, schema.legs
    query = select(fills).where(
        fills.c.source == source, fills.c.kind.not_in(("dividend", "fee", "interest"))
    )
    if accounts is not None:
        query = query.where(fills.c.account.in_(list(accounts)))
    rows = connection.execute(query.order_by(fills.c.ts, fills.c.id)).all()
    typed = {row.trade_id for row in rows if row.leg is None and row.trade_id is not None}
    names: dict[int, list[Any]] = {}
    for leg in connection.execute(select(legs).where(legs.c.trade_id.is_not(None)).order_by(legs.c.position)):
        if leg.trade_id in typed:
            names.setdefault(leg.trade_id, []).append(leg)
    result: dict[str, Execution] = {}
    keys: dict[int, str] = {}
    for row in rows:
        key = row.execution_key.partition("~")[0]
        keys[row.id] = key
        if row.symbol and (row.kind == "split" or row.effect != "none"):
            one = _execution(row, key, names.get(row.trade_id, ()))
            before = result.get(key)
            result[key] = one if before is None else _merged(before, one)
    return list(result.values()), keys


def _execution(row: Any, key: str, legs: Sequence[Any]) -> Execution:
    option = contract(row.symbol)
    symbol, underlying = (option.symbol if option else row.symbol), row.underlying
    if row.leg is None and row.multiplier != 1.0 and option is None:
        single = contract(legs[0].symbol) if len(legs) == 1 else None
        symbol = single.symbol if single else f"{row.underlying} package {row.trade_id}"
        underlying = row.underlying if single else symbol
    return Execution(
        key=key,
        ts=row.ts,
        account=row.account,
        symbol=symbol,
        underlying=underlying,
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        multiplier=row.multiplier,
        fees=row.fees,
        kind=row.kind,
        effect=row.effect,
        order_id=row.order_id,
    )


def _merged(one: Execution, other: Execution) -> Execution:
    effect = one.effect if one.effect == other.effect else ""
    return replace(one, quantity=one.quantity + other.quantity, fees=one.fees + other.fees, effect=effect)


def chosen_lots(connection: Connection, keys: Mapping[int, str]) -> dict[str, list[tuple[str, float]]]:
    """Return the choices of the owner: key of a closing fill, to keys of opening fills and quantities."""
    chosen: dict[str, list[tuple[str, float]]] = {}
    for row in connection.execute(select(schema.lots).order_by(schema.lots.c.id)):
        if row.close_fill_id in keys and row.open_fill_id in keys:
            pair = keys[row.open_fill_id], row.quantity
            chosen.setdefault(keys[row.close_fill_id], []).append(pair)
    return chosen
