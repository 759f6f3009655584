"""Tax lots: realised gains, open lots, wash sales and harvest candidates, from the fills of the journal.

Not tax advice: a working paper for whoever files, after the rules for individuals in the United States (IRS
Publication 550 and Form 8949). Covered are shares and equity options, lots by FIFO, LIFO, HIFO or choice,
exercises and assignments, and wash sales as `journal.tax.wash_sales` decides them. A gain is long-term when
the property was held for more than one year, counted from the day after it was bought; short sales and
written options are short-term. Not covered are Section 1256 contracts (broad index options, marked in
`note`), straddles, constructive sales, dividends, and accounts that are not in the journal.

A package that was typed in as a whole has no prices of its legs: it counts as one thing of its own. Import
the broker's statement to get its legs apart.

>>> holding_is_long(date(2023, 3, 1), date(2024, 3, 1)), holding_is_long(date(2023, 3, 1), date(2024, 3, 2))
(False, True)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from journal import schema
from journal.ledger.lookup import chosen
from journal.statements.rows import contract
from journal.tax.matching import METHODS, Method, match
from journal.tax.reading import chosen_lots, executions_of
from journal.tax.wash_sales import WINDOW_DAYS, Acquired, Scope, Slice, apply_wash_sales, same_property
from journal.values import amount, symbol_of
from simulator.errors import DataError

if TYPE_CHECKING:
    from journal.database import Database

__all__ = [
    "Gain",
    "HarvestCandidate",
    "OpenLot",
    "TaxReport",
    "choose_lot",
    "holding_is_long",
    "tax_report",
]

SECTION_1256 = ("SPX", "XSP", "NDX", "RUT", "VIX", "DJX", "OEX", "XEO", "MXEF", "MXEA")
"""Underlyings whose options are Section 1256 contracts: 60 % long-term, marked to market, no wash sales."""

_NOTE_1256 = "Section 1256 contract: shown as any other option, report it on Form 6781"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A realised gain or loss: one lot, or part of one, and one closing fill.

    Attributes
    ----------
    account, symbol
        Where and what; option symbols are canonical.
    side
        +1 bought and sold, -1 sold short or written and bought back.
    quantity
        Shares or contracts.
    opened, closed
        Trade dates in New York.
    proceeds, basis
        Currency, after fees; the basis holds losses that wash sales deferred into it.
    disallowed
        Part of the loss that a wash sale puts off, positive.
    gain
        proceeds - basis + disallowed.
    term
        "short" or "long".
    code
        "W" for a wash sale, else "".
    open_key, close_key
        The two fills.
    note
        What is not covered.
    """

    account: str
    symbol: str
    side: int
    quantity: float
    opened: date
    closed: date
    proceeds: float
    basis: float
    disallowed: float
    gain: float
    term: str
    code: str
    open_key: str
    close_key: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLot:
    """What is held: `amount` is the basis of what was bought and the proceeds of what was sold short.

    Attributes
    ----------
    held_from
        Day from which the holding period counts: the trade date, or earlier after a wash sale.
    deferred
        Losses of wash sales that are in `amount`.
    multiplier
        Shares per contract, 1 for shares.
    purchase
        The order that bought it: its other fills are the same purchase.
    """

    account: str
    symbol: str
    underlying: str
    side: int
    quantity: float
    multiplier: float
    opened: date
    held_from: date
    amount: float
    deferred: float
    open_key: str
    purchase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestCandidate:
    """An open lot that would be closed at a loss.

    Attributes
    ----------
    lot
        The lot.
    price
        Given price.
    loss
        What closing would realise, negative.
    term
        Of the loss, if closed on the day.
    deferred_now
        The part of the loss that would be put off, for purchases of the last 30 days.
    clear_from
        First day on which no purchase known today would put the loss off.
    rebuy_from
        First day on which the same may be bought again after closing on the day.
    """

    lot: OpenLot
    price: float
    loss: float
    term: str
    deferred_now: float
    clear_from: date
    rebuy_from: date


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxReport:
    """Gains and open lots by one method.

    Attributes
    ----------
    method, source
        How it was made.
    gains
        In the order of closing.
    open_lots
        In the order of opening.
    unmatched
        Sentences about fills that close nothing that is known: import the earlier statement.
    """

    method: str
    source: str
    scope: Scope
    gains: tuple[Gain, ...]
    open_lots: tuple[OpenLot, ...]
    unmatched: tuple[str, ...]

    def total(self, term: str | None = None, *, year: int | None = None) -> float:
        """Return the sum of gains, of one term and of one year if given, in currency."""
        return sum(
            (
                one.gain
                for one in self.gains
                if (term is None or one.term == term) and (year is None or one.closed.year == year)
            ),
            0.0,
        )

    def harvest(self, prices: Mapping[str, float], on: date) -> tuple[HarvestCandidate, ...]:
        """Return open lots that stand at a loss, the largest loss first.

        Parameters
        ----------
        prices
            Price per share, or per share of the underlying, by symbol. Symbols without a price are left out.
        on
            Day of the sale that is thought about.
        """
        quotes = {symbol_of("symbol", name): price for name, price in prices.items()}
        found = []
        for lot in self.open_lots:
            if lot.symbol not in quotes:
                continue
            price = amount(f"price of {lot.symbol}", quotes[lot.symbol])
            profit = lot.side * (price * lot.quantity * lot.multiplier - lot.amount)
            if profit < 0:
                found.append(self._candidate(lot, price, profit, on))
        return tuple(sorted(found, key=lambda one: (one.loss, one.lot.open_key)))

    def to_csv(self, path: str | os.PathLike[str], *, year: int | None = None) -> Path:
        """Write the gains with the columns of Form 8949, short-term first; returns the path.

        The file is written whole or not at all. Text that a spreadsheet would run is escaped.
        """
        from journal.export import write_csv

        gains = [one for one in self.gains if year is None or one.closed.year == year]
        rows = [_form_row(one) for one in sorted(gains, key=lambda one: one.term == "long")]
        names = list(rows[0]) if rows else list(_FORM_COLUMNS)
        return write_csv(path, names, [[row[name] for name in names] for row in rows])

    def _candidate(self, lot: OpenLot, price: float, loss: float, on: date) -> HarvestCandidate:
        mine = _acquired(lot)
        others = [
            one
            for one in self.open_lots
            if one.purchase != lot.purchase
            and (on - one.opened).days <= WINDOW_DAYS
            and same_property(mine, _acquired(one), self.scope)
        ]
        units = sum(one.quantity * one.multiplier for one in others)
        share = min(1.0, units / (lot.quantity * lot.multiplier))
        latest = max((one.opened for one in others), default=None)
        long = lot.side > 0 and holding_is_long(lot.held_from, on)
        return HarvestCandidate(
            lot=lot,
            price=price,
            loss=loss,
            term="long" if long else "short",
            deferred_now=-loss * share,
            clear_from=on if latest is None else max(on, latest + timedelta(days=WINDOW_DAYS + 1)),
            rebuy_from=on + timedelta(days=WINDOW_DAYS + 1),
        )


def tax_report(
    journal: Any,
    method: Method = "fifo",
    *,
    source: str = "live",
    accounts: Sequence[str] | None = None,
    wash_sales: bool = True,
    scope: Scope = "underlying",
) -> TaxReport:
    """Return realised gains and open lots.

    Parameters
    ----------
    journal
        A `TradeJournal` or a `Database`.
    method
        "fifo", "lifo", "hifo", or "specific" for the lots chosen with `choose_lot`, FIFO where none is.
    source
        One of "live", "paper" and "backtest": sources are not mixed.
    accounts
        Accounts to count; None is all. Lots stay within an account, wash sales go across.
    wash_sales
        False leaves wash sales out.
    scope
        What is substantially identical: "underlying" (the shares and options on them) or "contract" (the same
        symbol only, as brokers report).

    Raises
    ------
    DataError
        JOURNAL_CHOICE for an unknown method, scope or source.
    """
    chosen("method", method, METHODS)
    chosen("scope", scope, ("underlying", "contract"))
    chosen("source", source, schema.SOURCES)
    database: Database = getattr(journal, "database", journal)
    with database.read() as connection:
        executions, keys = executions_of(connection, source, accounts)
        choices = chosen_lots(connection, keys) if method == "specific" else {}
    matched = match(executions, method, chosen=choices)
    slices = apply_wash_sales(matched.slices, scope) if wash_sales else matched.slices
    closed = [one for one in slices if one.closed_day is not None and not one.transferred]
    closed.sort(key=lambda one: (one.closed_ts, one.close_key, one.lot.ts, one.lot.key))
    return TaxReport(
        method=method,
        source=source,
        scope=scope,
        gains=tuple(_gain(one) for one in closed),
        open_lots=tuple(_open_lot(one) for one in _joined(slices)),
        unmatched=tuple(
            f"{one.day} {one.kind} of {quantity:g} {one.symbol} closes nothing that is known; import "
            "the earlier statement"
            for one, quantity in matched.unmatched
        ),
    )


def choose_lot(journal: Any, close_fill_id: int, open_fill_id: int, quantity: float) -> None:
    """Say which opening fill a closing fill uses up; `method="specific"` follows it.

    Parameters
    ----------
    close_fill_id, open_fill_id
        Rows of `fills`: the same symbol and account, opposite sides, the closing one later.
    quantity
        Shares or contracts; 0 takes the choice back.

    Raises
    ------
    DataError
        JOURNAL_TAX_LOT for fills that cannot be a pair, and for more than either has left to choose.
    """
    database: Database = getattr(journal, "database", journal)
    wanted = amount("quantity", quantity)
    fills, lots = schema.fills, schema.lots
    with database.write() as connection:
        pair_of_fills = select(fills).where(fills.c.id.in_((close_fill_id, open_fill_id)))
        rows = {row.id: row for row in connection.execute(pair_of_fills)}
        for number in (close_fill_id, open_fill_id):
            if number not in rows:
                raise DataError(f"there is no fill {number}", code="JOURNAL_TAX_LOT")
        close, opening = rows[close_fill_id], rows[open_fill_id]
        same = (close.symbol, close.account, close.source) == (
            opening.symbol,
            opening.account,
            opening.source,
        )
        if not same or close.side == opening.side or close.ts < opening.ts:
            raise DataError(
                f"fill {close_fill_id} ({close.side:+d} {close.symbol}) cannot close fill {open_fill_id} "
                f"({opening.side:+d} {opening.symbol}): it needs the same symbol and account, the other "
                "side, and a later time",
                code="JOURNAL_TAX_LOT",
            )
        pair = (lots.c.close_fill_id == close_fill_id, lots.c.open_fill_id == open_fill_id)
        connection.execute(lots.delete().where(*pair))
        for row, column in ((close, lots.c.close_fill_id), (opening, lots.c.open_fill_id)):
            total = select(func.coalesce(func.sum(lots.c.quantity), 0.0)).where(column == row.id)
            used = connection.execute(total).scalar_one()
            if used + wanted > row.quantity * (1 + 1e-9):
                raise DataError(
                    f"fill {row.id} has {row.quantity:g} {row.symbol}, of which {used:g} are chosen already; "
                    f"{wanted:g} more is too much",
                    code="JOURNAL_TAX_LOT",
                )
        if wanted:
            connection.execute(
                insert(lots).values(
                    close_fill_id=close_fill_id,
                    open_fill_id=open_fill_id,
                    quantity=wanted,
                    chosen_ts=time.time_ns(),
                )
            )


def holding_is_long(acquired: date, disposed: date) -> bool:
    """Tell whether something was held for more than one year; the day of purchase does not count."""
    last = (
        acquired.replace(year=acquired.year + 1, day=28)
        if (acquired.month, acquired.day) == (2, 29)
        else None
    )
    return disposed > (last or acquired.replace(year=acquired.year + 1))


def _gain(one: Slice) -> Gain:
    if one.closed_day is None:
        raise DataError(f"lot {one.lot.key} is open", code="JOURNAL_TAX_LOT")
    bought = one.lot.side > 0
    proceeds = one.closed if bought else one.opened
    basis = (one.opened if bought else one.closed) + one.deferred
    long = bought and holding_is_long(one.lot.day - timedelta(days=one.tacked_days), one.closed_day)
    index = contract(one.lot.symbol) is not None and one.lot.underlying in SECTION_1256
    return Gain(
        account=one.lot.account,
        symbol=one.lot.symbol,
        side=one.lot.side,
        quantity=one.quantity,
        opened=one.lot.day,
        closed=one.closed_day,
        proceeds=proceeds,
        basis=basis,
        disallowed=one.disallowed,
        gain=proceeds - basis + one.disallowed,
        term="long" if long else "short",
        code="W" if one.disallowed else "",
        open_key=one.lot.key,
        close_key=one.close_key,
        note=_NOTE_1256 if index else "",
    )


def _open_lot(one: Slice) -> OpenLot:
    added = one.deferred if one.lot.side > 0 else -one.deferred
    return OpenLot(
        account=one.lot.account,
        symbol=one.lot.symbol,
        underlying=one.lot.underlying,
        side=one.lot.side,
        quantity=one.quantity,
        multiplier=one.lot.multiplier,
        opened=one.lot.day,
        held_from=one.lot.day - timedelta(days=one.tacked_days),
        amount=one.opened + added,
        deferred=one.deferred,
        open_key=one.lot.key,
        purchase=one.lot.purchase,
    )


def _joined(slices: Iterable[Slice]) -> list[Slice]:
    """Return the open slices; parts of a lot that a wash sale has set apart stay apart."""
    return sorted(
        (one for one in slices if one.closed_day is None and one.quantity > 0),
        key=lambda one: (one.lot.ts, one.lot.key, -one.deferred),
    )


def _acquired(lot: OpenLot) -> Acquired:
    return Acquired(
        lot.open_key,
        lot.purchase,
        lot.account,
        lot.symbol,
        lot.underlying,
        lot.side,
        lot.opened,
        0,
        lot.multiplier,
    )


_FORM_COLUMNS = (
    "Description of property",
    "Date acquired",
    "Date sold or disposed of",
    "Proceeds",
    "Cost or other basis",
    "Code",
    "Amount of adjustment",
    "Gain or loss",
    "Term",
    "Position",
    "Account",
    "Note",
)


def _form_row(one: Gain) -> dict[str, Any]:
    option = contract(one.symbol)
    what = one.symbol
    if option is not None:
        what = f"{option.root} {option.expiry:%m/%d/%Y} {option.strike:g} {option.kind}"
    # Of a short sale, the property that closes it is acquired when it is closed.
    acquired = one.opened if one.side > 0 else one.closed
    values = (
        f"{one.quantity:g} {what}",
        acquired.isoformat(),
        one.closed.isoformat(),
        round(one.proceeds, 2),
        round(one.basis, 2),
        one.code,
        round(one.disallowed, 2),
        round(one.gain, 2),
        one.term,
        "long" if one.side > 0 else "short",
        one.account,
        one.note,
    )
    return dict(zip(_FORM_COLUMNS, values, strict=True))
