"""The account of an automation as a broker.

Orders of an automation pass where orders to any broker pass: `BrokerManager` asks the kill switch, and in
MANUAL_REVIEW the review queue, and only then does `AutomationBroker` step the account. An order here fills
at once at the last known price or is refused, so nothing of it ever works; stops, targets and trails belong
to the position and are the kernel's. Orders and executions are read from the journal, so that whoever asks
after a crash is told what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from journal import schema
from live.automation.account import to_time
from live.automation.ideas import Idea
from live.automation.journal import BROKER, SOURCE
from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    Leg,
    OrderRequest,
    Outcome,
    Submitted,
    client_order_id,
)
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError, TwinstepError, UnknownNameError, did_you_mean
from simulator.types import OrderState

if TYPE_CHECKING:
    from live.trading_automation import TradingAutomation

__all__ = ["AutomationBroker"]

_EXIT: Final = "exit_order"
"""Where the note of a bar holds our id of an order that closed a position."""


class AutomationBroker(BrokerInterface):
    """The paper account of one automation.

    It takes market entries that carry out a waiting signal, and market orders that close a whole position;
    anything else is REJECTED with LIVE_ORDER_KIND.
    """

    def __init__(self, automation: TradingAutomation) -> None:
        self._automation = automation
        self._closing: dict[str, BrokerOrder] | None = None  # by our id; read when first asked for

    @property
    def broker(self) -> str:
        """Return "paper"."""
        return BROKER

    @property
    def account(self) -> str:
        """Return the name of the session."""
        return self._automation.session.name

    @property
    def is_paper(self) -> bool:
        """Return True."""
        return True

    def request_for(self, idea: Idea) -> OrderRequest:
        """Return the order that carries a waiting signal out."""
        signal, bracket = idea.signal, idea.bracket
        assert bracket is not None  # noqa: S101 - it waits
        target = bracket.take_profit
        return OrderRequest(
            client_order_id=self._key_of(idea),
            legs=(Leg(signal.ticker, signal.side * bracket.quantity),),
            order_class="bracket",
            stop_loss=signal.stop_loss,
            take_profit=None if target is None else target.price,
            strategy=signal.signal_type,
            reason=signal.notes,
        )

    def idea_of(self, request: OrderRequest) -> Idea | None:
        """Return the waiting signal that an order carries out; None where there is none."""
        key = request.client_order_id
        return next((idea for idea in self._automation.desk.waiting if self._key_of(idea) == key), None)

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Carry a signal out, or close a position, at once."""
        key = request.client_order_id
        there = self.find_order(key)
        if there is not None:
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)
        leg = request.legs[0]
        if request.kind != "market" or len(request.legs) != 1:
            return _rejected(
                request, code="LIVE_ORDER_KIND", message=f"{request.kind} orders are not taken here"
            )
        try:
            if request.purpose == "entry":
                return self._enter(request)
            held = {holding.symbol: holding for holding in self.get_positions()}.get(leg.symbol)
            if held is None or held.quantity != -leg.quantity:
                return _rejected(
                    request, code="LIVE_ORDER_KIND", message=f"an exit closes all of {leg.symbol}"
                )
            note = {_EXIT: key, "symbol": leg.symbol, "quantity": leg.quantity}
            self._automation.close_by_order(leg.symbol, request.reason or request.purpose, note)
            self._closing = None
        except TwinstepError as error:
            # the transaction failed as a whole, so nothing was stepped
            return _rejected(request, code=error.code, message=str(error.args[0]))
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=self.find_order(key))

    def _enter(self, request: OrderRequest) -> Submitted:
        idea = self.idea_of(request)
        if idea is None:
            return _rejected(
                request, code="LIVE_ORDER_KIND", message="an entry carries out a processed signal"
            )
        if self._automation.carry_out(idea, request.client_order_id) is None:
            why = self._automation.refusal(idea.signal.signal_id) or "refused"
            return _rejected(request, code="LIVE_RISK", message=why)
        key = request.client_order_id
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=self.find_order(key))

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Refuse: every order here is final; `ConfigError` LIVE_ORDER_FINAL, or NAME_ORDER where none is."""
        order = self._known(order_id)
        raise ConfigError(
            f"order {order_id} is {order.state.name} and changes no more; stops and targets belong to the "
            "position",
            code="LIVE_ORDER_FINAL",
        )

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Return the order as it is: what is final stays so."""
        return self._known(order_id)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id."""
        idea = self._automation.desk.executed_as(client_order_id)
        return self._exits().get(client_order_id) if idea is None else self._entry(idea)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders; none of them is ever open."""
        return [] if open_only else self._all()

    def get_positions(self) -> Sequence[Holding]:
        """Return what is held."""
        return [
            Holding(
                symbol=position.symbol,
                quantity=position.side * position.quantity,
                average_price=position.entry_price,
                mark=position.mark,
            )
            for position in self._automation.portfolio_risk().positions
        ]

    def get_account(self) -> Account:
        """Return what the account is worth."""
        record = self._automation.account.state.account[0]
        cash, short = float(record["cash"]), float(record["short_value"])
        return Account(cash=cash, equity=float(record["equity"]), buying_power=cash - 2.0 * short)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return the fills, oldest first."""
        table = schema.fills.c
        query = (
            select(schema.fills)
            .where(table.source == SOURCE, table.account == self.account)
            .order_by(table.id)
        )
        with self._automation.journal.database.read() as connection:
            rows = connection.execute(query).all()
        found = [
            Execution(
                execution_id=row.execution_key,
                order_id=row.order_id,
                time=to_time(row.ts),
                symbol=row.symbol,
                side=row.side,
                quantity=row.quantity,
                price=row.price,
                fees=row.fees,
            )
            for row in rows
        ]
        return [done for done in found if since is None or done.time >= since]

    def _key_of(self, idea: Idea) -> str:
        # a signal that is processed again after its end has another recommendation, and so another order
        signal = idea.signal
        return client_order_id(
            self.account, signal.signal_id, signal.ticker, signal.created_at, idea.recommendation
        )

    def _all(self) -> list[BrokerOrder]:
        return [*(self._entry(idea) for idea in self._automation.desk.executed), *self._exits().values()]

    def _entry(self, idea: Idea) -> BrokerOrder:
        entry = self._automation.order_manager.get_order(str(idea.order))
        return BrokerOrder(
            order_id=entry.order_id, client_order_id=str(idea.client_order_id),
            legs=(Leg(entry.symbol, entry.side * entry.quantity),), kind="market", state=OrderState.FILLED,
            quantity=entry.filled_quantity, filled=entry.filled_quantity, average_price=entry.average_price,
        )  # fmt: skip

    def _exits(self) -> dict[str, BrokerOrder]:
        if self._closing is None:
            self._closing = {}
            fills = {(done.time, done.symbol): done for done in self.executions()}
            for note in self._automation.session.notes():
                if isinstance(note.value, dict) and _EXIT in note.value:
                    quantity, symbol = float(note.value["quantity"]), note.value["symbol"]
                    self._closing[note.value[_EXIT]] = BrokerOrder(
                        order_id=f"exit-{note.bar}", client_order_id=note.value[_EXIT],
                        legs=(Leg(symbol, quantity),), kind="market", state=OrderState.FILLED,
                        quantity=abs(quantity), filled=abs(quantity),
                        average_price=fills[to_time(note.ts), symbol].price,
                    )  # fmt: skip
        return self._closing

    def _known(self, order_id: str) -> BrokerOrder:
        orders = self._all()
        for order in orders:
            if order.order_id == order_id:
                return order
        names = [order.order_id for order in orders]
        raise UnknownNameError(f"no order {order_id!r}.{did_you_mean(order_id, names)}", code="NAME_ORDER")


def _rejected(request: OrderRequest, *, code: str, message: str) -> Submitted:
    return Submitted(
        outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code=code, message=message
    )
