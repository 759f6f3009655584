"""Changing a working order: on record before it is sent, and past every check that one like it passes.

A change that may make a position larger counts as an entry: no unresolved order in its symbol, a reconciled
broker, the gate, and a person where persons decide. An order that leaves is also measured, when it is to
become larger, by what is held, as a new one of that size would be. What only moves or lessens an order that
leaves counts as protection, and passes in every state. A kill that comes during the call ends what enters,
whatever id the broker has given it meanwhile, and also where the call has failed, since the change may have
arrived.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerOrder
from live.brokers.shrinking import keeper
from live.kill_switch import KillSwitchError
from live.submit_gate import Purpose, may_pass

if TYPE_CHECKING:
    from live.brokers.manager import BrokerManager
    from live.brokers.sending import Sender

__all__ = ["Changer"]


class Changer:
    """What a manager changes orders by."""

    def __init__(self, manager: BrokerManager, sender: Sender) -> None:
        self._manager = manager
        self._sender = sender

    def replace(self, name: str, order_id: str, wanted: Mapping[str, float]) -> BrokerOrder:
        """Change an order at the broker `name`; raises `KillSwitchError` LIVE_DENIED where it may not be."""
        manager = self._manager
        broker = manager.known(name)
        there = next((order for order in broker.get_orders() if order.order_id == order_id), None)
        purposes = manager.book.purposes()
        leaves = there is not None and keeper(broker, purposes)(there)
        smaller = "quantity" not in wanted or (there is not None and wanted["quantity"] <= there.quantity)
        purpose: Purpose = "protect" if smaller and leaves else "entry"
        reviewed = purpose == "entry" or (there is not None and purposes.get(there.client_order_id) == "exit")
        if reviewed and manager.mode is ExecutionMode.MANUAL_REVIEW:
            raise _denied(order_id, "MANUAL_REVIEW", "a person decides: cancel it, and submit it anew")
        identity = "" if there is None else there.client_order_id
        symbols = [] if there is None else [leg.symbol for leg in there.legs]
        code, why = manager.doubt(name, identity, purpose, symbols)
        if code:
            raise _denied(order_id, code, why)
        if there is None or smaller or not leaves:
            return self._sent(name, order_id, there, purpose, wanted, leaves=leaves)
        return self._sender.grown(
            name, there, wanted["quantity"],
            lambda: self._sent(name, order_id, there, purpose, wanted, leaves=leaves),
        )  # fmt: skip

    def rescale(self, name: str, order: BrokerOrder, wanted: Mapping[str, float]) -> BrokerOrder:
        """Change a protective order as a split has changed its stock: as many more shares as are held."""
        return self._sent(name, order.order_id, order, "protect", wanted, leaves=True)

    def _sent(
        self,
        name: str,
        order_id: str,
        there: BrokerOrder | None,
        purpose: Purpose,
        wanted: Mapping[str, float],
        *,
        leaves: bool,
    ) -> BrokerOrder:
        manager = self._manager
        broker = manager.known(name)
        identity = "" if there is None else there.client_order_id
        try:
            passed = manager.gate.submit(
                order_id,
                purpose,
                lambda: broker.replace_order(order_id, **wanted),
                shrinks=lambda: True,  # it is working, leaves a position, and does not grow
                symbols=[] if there is None else [leg.symbol for leg in there.legs],
                record=lambda entry: manager.diary.changing(entry, name, there, wanted),
            )
        except Exception:  # whatever the adapter's library raises; it goes on to the caller
            if not leaves and not may_pass(manager.kill_switch.state, purpose):
                manager.end(name, identity, order_id)
            raise
        if passed.answer is None:
            code, why = passed.entry.code, manager.kill_switch.status["why"]
            if code == "LIVE_NOT_RECORDED":
                why = f"the change of {order_id} could not be recorded"
                manager.halt(why, "twinstep")
            raise _denied(order_id, code, why)
        if there is not None:
            manager.diary.renamed(name, there, passed.answer)
        manager.diary.changed(name, there, passed.answer, wanted)
        if passed.overtaken and not leaves:
            manager.end(name, identity, order_id, passed.answer.order_id)
        return passed.answer


def _denied(order_id: str, code: str, why: str) -> KillSwitchError:
    return KillSwitchError(f"{order_id} is not changed ({code}): {why}", code="LIVE_DENIED")
