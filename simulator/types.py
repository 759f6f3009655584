"""Values and Protocols that every package shares; imports neither numba nor pandas.

Enumerations give names to the integers of `simulator.kernel.codes`. Each has a `label`, the word shown in
tables, files and reports. Protocols describe what is injected from above, so that dependencies keep running
one way: a strategy, for instance, lives in `strategies`, yet `simulator.backtest` may ask one for signals.

>>> ExitReason(codes.EXIT_TRAIL).label
'trail'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from simulator.brokerage import BrokerPositions, Execution, Holding
from simulator.kernel import codes
from simulator.opportunity import (
    Opportunity,
    OptionLeg,
    ParameterSource,
    PastPerformance,
    Sizing,
    TrackRecord,
)

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.context import Context
    from simulator.results import Result
    from simulator.signals import Signals
    from simulator.trials import Trial

__all__ = [
    "ActionKind",
    "BrokerPositions",
    "CommandKind",
    "Entry",
    "Execution",
    "ExitReason",
    "FillKind",
    "HaltState",
    "Holding",
    "OnBarStrategy",
    "Opportunity",
    "OptionLeg",
    "OrderState",
    "ParameterSource",
    "PastPerformance",
    "PriceRule",
    "Reason",
    "ResultSink",
    "Side",
    "SignalStrength",
    "Sizing",
    "Strategy",
    "TimeInForce",
    "TrackRecord",
    "TradingSignal",
    "TrialSink",
    "Verdict",
    "absent_inputs",
    "allowed_transitions",
]


class _Labelled(IntEnum):
    """An integer code whose label is its name in lower case."""

    @property
    def label(self) -> str:
        """Word for tables and files."""
        return self.name.lower()

    @classmethod
    def labels(cls) -> dict[int, str]:
        """All labels by code."""
        return {int(member): member.label for member in cls}


class Side(_Labelled):
    """Direction of a position, or 0 for a signal that closes one."""

    LONG = codes.LONG
    SHORT = codes.SHORT
    CLOSE = 0


class SignalStrength(_Labelled):
    """Class of a signal; the risk manager takes MODERATE and better by default."""

    WEAK = 1
    MODERATE = 2
    STRONG = 3
    VERY_STRONG = 4


class Entry(_Labelled):
    """How a signal enters the market."""

    OPEN = codes.ENTRY_OPEN
    CLOSE = codes.ENTRY_CLOSE
    LIMIT = codes.ENTRY_LIMIT
    STOP = codes.ENTRY_STOP
    STOP_LIMIT = codes.ENTRY_STOP_LIMIT
    MOC = codes.ENTRY_MOC
    FIXED_OPEN = codes.ENTRY_FIXED_OPEN
    FIXED_BAR = codes.ENTRY_FIXED_BAR
    FIXED_CLOSE = codes.ENTRY_FIXED_CLOSE


class TimeInForce(_Labelled):
    """How long an entry order works."""

    GTC = codes.TIF_GTC
    DAY = codes.TIF_DAY
    GTD = codes.TIF_GTD


class OrderState(_Labelled):
    """State of an order; `allowed_transitions` says which may follow which."""

    PENDING = codes.ORDER_PENDING
    SUBMITTED = codes.ORDER_SUBMITTED
    PARTIALLY_FILLED = codes.ORDER_PARTIALLY_FILLED
    FILLED = codes.ORDER_FILLED
    CANCELLED = codes.ORDER_CANCELLED
    REJECTED = codes.ORDER_REJECTED
    EXPIRED = codes.ORDER_EXPIRED


class FillKind(_Labelled):
    """What an order or a fill is for."""

    ENTRY = codes.KIND_ENTRY
    ADD = codes.KIND_ADD
    STOP = codes.KIND_STOP
    TRAIL = codes.KIND_TRAIL
    TARGET = codes.KIND_TARGET
    EXIT = codes.KIND_EXIT
    ACCOUNT = codes.KIND_ACCOUNT


class ExitReason(_Labelled):
    """Why a position ended."""

    NONE = codes.EXIT_NONE
    STOP = codes.EXIT_STOP
    TARGET = codes.EXIT_TARGET
    TARGET2 = codes.EXIT_TARGET2
    TARGET3 = codes.EXIT_TARGET3
    TRAIL = codes.EXIT_TRAIL
    BREAKEVEN = codes.EXIT_BREAKEVEN
    TIME = codes.EXIT_TIME
    SIGNAL = codes.EXIT_SIGNAL
    SCALE_OUT = codes.EXIT_SCALE_OUT
    DAILY_LOSS = codes.EXIT_DAILY_LOSS
    KILL_SWITCH = codes.EXIT_KILL_SWITCH
    DTE = codes.EXIT_DTE
    PROFIT_TARGET = codes.EXIT_PROFIT_TARGET
    EXPIRY = codes.EXIT_EXPIRY
    ASSIGNMENT = codes.EXIT_ASSIGNMENT
    ROLL = codes.EXIT_ROLL
    MANUAL = codes.EXIT_MANUAL
    END_OF_DATA = codes.EXIT_END_OF_DATA
    DRAWDOWN = codes.EXIT_DRAWDOWN
    DELISTED = codes.EXIT_DELISTED
    DELTA = codes.EXIT_DELTA
    UNCOVERED = codes.EXIT_UNCOVERED


class Reason(_Labelled):
    """Why a verdict or an order event came out as it did; also the name of the rule that decided."""

    ADMITTED = codes.REASON_ADMITTED
    SHRUNK = codes.REASON_SHRUNK
    KILLED = codes.REASON_KILLED
    DAILY_LOSS_HALT = codes.REASON_DAILY_LOSS_HALT
    DRAWDOWN_HALT = codes.REASON_DRAWDOWN_HALT
    REDUCING = codes.REASON_REDUCING
    NO_BAR = codes.REASON_NO_BAR
    SAME_SIDE_OPEN = codes.REASON_SAME_SIDE_OPEN
    OPPOSITE_SIDE_OPEN = codes.REASON_OPPOSITE_SIDE_OPEN
    EXIT_ON_THIS_BAR = codes.REASON_EXIT_ON_THIS_BAR
    NO_STOP = codes.REASON_NO_STOP
    INVALID_STOP = codes.REASON_INVALID_STOP
    INVALID_TARGET = codes.REASON_INVALID_TARGET
    MIN_STRENGTH = codes.REASON_MIN_STRENGTH
    MIN_SCORE = codes.REASON_MIN_SCORE
    MIN_REWARD_RISK = codes.REASON_MIN_REWARD_RISK
    MAX_POSITIONS = codes.REASON_MAX_POSITIONS
    SYMBOL_CAP = codes.REASON_SYMBOL_CAP
    STRATEGY_CAP = codes.REASON_STRATEGY_CAP
    COOLDOWN = codes.REASON_COOLDOWN
    CORRELATION = codes.REASON_CORRELATION
    CORRELATION_UNKNOWN = codes.REASON_CORRELATION_UNKNOWN
    RISK_PER_TRADE = codes.REASON_RISK_PER_TRADE
    HEAT = codes.REASON_HEAT
    SECTOR = codes.REASON_SECTOR
    POSITION_SIZE = codes.REASON_POSITION_SIZE
    GROSS_EXPOSURE = codes.REASON_GROSS_EXPOSURE
    NET_EXPOSURE = codes.REASON_NET_EXPOSURE
    BUYING_POWER = codes.REASON_BUYING_POWER
    MIN_QUANTITY = codes.REASON_MIN_QUANTITY
    CAPACITY = codes.REASON_CAPACITY
    NOTHING_TO_CLOSE = codes.REASON_NOTHING_TO_CLOSE
    CLOSE_ACCEPTED = codes.REASON_CLOSE_ACCEPTED
    INVALID_QUANTITY = codes.REASON_INVALID_QUANTITY
    INVALID_PRICE = codes.REASON_INVALID_PRICE
    DELISTED = codes.REASON_DELISTED
    NO_EQUITY = codes.REASON_NO_EQUITY
    NO_QUOTE = codes.REASON_NO_QUOTE
    MIN_CREDIT = codes.REASON_MIN_CREDIT
    NOT_COVERED = codes.REASON_NOT_COVERED
    NET_DELTA = codes.REASON_NET_DELTA
    GAMMA = codes.REASON_GAMMA
    THETA = codes.REASON_THETA
    VEGA = codes.REASON_VEGA
    NONE = codes.REASON_NONE
    GAPPED_STOP = codes.REASON_GAPPED_STOP
    TIF_EXPIRED = codes.REASON_TIF_EXPIRED
    OCO = codes.REASON_OCO
    SIBLING_FILLED = codes.REASON_SIBLING_FILLED
    HALT = codes.REASON_HALT
    FILL_BUYING_POWER = codes.REASON_FILL_BUYING_POWER
    VOLUME_CAP = codes.REASON_VOLUME_CAP
    TRIGGERED = codes.REASON_TRIGGERED
    COMMAND = codes.REASON_COMMAND
    SPLIT = codes.REASON_SPLIT
    DIVIDEND = codes.REASON_DIVIDEND
    SESSION_RELEASE = codes.REASON_SESSION_RELEASE
    ARMED = codes.REASON_ARMED
    DEPOSIT = codes.REASON_DEPOSIT
    STOP_EXIT_TOOK_PRECEDENCE = codes.REASON_STOP_EXIT_TOOK_PRECEDENCE
    REVERSED = codes.REASON_REVERSED
    ASSIGNED = codes.REASON_ASSIGNED
    PIN_RISK = codes.REASON_PIN_RISK


class PriceRule(_Labelled):
    """Which price of the bar a fill took."""

    OPEN = codes.PRICE_OPEN
    STOP = codes.PRICE_STOP
    LIMIT = codes.PRICE_LIMIT
    CLOSE = codes.PRICE_CLOSE
    GIVEN = codes.PRICE_GIVEN
    OPEN_GAP = codes.PRICE_OPEN_GAP
    QUOTE = codes.PRICE_QUOTE
    MODEL = codes.PRICE_MODEL


class HaltState(_Labelled):
    """What the account may do: everything, exits only, or no increase of exposure at all."""

    ACTIVE = codes.STATE_ACTIVE
    REDUCING = codes.STATE_REDUCING
    HALTED = codes.STATE_HALTED


class CommandKind(_Labelled):
    """What a person asked of a running account (step phase 0)."""

    CLOSE = codes.COMMAND_CLOSE
    CLOSE_ALL = codes.COMMAND_CLOSE_ALL
    KILL = codes.COMMAND_KILL
    REDUCE = codes.COMMAND_REDUCE
    ARM = codes.COMMAND_ARM
    DEPOSIT = codes.COMMAND_DEPOSIT
    CANCEL = codes.COMMAND_CANCEL


class ActionKind(_Labelled):
    """A corporate action, or a date that strategies care about."""

    SPLIT = codes.ACTION_SPLIT
    DIVIDEND = codes.ACTION_DIVIDEND
    DELIST = codes.ACTION_DELIST
    EARNINGS = codes.ACTION_EARNINGS


_ABSENT = {
    codes.ABSENT_STRENGTH: "strength",
    codes.ABSENT_SCORE: "score",
    codes.ABSENT_TARGET: "target",
    codes.ABSENT_STOP: "stop",
    codes.ABSENT_CORRELATION: "correlation",
}


def absent_inputs(bits: int) -> list[str]:
    """Names of the inputs that a signal lacked, so that the rule on each did not apply."""
    return [name for bit, name in _ABSENT.items() if bits & bit]


_TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.PENDING: frozenset(
        {OrderState.SUBMITTED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED}
    ),
    OrderState.SUBMITTED: frozenset(
        {
            OrderState.PARTIALLY_FILLED,
            OrderState.FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,
            OrderState.EXPIRED,
        }
    ),
    OrderState.PARTIALLY_FILLED: frozenset(
        {OrderState.PARTIALLY_FILLED, OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED}
    ),
    OrderState.FILLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
    OrderState.REJECTED: frozenset(),
    OrderState.EXPIRED: frozenset(),
}


def allowed_transitions(state: OrderState) -> frozenset[OrderState]:
    """Return the states that may follow `state`; empty for a final one."""
    return _TRANSITIONS[state]


@dataclass(frozen=True, slots=True)
class TradingSignal:
    """A complete trade idea: where to enter, where it is wrong, where it pays, and how large.

    Prices are in currency per share, `position_size` in shares, `risk_amount` and `reward_amount` in
    currency for that size, `score` from 0 to 100. `side` is +1 for long and -1 for short.
    """

    signal_id: str
    ticker: str
    side: int
    entry_price: float
    stop_loss: float
    target_price: float
    position_size: int
    strength: SignalStrength
    risk_amount: float
    reward_amount: float
    risk_reward_ratio: float
    signal_type: str
    created_at: datetime
    score: float | None = None
    sector: str | None = None
    notes: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The risk manager's answer to one signal."""

    symbol: str
    side: int
    reason: Reason
    rule: Reason
    value: float
    limit: float
    asked: float
    granted: float
    absent: tuple[str, ...]

    @property
    def admitted(self) -> bool:
        """Whether an order would be placed."""
        return self.reason in (Reason.ADMITTED, Reason.SHRUNK)


@runtime_checkable
class Strategy(Protocol):
    """Turns bars into signals, causally: signals on `bars[:t]` are the first part of signals on all bars."""

    @property
    def name(self) -> str:
        """Short name, as in tables."""
        ...

    @property
    def warmup(self) -> int:
        """Bars before the first signal can be trusted."""
        ...

    def signals(self, bars: Bars) -> Signals:
        """Return every signal that the bars give."""
        ...


@runtime_checkable
class OnBarStrategy(Protocol):
    """Called once per bar with its own positions and fills in view; slower, over the same step."""

    @property
    def name(self) -> str:
        """Short name, as in tables."""
        ...

    @property
    def warmup(self) -> int:
        """Bars before the first call."""
        ...

    def on_bar(self, context: Context) -> None:
        """Look at the bar that has just closed and place orders through `context`."""
        ...


@runtime_checkable
class ResultSink(Protocol):
    """Whoever keeps results of runs: the journal."""

    def store_result(self, result: Result, *, source: str = "backtest", label: str = "") -> Any:
        """Store a run with its trades and verdicts, and return what was stored."""
        ...


@runtime_checkable
class TrialSink(Protocol):
    """Whoever counts trials, so that the best of many is judged as that: `optimize.TrialLedger`."""

    def record(self, trials: Sequence[Trial]) -> int:
        """Store trials, each once however often it is told, and return how many were new."""
        ...
