"""Orders that got lost on their way, and when one of them may be sent again.

An order whose call was not answered, and which the broker has said twice not to have, is given up; its id
stays taken, since it may still arrive. For an entry that is the end of it. What leaves or protects a position
has to go in the end, and goes again under the same id: a broker that refuses an id which it has then refuses
the second one. Not every broker does (Interactive Brokers takes a reference as often as it is given), so the
proof that the first never arrived is made here, and anew with each try:

- a minute has gone by since it was given up;
- the last reconciliation was complete, and nothing differs in its symbols but a stop that is missing;
- asked right now, the broker neither finds the id nor lists it, open or ended;
- it holds of each contract what our fills say, and no execution in them is unknown to us.

Whatever is not answered is no proof. The exit is then measured by what is held, as every exit is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from live.brokers.errors import AccessRefused

if TYPE_CHECKING:
    from live.brokers.book import Sent
    from live.brokers.interface import BrokerInterface
    from live.brokers.manager import BrokerManager

__all__ = ["PROVEN_AFTER", "LostOrders"]

PROVEN_AFTER: Final = timedelta(seconds=60)
"""How long after an order was given up it is taken for certain that nothing of it is on its way."""

_HARMLESS: Final = frozenset({"unprotected"})
"""Differences that a lost order brings about by not being there."""


class LostOrders:
    """Says of orders that were given up whether they may go again.

    Parameters
    ----------
    manager
        Whose orders these are.
    """

    def __init__(self, manager: BrokerManager) -> None:
        self._manager = manager

    def why_not(self, sent: Sent) -> str:
        """Return in words why an order may not be sent again; "" where it may."""
        if not sent.got_lost:
            return "it was not given up"
        if sent.request.purpose == "entry":
            return "an entry that was given up is over"
        manager = self._manager
        left = PROVEN_AFTER - (manager.clock() - (sent.updated or sent.at))
        if left > timedelta(0):
            return f"it may still arrive; asked again in {left.total_seconds():.0f} s"
        if sent.broker in manager.unreconciled:
            return f"{sent.broker} is not reconciled: {manager.unreconciled[sent.broker]}"
        try:
            return self._disputed(sent) or self._there(manager.known(sent.broker), sent)
        except AccessRefused as error:
            manager.access_refused(sent.broker, error)
            return f"{sent.broker} refuses access: {error.args[0]}"
        except Exception as error:  # whatever an adapter's library or a database raises: there is no proof
            return f"nobody can say whether it arrived: {type(error).__name__}: {error}"

    def _disputed(self, sent: Sent) -> str:
        """Return what differs between books and broker in its symbols; raises where nobody can say."""
        symbols = {leg.symbol for leg in sent.request.legs}
        for one in self._manager.get_differences():
            if symbols & set(one.found.symbols) and one.found.cause not in _HARMLESS:
                return f"{one.message} ({one.item_id})"
        return ""

    def _there(self, broker: BrokerInterface, sent: Sent) -> str:
        """Ask the broker for any trace of an order; raises where it does not answer."""
        from live.reconciling.fill_ledger import DUST, FillLedger  # which imports this package

        identity, symbols = sent.identity, {leg.symbol for leg in sent.request.legs}
        if broker.find_order(identity) is not None:
            return "the broker has it"
        if any(order.client_order_id == identity for order in broker.get_orders(open_only=False)):
            return "the broker lists it"
        held = {one.symbol: one.quantity for one in broker.get_positions()}
        ledger = FillLedger(self._manager.intents, sent.broker, broker.account)
        books = ledger.positions()
        for symbol in sorted(symbols):
            there, ours = held.get(symbol, 0.0), books.get(symbol, 0.0)
            if abs(there - ours) > DUST:
                return (
                    f"the broker holds {there:g} of {symbol} and the books hold {ours:g}: it may have filled"
                )
        for one in broker.executions(sent.at - PROVEN_AFTER):
            if one.symbol in symbols and one.execution_id not in ledger.fills:
                return f"execution {one.execution_id} in {one.symbol} is not in the books yet"
        return ""
