"""What may be said of an entry: the arguments of `TradeJournal.log_trade_entry`.

`EntryDetails` names and types those that go by name only; `Entry` holds all of them, None for what was not
said. Amounts are for the whole trade, in currency; prices are per unit of the underlying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypedDict

from simulator.errors import known_fields
from simulator.opportunity import OptionLeg

__all__ = ["Entry", "EntryDetails"]


class EntryDetails(TypedDict, total=False):
    """Arguments of an entry that go by name.

    symbol, strategy, sector, signal_type
        What was traded and why; inherited from the recommendation.
    kind
        "stock" or "option"; told from the other arguments where it is not said.
    side, quantity, entry_price
        +1 bought or -1 sold, shares or packages, price per share or package: the form for shares. Sold
        packages are more easily said by `actual_contracts` and `entry_credit`.
    when, fees
        Aware time of the fill (now), and what was paid for it.
    legs
        `OptionLeg`s, or mappings with side, kind, strike and optionally ratio and expiry.
    multiplier
        Units per contract (100 for options, 1 for shares).
    stop_price, target_price
        As planned at entry.
    initial_risk, max_loss, max_profit, buying_power
        For the whole trade; worked out from the legs or the recommendation where not said.
    max_days
        Calendar days that the trade may last.
    granted_quantity
        What sizing or the risk manager granted; the recommended quantity where not said.
    spot, expiry, dte, width, mid_price, iv, iv_rank_definition, vix, delta, score, strength, probability,
    earnings_days, grade, config_hash, parameter_set
        The market at entry: `iv` is a fraction, `score` 0 to 100, `probability` 0 to 1, `delta` per package.
    name
        A name of your own, unique, such as "TRADE_001".
    account, source
        Broker's account; "live", "paper" or "backtest".
    campaign
        A trade that this one belongs to, such as the shares that a call covers.
    tags
        Words to find it by.
    override
        Log it against an expired, ignored or executed recommendation, or on its other side; remembered.
    execution_key, broker, order_id
        The broker's ids; the same execution is refused a second time.
    """

    symbol: str | None
    strategy: str | None
    side: int | None
    quantity: float | None
    entry_price: float | None
    when: datetime | int | None
    fees: float
    kind: str | None
    legs: Sequence[OptionLeg | Mapping[str, Any]]
    multiplier: float | None
    stop_price: float | None
    target_price: float | None
    initial_risk: float | None
    max_loss: float | None
    max_profit: float | None
    buying_power: float | None
    max_days: float | None
    granted_quantity: float | None
    spot: float | None
    expiry: date | str | None
    dte: int | None
    width: float | None
    mid_price: float | None
    iv: float | None
    iv_rank_definition: str | None
    vix: float | None
    delta: float | None
    score: float | None
    strength: int | None
    probability: float | None
    earnings_days: int | None
    grade: str | None
    config_hash: str | None
    parameter_set: int | None
    sector: str | None
    signal_type: str | None
    name: str | None
    account: str | None
    source: str | None
    campaign: int | str | None
    tags: Sequence[str]
    override: bool
    execution_key: str | None
    broker: str
    order_id: str


@known_fields("argument of an entry", code="JOURNAL_ARGUMENT")
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the caller of `TradeJournal.log_trade_entry` said; None is not said."""

    rec_id: int | str | None = None
    actual_contracts: float | None = None
    entry_credit: float | None = None
    iv_rank: float | None = None
    notes: str = ""
    symbol: str | None = None
    strategy: str | None = None
    side: int | None = None
    quantity: float | None = None
    entry_price: float | None = None
    when: datetime | int | None = None
    fees: float = 0.0
    kind: str | None = None
    legs: Sequence[OptionLeg | Mapping[str, Any]] = ()
    multiplier: float | None = None
    stop_price: float | None = None
    target_price: float | None = None
    initial_risk: float | None = None
    max_loss: float | None = None
    max_profit: float | None = None
    buying_power: float | None = None
    max_days: float | None = None
    granted_quantity: float | None = None
    spot: float | None = None
    expiry: date | str | None = None
    dte: int | None = None
    width: float | None = None
    mid_price: float | None = None
    iv: float | None = None
    iv_rank_definition: str | None = None
    vix: float | None = None
    delta: float | None = None
    score: float | None = None
    strength: int | None = None
    probability: float | None = None
    earnings_days: int | None = None
    grade: str | None = None
    config_hash: str | None = None
    parameter_set: int | None = None
    sector: str | None = None
    signal_type: str | None = None
    name: str | None = None
    account: str | None = None
    source: str | None = None
    campaign: int | str | None = None
    tags: Sequence[str] = ()
    override: bool = False
    execution_key: str | None = None
    broker: str = ""
    order_id: str = ""
