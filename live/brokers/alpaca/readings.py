"""What Alpaca tells, in our words: orders, positions, and what happened in an account.

Numbers come as strings, the quantity of a short as "-1" or as "1" with side "short", times with up to nine
decimal places. Answers are read as they come over the wire and not by the library's models, which refuse a
whole list for one word that they do not know. A status that is not known here counts as working: an order
that is taken for ended is forgotten.

Three readings decide about money. `held` is a stop that waits for its target: it protects a position once its
entry has filled as a whole, and nothing before that. `canceled` is not the end where everything has filled.
And a replaced order is the same order under another id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

from live.brokers.alpaca.line import NoAnswer
from live.brokers.alpaca.orders import CHANGED
from live.brokers.interface import BrokerOrder, Leg, OrderKind, is_option
from live.brokers.told import Activity, ActivityKind
from simulator.brokerage import Execution, Holding
from simulator.types import OrderState

__all__ = [
    "Family",
    "activity_of",
    "child_role",
    "execution_of",
    "holding_of",
    "identity_of",
    "moment",
    "number",
    "order_of",
    "rows_of",
]

Raw = Mapping[str, Any]

CONTRACT_SIZE: Final = 100.0
NEW_YORK: Final = ZoneInfo("America/New_York")
_CLOSE: Final = time(16)
_DUST: Final = 1e-9

_KINDS: Final[dict[str, OrderKind]] = {
    "market": "market",
    "limit": "limit",
    "stop": "stop",
    "stop_limit": "stop_limit",
    "trailing_stop": "trailing",
}
_ENDED: Final = {
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "replaced": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
}
_ACTIVITIES: Final[dict[str, ActivityKind]] = {
    "OPASN": "assignment", "OPEXC": "exercise", "OPXRC": "exercise", "OPEXP": "expiry", "SPLIT": "split",
    "SSP": "split", "SPIN": "split", "INT": "interest", "FEE": "fee", "CFEE": "fee", "PTC": "fee",
    "CSD": "transfer", "CSW": "transfer", "TRANS": "transfer", "JNL": "transfer", "JNLC": "transfer",
    "JNLS": "transfer", "ACATC": "transfer", "ACATS": "transfer",
}  # fmt: skip
_EXECUTED: Final[dict[str, Literal["exercise", "assignment", "expiry"]]] = {
    "OPASN": "assignment", "OPEXC": "exercise", "OPXRC": "exercise", "OPEXP": "expiry", "OPTRD": "exercise",
}  # fmt: skip
_STAMP: Final = re.compile(r"(\d{8})(\d{6})\d*::")
_CHANGED_ID: Final = re.compile(rf"{re.escape(CHANGED)}\d+$")


@dataclass(frozen=True, slots=True)
class Family:
    """Where a child or a leg belongs: id and identity of its parent, and what class that is."""

    parent_id: str
    identity: str
    order_class: str
    parent_filled: bool


def rows_of(answer: Any, what: str) -> list[dict[str, Any]]:
    """Return a list that the broker gave; `NoAnswer` for anything else: nothing is not an empty list."""
    if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
        raise NoAnswer(f"{what}: the answer is no list but {type(answer).__name__}")
    return answer


def number(value: Any) -> float | None:
    """Return a number, None where there is none; raises `NoAnswer` for what is none."""
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise NoAnswer(f"Alpaca: {str(value)[:40]!r} is no number") from None
    if not math.isfinite(found):
        raise NoAnswer(f"Alpaca: {found} is no finite number")
    return found


def moment(text: Any) -> datetime:
    """Return a time; raises `NoAnswer` for what is none or has no zone."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise NoAnswer(f"Alpaca: {str(text)[:40]!r} is no time") from None
    if found.tzinfo is None:
        raise NoAnswer(f"Alpaca: the time {str(text)[:40]!r} has no zone")
    return found.astimezone(UTC)


def identity_of(raw: Raw, family: Family | None) -> str:
    """Return our client order id of an order: the one before changes, of a child its parent's and a role."""
    if family is not None and family.order_class != "mleg":
        return f"{family.identity}-{child_role(raw)}"
    return _CHANGED_ID.sub("", str(raw["client_order_id"]))


def child_role(raw: Raw) -> Literal["stop", "target"]:
    """Say what a child is for."""
    return "stop" if str(_type(raw)).startswith(("stop", "trailing")) else "target"


def order_of(raw: Raw, family: Family | None = None) -> BrokerOrder:
    """Return an order; `family` says whose child it is."""
    package = raw.get("order_class") == "mleg" and bool(raw.get("legs"))
    filled = number(raw.get("filled_qty")) or 0.0
    quantity = number(raw.get("qty"))
    if quantity is None:
        quantity = filled  # by amount: it has no quantity until it fills
    average = number(raw.get("filled_avg_price"))
    unit = 1.0
    if package:
        parts = list(raw["legs"])
        unit = number(parts[0].get("ratio_qty")) or 1.0
        legs = tuple(Leg(str(part["symbol"]), _side(part) * _leg_quantity(part, quantity)) for part in parts)
        average = _net_of(raw, average, parts) if filled else None
    else:
        legs = (Leg(str(raw["symbol"]), _side(raw) * (quantity or math.nan)),)
    return BrokerOrder(
        order_id=str(raw["id"]),
        client_order_id=identity_of(raw, family),
        legs=legs,
        kind=_KINDS.get(str(_type(raw)), "market"),
        state=_state(raw, filled, quantity, family),
        quantity=quantity * unit,
        filled=filled * unit,
        average_price=average if filled else None,
        limit_price=_signed(number(raw.get("limit_price")), package=package),
        stop_price=number(raw.get("stop_price")),
        parent_id="" if family is None else family.parent_id,
    )


def holding_of(raw: Raw) -> Holding:
    """Return what is held; a short is negative whichever way the broker writes it."""
    symbol = str(raw["symbol"]).replace(" ", "")
    quantity = number(raw["qty"])
    if not quantity:
        raise NoAnswer(f"Alpaca: a position in {symbol} of {raw['qty']!r}")
    short = quantity < 0 or str(raw.get("side", "")) == "short"
    return Holding(
        symbol=symbol,
        quantity=-abs(quantity) if short else quantity,
        average_price=number(raw.get("avg_entry_price")),
        multiplier=CONTRACT_SIZE if is_option(symbol) else 1.0,
        mark=number(raw.get("current_price")),
    )


def execution_of(raw: Raw, order_id: str, assigned: Mapping[tuple[str, str], float]) -> Execution | None:
    """Return what changed a position, None for what did not.

    Parameters
    ----------
    order_id
        Of the whole, where the activity names the leg of a package.
    assigned
        Shares that moved by assignment, by day and symbol: the row of the shares does not say why.
    """
    kind = str(raw.get("activity_type", ""))
    quantity = number(raw.get("qty"))
    symbol = str(raw.get("symbol") or "").replace(" ", "")
    if not quantity or not symbol:
        return None
    multiplier = CONTRACT_SIZE if is_option(symbol) else 1.0
    if kind == "FILL":
        return Execution(
            execution_id=str(raw["id"]),
            order_id=order_id,
            time=moment(raw["transaction_time"]),
            symbol=symbol,
            side=1 if str(raw["side"]).startswith("buy") else -1,
            quantity=abs(quantity),
            price=number(raw["price"]) or 0.0,
            multiplier=multiplier,
        )
    if kind not in _EXECUTED:
        return None
    why = _EXECUTED[kind]
    if kind == "OPTRD" and assigned.get((str(raw.get("date")), symbol)) == quantity:
        why = "assignment"
    return Execution(
        execution_id=_row_id(raw),
        order_id="",
        time=_booked(raw),
        symbol=symbol,
        side=1 if quantity > 0 else -1,
        quantity=abs(quantity),
        # of shares that moved, the strike: what was paid for each, whatever stands under "price"
        price=abs(number(raw.get("net_amount")) or 0.0) / abs(quantity) if kind == "OPTRD" else 0.0,
        multiplier=multiplier,
        kind=why,
    )


def activity_of(raw: Raw) -> Activity | None:
    """Return what changed an account and was no trade; None for fills, and shares that an option moved."""
    word = str(raw.get("activity_type", ""))
    if word in ("FILL", "OPTRD"):
        return None
    kind: ActivityKind = "dividend" if word.startswith("DIV") else _ACTIVITIES.get(word, "other")
    return Activity(
        activity_id=_row_id(raw),
        kind=kind,
        time=_booked(raw),
        symbol=str(raw.get("symbol") or "").replace(" ", ""),
        # of a dividend it is what was held
        quantity=0.0 if kind == "dividend" else number(raw.get("qty")) or 0.0,
        price=number(raw.get("per_share_amount")) or number(raw.get("price")) or 0.0,
        amount=number(raw.get("net_amount")) or 0.0,
        text=str(raw.get("description") or word),
    )


def assigned_of(rows: Sequence[Raw]) -> dict[tuple[str, str], float]:
    """Return the shares that assignments move, by day and symbol of the underlying."""
    found: dict[tuple[str, str], float] = {}
    for raw in rows:
        symbol = str(raw.get("symbol") or "").replace(" ", "")
        if raw.get("activity_type") == "OPASN" and is_option(symbol):
            # an assigned put brings shares, an assigned call takes them
            way = 1.0 if symbol[-9] == "P" else -1.0
            key = (str(raw.get("date")), symbol[:-15])
            found[key] = found.get(key, 0.0) + way * abs(number(raw.get("qty")) or 0.0) * CONTRACT_SIZE
    return found


def _type(raw: Raw) -> Any:
    return raw.get("type") or raw.get("order_type") or "market"


def _side(raw: Raw) -> float:
    return -1.0 if str(raw.get("side", "")).startswith("sell") else 1.0


def _leg_quantity(part: Raw, packages: float) -> float:
    return (number(part.get("ratio_qty")) or 1.0) * packages


def _signed(price: float | None, *, package: bool) -> float | None:
    return -price + 0.0 if package and price is not None else price


def _net_of(raw: Raw, average: float | None, parts: Sequence[Raw]) -> float | None:
    """Return the net price that a package filled at, received is positive; worked out if it is not told."""
    if average is not None:
        return -average + 0.0
    prices = [number(part.get("filled_avg_price")) for part in parts]
    if any(price is None for price in prices):
        return None
    return -sum(
        _side(part) * (number(part.get("ratio_qty")) or 1.0) * (price or 0.0)
        for part, price in zip(parts, prices, strict=True)
    )


def _state(raw: Raw, filled: float, quantity: float, family: Family | None) -> OrderState:
    status = str(raw.get("status", ""))
    if filled > 0.0 and quantity > 0.0 and filled >= quantity - _DUST:
        return OrderState.FILLED  # whatever it says: a fill after a cancel wins
    if status in _ENDED:
        return _ENDED[status]
    if status == "held" and family is not None and not family.parent_filled:
        return OrderState.PENDING
    return OrderState.PARTIALLY_FILLED if filled > 0.0 else OrderState.SUBMITTED


def _row_id(raw: Raw) -> str:
    # the two rows of an assignment, of the option and of its shares, have been seen under one id
    return f"{raw['id']}:{raw.get('activity_type')}:{str(raw.get('symbol') or '').replace(' ', '')}"


def _booked(raw: Raw) -> datetime:
    """Return when something was booked, of which Alpaca tells the day alone.

    It is the time in the row's id where that lies about the day, else the day's close in New York.
    """
    if raw.get("transaction_time"):
        return moment(raw["transaction_time"])
    try:
        day = date.fromisoformat(str(raw.get("date"))[:10])
    except ValueError:
        raise NoAnswer(f"Alpaca: activity {raw.get('id')} has the date {raw.get('date')!r}") from None
    found = _STAMP.match(str(raw.get("id")))
    if found and found.group(2) != "000000":
        stamp = datetime.strptime("".join(found.groups()), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        if abs(stamp.date() - day) <= timedelta(days=1):
            return stamp
    return datetime.combine(day, _CLOSE, NEW_YORK).astimezone(UTC)


def executed_kinds() -> str:
    """Return the types of activity that change positions, as the service wants them."""
    return ",".join(cast("list[str]", ["FILL", *_EXECUTED]))
