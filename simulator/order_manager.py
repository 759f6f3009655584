"""The order manager: which orders an account has, what became of them, and how to write new ones.

Nothing is matched here. `OrderManager` reads the kernel's state and the logs that a `Run`, a `Stepper` or a
live session hands over, and shows entries, stops, targets, trails, adds and exits as `Order`s with their
states and history. `create_bracket_order` writes a trade idea down with percent or dollar trailing, scaling
in and out, and time exits, as the one signal that the kernel trades.

A position that was opened before the first log is shown too, from the state, with a history that starts now.

>>> from simulator import Run, Signals, load_bars
>>> bars = load_bars("synthetic:2x90?seed=1")
>>> run = Run(bars, Signals.from_arrays(bars, [5], 0, 1, stop_percent=5.0, target_percent=10.0))
>>> run.advance(8)
>>> [(order.order_id, order.state.name) for order in OrderManager.of(run).get_orders()]
[('0', 'FILLED'), ('0-stop', 'SUBMITTED'), ('0-target', 'SUBMITTED')]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from simulator.commands import Command
from simulator.engine import Run
from simulator.errors import SignalError, UnknownNameError, did_you_mean
from simulator.kernel.state import LOG_NAMES
from simulator.order_reader import STOPS, OrderReader
from simulator.orders import BracketOrder, Order, ScaleIn, ScaleOut, TrailingStop
from simulator.types import FillKind, OrderState, TradingSignal

__all__ = ["BracketOrder", "Order", "OrderManager", "ScaleIn", "ScaleOut", "TrailingStop"]


class OrderManager(OrderReader):
    """Orders of one account, read from what the kernel keeps and logs.

    Parameters
    ----------
    account
        Whose orders: a `Run`, a `Stepper` or a live account. `update` is to be called with the logs after
        every step.
    """

    @classmethod
    def of(cls, run: Run) -> OrderManager:
        """Return the orders of a run, as far as it has come."""
        manager = cls(run)
        manager.update({name: run.books.log(name) for name in LOG_NAMES})
        return manager

    # Reading

    def get_order(self, order_id: str) -> Order:
        """Return one order.

        Raises
        ------
        UnknownNameError
            NAME_ORDER.
        """
        if order_id not in self._orders:
            raise UnknownNameError(
                f"no order {order_id!r}.{did_you_mean(str(order_id), self._orders)}", code="NAME_ORDER"
            )
        return self._orders[order_id]

    def get_orders(self, symbol: str | None = None, state: OrderState | None = None) -> list[Order]:
        """Return orders, entries before what belongs to them, of a symbol and in a state if one is named."""
        return [
            order
            for order in self._orders.values()
            if symbol in (None, order.symbol) and state in (None, order.state)
        ]

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the orders to which something may still happen."""
        return [order for order in self.get_orders(symbol) if order.is_open]

    def get_bracket(self, order_id: str, *, signal_id: str = "") -> BracketOrder:
        """Return an entry order with everything that belongs to it."""
        entry = self.get_order(order_id)
        mine = [order for key, order in self._orders.items() if key.startswith(f"{order_id}-")]
        targets = [order for order in mine if order.kind == FillKind.TARGET]
        return BracketOrder(
            signal_id=signal_id,
            entry=entry,
            stop_loss=next((order for order in mine if order.kind in STOPS), None),
            targets=tuple(sorted(targets, key=lambda order: order.price * entry.side)),
            trailing_stop=self._trails.get(order_id),
            adds=tuple(order for order in mine if order.kind == FillKind.ADD),
            exits=tuple(order for order in mine if order.kind == FillKind.EXIT),
        )

    def brackets(self, symbol: str | None = None) -> list[BracketOrder]:
        """Return the brackets that wait, work or hold a position."""
        entries = [order for order in self.get_orders(symbol) if order.kind == FillKind.ENTRY]
        found = [self.get_bracket(order.order_id) for order in entries]
        return [bracket for bracket in found if bracket.is_open]

    def trailing_stops(self) -> list[TrailingStop]:
        """Return the trails of open positions, with their levels."""
        return [trail for bracket in self.brackets() if (trail := bracket.trailing_stop) is not None]

    # Writing

    def create_bracket_order(
        self,
        signal: TradingSignal,
        *,
        quantity: float | None = None,
        order_type: str = "market",
        trailing_stop: TrailingStop | None = None,
        scale_in: Sequence[ScaleIn] = (),
        scale_out: ScaleOut | None = None,
        breakeven_r: float | None = None,
        max_days: int | None = None,
        max_bars: int | None = None,
        take_profit: bool = True,
    ) -> BracketOrder:
        """Write a signal down as a bracket: PENDING orders that the kernel has not been asked about.

        Parameters
        ----------
        signal
            The trade idea.
        quantity
            Shares; the signal's own by default. The risk manager may grant fewer.
        order_type
            "market" (the next open), "close", "limit", "stop" or "moc"; limit and stop at the signal's entry.
        trailing_stop, scale_in, scale_out, breakeven_r, max_days, max_bars
            See `BracketOrder`; at most two of `scale_in`.
        take_profit
            False leaves the target out.

        Raises
        ------
        SignalError
            SIGNAL_ENTRY for an unknown type of order, SIGNAL_ADD for more than two adds.
        """
        types = ("market", "close", "limit", "stop", "moc")
        if order_type not in types:
            raise SignalError(
                f"order type {order_type!r} is unknown.{did_you_mean(order_type, types)}", code="SIGNAL_ENTRY"
            )
        if len(scale_in) > 2:
            raise SignalError(f"{len(scale_in)} adds were asked for; two is the most", code="SIGNAL_ADD")
        size = float(signal.position_size if quantity is None else quantity)
        entry = Order(
            order_id=signal.signal_id, symbol=signal.ticker, side=signal.side, kind=FillKind.ENTRY,
            order_type=order_type, quantity=size, price=signal.entry_price,
        )  # fmt: skip
        child = replace(entry, side=-signal.side)
        stop = replace(
            child, order_id=f"{signal.signal_id}-stop", kind=FillKind.STOP, order_type="stop",
            price=signal.stop_loss,
        )  # fmt: skip
        target = replace(
            child, order_id=f"{signal.signal_id}-target", kind=FillKind.TARGET, order_type="limit",
            price=signal.target_price,
        )  # fmt: skip
        return BracketOrder(
            signal_id=signal.signal_id,
            entry=entry,
            stop_loss=stop,
            targets=(target,) if take_profit else (),
            trailing_stop=trailing_stop,
            scale_in=tuple(scale_in),
            scale_out=scale_out,
            max_days=max_days,
            max_bars=max_bars,
            breakeven_r=breakeven_r,
        )

    def cancel(self, symbol: str, time: datetime) -> Command:
        """Return the command that cancels a symbol's working entries."""
        return Command(time, "cancel", symbol)

    def close(self, symbol: str, time: datetime, price: float | None = None) -> Command:
        """Return the command that closes a symbol's position, at the open or at a price."""
        return Command(time, "close", symbol, price)
