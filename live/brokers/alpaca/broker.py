"""`AlpacaBroker`: an account at Alpaca behind the interface of brokers.

An order is known by our client order id, which Alpaca keeps unique for ever: a second submit is refused with
"must be unique", and that refusal is the proof that the first one arrived. Nothing is sent twice here; what
was not answered is UNRESOLVED, and `find_order` says later what became of it.

A changed order has another id at Alpaca. Here it keeps our client order id, whichever id it has by now, and
cancelling it by an old id cancels what replaced it. Alpaca holds the stop and the target of a bracket back
until the whole entry has filled; until then they are PENDING, and what has filled of it is bare.

>>> broker = AlpacaBroker(load_credentials("alpaca", ["key", "secret"]))     # doctest: +SKIP
>>> broker.get_positions()                                                  # doctest: +SKIP
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from live.brokers.alpaca.line import STREAM_PATH, Limiter, Line, NoAnswer, Refused, trusted_address
from live.brokers.alpaca.listing import Listing
from live.brokers.alpaca.market import chain_of, quotes_of
from live.brokers.alpaca.orders import changed_id, numbered, request_for
from live.brokers.alpaca.readings import (
    activity_of,
    assigned_of,
    executed_kinds,
    execution_of,
    holding_of,
    moment,
    number,
    order_of,
    rows_of,
)
from live.brokers.alpaca.sessions import session_end
from live.brokers.alpaca.standing import standing_of
from live.brokers.alpaca.watch import EVERY, Watch
from live.brokers.errors import DuplicateOrder
from live.brokers.interface import (
    Account,
    BrokerInterface,
    BrokerOrder,
    OrderRequest,
    Outcome,
    Submitted,
    denied,
    is_option,
    unresolved,
)
from live.brokers.ticks import net_priced, priced, steps_of
from live.brokers.told import Activity, BrokerUpdate, Quote, Standing
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.options.chain import Chain

__all__ = ["AlpacaBroker"]

CANCEL_WAIT: Final = 1.0
"""Seconds to wait for the end of an order that was asked to end; then it is told as it stands."""

LONGEST_ID: Final = 120
"""Characters of a client order id, eight fewer than Alpaca takes: a change adds some."""

_ACTIVITY_PAGE: Final = 100
_LATE: Final = timedelta(days=1)  # by which what is booked by the day may lie before its time


class AlpacaBroker(BrokerInterface):
    """One account.

    Parameters
    ----------
    credentials
        "key" and "secret"; those of paper and of live are different pairs.
    paper
        Whether it is the paper account.
    account
        Its number: calls about balances fail where the keys are of another. None takes that of the keys.
    timeout
        Seconds that a request may take.
    limiter
        Budget of requests (`RateLimit`), of which Alpaca allows 200 a minute.
    feed, option_feed
        Where quotes come from: "iex" or "sip"; "indicative" or "opra".
    url, data_url, stream_url
        Of the services; by default Alpaca's. A stream's follows from `url`.
    every
        Seconds between two looks at the broker while somebody listens to `on_update`.

    Raises
    ------
    ConfigError
        LIVE_BROKER_CONFIG for a timeout that is not above 0, credentials that lack a part, an address without
        encryption.
    MissingExtraError
        LIVE_EXTRA_ALPACA without alpaca-py.
    """

    def __init__(
        self,
        credentials: Mapping[str, str] | None = None,
        *,
        paper: bool = True,
        account: str | None = None,
        timeout: float = 10.0,
        limiter: Limiter | None = None,
        feed: str = "iex",
        option_feed: str = "indicative",
        url: str | None = None,
        data_url: str | None = None,
        stream_url: str | None = None,
        every: float = EVERY,
        reconnect_pause: float = 1.0,
    ) -> None:
        if not timeout > 0.0 or not every > 0.0:
            raise ConfigError(
                f"Alpaca: timeout {timeout:g} and every {every:g} seconds; both must be above 0",
                code="LIVE_BROKER_CONFIG",
            )
        self._paper = paper
        self._wanted = account
        self._number = ""
        self._feeds = {"feed": feed, "option_feed": option_feed}
        self._line = Line(
            credentials or {}, paper=paper, url=url, data_url=data_url, timeout=timeout, limiter=limiter
        )
        self._listing = Listing(self._line)
        self._day_entries: dict[str, str] = {}
        self._day_ends: dict[str, datetime] = {}  # by our client order id, which changes do not change
        self._watch = Watch(
            self,
            keys=self._line.keys,
            url=trusted_address(stream_url or _stream_of(self._line.url)),
            every=every,
            pause=reconnect_pause,
        )

    @property
    def broker(self) -> str:
        """Return "alpaca"."""
        return "alpaca"

    @property
    def account(self) -> str:
        """Number of the account; where it was not given the broker is asked, once."""
        if self._wanted is not None:
            return self._wanted
        if not self._number:
            self._number = str(self._account()["account_number"])
        return self._number

    @property
    def is_paper(self) -> bool:
        """Whether it is the paper account."""
        return self._paper

    @property
    def watch(self) -> Watch:
        """What listens and looks while there is a listener; `watch.look()` looks at once."""
        return self._watch

    def close(self) -> None:
        """End the stream and all connections; what works at the broker goes on working."""
        self._watch.stop()
        self._line.close()

    def on_update(self, listener: Callable[[BrokerUpdate], None]) -> Callable[[], None]:
        """Tell `listener` of everything that happens; returns what ends that.

        It is called on a thread of the watch, must return soon, and must not ask the broker. What it is told
        may be late or twice: the answers to questions are the truth.
        """
        return self._watch.listen(listener)

    # Orders

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Send once; DENIED where it was not sent (no connection), UNRESOLVED where nobody knows.

        Raises `AccessRefused`, `RateLimited` (nothing was done), and `DuplicateOrder` where the id is taken
        and the order that has it cannot be shown.
        """
        key = request.client_order_id
        try:
            if len(key) > LONGEST_ID:
                raise ValueError(f"the client order id has {len(key)} characters, at most {LONGEST_ID}")
            wanted = request_for(request)
        except ValueError as error:
            return denied(request, code="LIVE_ORDER", message=f"nothing was sent. {_first_line(error)}")
        urgent = request.purpose == "protect"
        try:
            raw = self._line.ask(
                lambda: self._line.trading.submit_order(wanted),
                f"order {key}",
                kind="cancel" if urgent else "submit",
            )
            order = self._listing.read(raw)
        except DuplicateOrder as error:
            return self._taken(request, error)
        except Refused as error:
            return _rejected(request, error.code, str(error.args[0]))
        except NoAnswer as error:
            words = str(error.args[0])
            if not error.sent:
                return denied(request, code=error.code, message=f"nothing was sent. {words}")
            return unresolved(request, code=error.code, message=words)
        except (KeyError, TypeError, AttributeError) as error:
            return unresolved(request, code="LIVE_NO_ANSWER", message=f"the answer cannot be read: {error!r}")
        if request.order_class == "bracket" and request.tif == "day":
            self._day_entries[order.order_id] = key
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=order)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order; it has another id then, and keeps our client order id.

        `quantity` counts what has filled already. The children of a bracket are changed one by one. A change
        that was made already, as by a request whose answer was lost, is not made again.

        Raises
        ------
        UnknownNameError
            NAME_ORDER.
        ConfigError
            LIVE_ORDER_FINAL where it no longer works.
        Refused
            LIVE_BROKER_REJECTED where the broker does not take the change.
        """
        with self._line.urgent():
            raw = self._listing.raw(order_id)
            before = self._listing.read(raw)
            return self._patched(raw, before, _changes(raw, before, quantity, limit_price, stop_price))

    def replace_trail(self, order_id: str, trail: float) -> BrokerOrder:
        """Change how far a trailing stop stays behind, in the unit that it has; raises as `replace_order`."""
        with self._line.urgent():
            raw = self._listing.raw(order_id)
            return self._patched(raw, self._listing.read(raw), {"trail": numbered(trail)})

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Ask to cancel, and return the order as it stands shortly after; a changed one by any of its ids.

        Raises `UnknownNameError` NAME_ORDER.
        """
        with self._line.urgent():
            return self._cancelled(order_id)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id, or what replaced it; None only where the broker says so."""
        return self._listing.find(client_order_id)

    def order(self, order_id: str) -> BrokerOrder:
        """Return the order with the broker's id. Raises `UnknownNameError` NAME_ORDER."""
        return self._listing.by_id(order_id)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders, oldest first; children too, also a stop that the broker holds back."""
        return self._listing.working() if open_only else self._listing.every()

    def end_day_entries(self) -> list[BrokerOrder]:
        """Cancel the entries of brackets that were for the day and whose session is over; returns them.

        They go out as good till cancelled, so that their stops outlive the day. The session of one that came
        while the market was closed is the next. Known are those that this object has sent; after a restart an
        entry stays until somebody cancels it. The watch calls this.
        """
        if not self._day_entries:
            return []
        now, ended = self.server_time(), []
        for order_id, key in list(self._day_entries.items()):
            if key not in self._day_ends:
                self._day_ends[key] = session_end(self._line, self._listing.began(order_id))
            if now < self._day_ends[key]:
                continue
            order = self._listing.by_id(order_id)
            if order.is_open:
                order = self.cancel_order(order_id)
                ended.append(order)
            if not order.is_open:
                self._day_entries.pop(order_id, None)
                self._day_ends.pop(key, None)
        return ended

    # The account

    def get_positions(self) -> Sequence[Holding]:
        """Return what is held; an answer that is no list, or lacks a quantity, raises, and is not flat."""
        answer = self._line.ask(lambda: self._line.trading.get_all_positions(), "positions")
        rows = rows_of(answer, "positions")
        return [holding_of(raw) for raw in rows if number(raw.get("qty")) != 0.0]

    def get_account(self) -> Account:
        """Return what the account is worth."""
        raw = self._account()
        values = {name: number(raw.get(name)) for name in ("cash", "equity", "buying_power")}
        lacking = [name for name, value in values.items() if value is None]
        if lacking:
            raise NoAnswer(f"account: the answer has no {', '.join(lacking)}")
        known = {name: value for name, value in values.items() if value is not None}
        return Account(**known, currency=str(raw.get("currency") or "USD"))

    def standing(self) -> Standing:
        """Return what the account may do and see: for a check before trading starts."""
        return standing_of(self._line, self._account())

    def server_time(self) -> datetime:
        """Return the time of the broker, aware."""
        return moment(self._line.ask(lambda: self._line.trading.get_clock(), "clock")["timestamp"])

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return fills, exercises, assignments and expiries at or after `since`, oldest first."""
        rows = list(self._activities({"activity_types": executed_kinds()}, since))
        assigned = assigned_of(rows)
        found = {}
        for raw in rows:
            order_id = str(raw.get("order_id") or "")
            if order_id and is_option(str(raw.get("symbol") or "")):
                self._listing.meet(order_id)
            done = execution_of(raw, self._listing.owner(order_id), assigned)
            if done is not None and (since is None or done.time >= since):
                found[done.execution_id] = done
        return sorted(found.values(), key=lambda one: (one.time, one.execution_id))

    def activities(self, since: datetime | None = None) -> Sequence[Activity]:
        """Return assignments, expiries, dividends, splits, interest and fees at or after `since`."""
        found = {}
        for raw in self._activities({"category": "non_trade_activity"}, since):
            one = activity_of(raw)
            if one is not None and (since is None or one.time >= since):
                found[one.activity_id] = one
        return sorted(found.values(), key=lambda one: (one.time, one.activity_id))

    # Prices

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Return quotes by symbol, of options with Greeks; raises `UnknownNameError` NAME_CONTRACT."""
        return quotes_of(self._line, symbols, **self._feeds)

    def chain(self, underlying: str, *, days: tuple[int, int] = (0, 60), width: float = 0.2) -> Chain:
        """Return the chain of an underlying, with the Greeks of the service's model.

        Parameters
        ----------
        days
            Fewest and most days to expiry.
        width
            Farthest strike, as a share of the price of the underlying.

        Raises
        ------
        FetchError
            LIVE_CHAIN without a price of the underlying, or without a contract.
        """
        return chain_of(self._line, underlying, days=days, width=width, **self._feeds)

    def _account(self) -> dict[str, Any]:
        answer = self._line.ask(lambda: self._line.trading.get_account(), "account")
        (raw,) = rows_of([answer], "account")
        found = str(raw.get("account_number") or "")
        if not found:
            raise NoAnswer("account: the answer has no account_number")
        if self._wanted is not None and found != self._wanted:
            raise ConfigError(
                f"Alpaca: the keys are of account {found}, and account {self._wanted} is wanted",
                code="LIVE_BROKER_CONFIG",
            )
        return raw

    def _activities(self, query: Mapping[str, str], since: datetime | None) -> Iterator[dict[str, Any]]:
        """Yield rows, oldest first, page by page; some from before `since`, which is by the day for many."""
        fields: dict[str, Any] = {**query, "direction": "asc", "page_size": _ACTIVITY_PAGE}
        if since is not None:
            fields["after"] = (since - _LATE).isoformat().replace("+00:00", "Z")
        while True:
            answer = self._line.ask(
                lambda: self._line.trading.get("/account/activities", dict(fields)), "activities"
            )
            page = rows_of(answer, "activities")
            yield from page
            if len(page) < _ACTIVITY_PAGE:
                return
            if fields.get("page_token") == page[-1]["id"]:
                raise NoAnswer("activities: the same page came twice")
            fields["page_token"] = page[-1]["id"]

    def _cancelled(self, order_id: str) -> BrokerOrder:
        raw = self._listing.raw(order_id)
        while raw.get("replaced_by"):
            raw = self._listing.raw(str(raw["replaced_by"]))
        name = str(raw["id"])
        if not self._listing.read(raw).is_open:
            return self._listing.read(raw)
        try:
            self._line.ask(
                lambda: self._line.trading.cancel_order_by_id(name), f"cancel of {name}", kind="cancel"
            )
        except Refused:
            return self._listing.by_id(name)  # it has ended meanwhile, or may not be cancelled now
        ends = time.monotonic() + min(CANCEL_WAIT, self._line.timeout)
        while (order := self._listing.by_id(name)).is_open and time.monotonic() < ends:
            time.sleep(0.1)
        return order

    def _taken(self, request: OrderRequest, error: DuplicateOrder) -> Submitted:
        """Return the order that has the id already: evidence that it arrived, unless it is another one."""
        key = request.client_order_id
        try:
            there = self._listing.find(key)
        except Exception:  # whatever it is, the question was not answered
            there = None
        if there is None:
            raise DuplicateOrder(str(error.args[0]))
        ways = {leg.symbol: leg.quantity > 0 for leg in request.legs}
        if ways != {leg.symbol: leg.quantity > 0 for leg in there.legs}:
            return _rejected(request, "LIVE_ORDER_ID", "the id belongs to another order")
        return Submitted(outcome=Outcome.CONFIRMED, client_order_id=key, order=there)

    def _patched(self, raw: Mapping[str, Any], before: BrokerOrder, body: dict[str, str]) -> BrokerOrder:
        order_id = before.order_id
        done = self._made_already(raw, body)
        if done is not None:
            return done
        if not before.is_open:
            raise _final(before)
        if not body:
            return before
        body = {**body, "client_order_id": changed_id(before.client_order_id, str(raw["client_order_id"]))}
        try:
            answer = self._line.ask(
                lambda: self._line.trading.patch(f"/orders/{order_id}", body),
                f"change of {order_id}",
            )
            (changed,) = rows_of([answer], f"change of {order_id}")
            order = self._listing.read({**changed, "replaces": changed.get("replaces") or order_id})
        except (Refused, DuplicateOrder):
            now = self._listing.raw(order_id)
            done = self._made_already(now, body)
            if done is not None:
                return done
            after = order_of(now)
            if not after.is_open:
                raise _final(after) from None
            raise
        if order_id in self._day_entries:
            self._day_entries[order.order_id] = self._day_entries.pop(order_id)
        return order

    def _made_already(self, raw: Mapping[str, Any], body: Mapping[str, str]) -> BrokerOrder | None:
        """Return what has replaced an order, where that is as it is to be; None otherwise."""
        if not raw.get("replaced_by"):
            return None
        after = self._listing.raw(str(raw["replaced_by"]))
        same = all(
            name not in body or number(after.get(name)) == number(body[name])
            for name in ("qty", "limit_price", "stop_price")
        )
        return self._listing.read(after) if same and "trail" not in body else None


def _changes(
    raw: Mapping[str, Any],
    order: BrokerOrder,
    quantity: float | None,
    limit_price: float | None,
    stop_price: float | None,
) -> dict[str, str]:
    """Return the fields that change as the broker wants them.

    What stays is left out: the quantity of a child is its entry's, and naming it is refused.
    """
    package = len(order.legs) > 1
    side = 1 if order.legs[0].quantity > 0 else -1
    wanted: dict[str, float] = {}
    if quantity is not None:
        wanted["qty"] = quantity / ((number(raw["legs"][0].get("ratio_qty")) or 1.0) if package else 1.0)
    if limit_price is not None:
        wanted["limit_price"] = -net_priced(limit_price) if package else priced(limit_price, side=side)
    if stop_price is not None:
        wanted["stop_price"] = steps_of(stop_price)
    return {name: numbered(value) for name, value in wanted.items() if value != number(raw.get(name))}


def _stream_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{STREAM_PATH}"


def _rejected(request: OrderRequest, code: str, message: str) -> Submitted:
    return Submitted(
        outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code=code, message=message
    )


def _final(order: BrokerOrder) -> ConfigError:
    return ConfigError(
        f"order {order.order_id} no longer works: it is {order.state.label}", code="LIVE_ORDER_FINAL"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3])[:300]
