"""What the journal gives back: trades, recommendations, legs, fills, and the outcome of an exit.

Field names are the column names of `journal.schema`, and so are the units: columns that end in `_ts` are UTC
nanoseconds, with an aware `datetime` property beside each; prices are per unit of the underlying, amounts for
the whole trade; None is unknown. Records are values: changing the journal takes a call of `TradeJournal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from journal.values import from_nanoseconds

__all__ = ["Campaign", "Fill", "Leg", "Recommendation", "StoredInsight", "Trade", "TradeOutcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg of a recommendation or a trade; `open_quantity` counts contracts, None in recommendations."""

    id: int
    recommendation_id: int | None
    trade_id: int | None
    position: int
    side: int
    kind: str
    symbol: str
    strike: float | None
    expiry: str | None
    ratio: float
    open_quantity: float | None
    bid: float | None
    ask: float | None
    iv: float | None
    delta: float | None

    def __str__(self) -> str:
        sign = "+" if self.side > 0 else "-"
        count = "" if self.ratio == 1 else f"{self.ratio:g}x"
        if self.strike is None or self.kind not in ("call", "put"):
            return f"{sign}{count}{self.kind}"
        return f"{sign}{count}{self.strike:g}{self.kind[0].upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution; `side` is +1 for bought and -1 for sold, `leg` None for the whole package."""

    id: int
    execution_key: str
    trade_id: int | None
    statement_id: int | None
    source: str
    broker: str
    account: str
    order_id: str
    ts: int
    kind: str
    effect: str
    symbol: str
    underlying: str
    side: int
    quantity: float
    price: float
    multiplier: float
    fees: float
    leg: int | None
    mid_price: float | None
    raw: str | None

    @property
    def time(self) -> datetime:
        """When it happened."""
        return from_nanoseconds(self.ts)

    @property
    def cash(self) -> float:
        """What it added to the account in currency, after fees."""
        return -self.side * self.price * self.quantity * self.multiplier - self.fees


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInsight:
    """What a closed trade taught; `direction` is +1 for what speaks for such trades, -1 against."""

    id: int
    trade_id: int
    ts: int
    code: str
    direction: int
    value: float | None
    text: str

    @property
    def time(self) -> datetime:
        """When it was found."""
        return from_nanoseconds(self.ts)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What was proposed; amounts are for one package or share."""

    id: int
    status: str
    source: str
    kind: str
    created_ts: int
    expires_ts: int | None
    decided_ts: int | None
    decision: str
    reason: str
    symbol: str
    strategy: str
    side: int
    signal_id: str | None
    signal_type: str | None
    sector: str | None
    quantity: float
    entry_price: float
    multiplier: float
    stop_price: float | None
    target_price: float | None
    reward_risk: float | None
    max_profit: float | None
    max_profit_unlimited: int
    max_loss: float | None
    max_loss_unlimited: int
    probability: float | None
    expected_value: float | None
    risk: float | None
    risk_basis: str | None
    margin: float | None
    buying_power: float | None
    break_evens: str | None
    as_of_ts: int | None
    spot: float | None
    expiry: str | None
    dte: int | None
    width: float | None
    mid_price: float | None
    iv: float | None
    iv_rank: float | None
    iv_rank_definition: str | None
    delta: float | None
    theta: float | None
    vega: float | None
    score: float | None
    strength: int | None
    grade: str | None
    sizing_rule: str | None
    account_size: float | None
    total_risk: float | None
    details: str | None
    parameter_set_id: int | None
    legs: tuple[Leg, ...] = ()

    @property
    def created_time(self) -> datetime:
        """When it was logged."""
        return from_nanoseconds(self.created_ts)

    @property
    def expires_time(self) -> datetime | None:
        """When it stops being valid."""
        return _time(self.expires_ts)

    @property
    def decided_time(self) -> datetime | None:
        """When it was executed, ignored or expired."""
        return _time(self.decided_ts)

    @property
    def credit(self) -> float:
        """Price as a credit per package: positive where it is sold, negative where it is paid."""
        return -self.side * self.entry_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One position group from entry to exit; a spread is one trade."""

    id: int
    name: str | None
    recommendation_id: int | None
    run_id: int | None
    parameter_set_id: int | None
    rolled_from_id: int | None
    campaign_id: int | None
    source: str
    status: str
    kind: str
    account: str | None
    symbol: str
    strategy: str
    signal_type: str | None
    sector: str | None
    side: int
    quantity: float
    open_quantity: float
    multiplier: float
    entry_ts: int
    entry_price: float
    stop_price: float | None
    target_price: float | None
    current_stop_price: float | None
    initial_risk: float | None
    max_profit: float | None
    max_loss: float | None
    buying_power: float | None
    max_days: float | None
    signal_expires_ts: int | None
    granted_quantity: float | None
    spot: float | None
    expiry: str | None
    dte: int | None
    width: float | None
    mid_price: float | None
    iv: float | None
    iv_rank: float | None
    iv_rank_definition: str | None
    vix: float | None
    delta: float | None
    score: float | None
    strength: int | None
    probability: float | None
    earnings_days: int | None
    grade: str | None
    config_hash: str | None
    entry_notes: str
    details: str | None
    exit_ts: int | None
    exit_price: float | None
    close_reason: str | None
    close_code: str | None
    exit_notes: str
    fees: float
    gross_pnl: float
    pnl: float
    r_multiple: float | None
    capture_percent: float | None
    mae: float | None
    mfe: float | None
    slippage: float | None
    days: float | None
    legs: tuple[Leg, ...] = ()

    @property
    def entry_time(self) -> datetime:
        """When it was opened."""
        return from_nanoseconds(self.entry_ts)

    @property
    def exit_time(self) -> datetime | None:
        """When the last part was closed; of an open trade, when a part was closed last."""
        return _time(self.exit_ts)

    @property
    def signal_expires_time(self) -> datetime | None:
        """Until when its signal was valid."""
        return _time(self.signal_expires_ts)

    @property
    def closed_quantity(self) -> float:
        """Packages or shares that are closed."""
        return self.quantity - self.open_quantity

    @property
    def entry_credit(self) -> float:
        """Entry price as a credit per package or share: positive where it was sold."""
        return -self.side * self.entry_price

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        word = ("bought", "sold")[self.side < 0]
        text = (
            f"#{self.id}{name} {self.symbol} {self.strategy}: {word} {self.quantity:g} at "
            f"{self.entry_price:,.2f} on {self.entry_time:%Y-%m-%d}"
        )
        if self.status == "open":
            return f"{text}, {self.open_quantity:g} open"
        return f"{text}, closed at {self.exit_price or 0.0:,.2f}, P&L {self.pnl:+,.2f}"


@dataclass(frozen=True, slots=True)
class TradeOutcome:
    """What an exit came to.

    Attributes
    ----------
    trade_id
        The trade.
    pnl
        Profit of the whole trade so far in currency, after all fees.
    r_multiple
        `pnl` over the trade's initial risk; None while a part is open or where the risk is unknown.
    closed
        Whether nothing is open any more.
    insights
        What the journal found in the closed trade, one sentence each; empty while a part is open.
    realised
        Gross profit of the part that this exit closed, at the trade's average entry price.
    """

    trade_id: int
    pnl: float
    r_multiple: float | None
    closed: bool
    insights: tuple[str, ...] = ()
    realised: float = 0.0

    def __str__(self) -> str:
        r = "" if self.r_multiple is None else f" ({self.r_multiple:+.2f}R)"
        head = f"trade {self.trade_id} {'closed' if self.closed else 'reduced'}: P&L {self.pnl:+,.2f}{r}"
        return "\n".join([head, *(f"  - {line}" for line in self.insights)])


@dataclass(frozen=True, slots=True)
class Campaign:
    """Trades that belong together: a position, its rolls, and the shares that came of an assignment.

    Its `pnl` is what was made of the idea; that of one trade of it may say little: a put that is assigned
    keeps its whole credit, and its shares bear the loss.
    """

    id: int
    trades: tuple[Trade, ...]

    @property
    def pnl(self) -> float:
        """Profit of all trades so far in currency, after all fees."""
        return sum(trade.pnl for trade in self.trades)

    @property
    def fees(self) -> float:
        """Fees of all trades in currency."""
        return sum(trade.fees for trade in self.trades)

    @property
    def open(self) -> bool:
        """Whether any of the trades is open."""
        return any(trade.status == "open" for trade in self.trades)


def leg_of(row: Row[Any]) -> Leg:
    """Make a leg of a row of `legs`."""
    return Leg(**row._mapping)


def fill_of(row: Row[Any]) -> Fill:
    """Make a fill of a row of `fills`."""
    return Fill(**row._mapping)


def insight_of(row: Row[Any]) -> StoredInsight:
    """Make an insight of a row of `insights`."""
    return StoredInsight(**row._mapping)


def trade_of(row: Row[Any], legs: Sequence[Leg] = ()) -> Trade:
    """Make a trade of a row of `trades`."""
    return Trade(**row._mapping, legs=tuple(legs))


def recommendation_of(row: Row[Any], now: int, legs: Sequence[Leg] = ()) -> Recommendation:
    """Make a recommendation of a row of `recommendations`, expired if its time is over at `now`."""
    values = dict(row._mapping)
    if values["status"] == "recommended" and values["expires_ts"] is not None and values["expires_ts"] < now:
        values["status"], values["decided_ts"] = "expired", values["expires_ts"]
    return Recommendation(**values, legs=tuple(legs))


def _time(stamp: int | None) -> datetime | None:
    return None if stamp is None else from_nanoseconds(stamp)
