"""The desk of an automation: signals that wait, what the risk manager said to them, and their fills.

A signal is judged on a copy of the account when it comes, and again by the step that fills it. In between it
waits, with the bracket that it would get. Whatever ends its waiting without a fill is kept as a sentence and
logged as the recommendation's end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from journal.records import Trade
from live.automation_account import Logs, TickAccount, verdict_of
from live.automation_config import AutomationConfig
from live.automation_journal import TradeBook
from live.clock import Clock
from simulator.errors import SignalError, UnknownNameError, did_you_mean
from simulator.order_manager import BracketOrder, OrderManager, ScaleOut, TrailingStop
from simulator.portfolio_risk_manager import Verdict
from simulator.types import OrderState, Reason, TradingSignal

__all__ = ["SignalDesk", "Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signal that waits to be executed.

    Attributes
    ----------
    bracket
        What it would get, as judged when it came.
    recommendation
        Its number in the journal.
    since
        Ticks of the account before it came.
    expires
        Until when it may be executed.
    """

    signal: TradingSignal
    bracket: BracketOrder
    recommendation: int
    since: int
    expires: datetime


class SignalDesk:
    """Signals of one account, from proposal to fill.

    Parameters
    ----------
    config, account, orders, book, clock
        Of the automation.
    blocked
        Says why no entry is let through now; None where it is.
    tick
        Steps the account: prices, a signal's columns, the signal and its recommendation; returns the logs.
    """

    def __init__(
        self,
        config: AutomationConfig,
        account: TickAccount,
        orders: OrderManager,
        book: TradeBook,
        clock: Clock,
        *,
        blocked: Callable[[], str | None],
        tick: Callable[[Mapping[str, float], Mapping[str, Any], TradingSignal, int], Logs],
    ) -> None:
        self.config = config
        self.waiting: dict[str, Waiting] = {}
        self.executed: dict[str, str] = {}  # signals -> entry orders
        self.verdicts: dict[str, Verdict] = {}
        self.refusals: dict[str, str] = {}
        self._account = account
        self._orders = orders
        self._book = book
        self._clock = clock
        self._blocked = blocked
        self._tick = tick

    def process(self, signal: TradingSignal) -> BracketOrder | None:
        """Judge a signal, log it, and let it wait; None where it is refused."""
        key = signal.signal_id
        if key in self.executed:
            raise SignalError(f"signal {key} was executed already", code="LIVE_SIGNAL_DONE")
        if signal.sector is not None and signal.ticker not in self._account.symbols:
            self._account.sectors.setdefault(signal.ticker, signal.sector)
        days = self.config.signal_valid_days
        known = self.waiting.pop(key, None)
        number = self._book.propose(signal, days) if known is None else known.recommendation
        bracket = self._judge(signal, signal.entry_price)
        if bracket is None:
            self._book.refuse(number, self.refusals[key])
            return None
        expires = self._clock() + timedelta(days=days) if known is None else known.expires
        self.waiting[key] = Waiting(signal, bracket, number, len(self._account.ticks), expires)
        return bracket

    def get(self, signal_id: str) -> Waiting:
        """Return a signal that waits.

        Raises
        ------
        UnknownNameError
            LIVE_SIGNAL_UNKNOWN.
        """
        if signal_id not in self.waiting:
            raise self._unknown(signal_id, self.waiting)
        return self.waiting[signal_id]

    def verdict(self, signal_id: str) -> Verdict:
        """Return the last verdict on a signal; raises as `get`."""
        if signal_id not in self.verdicts:
            raise self._unknown(signal_id, self.verdicts)
        return self.verdicts[signal_id]

    def bracket(self, signal_id: str) -> BracketOrder:
        """Return the orders of a signal that waits or was executed; raises as `get`."""
        if signal_id in self.waiting:
            return self.waiting[signal_id].bracket
        if signal_id not in self.executed:
            raise self._unknown(signal_id, [*self.waiting, *self.executed])
        found = self._orders.get_bracket(self.executed[signal_id], signal_id=signal_id)
        return replace(found, verdict=self.verdicts[signal_id], max_days=self.config.max_days_in_trade)

    def held_bracket(self, symbol: str) -> BracketOrder:
        """Return the orders of the position that is open in a symbol."""
        signals = {entry: signal_id for signal_id, entry in self.executed.items()}
        held = [found for found in self._orders.brackets(symbol) if not found.entry.is_open]
        return self.bracket(signals[held[-1].entry.order_id])

    def price_for(self, signal_id: str) -> float:
        """Return where a waiting signal would fill now.

        The last price of its symbol that came after it was processed, else its own entry price.
        """
        waiting = self.get(signal_id)
        last = self._account.last_price(waiting.signal.ticker, since=waiting.since)
        return waiting.signal.entry_price if last is None else last

    def rejudge(self, signal_id: str) -> str | None:
        """Ask about a waiting signal once more; None where it is admitted as it was, else why not."""
        waiting = self.get(signal_id)
        bracket = self._judge(waiting.signal, self.price_for(signal_id))
        if bracket is None:
            return self.refusals[signal_id]
        if bracket.quantity < waiting.bracket.quantity:
            return (
                f"{bracket.symbol}: only {bracket.quantity:g} of {waiting.bracket.quantity:g} shares are "
                "granted now"
            )
        return None

    def fill(self, signal_id: str) -> BracketOrder | None:
        """Step the account by a tick that carries a waiting signal out; None where that refuses it."""
        waiting, price = self.get(signal_id), self.price_for(signal_id)
        signal = waiting.signal
        columns = {**self._columns(signal, self.plan(signal)), "qty": self._asked(waiting)}
        logs = self._tick({signal.ticker: price}, columns, signal, waiting.recommendation)
        del self.waiting[signal_id]
        return self.carried_out(signal, waiting.recommendation, logs)

    def carried_out(self, signal: TradingSignal, recommendation: int, logs: Logs) -> BracketOrder | None:
        """Take in a tick that carried a signal out, now or before a restart; None where it refused it."""
        key = signal.signal_id
        verdict = self._note(signal, logs, self._account.symbols)
        self.take(logs, entered=(signal, recommendation, verdict.granted))
        order = int(logs["verdicts"][-1]["order"])
        entry = None if order < 0 else self._orders.get_order(str(order))
        if entry is not None and entry.state == OrderState.FILLED:
            self.executed[key] = entry.order_id
            return self.bracket(key)
        if entry is not None:
            self.refusals[key] = f"{signal.ticker}: the order did not fill ({entry.reason.label})"
        self._book.refuse(recommendation, self.refusals[key])
        return None

    def take(
        self,
        logs: Logs,
        *,
        entered: tuple[TradingSignal, int, float] | None = None,
        reasons: Mapping[int, str] | None = None,
    ) -> list[Trade]:
        """Take in what a tick logged; return the trades that ended."""
        self._orders.update(logs)
        return self._book.write(
            logs, entered=entered, reasons=reasons, max_days=self.config.max_days_in_trade
        )

    def give_up(self, signal_id: str, reason: str) -> None:
        """End the waiting of a signal without a fill."""
        waiting = self.waiting.pop(signal_id)
        self.refusals[signal_id] = f"{waiting.signal.ticker}: {reason}"
        self._book.refuse(waiting.recommendation, reason)

    def waits_for(self, signal_id: str, request_id: str) -> BracketOrder:
        """Note the request of the review queue under which a signal waits."""
        waiting = self.get(signal_id)
        bracket = replace(waiting.bracket, request_id=request_id)
        self.waiting[signal_id] = replace(waiting, bracket=bracket)
        return bracket

    def plan(
        self, signal: TradingSignal, quantity: float | None = None, *, take_profit: bool | None = None
    ) -> BracketOrder:
        """Write a signal down as a bracket, as the settings say."""
        config = self.config
        trail = TrailingStop(percent=config.trailing_stop_percent, activate_r=config.trailing_activate_r)
        out = ScaleOut(config.scale_out_r, config.scale_out_fraction)
        return self._orders.create_bracket_order(
            signal,
            quantity=quantity,
            order_type="close",
            trailing_stop=trail if config.use_trailing_stops else None,
            scale_out=out if config.scale_out_enabled else None,
            max_days=config.max_days_in_trade,
            take_profit=config.use_bracket_orders if take_profit is None else take_profit,
        )

    # What the kernel is asked

    def _judge(self, signal: TradingSignal, price: float) -> BracketOrder | None:
        blocked = self._blocked()
        if blocked is not None:
            self._halted(signal, blocked)
            return None
        # reward to risk is judged with the target, also where none is placed
        columns = self._columns(signal, self.plan(signal, take_profit=True))
        copy, logs = self._account.rehearse({signal.ticker: price}, columns)
        verdict = self._note(signal, logs, copy.symbols)
        if not verdict.admitted:
            return None
        orders = OrderManager(copy)
        orders.update(logs)
        entry = orders.get_order(str(int(logs["verdicts"][-1]["order"])))
        if entry.state != OrderState.FILLED:
            self.refusals[signal.signal_id] = f"{signal.ticker}: it would not fill ({entry.reason.label})"
            return None
        return replace(self.plan(signal, entry.filled_quantity), verdict=verdict)

    def _asked(self, waiting: Waiting) -> float:
        # A person has approved so many shares and no more; without a review the signal's own size is asked.
        reviewed = waiting.bracket.request_id is not None
        return waiting.bracket.quantity if reviewed else float(waiting.signal.position_size)

    def _columns(self, signal: TradingSignal, plan: BracketOrder) -> dict[str, Any]:
        # Time exits fill at the tick on which the time is over, not at the next one.
        found = {"symbol": signal.ticker, "side": signal.side, **plan.columns(), "exit": "close"}
        found |= {"qty": float(signal.position_size), "strength": int(signal.strength)}
        if signal.score is not None:
            found["score"] = signal.score
        return found

    def _note(self, signal: TradingSignal, logs: Logs, symbols: tuple[str, ...]) -> Verdict:
        verdict = verdict_of(logs["verdicts"][-1], symbols)
        self.verdicts[signal.signal_id] = verdict
        self.refusals.pop(signal.signal_id, None)
        if not verdict.admitted:
            self.refusals[signal.signal_id] = _sentence(verdict)
        return verdict

    def _halted(self, signal: TradingSignal, reason: str) -> None:
        self.verdicts[signal.signal_id] = Verdict(
            symbol=signal.ticker, side=signal.side, reason=Reason.KILLED, rule=Reason.KILLED,
            value=math.nan, limit=math.nan, asked=float(signal.position_size), granted=0.0, absent=(),
        )  # fmt: skip
        self.refusals[signal.signal_id] = f"{signal.ticker}: {reason}"

    def _unknown(self, signal_id: str, known: Iterable[str]) -> UnknownNameError:
        why = self.refusals.get(signal_id)
        hint = f" It was refused: {why}." if why else did_you_mean(str(signal_id), known)
        if signal_id in self.executed:
            hint = " It was executed already."
        return UnknownNameError(f"no signal {signal_id!r} waits.{hint}", code="LIVE_SIGNAL_UNKNOWN")


def _sentence(verdict: Verdict) -> str:
    figures = "" if math.isnan(verdict.value) else f" ({verdict.value:.4g} against {verdict.limit:.4g})"
    return f"{verdict.symbol}: refused by the rule {verdict.reason.label}{figures}"
