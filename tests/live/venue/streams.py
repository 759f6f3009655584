"""Random streams of everything that may happen to a venue, for the tests that ask what always holds."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from live.venue import VenueLeg, VenueRejected, VenueRequest
from simulator.errors import UnknownNameError
from tests.live.venue.desk import Desk

SYMBOLS = ("A", "B")
PUTS = ("A261218P00100000", "A261218P00090000")


def play(d: Desk, draw: random.Random, steps: int) -> None:
    """Let so many things happen."""
    for _ in range(steps):
        act(d, draw)


def act(d: Desk, draw: random.Random) -> None:
    """Let one thing happen; what is refused has not."""
    if not d.venue.symbols:
        d.tick(A=100.0, B=50.0)
        return
    kinds = [_market, _market, _market, _order, _order, _order, _bracket, _package, _change, _cancel, _day]
    try:
        draw.choice(kinds)(d, draw)
    except (VenueRejected, UnknownNameError):
        return


def _last(d: Desk, symbol: str) -> float:
    return d.venue.price(symbol)[2]


def _market(d: Desk, draw: random.Random) -> None:
    how = draw.random()
    moved = {symbol: round(_last(d, symbol) * draw.uniform(0.97, 1.03), 2) for symbol in SYMBOLS}
    if how < 0.5:
        d.tick(**moved)
    elif how < 0.7:
        d.tick(**{symbol: (price, price + 0.02) for symbol, price in moved.items()})
    elif how < 0.85:
        d.tick(**{put: (price, price + 0.1) for put, price in zip(PUTS, (4.0, 2.0), strict=True)})
    else:
        d.now += timedelta(minutes=1)
        rows = {
            symbol: (price, round(price * 1.02, 2), round(price * 0.98, 2), round(price * 1.01, 2), 1000.0)
            for symbol, price in moved.items()
        }
        d.venue.bar(d.now, rows)


def _order(d: Desk, draw: random.Random) -> None:
    symbol = draw.choice(SYMBOLS)
    price = _last(d, symbol)
    near = round(price * draw.uniform(0.97, 1.03), 2)
    fields: dict[str, Any] = draw.choice(
        [
            {"kind": "market"},
            {"kind": "limit", "limit_price": near},
            {"kind": "stop", "stop_price": near},
            {"kind": "stop_limit", "stop_price": near, "limit_price": round(near * 1.01, 2)},
            {"kind": "trailing_stop", "trail_percent": 2.0},
            {"kind": "trailing_stop", "trail_price": 1.5},
        ]
    )
    tifs = ["day", "gtc"]
    if fields["kind"] in ("market", "limit"):
        tifs += ["ioc", "fok", "opg", "cls"]
    d.ask(draw.choice([-20, -5, -1, 1, 5, 20]), symbol, tif=draw.choice(tifs), **fields)


def _bracket(d: Desk, draw: random.Random) -> None:
    symbol, side = draw.choice(SYMBOLS), draw.choice([-1, 1])
    price = _last(d, symbol)
    d.ask(
        side * draw.choice([2, 10]), symbol, order_class="bracket", tif="gtc", kind="limit",
        limit_price=round(price * (1 - 0.005 * side), 2), take_profit=round(price * (1 + 0.02 * side), 2),
        stop_loss=round(price * (1 - 0.02 * side), 2),
    )  # fmt: skip


def _package(d: Desk, draw: random.Random) -> None:
    side = draw.choice([-1, 1])
    legs = tuple(
        VenueLeg(symbol=put, side="buy" if side * way > 0 else "sell")
        for put, way in zip(PUTS, (-1, 1), strict=True)
    )
    d.venue.submit(
        VenueRequest(
            order_class="mleg", legs=legs, qty=draw.choice([1, 2]), kind="limit",
            limit_price=draw.choice([1.5, 2.0, 3.0]) * side, tif=draw.choice(["day", "gtc"]),
        )
    )  # fmt: skip


def _change(d: Desk, draw: random.Random) -> None:
    orders = d.venue.orders()
    if orders:
        order = draw.choice(orders)
        by = draw.uniform(0.98, 1.02)
        prices = {name: getattr(order, name) for name in ("limit_price", "stop_price")}
        d.venue.replace(
            order.id, **{name: round(price * by, 2) for name, price in prices.items() if price is not None}
        )


def _cancel(d: Desk, draw: random.Random) -> None:
    orders = d.venue.orders()
    how = draw.random()
    if orders and how < 0.6:
        d.venue.cancel(draw.choice(orders).id)
    elif how < 0.9:
        positions = d.venue.positions()
        if positions:
            d.venue.close_position(draw.choice(positions).symbol)
    else:
        d.venue.close_all_positions(cancel_orders=True)


def _day(d: Desk, draw: random.Random) -> None:
    how = draw.random()
    if how < 0.6:
        d.end_day()
    elif how < 0.8:
        d.venue.action(d.now, "dividend", draw.choice(SYMBOLS), 0.25)
    elif how < 0.9:
        d.venue.action(d.now, "split", "B", draw.choice([2.0, 0.5]))
    else:
        d.venue.deposit(100.0)
