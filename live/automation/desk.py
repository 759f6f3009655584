"""The desk of an automation: signals that wait, what the risk manager said to them, and their fills.

A signal is judged on a copy of the account when it comes, and again by the step that fills it. In between it
waits, with the bracket that it would get, in the journal like everything else: a restart finds it there.
Whatever ends its waiting without a fill is kept as a sentence and logged as the recommendation's end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from live.automation.account import Asked, PricedSession, verdict_of
from live.automation.config import AutomationConfig
from live.automation.ideas import EndedBy, Idea
from live.automation.journal import TradeBook, sentence
from live.clock import Clock
from live.sessions.outcome import StepOutcome
from simulator.errors import SignalError, UnknownNameError, did_you_mean
from simulator.order_manager import BracketOrder, OrderManager, ScaleOut, TrailingStop
from simulator.portfolio_risk_manager import Verdict
from simulator.types import OrderState, Reason, TradingSignal

__all__ = ["SignalDesk"]


class SignalDesk:
    """Signals of one account, from proposal to fill.

    Parameters
    ----------
    config, account, book, clock
        Of the automation.
    blocked
        Says why no entry is let through now; None where it is.
    """

    def __init__(
        self,
        config: AutomationConfig,
        account: PricedSession,
        book: TradeBook,
        clock: Clock,
        *,
        blocked: Callable[[], str | None],
    ) -> None:
        self.config = config
        self._account = account
        self._book = book
        self._clock = clock
        self._blocked = blocked

    @property
    def waiting(self) -> list[Idea]:
        """What waits to be executed, oldest first."""
        return self._book.waiting

    @property
    def executed(self) -> list[Idea]:
        """What was carried out, oldest first."""
        return [idea for idea in self._book.ideas.values() if idea.order is not None and not idea.refusal]

    def executed_as(self, client_order_id: str) -> Idea | None:
        """Return what was carried out under our id of an order; None where nothing was."""
        idea = self._book.of_client_order(client_order_id)
        return None if idea is None or idea.refusal else idea

    def process(self, signal: TradingSignal) -> BracketOrder | None:
        """Judge a signal, log it, and let it wait; None where it is refused."""
        known = self._book.ideas.get(signal.signal_id)
        if known is not None and known.order is not None and known.refusal is None:
            raise SignalError(f"signal {signal.signal_id} was executed already", code="LIVE_SIGNAL_DONE")
        if signal.sector is not None and signal.ticker not in self._account.symbols:
            self._account.sectors.setdefault(signal.ticker, signal.sector)
        idea = self._judged(signal, signal.entry_price)
        if known is not None and known.waits:
            idea.recommendation, idea.expires = known.recommendation, known.expires
            idea.review = known.review
            if idea.bracket is not None:
                idea.bracket = replace(idea.bracket, request_id=known.request_id)
        self._book.propose(idea, self.config.signal_valid_days)
        return idea.bracket

    def get(self, signal_id: str) -> Idea:
        """Return a signal that waits.

        Raises
        ------
        UnknownNameError
            LIVE_SIGNAL_UNKNOWN.
        """
        idea = self._book.ideas.get(signal_id)
        if idea is None or not idea.waits:
            raise self._unknown(signal_id, [waiting.signal.signal_id for waiting in self.waiting])
        return idea

    def find(self, signal_id: str) -> Idea | None:
        """Return a signal in whatever state; None where it never came."""
        return self._book.ideas.get(signal_id)

    def verdict(self, signal_id: str) -> Verdict:
        """Return the last verdict on a signal; raises as `get`."""
        if signal_id not in self._book.ideas:
            raise self._unknown(signal_id, self._book.ideas)
        return self._book.ideas[signal_id].verdict

    def bracket(self, signal_id: str) -> BracketOrder:
        """Return the orders of a signal that waits or was executed; raises as `get`."""
        idea = self._book.ideas.get(signal_id)
        if idea is not None and idea.bracket is not None:
            return idea.bracket
        if idea is None or idea.order is None:
            raise self._unknown(signal_id, self._book.ideas)
        found = self._book.orders.get_bracket(idea.order, signal_id=signal_id)
        return replace(found, verdict=idea.verdict, max_days=self.config.max_days_in_trade)

    def held_bracket(self, symbol: str) -> BracketOrder:
        """Return the orders of the position that is open in a symbol."""
        idea = self._book.of_order(self._book.orders.held(symbol))
        assert idea is not None  # noqa: S101 - what is held was a signal
        return self.bracket(idea.signal.signal_id)

    def price_for(self, idea: Idea) -> float:
        """Return where a waiting signal would fill now.

        The last price of its symbol that came after it was processed, else its own entry price.
        """
        last = self._account.last_price(idea.signal.ticker, since=idea.since)
        return idea.signal.entry_price if last is None else last

    def rejudge(self, idea: Idea) -> str | None:
        """Ask about a waiting signal once more; None where it is admitted as it was, else why not."""
        if idea.bracket is None:
            return idea.refusal or "it does not wait any more"
        now = self._judged(idea.signal, self.price_for(idea))
        if now.bracket is None:
            return now.refusal
        asked = idea.bracket.quantity if idea.review is None else float(idea.review["quantity"])
        if now.bracket.quantity < asked:
            return f"{idea.signal.ticker}: only {now.bracket.quantity:g} of {asked:g} shares are granted now"
        return None

    def fill(self, idea: Idea, client_order_id: str) -> BracketOrder | None:
        """Push a price at which a waiting signal is carried out; None where that refuses it."""
        signal = idea.signal
        columns = {**self._columns(signal, self.plan(signal)), "qty": self._asked(idea)}
        note = {
            "signal": signal.signal_id,
            "recommendation": idea.recommendation,
            "client_order_id": client_order_id,
        }
        self.push({signal.ticker: self.price_for(idea)}, columns, note=note)
        done = self._book.ideas[signal.signal_id]
        return None if done.refusal is not None else self.bracket(signal.signal_id)

    def push(
        self,
        prices: Mapping[str, float],
        signal: Mapping[str, Any] | None = None,
        commands: Sequence[Asked] = (),
        note: Mapping[str, Any] | None = None,
    ) -> StepOutcome:
        """Step the account; where that fails, what is in memory is again what is stored."""
        with self._book.stepping(note):
            return self._account.push(prices, signal, commands, note)

    def give_up(self, idea: Idea, reason: str, ended_by: EndedBy) -> None:
        """End the waiting of a signal without a fill."""
        self._book.end(idea, reason, ended_by)

    def reviewed(self, idea: Idea, review: dict[str, Any]) -> BracketOrder:
        """Store the request before a person under which a signal waits, as it stands."""
        before = idea.review, idea.bracket
        assert idea.bracket is not None  # noqa: S101 - only what waits is reviewed
        idea.review, idea.bracket = review, replace(idea.bracket, request_id=review["request_id"])
        try:
            self._book.keep(idea)
        except BaseException:
            idea.review, idea.bracket = before
            raise
        return idea.bracket

    def plan(
        self, signal: TradingSignal, quantity: float | None = None, *, take_profit: bool | None = None
    ) -> BracketOrder:
        """Write a signal down as a bracket, as the settings say."""
        return planned(self._book.orders, self.config, signal, quantity, take_profit=take_profit)

    # What the kernel is asked

    def _judged(self, signal: TradingSignal, price: float) -> Idea:
        blocked = self._blocked()
        if blocked is not None:
            verdict = Verdict(
                symbol=signal.ticker, side=signal.side, reason=Reason.KILLED, rule=Reason.KILLED,
                value=math.nan, limit=math.nan, asked=float(signal.position_size), granted=0.0, absent=(),
            )  # fmt: skip
            return self._idea(signal, verdict, refusal=f"{signal.ticker}: {blocked}", ended_by="halt")
        # reward to risk is judged with the target, also where none is placed
        columns = self._columns(signal, self.plan(signal, take_profit=True))
        found = self._account.rehearse({signal.ticker: price}, columns)
        record = found.logs["verdicts"][-1]
        verdict = verdict_of(record, found.symbols)
        if not verdict.admitted:
            return self._idea(signal, verdict, refusal=sentence(verdict), ended_by="risk")
        orders = OrderManager(found)
        orders.update(found.logs)
        entry = orders.get_order(str(int(record["order"])))
        if entry.state != OrderState.FILLED:
            why = f"{signal.ticker}: it would not fill ({entry.reason.label})"
            return self._idea(signal, verdict, refusal=why, ended_by="broker")
        idea = self._idea(signal, verdict)
        idea.bracket = replace(self.plan(signal, entry.filled_quantity), verdict=verdict)
        return idea

    def _idea(
        self,
        signal: TradingSignal,
        verdict: Verdict,
        *,
        refusal: str | None = None,
        ended_by: EndedBy | None = None,
    ) -> Idea:
        return Idea(
            signal=signal, verdict=verdict, since=self._account.session.bars, refusal=refusal,
            ended_by=ended_by, expires=self._clock() + timedelta(days=self.config.signal_valid_days),
        )  # fmt: skip

    def _asked(self, idea: Idea) -> float:
        # A person has approved so many shares and no more; without a review the signal's own size is asked.
        return float(idea.signal.position_size if idea.review is None else idea.review["quantity"])

    def _columns(self, signal: TradingSignal, plan: BracketOrder) -> dict[str, Any]:
        # Time exits fill at the price on which the time is over, not at the next one.
        found = {"symbol": signal.ticker, "side": signal.side, **plan.columns(), "exit": "close"}
        found |= {"qty": float(signal.position_size), "strength": int(signal.strength)}
        if signal.score is not None:
            found["score"] = signal.score
        return found

    def _unknown(self, signal_id: str, known: Iterable[str]) -> UnknownNameError:
        idea = self._book.ideas.get(signal_id)
        hint = did_you_mean(str(signal_id), known)
        if idea is not None:
            hint = f" It was refused: {idea.refusal}." if idea.refusal else " It was executed already."
        return UnknownNameError(f"no signal {signal_id!r} waits.{hint}", code="LIVE_SIGNAL_UNKNOWN")


def planned(
    orders: OrderManager,
    config: AutomationConfig,
    signal: TradingSignal,
    quantity: float | None,
    *,
    take_profit: bool | None = None,
) -> BracketOrder:
    """Return the bracket that the settings make of a signal."""
    trail = TrailingStop(percent=config.trailing_stop_percent, activate_r=config.trailing_activate_r)
    out = ScaleOut(config.scale_out_r, config.scale_out_fraction)
    return orders.create_bracket_order(
        signal,
        quantity=quantity,
        order_type="close",
        trailing_stop=trail if config.use_trailing_stops else None,
        scale_out=out if config.scale_out_enabled else None,
        max_days=config.max_days_in_trade,
        take_profit=config.use_bracket_orders if take_profit is None else take_profit,
    )
