"""What all paths share: the venue, the market, the account's switches, and the venue's refusals in Alpaca's.

Answers are JSON; a refusal is raised as `Refusal` wherever it is found. Every call into the venue that can be
refused goes through `Desk.asking`, which turns what the venue raises into the answer that Alpaca would give.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from live.exchange import wire
from live.exchange.assets import known_symbol
from live.exchange.errors import Refusal, bad_field, forbidden, not_found, unprocessable
from live.venue.types import VenueRejected
from simulator.errors import UnknownNameError

if TYPE_CHECKING:
    from live.exchange.market import Market
    from live.exchange.stream import Hub
    from live.venue import Venue
    from live.venue.types import VenueUpdate

__all__ = ["Desk", "answer"]

CONFIGURATION: Final[dict[str, Any]] = {
    "dtbp_check": "entry",
    "fractional_trading": True,
    "max_margin_multiplier": "1",
    "max_options_trading_level": 3,
    "no_shorting": False,
    "pdt_check": "entry",
    "ptp_no_exception_entry": False,
    "suspend_trade": False,
    "trade_confirm_email": "none",
}


class Desk:
    """One venue behind the paths.

    Attributes
    ----------
    configuration
        The account's switches, as a client sets them; for as long as the exchange runs.
    orders : int
        Orders that the venue has taken, replacements included, children and legs not.
    """

    def __init__(self, venue: Venue, market: Market, hub: Hub) -> None:
        self.venue = venue
        self.market = market
        self.hub = hub
        self.configuration = dict(CONFIGURATION)
        self.orders = 0
        self._asked: dict[str, str] = {}
        venue.subscribe(self._tell)

    def symbol(self, text: str) -> str:
        """Return the symbol that a symbol or an asset id in a path names."""
        return known_symbol(self.market, text, set(self.venue.symbols))

    @contextmanager
    def asking(self, what: str = "order not found", *, symbol: str = "") -> Iterator[None]:
        """Ask the venue between two bars; what it refuses becomes a `Refusal`, and `what` the text of a 404.

        Of `symbol` a refusal tells what is held and what is free.
        """
        try:
            with self.market.still:
                yield
        except UnknownNameError:
            raise not_found(what) from None
        except VenueRejected as rejected:
            raise self._refusal(rejected, symbol) from None

    @contextmanager
    def announced(self, event: str, *order_ids: str) -> Iterator[None]:
        """Let the end of these orders be told as one that a client asked for: first `event`, then the end."""
        self._asked.update(dict.fromkeys(order_ids, event))
        try:
            yield
        finally:
            for order_id in order_ids:
                self._asked.pop(order_id, None)

    def _refusal(self, rejected: VenueRejected, symbol: str) -> Refusal:
        make, words = _ANSWERS.get(rejected.code, (unprocessable, ""))
        message = str(rejected.args[0])
        refusal = make(f"{words}: {message}" if words else message)
        if rejected.code == "VENUE_BUYING_POWER":
            refusal.more["buying_power"] = wire.decimal(max(0.0, self.venue.account().buying_power))
        elif rejected.code == "VENUE_HELD" and symbol:
            refusal.more.update(self._holding(symbol))
        return refusal

    def _holding(self, symbol: str) -> dict[str, Any]:
        held = next((each for each in self.venue.positions() if each.symbol == symbol), None)
        whole, free = (0.0, 0.0) if held is None else (abs(held.qty), held.qty_available)
        return {
            "symbol": symbol,
            "existing_qty": wire.decimal(whole),
            "available": wire.decimal(free),
            "held_for_orders": wire.decimal(whole - free),
        }

    def _tell(self, update: VenueUpdate) -> None:
        """Send what happened to an order; called by the venue, in any thread, in order."""
        order = update.order
        before = ""
        self.orders += update.event == "new" and not order.parent_id
        if update.event == "new" and not order.parent_id and not order.replaces:
            before = "pending_new"
        elif update.event in ("canceled", "replaced"):
            before = self._asked.get(order.id, "")
        if before:
            self.hub.publish(lambda: _pending(update, before))
        self.hub.publish(lambda: wire.update(update))


def answer(content: Any, status: int = 200) -> Response:
    """Return JSON."""
    return Response(json.dumps(content), status, media_type="application/json; charset=utf-8")


def _pending(update: VenueUpdate, event: str) -> dict[str, Any]:
    message = wire.update(update)
    message["event"] = event
    message["order"].update(status=event, canceled_at=None, replaced_at=None, replaced_by=None)
    return message


# Alpaca's words first, because clients look for them; then what the venue has to say.
_ANSWERS: Final[dict[str, tuple[Callable[[str], Refusal], str]]] = {
    "VENUE_BUYING_POWER": (forbidden, "insufficient buying power"),
    "VENUE_HELD": (forbidden, "insufficient qty available for order"),
    "VENUE_CLIENT_ID": (bad_field, "client_order_id must be unique"),
    "VENUE_SYMBOL": (unprocessable, "asset not found"),
    "VENUE_FINAL": (unprocessable, "order is not open"),
    "VENUE_ORDER": (unprocessable, ""),
}
