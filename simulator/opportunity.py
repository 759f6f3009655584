"""What a scan finds, what sizing makes of it, and the past it is judged by.

These values travel from the scanner through the sizer into the journal, so they live below all three and
import neither numba nor pandas. Two kinds of unit, and the difference matters: prices of the package
(`credit`, `width`, break-evens, strikes) are in currency **per unit of the underlying**, as brokers quote
them; amounts (`max_profit`, `max_loss`, `buying_power`, `expected_value`, the Greeks) are **per package**, so
they include the multiplier. A credit is positive, a debit negative.

>>> leg = OptionLeg(-1, "put", 95.0, date(2020, 2, 21))
>>> str(leg), leg.spec
('-95P', (-1, 'put', 95.0, 1))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from simulator.types import TradingSignal

__all__ = [
    "Opportunity",
    "OptionLeg",
    "ParameterSource",
    "PastPerformance",
    "Quality",
    "QualitySource",
    "Sizing",
    "TrackRecord",
    "describe_legs",
]

Grade = Literal["quoted", "modelled"]


@dataclass(frozen=True, slots=True)
class OptionLeg:
    """One leg of a package.

    Attributes
    ----------
    side
        +1 bought, -1 sold.
    kind
        "call", "put" or "shares".
    strike
        Currency; 0 for shares, which pay off like a call that is exercised for nothing.
    expiry
        Expiry session; of shares, that of the package they belong to.
    ratio
        Contracts per package.
    bid, ask
        Quote when it was found, currency per unit of the underlying; both the spot price for shares.
    iv
        Volatility of this strike as a fraction; NaN is unknown.
    delta
        Of one bought contract per unit of the underlying: 0 to 1 for calls, -1 to 0 for puts; NaN is unknown.
    """

    side: int
    kind: str
    strike: float
    expiry: date
    ratio: int = 1
    bid: float = math.nan
    ask: float = math.nan
    iv: float = math.nan
    delta: float = math.nan

    @property
    def spec(self) -> tuple[int, str, float, int]:
        """Side, kind, strike and ratio, as `simulator.options.make_legs` takes them."""
        return self.side, self.kind, self.strike, self.ratio

    @property
    def mid(self) -> float:
        """Midpoint of bid and ask."""
        return (self.bid + self.ask) / 2

    def value_at(self, spot: float) -> float:
        """Return what the leg is worth to its holder at expiry, signed, per unit of the underlying."""
        if self.kind == "put":
            return self.side * self.ratio * max(0.0, self.strike - spot)
        return self.side * self.ratio * max(0.0, spot - self.strike)

    def __str__(self) -> str:
        count = "" if self.ratio == 1 else f"{self.ratio}x"
        sign = "+" if self.side > 0 else "-"
        if self.kind == "shares":
            return f"{sign}{count}shares"
        return f"{sign}{count}{self.strike:g}{self.kind[0].upper()}"


def describe_legs(legs: Sequence[OptionLeg]) -> str:
    """Return legs in words, those that outlive the first expiry with their own.

    >>> near, far = date(2020, 2, 21), date(2020, 3, 20)
    >>> describe_legs([OptionLeg(-1, "put", 95.0, near), OptionLeg(1, "put", 95.0, far)])
    '-95P +95P@20-03-20'
    """
    first = min((leg.expiry for leg in legs), default=None)
    return " ".join(
        str(leg) if leg.expiry == first or leg.kind == "shares" else f"{leg}@{leg.expiry:%y-%m-%d}"
        for leg in legs
    )


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How closed trades in a symbol went.

    Attributes
    ----------
    trades
        Closed trades.
    win_rate
        Percent of them with a profit, 0 to 100.
    average_pnl
        Mean profit per trade after fees, in currency.
    """

    trades: int
    win_rate: float
    average_pnl: float

    def standing(self, least: int = 2) -> int:
        """Return 1 for a proven symbol, -1 for one that loses, 0 for what cannot be told.

        Proven is an average profit and more wins than losses, losing an average loss; below `least` trades
        nothing can be told.
        """
        if self.trades < least:
            return 0
        if self.average_pnl < 0:
            return -1
        return int(self.average_pnl > 0 and self.win_rate > 50.0)

    def __str__(self) -> str:
        return f"{self.trades} trades, {self.win_rate:.0f}% won, average {self.average_pnl:+,.2f}"


@dataclass(frozen=True, slots=True)
class Quality:
    """What closed trades with a similar snapshot came to, beside what all of them came to.

    Attributes
    ----------
    probability, base_rate
        Of a profit after fees, 0 to 1, for this trade and for any; None where no model may say so.
    expected_r, mean_r
        Profit after fees in R, for this trade and for any; None where no model may say so.
    trades
        Closed trades that it rests on.
    notes
        What a reader should know, such as a measure outside of what was traded.
    """

    probability: float | None
    base_rate: float | None
    expected_r: float | None
    mean_r: float | None
    trades: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words.

        >>> str(Quality(0.71, 0.62, None, None, 240))
        'P(success) 71% (all 62%), 240 trades'
        """
        parts = []
        if self.probability is not None and self.base_rate is not None:
            parts.append(f"P(success) {self.probability:.0%} (all {self.base_rate:.0%})")
        if self.expected_r is not None and self.mean_r is not None:
            parts.append(f"{self.expected_r:+.2f}R (all {self.mean_r:+.2f}R)")
        return ", ".join([*parts, f"{self.trades:,} trades", *self.notes])


@runtime_checkable
class PastPerformance(Protocol):
    """Whoever remembers closed trades: the journal."""

    def past_performance(self, symbol: str) -> TrackRecord | None:
        """Return the record of the closed trades in a symbol, None where there are none."""
        ...


@runtime_checkable
class QualitySource(Protocol):
    """Whoever has a model of trade quality: `optimize.JournalQuality`."""

    def quality_of(self, proposal: Opportunity | TradingSignal) -> Quality | None:
        """Return what to expect of a proposal, None where no model may say so."""
        ...

    def quality_note(self, kind: str) -> str:
        """Return in one sentence what is known of "option" or "stock" trades, or why nothing is shown."""
        ...


@runtime_checkable
class ParameterSource(Protocol):
    """Whoever has learned parameters: the learning system."""

    def parameters_for(self, name: str) -> Mapping[str, Any]:
        """Return learned parameters by name for a component such as "options_scanner"; may be empty."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """A package that passed a scan, with what it can bring, cost and tie up.

    Attributes
    ----------
    symbol, strategy
        The underlying, and the name of the strategy ("short-put-spread").
    legs
        One to four `OptionLeg`.
    expiry, dte
        Expiry session, and calendar days to it; of calendars that of the front legs.
    as_of
        Time of the quotes, aware (UTC).
    spot
        Price of the underlying at that time.
    credit
        What the options bring when filled as the costs say, per unit of the underlying; shares not included.
    mid_credit
        The same at the midpoints.
    width
        Of the widest spread in it, per unit of the underlying; None where nothing bounds a sold leg, and for
        calendars, whose legs have one strike.
    max_profit, max_loss
        At expiry, per package, before fees; infinite where nothing bounds them. Of calendars the loss is the
        debit, and the profit is modelled: what is left of the back legs at the front expiry, each at its own
        volatility of today.
    break_evens
        Prices of the underlying at expiry where profit turns into loss or back, ascending; modelled in the
        same way for calendars.
    probability_of_profit
        Risk-neutral probability that the package ends with a profit at expiry, 0 to 1.
    probability_basis
        Where the distribution comes from: "surface" or "quoted IVs".
    expected_value
        Risk-neutral expectation of profit at expiry, per package, before fees. It measures what the fill
        gives away against fair prices, not an edge: see `docs/scanner.md`.
    margin, buying_power
        Cash that a package holds back, and what it takes from the account when opened: margin less credit (or
        plus debit) plus fees. The rules are those of the simulator's packages.
    risk, risk_basis
        What counts as lost when sizing: "max loss" where every sold option is covered by a bought one, else
        "2 sigma": the loss at two deviations of the underlying over five sessions, at most the maximum loss.
    iv, iv_rank
        At-the-money volatility of the expiry (fraction), and IV rank (0 to 100); None is unknown.
    delta, theta, vega
        Per package: change in currency per 1.00 of the underlying, per calendar day, per point of volatility.
    score
        0 to 100, higher is better; ranks opportunities among each other, and says nothing about profit.
    grade
        "quoted" or "modelled".
    past
        Closed trades in this symbol, None where no journal was asked or knows any.
    quality
        What a model of closed trades expects of it, None where there is none or it may say nothing.
    multiplier
        Units of the underlying per contract.
    notes
        What a reader should know, one line each.
    rate, dividend_yield, style
        With what legs that outlive `expiry` are valued: continuous rates as fractions, "european" or
        "american".
    """

    symbol: str
    strategy: str
    legs: tuple[OptionLeg, ...]
    expiry: date
    dte: int
    as_of: datetime
    spot: float
    credit: float
    mid_credit: float
    width: float | None
    max_profit: float
    max_loss: float
    break_evens: tuple[float, ...]
    probability_of_profit: float
    probability_basis: str
    expected_value: float
    margin: float
    buying_power: float
    risk: float
    risk_basis: str
    iv: float
    iv_rank: float | None
    delta: float
    theta: float
    vega: float
    score: float
    grade: Grade
    past: TrackRecord | None = None
    multiplier: float = 100.0
    notes: tuple[str, ...] = ()
    rate: float = 0.0
    dividend_yield: float = 0.0
    style: str = "european"
    quality: Quality | None = None

    @property
    def strikes(self) -> tuple[float, ...]:
        """Strikes of the options, ascending; a strike that is used twice counts once."""
        return tuple(sorted({leg.strike for leg in self.legs if leg.kind != "shares"}))

    @property
    def return_on_buying_power(self) -> float:
        """Largest profit of the options as a fraction of buying power; NaN where none is tied up.

        Of what is paid for, that is `max_profit`.
        """
        most = self.credit * self.multiplier if self.credit > 0 else self.max_profit
        return most / self.buying_power if self.buying_power > 0 else math.nan

    def profit_at(self, spot: float) -> float:
        """Return the profit at expiry if the underlying ends at `spot`, per package, before fees.

        Legs that live longer count at their model price of that day, at their own volatility (`iv`), `rate`
        and `dividend_yield`.
        """
        shares = sum(leg.side * leg.ratio for leg in self.legs if leg.kind == "shares")
        value = sum(self._value_of(leg, spot) for leg in self.legs)
        return (self.credit - shares * self.spot + value) * self.multiplier

    def _value_of(self, leg: OptionLeg, spot: float) -> float:
        left = (leg.expiry - self.expiry).days
        if leg.kind == "shares" or left <= 0:
            return leg.value_at(spot)
        # a model needs numba: who asks for calendars alone pays for it
        from simulator.options.pricing import price

        terms = (self.rate, leg.iv, self.dividend_yield, self.style)
        return leg.side * leg.ratio * float(price(leg.kind, spot, leg.strike, left / 365.0, *terms))

    def __str__(self) -> str:
        rank = "unknown" if self.iv_rank is None else f"{self.iv_rank:.0f}"
        loss = "unlimited" if math.isinf(self.max_loss) else f"{self.max_loss:,.0f}"
        brings = f"{'debit' if self.credit < 0 else 'credit'} {abs(self.credit):.2f}"
        text = (
            f"{self.symbol} {self.strategy} {describe_legs(self.legs)} {self.expiry} ({self.dte}d) "
            f"{brings}, max loss {loss}, P(profit) {self.probability_of_profit:.0%}, "
            f"IV rank {rank}, score {self.score:.0f} [{self.grade}]"
        )
        text = text if self.past is None else f"{text} (past: {self.past})"
        return text if self.quality is None else f"{text} (quality: {self.quality})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How many packages of an opportunity fit an account, and why not more.

    Attributes
    ----------
    contracts
        Packages, rounded down; 0 where not even one fits.
    total_credit
        Currency for all of them; negative is a debit.
    max_loss
        Largest loss at expiry in currency for all of them; infinite where nothing bounds it.
    risk
        What counts as lost in currency for all of them (`Opportunity.risk`).
    buying_power
        Currency taken from the account by all of them.
    account_percent
        Buying power in percent of the account.
    heat_percent
        Risk in percent of the account.
    rule
        The limit that bound the number: "risk_per_trade", "position_size", "heat", "buying_power" or
        "max_contracts".
    limits
        How many packages each limit alone would allow, by its name; infinite where it does not bind.
    reasons
        The arithmetic in words, one line per limit, the binding one first.
    account_size
        Currency.
    """

    contracts: int
    total_credit: float
    max_loss: float
    risk: float
    buying_power: float
    account_percent: float
    heat_percent: float
    rule: str
    limits: Mapping[str, float] = field(hash=False)
    reasons: tuple[str, ...]
    account_size: float

    def __str__(self) -> str:
        loss = "unlimited" if math.isinf(self.max_loss) else f"{self.max_loss:,.0f}"
        return (
            f"{self.contracts} contracts: credit {self.total_credit:,.0f}, max loss {loss}, buying power "
            f"{self.buying_power:,.0f} ({self.account_percent:.1f}% of account), risk "
            f"{self.heat_percent:.1f}%, bound by {self.rule}"
        )
