"""What every broker tells beside orders and positions: updates, activities, quotes, and what it allows.

One value each for all brokers, so that whoever reads them need not know where they come from. What a broker
does not give is NaN, 0 or "" as the field says, and never a guess. Signs are those of the account: what comes
in is positive. Prices are in the currency of the contract and per unit (of an option per share, as it is
quoted); times are aware.

>>> from datetime import UTC, datetime
>>> quote = Quote(symbol="AAPL", time=datetime(2026, 1, 5, 15, 0, tzinfo=UTC), bid=99.0, ask=101.0)
>>> quote.is_usable, quote.price
(True, 100.0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Activity", "ActivityKind", "BrokerUpdate", "DataLevel", "Quote", "Standing", "UpdateKind"]

UpdateKind = Literal["order", "fill", "position", "connected", "lost"]
ActivityKind = Literal[
    "assignment", "exercise", "expiry", "dividend", "split", "interest", "fee", "transfer", "other"
]
DataLevel = Literal["all", "part", "delayed", "none"]
"""Prices of now from all exchanges, of now from some of them, of some minutes ago (or modified), or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUpdate:
    """Something that happened, told without being asked.

    It says that something has happened, and never what is true now: streams lose messages. Whoever listens
    takes it as a reason to ask sooner; the answer to a question is what counts.

    Attributes
    ----------
    kind
        "connected" and "lost" are about the line, the others about the account.
    symbol
        Canonical, "" where there is none, or several.
    order_id, client_order_id
        The broker's and ours; "" where it is not about an order.
    text
        For a person.
    """

    kind: UpdateKind
    symbol: str = ""
    order_id: str = ""
    client_order_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that changed an account and was no trade.

    Attributes
    ----------
    activity_id
        The broker's own; the same event has the same id whenever it is told.
    kind
        "other" is what the broker tells and none of the rest; its words are in `text`.
    time
        Aware; where the broker tells the day alone, the end of its session.
    symbol
        Canonical, "" for cash alone.
    quantity
        Signed change of the position in shares or contracts; 0 for cash, a dividend included.
    price
        Currency per share; of a dividend the amount per share; 0 where the broker tells none.
    amount
        Currency that moved, received is positive; 0 where none moved or the broker does not tell.
    text
        The broker's words, "" where it has none.
    """

    activity_id: str
    kind: ActivityKind
    time: datetime
    symbol: str = ""
    quantity: float = 0.0
    price: float = 0.0
    amount: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote as it was at `time`; NaN for what the broker does not give.

    Attributes
    ----------
    symbol
        Canonical.
    time
        When it was made, where the broker tells, else when it came.
    bid, ask
        Best prices; 0 where the broker says that nobody is there.
    bid_size, ask_size
        Shares or contracts that are there at the best price; NaN where the broker does not say.
    last, mark
        The last trade, and the broker's own value.
    is_delayed
        Whether it is not what one could trade at now: delayed, frozen at the last close, or indicative.
    iv
        Implied volatility of an option by the broker's model, a fraction.
    delta, gamma, vega, theta
        Of one option on one share, long: per unit of the underlying (gamma: of delta), per point of
        volatility (0.01), per calendar day.
    """

    symbol: str
    time: datetime
    bid: float = math.nan
    ask: float = math.nan
    bid_size: float = math.nan
    ask_size: float = math.nan
    last: float = math.nan
    mark: float = math.nan
    is_delayed: bool = False
    iv: float = math.nan
    delta: float = math.nan
    gamma: float = math.nan
    vega: float = math.nan
    theta: float = math.nan

    @property
    def is_usable(self) -> bool:
        """Whether there are two sides, above 0, and not crossed, and they are of now."""
        return 0.0 < self.bid <= self.ask and not self.is_delayed

    @property
    def price(self) -> float:
        """What it trades at: the last trade, the mark, or the middle; NaN without any."""
        middle = (self.bid + self.ask) / 2.0 if 0.0 < self.bid <= self.ask else math.nan
        return next((one for one in (self.last, self.mark, middle) if one > 0.0), math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an account may do and see, for a check before trading starts; None or "" where it is not told.

    Attributes
    ----------
    status, account_type
        The broker's words: "ACTIVE"; "Individual, margin".
    may_trade
        Whether it may open positions.
    may_short
        Whether it may sell shares short.
    option_level
        0 no options; 1 covered calls and cash-secured puts; 2 buys options too; 3 spreads too; 4 sells
        options uncovered too. At least this one, where it was found out by asking.
    option_words
        The broker's own name of the level, or why it is not known.
    data, option_data
        Which prices of shares, and of options, this login gets.
    data_words
        What the broker says about them.
    restrictions
        Whatever else stands in the way of some orders, in words.
    """

    status: str = ""
    account_type: str = ""
    may_trade: bool | None = None
    may_short: bool | None = None
    option_level: int | None = None
    option_words: str = ""
    data: DataLevel | None = None
    option_data: DataLevel | None = None
    data_words: str = ""
    restrictions: tuple[str, ...] = ()
