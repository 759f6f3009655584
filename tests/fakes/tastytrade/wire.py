"""The books in the JSON of the open API: dashed keys, numbers as texts, effects in place of signs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from tests.fakes.tastytrade.books import Books, Group, Part, Placed, Row, multiplier, padded, unpadded

_BALANCES: Final = (
    "long-equity-value short-equity-value long-derivative-value short-derivative-value long-futures-value "
    "short-futures-value long-futures-derivative-value short-futures-derivative-value "
    "long-margineable-value short-margineable-value margin-equity day-trading-buying-power "
    "futures-margin-requirement available-trading-funds maintenance-requirement maintenance-call-value "
    "reg-t-call-value day-trading-call-value day-equity-call-value cash-available-to-withdraw "
    "day-trade-excess pending-cash long-cryptocurrency-value short-cryptocurrency-value "
    "cryptocurrency-margin-requirement unsettled-cryptocurrency-fiat-amount closed-loop-available-balance "
    "equity-offering-margin-requirement long-bond-value bond-margin-requirement "
    "used-derivative-buying-power reg-t-margin-requirement futures-overnight-margin-requirement "
    "futures-intraday-margin-requirement maintenance-excess pending-margin-interest "
    "effective-cryptocurrency-buying-power"
).split()


def account_json(books: Books) -> dict[str, Any]:
    """Return an account."""
    return {
        "account-number": books.account, "nickname": "Individual",
        "opened-at": "2026-01-02T15:00:00.000+00:00",
        "account-type-name": "Individual", "is-closed": False, "day-trader-status": False,
        "is-firm-error": False, "is-firm-proprietary": False, "is-futures-approved": False,
        "is-test-drive": False, "margin-or-cash": "Margin", "is-foreign": False,
        "created-at": "2026-01-02T15:00:00.000+00:00",
    }  # fmt: skip


def balances_json(books: Books) -> dict[str, Any]:
    """Return balances."""
    worth = {name: "0.0" for name in _BALANCES}
    buying = str(round(2.0 * books.cash, 2))
    return {
        **worth, "account-number": books.account, "cash-balance": str(round(books.cash, 4)),
        "net-liquidating-value": str(round(books.equity(), 4)), "equity-buying-power": buying,
        "derivative-buying-power": str(round(books.cash, 2)), "pending-cash-effect": "None",
        "snapshot-date": books.now.date().isoformat(), "updated-at": stamp(books.now), "currency": "USD",
    }  # fmt: skip


def status_json(books: Books) -> dict[str, Any]:
    """Return what the account may trade."""
    no = (
        "is-aggregated-at-clearing is-closed is-closing-only is-cryptocurrency-enabled is-frozen "
        "is-full-equity-margin-required is-futures-closing-only is-futures-intra-day-enabled "
        "is-futures-enabled is-in-day-trade-equity-maintenance-call is-in-margin-call is-pattern-day-trader "
        "is-small-notional-futures-intra-day-enabled is-roll-the-day-forward-enabled "
        "are-far-otm-net-options-restricted is-equity-offering-enabled is-equity-offering-closing-only"
    )
    return {
        "account-number": books.account, "id": 1, "equities-margin-calculation-type": "Reg T",
        "fee-schedule-name": "default", "futures-margin-rate-multiplier": "1.0",
        "has-intraday-equities-margin": False, "options-level": "No Restrictions",
        "short-calls-enabled": True, "small-notional-futures-margin-rate-multiplier": "1.0",
        "updated-at": stamp(books.now), **dict.fromkeys(no.split(), False),
    }  # fmt: skip


def position_json(books: Books, symbol: str, held: float) -> dict[str, Any]:
    """Return a position, whose quantity has no sign."""
    option = multiplier(symbol) > 1.0
    return {
        "account-number": books.account, "symbol": padded(symbol),
        "instrument-type": "Equity Option" if option else "Equity", "underlying-symbol": root(symbol),
        "quantity": number(abs(held)),
        "quantity-direction": "Long" if held > 0 else "Short" if held < 0 else "Zero",
        "close-price": str(books.prices.get(symbol, 0.0)),
        "average-open-price": str(books.cost.get(symbol, 0.0)), "multiplier": int(multiplier(symbol)),
        "cost-effect": "Credit" if held > 0 else "Debit", "is-suppressed": False, "is-frozen": False,
        "realized-day-gain": "0.0", "realized-day-gain-effect": "None", "realized-today": "0.0",
        "realized-today-effect": "None", "created-at": stamp(books.now), "updated-at": stamp(books.now),
        "mark-price": str(books.prices.get(symbol, 0.0)),
        "mark": str(abs(held) * multiplier(symbol) * books.prices.get(symbol, 0.0)),
    }  # fmt: skip


def order_json(books: Books, order: Placed, *, dry: bool = False) -> dict[str, Any]:
    """Return an order; one of a dry run has no number."""
    found: dict[str, Any] = {
        "account-number": books.account, "time-in-force": order.tif, "order-type": order.kind,
        "size": number(order.legs[0].quantity), "underlying-symbol": root(order.legs[0].symbol),
        "underlying-instrument-type": "Equity", "status": "Received" if dry else order.status,
        "cancellable": order.works, "editable": order.works, "edited": False,
        "received-at": stamp(order.at), "updated-at": int(order.updated.timestamp() * 1000),
        "ext-client-order-id": f"96{order.number:08x}", "legs": [leg_json(leg) for leg in order.legs],
    }  # fmt: skip
    if not dry:
        found["id"] = order.number
    if order.price is not None:
        found["price"] = str(abs(order.price))
        found["price-effect"] = "Credit" if order.price > 0 else "Debit"
    if order.stop is not None:
        found["stop-trigger"] = str(order.stop)
    if order.external:
        found["external-identifier"] = order.external
    if order.complex_id:
        found |= {"complex-order-id": order.complex_id, "complex-order-tag": order.tag}
    if order.status == "Contingent":
        found["contingent-status"] = "Pending Order"
    if order.replaces:
        found["replaces-order-id"] = order.replaces
    if order.replaced_by:
        found["replacing-order-id"] = order.replaced_by
    if order.why:
        found["reject-reason"] = order.why
    return found


def leg_json(leg: Part) -> dict[str, Any]:
    """Return a leg with its fills."""
    return {
        "instrument-type": "Equity Option" if multiplier(leg.symbol) > 1.0 else "Equity",
        "symbol": padded(leg.symbol), "action": leg.action, "quantity": number(leg.quantity),
        "remaining-quantity": number(max(0.0, leg.quantity - leg.filled)),
        "fills": [
            {
                "ext-group-fill-id": "0", "ext-exec-id": str(one.number), "fill-id": f"2_{one.number}",
                "quantity": number(one.quantity), "fill-price": str(round(one.price, 6)),
                "filled-at": stamp(one.time), "destination-venue": "TEST",
            }
            for one in leg.fills
        ],
    }  # fmt: skip


def group_json(books: Books, group: Group, *, dry: bool = False) -> dict[str, Any]:
    """Return a complex order."""
    found: dict[str, Any] = {
        "account-number": books.account, "type": group.kind,
        "orders": [order_json(books, one, dry=dry) for one in group.orders],
    }  # fmt: skip
    if not dry:
        found["id"] = group.number
    if group.trigger is not None:
        found["trigger-order"] = order_json(books, group.trigger, dry=dry)
    return found


def row_json(books: Books, row: Row) -> dict[str, Any]:
    """Return a transaction; paid and received are effects."""
    net = row.value - row.fees
    found: dict[str, Any] = {
        "id": row.number, "account-number": books.account, "transaction-type": row.kind,
        "transaction-sub-type": row.sub, "description": f"{row.sub} {row.symbol}".strip(),
        "executed-at": stamp(row.time), "transaction-date": row.time.date().isoformat(),
        "value": str(round(abs(row.value), 6)), "value-effect": effect(row.value),
        "net-value": str(round(abs(net), 6)), "net-value-effect": effect(net), "is-estimated-fee": True,
    }  # fmt: skip
    if row.symbol:
        found["symbol"] = padded(row.symbol)
        found["underlying-symbol"] = root(row.symbol)
        found["instrument-type"] = "Equity Option" if multiplier(row.symbol) > 1.0 else "Equity"
    if row.action is not None:
        found["action"] = row.action
    if row.quantity:
        found["quantity"] = number(row.quantity)
        found["price"] = str(row.price)
    if row.fees:
        found |= {"commission": str(row.fees), "commission-effect": "Debit"}
    if row.order:
        found["order-id"] = row.order
    if row.reverses:
        found["reverses-id"] = row.reverses
    return found


def effects_json() -> dict[str, Any]:
    """Return what an order does to buying power, and its fees."""
    names = (
        "change-in-margin-requirement", "change-in-buying-power", "current-buying-power", "new-buying-power",
        "isolated-order-margin-requirement",
    )  # fmt: skip
    effects: dict[str, Any] = {"is-spread": False, "impact": "125.0", "effect": "Debit"}
    for name in names:
        effects |= {name: "125.0", f"{name}-effect": "Debit"}
    fees: dict[str, Any] = {}
    for name, value in (
        ("regulatory-fees", "0.02"), ("clearing-fees", "0.08"), ("commission", "1.0"),
        ("proprietary-index-option-fees", "0.0"), ("total-fees", "1.1"),
    ):  # fmt: skip
        fees |= {name: value, f"{name}-effect": "Debit" if value != "0.0" else "None"}
    return {"buying-power-effect": effects, "fee-calculation": fees, "warnings": []}


def order_of(body: dict[str, Any]) -> Placed:
    """Return the order that a client has sent."""
    price = body.get("price")
    if price is not None:
        sign = {"Credit": 1.0, "Debit": -1.0}[body["price-effect"]]
        price = sign * float(price)
    legs = [
        Part(unpadded(leg["symbol"]), leg["action"], float(leg["quantity"])) for leg in body.get("legs", ())
    ]
    for leg, sent in zip(legs, body.get("legs", ()), strict=True):
        if padded(leg.symbol) != sent["symbol"]:
            raise ValueError(f"{sent['symbol']!r} is not padded")
    return Placed(
        0, body["order-type"], legs, price,
        None if "stop-trigger" not in body else float(body["stop-trigger"]),
        body["time-in-force"], body.get("external-identifier", ""),
        strict=body.get("advanced-instructions", {}).get("strict-position-effect-validation", False),
    )  # fmt: skip


def market_json(books: Books, symbol: str) -> dict[str, Any]:
    """Return market data of a symbol."""
    price = books.prices[symbol]
    return {
        "symbol": padded(symbol),
        "instrument-type": "Equity Option" if multiplier(symbol) > 1.0 else "Equity",
        "updated-at": stamp(books.now), "bid": str(round(price - 0.01, 4)), "bid-size": "10",
        "ask": str(round(price + 0.01, 4)), "ask-size": "12", "mark": str(price), "mid": str(price),
        "last": str(price), "close-price-type": "Regular", "summary-date": books.now.date().isoformat(),
        "prev-close-date": books.now.date().isoformat(), "prev-close-price-type": "Final",
        "halt-start-time": -1, "halt-end-time": -1,
    }  # fmt: skip


def chain_json(books: Books, underlying: str) -> list[dict[str, Any]]:
    """Return the nested chain of an underlying, of what has a price."""
    expiries: dict[str, dict[str, dict[str, Any]]] = {}
    for symbol in books.prices:
        if multiplier(symbol) == 1.0 or root(symbol) != underlying:
            continue
        rest = symbol[len(underlying) :]
        strikes = expiries.setdefault(rest[:6], {})
        for right in "CP":
            name = f"{underlying}{rest[:6]}{right}{rest[7:]}"
            if name in books.prices:
                strikes.setdefault(rest[7:], {})[right] = padded(name)
    found = []
    for day, strikes in expiries.items():
        when = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
        found.append(
            {
                "expiration-type": "Regular", "expiration-date": when.isoformat(), "settlement-type": "PM",
                "days-to-expiration": (when - books.now.date()).days,
                "strikes": [
                    {
                        "strike-price": str(int(strike) / 1000.0), "call": both["C"], "put": both["P"],
                        "call-streamer-symbol": ".C", "put-streamer-symbol": ".P",
                    }
                    for strike, both in sorted(strikes.items()) if len(both) == 2
                ],
            }
        )  # fmt: skip
    return [
        {
            "underlying-symbol": underlying, "root-symbol": underlying, "option-chain-type": "Standard",
            "shares-per-contract": 100, "tick-sizes": [{"value": "0.01"}], "deliverables": [],
            "expirations": found,
        }
    ]  # fmt: skip


def effect(value: float) -> str:
    """Return the word for a sign."""
    return "Credit" if value > 0 else "Debit" if value < 0 else "None"


def number(value: float) -> Any:
    """Return a quantity as the broker writes it: whole ones as numbers, others as texts."""
    return int(value) if float(value).is_integer() else str(value)


def root(symbol: str) -> str:
    """Return the underlying of a canonical symbol."""
    return symbol if multiplier(symbol) == 1.0 else symbol[:-15]


def stamp(time: datetime) -> str:
    """Return a time."""
    return time.isoformat(timespec="milliseconds")
