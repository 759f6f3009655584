"""The messages of a TWS, version 178: what a client sends is read, what TWS answers is written.

A message is a length of four bytes and fields that each end with a zero byte. What is not set is an empty
field, or, where TWS sends that, the largest double.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.fakes.tws.market import BAG_ID, Done, Instrument, TwsMarket, TwsOrder

VERSION: Final = 178
UNSET: Final = "1.7976931348623157E308"
NEW_YORK: Final = ZoneInfo("US/Eastern")


def frame(*fields: object) -> bytes:
    """Return a message as it goes over the socket."""
    text = "".join(f"{_plain(field)}\0" for field in fields).encode()
    return struct.pack(">I", len(text)) + text


def _plain(field: object) -> str:
    if field is None:
        return ""
    if isinstance(field, bool):
        return "1" if field else "0"
    return str(field)


def clock(time: datetime) -> str:
    """Return a time as TWS writes it, in the zone of its login."""
    return time.astimezone(NEW_YORK).strftime("%Y%m%d %H:%M:%S US/Eastern")


class Fields:
    """The fields of a message, one after the other."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._next = 0

    def text(self) -> str:
        """Return the next field."""
        self._next += 1
        return self._fields[self._next - 1]

    def whole(self) -> int:
        """Return the next field, 0 where it is empty."""
        return int(self.text() or 0)

    def number(self) -> float | None:
        """Return the next field, None where it is empty or not set."""
        word = self.text()
        return None if not word or float(word) > 1e300 else float(word)

    def skip(self, count: int) -> None:
        """Pass over fields."""
        self._next += count


def read_order(words: list[str], market: TwsMarket) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return contract and order of a placeOrder message, as plain fields."""
    get = Fields(words)
    get.skip(1)
    order: dict[str, Any] = {"order_id": get.whole()}
    contract = read_contract(get)
    get.skip(2)
    order |= {"action": get.text(), "quantity": float(get.text()), "kind": get.text()}
    order |= {"limit": get.number(), "aux": get.number(), "tif": get.text() or "DAY"}
    order |= {"oca_group": get.text(), "account": get.text()}
    get.skip(2)
    order |= {"ref": get.text(), "transmit": get.text() == "1", "parent_id": get.whole()}
    get.skip(6)
    if contract["kind"] == "BAG":
        legs = []
        for _ in range(get.whole()):
            legs.append((get.whole(), get.whole(), get.text()))
            get.skip(5)
        contract["legs"] = legs
        get.skip(get.whole())
        get.skip(2 * get.whole())
    get.skip(11)
    order["oca_type"] = get.whole()
    get.skip(21)
    order |= {"trail_stop": get.number(), "percent": get.number()}
    get.skip(6)
    if get.text():
        raise AssertionError("a hedge is not spoken here")
    get.skip(4)
    if get.text() != "0":
        raise AssertionError("a delta-neutral contract is not spoken here")
    if get.text():
        raise AssertionError("an algorithm is not spoken here")
    get.skip(1)
    order["what_if"] = get.text() == "1"
    return contract, order


def read_contract(get: Fields) -> dict[str, Any]:
    """Return a contract, as plain fields."""
    names = ("con_id", "symbol", "kind", "expiry", "strike", "right", "multiplier", "exchange", "primary",
             "currency", "local", "trading_class")  # fmt: skip
    found: dict[str, Any] = {name: get.text() for name in names}
    found["con_id"] = int(found["con_id"] or 0)
    return found


def _contract(one: Instrument | None, *, bag: str = "") -> list[object]:
    """The eleven fields of a contract in most messages, without its primary exchange."""
    if one is None:
        return [BAG_ID, bag, "BAG", "", 0.0, "?", "", "SMART", "USD", bag, "COMB"]
    unit = int(one.multiplier) if one.kind == "OPT" else ""
    return [one.con_id, one.root, one.kind, one.expiry, one.strike, one.right or "?", unit, "SMART", "USD",
            one.local, one.root if one.kind == "OPT" else "NMS"]  # fmt: skip


def _order_contract(order: TwsOrder) -> list[object]:
    return _contract(None if order.bag else order.legs[0][0], bag=order.legs[0][0].root)


def _legs(order: TwsOrder) -> list[object]:
    fields: list[object] = [len(order.legs) if order.bag else 0]
    for one, ratio, action in order.legs if order.bag else ():
        fields += [one.con_id, ratio, action, "SMART", 0, 0, "", -1]
    return [*fields, 0, 0]  # no prices per leg, no parameters of routing


def what_if(number: int, legs: tuple[tuple[Instrument, int, str], ...], *, bag: bool, action: str) -> bytes:
    """Message 5 about an order that was only asked about: margin before, change and after."""
    order = TwsOrder(number, 0, 0, legs, bag, action, 1.0, "MKT", None, None, None, "DAY", "")
    order.status = "PreSubmitted"
    return open_order(order, margin=True)


def open_order(order: TwsOrder, *, margin: bool = False) -> bytes:
    """Message 5; `margin` makes it the answer to what an order would do."""
    limit = order.limit if order.limit is not None else 0.0
    aux = order.aux if order.aux is not None else 0.0
    stop = order.stop if order.stop is not None else UNSET
    return frame(
        5, order.order_id, *_order_contract(order), order.action, order.quantity, order.kind, limit, aux,
        order.tif, order.oca_group, order.account, "", 0, order.ref, order.client_id, order.perm_id, 0, 0, 0,
        "", "", "", "", "",
        "", "", "", UNSET, "", 0, "", -1, 0, "", "", "", "", "", "", 0, 0, 0, "", order.oca_type, 0, 0, "",
        order.parent_id, 0, UNSET, 0, "", UNSET,
        0, 0, stop, order.percent if order.percent is not None else UNSET, "", "", "",
        *_legs(order), "", "", "", "", 0, "", "IB", 0, 0, "",
        0, int(margin), order.status, *[100.0 if margin else UNSET] * 9, UNSET, UNSET, UNSET, "", "", 0, 0, 0,
        "None", UNSET, stop, "", UNSET, UNSET, "", 0, "", "", "", 0, 0, 0, 0, 0,
        "", "", 0, "", "", "", "", "",
    )  # fmt: skip


def order_status(order: TwsOrder) -> bytes:
    """Message 3."""
    return frame(
        3, order.order_id, order.status, order.filled, order.remaining, order.average, order.perm_id,
        order.parent_id, order.last_price, order.client_id, order.why, 0.0,
    )  # fmt: skip


def completed_order(order: TwsOrder) -> bytes:
    """Message 101: without its number, and of what has filled without the quantity that was asked for."""
    limit = order.limit if order.limit is not None else 0.0
    aux = order.aux if order.aux is not None else 0.0
    said = f"Filled Size: {order.filled:g}" if order.status == "Filled" else "Cancelled by Trader"
    parent = order.parent.perm_id if order.parent is not None else 0
    return frame(
        101, *_order_contract(order), order.action, 0.0, order.kind, limit, aux, order.tif, order.oca_group,
        order.account, "", 0, order.ref, order.perm_id, 0, 0, 0, "", "", "", "",
        "", "", "", UNSET, "", 0, "", -1, "", "", "", "", "", "", 0, 0, "", order.oca_type, 0, "", 0,
        "", UNSET, 0, 0, UNSET, UNSET, "",
        *_legs(order), "", "", "", "", "", "IB", 0, 0, "",
        0, order.status, 0, 0, 0,
        UNSET, "", "", 0, 0, "", order.filled, 0, 0, "", 0, 0, parent,
        "20260302 10:30:00 US/Eastern", said, "", "", "", "", "",
    )  # fmt: skip


def execution(request: int, done: Done, account: str) -> bytes:
    """Message 11; of a trade by hand the number of the order is the largest integer."""
    order = done.order
    ids = (2**31 - 1, 0, 0, "") if order is None else (
        order.order_id, order.perm_id, order.client_id, order.ref,
    )  # fmt: skip
    bag = "" if order is None else order.legs[0][0].root
    return frame(
        11, request, ids[0], *_contract(done.instrument, bag=bag), done.exec_id, clock(done.time), account,
        "ISLAND", "BOT" if done.side > 0 else "SLD", done.quantity, done.price, ids[1], ids[2], 0,
        done.cumulated, done.price, ids[3], "", "", "", 1, 0,
    )  # fmt: skip


def commission(done: Done, fees: object) -> bytes:
    """Message 59."""
    return frame(59, 1, done.exec_id, fees, "USD", UNSET, UNSET, "")


def position(account: str, one: Instrument, held: float, cost: float) -> bytes:
    """Message 61."""
    return frame(61, 3, account, *_contract(one), held, cost)


def portfolio(account: str, one: Instrument, held: float, cost: float, price: float) -> bytes:
    """Message 7."""
    con_id, root, kind, expiry, strike, right, unit, _, currency, local, trading = _contract(one)
    value = held * price * one.multiplier
    return frame(
        7, 8, con_id, root, kind, expiry, strike, right, unit, "NASDAQ", currency, local, trading, held,
        price, value, cost, value - held * cost, 0.0, account,
    )  # fmt: skip


def contract_details(request: int, one: Instrument) -> bytes:
    """Message 10."""
    unit = int(one.multiplier) if one.kind == "OPT" else ""
    trading = one.root if one.kind == "OPT" else "NMS"
    return frame(
        10, request, one.root, one.kind, one.expiry, one.strike, one.right, "SMART", "USD", one.local,
        trading, trading, one.con_id, 0.01, unit, "LMT,MKT,STP,STPLMT,TRAIL", "SMART,NASDAQ", 1, 0,
        one.symbol, "NASDAQ", "",
        "", "", "", "US/Eastern", "", "", "", "", 0, 1, one.root, "STK", "26", "", "COMMON", 1, 1, 100,
    )  # fmt: skip


def error(request: int, code: int, text: str) -> bytes:
    """Message 4."""
    return frame(4, 2, request, code, text, "")


def joined(messages: Iterable[bytes]) -> bytes:
    """Return messages in one piece."""
    return b"".join(messages)
