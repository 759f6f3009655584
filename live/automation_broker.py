"""The account of an automation as a broker.

Orders of an automation pass where orders to any broker pass: `BrokerManager` asks the kill switch, and in
MANUAL_REVIEW the review queue, and only then does `PaperBroker` step the account. An order here fills
at once at the last known price or is refused, so nothing of it ever works; stops, targets and trails belong
to the position and are the kernel's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from live.automation_account import Logs, to_time
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
from simulator.order_manager import BracketOrder
from simulator.types import OrderState, TradingSignal

if TYPE_CHECKING:
    from live.trading_automation import TradingAutomation

__all__ = ["BROKER", "PaperBroker"]

BROKER: Final = "paper"
_RUN: Final = "automation"


class PaperBroker(BrokerInterface):
    """The paper account of one automation.

    It takes market entries that carry out a waiting signal, and market orders that close a whole position;
    anything else is REJECTED with LIVE_ORDER_KIND.
    """

    def __init__(self, automation: TradingAutomation) -> None:
        self._automation = automation
        self._signals: dict[str, str] = {}  # our order ids -> signals
        self._orders: dict[str, BrokerOrder] = {}
        self._executions: list[Execution] = []

    @property
    def broker(self) -> str:
        """Return "paper"."""
        return BROKER

    @property
    def account(self) -> str:
        """Return "automation"."""
        return _RUN

    @property
    def is_paper(self) -> bool:
        """Return True."""
        return True

    def request_for(self, signal: TradingSignal, bracket: BracketOrder, attempt: int) -> OrderRequest:
        """Return the order that carries a signal out, in its first or a later attempt."""
        key = client_order_id(_RUN, signal.signal_id, signal.ticker, signal.created_at, attempt)
        self._signals[key] = signal.signal_id
        target = bracket.take_profit
        return OrderRequest(
            client_order_id=key,
            legs=(Leg(signal.ticker, signal.side * bracket.quantity),),
            order_class="bracket",
            stop_loss=signal.stop_loss,
            take_profit=None if target is None else target.price,
            strategy=signal.signal_type,
            reason=signal.notes,
        )

    def signal_of(self, request: OrderRequest) -> str | None:
        """Return the waiting signal that an order carries out; None where there is none."""
        return self._signals.get(request.client_order_id)

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Carry a signal out, or close a position, at once."""
        key = request.client_order_id
        if key in self._orders:
            return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=self._orders[key])
        leg = request.legs[0]
        signal_id = self.signal_of(request)
        if request.kind != "market" or len(request.legs) != 1:
            return _rejected(
                request, code="LIVE_ORDER_KIND", message=f"{request.kind} orders are not taken here"
            )
        if request.purpose == "entry":
            if signal_id is None:
                return _rejected(
                    request, code="LIVE_ORDER_KIND", message="an entry carries out a processed signal"
                )
            ticks = len(self._automation.account.ticks)
            try:
                self._automation.keeper.check()
                bracket = self._automation.desk.fill(signal_id)
            except TwinstepError as error:
                if len(self._automation.account.ticks) > ticks:
                    raise
                return _rejected(request, code=error.code, message=str(error.args[0]))  # nothing was stepped
            self._automation.keeper.written()
            if bracket is None:
                return _rejected(
                    request, code="LIVE_RISK", message=self._automation.refusal(signal_id) or "refused"
                )
            filled, price = bracket.entry.filled_quantity, bracket.entry.average_price
            return self._confirmed(request, bracket.entry.order_id, filled, price)
        held = {holding.symbol: holding for holding in self.get_positions()}.get(leg.symbol)
        if held is None or held.quantity != -leg.quantity:
            return _rejected(request, code="LIVE_ORDER_KIND", message=f"an exit closes all of {leg.symbol}")
        trade = self._automation.close_position(leg.symbol, reason=request.reason or request.purpose)
        return self._confirmed(request, f"exit-{trade.id}", abs(leg.quantity), float(trade.exit_price or 0.0))

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
        return self._orders.get(client_order_id)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders; none of them is ever open."""
        return [order for order in self._orders.values() if order.is_open or not open_only]

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
        return [done for done in self._executions if since is None or done.time >= since]

    def note(self, logs: Logs) -> None:
        """Take in the fills of one tick."""
        for fill in logs["fills"]:
            number = len(self._executions)
            self._executions.append(
                Execution(
                    execution_id=f"{_RUN}-{number}",
                    order_id=str(int(fill["order"])),
                    time=to_time(int(fill["ts"])),
                    symbol=self._automation.account.symbols[int(fill["sym"])],
                    side=int(fill["side"]),
                    quantity=float(fill["qty"]),
                    price=float(fill["price"]),
                    fees=float(fill["fee"]),
                )
            )

    def _confirmed(self, request: OrderRequest, order_id: str, filled: float, price: float) -> Submitted:
        order = BrokerOrder(
            order_id=order_id, client_order_id=request.client_order_id, legs=request.legs, kind=request.kind,
            state=OrderState.FILLED, quantity=filled, filled=filled, average_price=price,
        )  # fmt: skip
        self._orders[request.client_order_id] = order
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=request.client_order_id, order=order)

    def _known(self, order_id: str) -> BrokerOrder:
        for order in self._orders.values():
            if order.order_id == order_id:
                return order
        names = [order.order_id for order in self._orders.values()]
        raise UnknownNameError(f"no order {order_id!r}.{did_you_mean(order_id, names)}", code="NAME_ORDER")


def _rejected(request: OrderRequest, *, code: str, message: str) -> Submitted:
    return Submitted(
        outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code=code, message=message
    )
