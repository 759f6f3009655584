"""Resting orders outside an account of the kernel, matched by the same rules: what a paper exchange calls.

`match_resting` proposes which of a symbol's orders a part of a bar fills, and at which mirrored price;
`fill_terms` says what such a fill costs and how much of it volume and cash allow; `package_terms` prices legs
that trade as one. Nothing here changes an account: whoever calls applies the fills, one after the other, and
asks again where that changes what works.

Prices of an order are mirrored by its side, its stop in force by that of the position that it would close,
which is the other one: so `stop_now` is `-trigger`, and the rules of positions read it as they do theirs.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.liquidity import affordable, volume_left
from simulator.kernel.matching import meets_inside, meets_open, stop_follows, stop_goes_first, target_waits
from simulator.kernel.money import commission, leg_fee, slipped
from simulator.kernel.quotes import QUOTE_OK, quote_quality, share_of
from simulator.kernel.stops import TRAIL_NONE, raise_trail, stop_met

__all__ = [
    "LIVE_SINCE_OPEN",
    "PART_AFTER_LIMIT",
    "PART_AFTER_STOP",
    "PART_INSIDE",
    "PART_OPEN",
    "PART_RAISE",
    "PART_TICK",
    "QUOTED_LEG",
    "RESTING",
    "fill_terms",
    "match_resting",
    "package_terms",
]

LIVE_SINCE_OPEN = 2

# Parts of a bar
PART_OPEN = 0
PART_INSIDE = 1
PART_AFTER_LIMIT = 2  # what is left of a bar after a limit entry filled in it, and after a stop entry
PART_AFTER_STOP = 3
PART_RAISE = 4  # trails follow the bar
PART_TICK = 5  # one price: its open, then trails follow

# live: whether it takes part (LIVE_SINCE_OPEN: because an entry filled at this open); sibling: row of the
# other order of a pair, -1 for none; the fields from `fills` on are what the last call proposed
RESTING: Final = np.dtype(
    [
        (name, "<i8")
        for name in "side kind live triggered sibling trail_mode trail_on fills rule slips".split()
    ]
    + [("after_rise", "<i8"), ("by_limit", "<i8")]
    + [(name, "<f8") for name in "trigger limit stop_now stop peak trail_distance trail_level".split()]
    + [("trail_activate", "<f8"), ("raw", "<f8")]
)

# right: 1 call, -1 put, 0 shares; price: what the leg trades at, filled in
QUOTED_LEG: Final = np.dtype(
    [(name, "<i8") for name in ("side", "ratio", "right")]
    + [(name, "<f8") for name in ("multiplier", "bid", "ask", "price")]
)


@kernel_jit.entry
def match_resting(orders: Any, first: int, last: int, bars: Any, params: Any, part: int, met: float) -> int:
    """Propose the fills of a part of a bar; returns how many there are. Modifies `orders` in place.

    Parameters
    ----------
    orders
        (N,) RESTING of one symbol.
    first, last
        Rows that are matched: first to last - 1.
    bars
        (2,) BAR: what buyers trade at, and what sellers do; the same but for quotes.
    params
        (1,) PARAMS.
    part
        One of the PART codes above.
    met
        For the parts after an entry: the price that it filled for, mirrored by its side.
    """
    rules = params[0]
    for i in range(first, last):
        order = orders[i]
        order["fills"] = 0
        if order["live"] == 0:
            continue
        bar = bars[0] if order["side"] > 0 else bars[1]
        if part == PART_OPEN or part == PART_TICK:
            _at_open(order, bar, rules)
        elif part == PART_INSIDE:
            _inside(order, bar, rules)
        elif part != PART_RAISE:
            _after_entry(order, bar, rules, part, met)
        if (part == PART_RAISE or part == PART_TICK) and order["fills"] == 0:
            _raise(order, bar, rules)
    proposed = 0
    for i in range(first, last):
        order = orders[i]
        if order["fills"] == 1 and order["sibling"] >= 0:
            _pair(order, orders[order["sibling"]], bars, rules, part)
        proposed += order["fills"]
    return proposed


@kernel_jit
def _at_open(order: Any, bar: Any, params: Any) -> None:
    if order["side"] > 0:
        open_, high, low = bar["open"], bar["high"], bar["low"]
    else:
        open_, high, low = -bar["open"], -bar["low"], -bar["high"]
    trigger = order["trigger"] if order["trail_mode"] == TRAIL_NONE else -order["stop_now"]
    fills, reached, raw, rule, slips = meets_open(
        params, order["kind"], order["triggered"], trigger, order["limit"], open_, high, low
    )
    if reached:
        order["triggered"] = 1
    if fills:
        order["fills"] = 1
        order["raw"] = raw
        order["rule"] = rule
        order["slips"] = slips
        order["by_limit"] = 0


@kernel_jit
def _inside(order: Any, bar: Any, params: Any) -> None:
    open_, high, low, close, up_first = _held(order, bar)
    if order["trail_mode"] != TRAIL_NONE or order["kind"] == codes.ENTRY_STOP:
        rule = params["trail_rule"]
        trails = order["trail_mode"] != TRAIL_NONE and (
            rule == codes.TRAIL_RAISE_FIRST or rule == codes.TRAIL_PATH
        )
        hit, after_rise, extreme, level = stop_met(order, params, trails, up_first, open_, high, low, close)
        if hit:
            if level != order["stop_now"]:
                raise_trail(order, params, extreme)
            order["fills"] = 1
            # where the entry filled at the open, the price may have passed the stop already
            order["raw"] = -min(level, open_) if order["live"] == LIVE_SINCE_OPEN else -level
            order["rule"] = codes.PRICE_STOP
            order["slips"] = params["slip_stops"]
            order["after_rise"] = 1 if after_rise else 0
            order["by_limit"] = 0
        return
    if order["live"] == LIVE_SINCE_OPEN and order["kind"] == codes.ENTRY_LIMIT:
        # its open was the open too
        _at_open(order, bar, params)
        if order["fills"] == 1:
            order["by_limit"] = 1
            return
    fills, reached, by_limit, raw, rule, slips = meets_inside(
        params, order["kind"], order["triggered"], order["trigger"], order["limit"], -low, -high
    )
    if reached:
        order["triggered"] = 1
    if fills:
        order["fills"] = 1
        order["raw"] = raw
        order["rule"] = rule
        order["slips"] = slips
        order["after_rise"] = 1 if params["collision"] == codes.COLLISION_PATH and up_first else 0
        order["by_limit"] = 1 if by_limit else 0


@kernel_jit
def _after_entry(order: Any, bar: Any, params: Any, part: int, met: float) -> None:
    kind = order["kind"]
    if kind != codes.ENTRY_STOP and kind != codes.ENTRY_STOP_LIMIT:
        return
    _, _, low, close, up_first = _held(order, bar)
    level = order["stop_now"]
    if stop_follows(params, level, part == PART_AFTER_LIMIT, low, close, up_first):
        order["triggered"] = 1
        raw = -min(level, met)
        if kind == codes.ENTRY_STOP or raw <= order["limit"]:
            order["fills"] = 1
            order["raw"] = raw
            order["rule"] = codes.PRICE_STOP
            order["slips"] = params["slip_stops"] if kind == codes.ENTRY_STOP else codes.NO
            order["by_limit"] = 0


@kernel_jit
def _raise(order: Any, bar: Any, params: Any) -> None:
    if order["trail_mode"] != TRAIL_NONE:
        _, high, _, close, _ = _held(order, bar)
        raise_trail(order, params, close if params["trail_rule"] == codes.TRAIL_CLOSE_ONLY else high)


@kernel_jit
def _pair(order: Any, other: Any, bars: Any, params: Any, part: int) -> None:
    # Of a stop and a target that close the same position one goes first, and the other waits.
    if order["kind"] != codes.ENTRY_LIMIT:
        return  # decided from the side of the target
    bar = bars[0] if order["side"] > 0 else bars[1]
    open_, _, low, _, _ = _held(order, bar)
    if part == PART_OPEN:
        if other["live"] == 1 and target_waits(params, low, other["stop_now"]):
            order["fills"] = 0
    elif other["fills"] == 1:
        if stop_goes_first(params, other["after_rise"] == 1, open_, -order["limit"]):
            order["fills"] = 0
        else:
            other["fills"] = 0


@kernel_jit
def _held(order: Any, bar: Any) -> tuple[float, float, float, float, bool]:
    # The bar as the position sees it that the order would close: mirrored, with its path to the nearer
    # extreme first.
    up_first = bar["high"] - bar["open"] < bar["open"] - bar["low"]
    if order["side"] < 0:
        return bar["open"], bar["high"], bar["low"], bar["close"], up_first
    return -bar["open"], -bar["low"], -bar["high"], -bar["close"], not up_first


@kernel_jit.entry
def fill_terms(
    params: Any,
    instruments: Any,
    which: int,
    side: float,
    raw: float,
    slips: int,
    spread: float,
    span: float,
    closing: float,
    opening: float,
    available: float,
    volume: float,
    used: float,
    out: Any,
) -> None:
    """Fill `out` with the price of a fill, what cash allows of it, what volume leaves of that, and the fee.

    Parameters
    ----------
    instruments, which
        INSTRUMENT records, and the one that is traded.
    side, raw, slips
        +1 or -1; the mirrored price that was proposed, and whether it slips.
    spread, span
        Quoted spread, NaN if unknown; the bar's range.
    closing, opening
        Quantity that shrinks a position, which cash never limits, and quantity that opens one.
    available
        Buying power, infinite where it is checked elsewhere.
    volume, used
        The bar's volume, NaN if unknown, which limits nothing; and what earlier fills took of it.
    """
    rules = params[0]
    instrument = instruments[which]
    price = raw * side
    if slips == 1:
        price = slipped(rules, instrument, price, side, spread, span)
    granted = closing
    if opening > 0.0:
        granted += affordable(rules, instrument, opening, price, available)
    quantity = granted
    if rules["volume_cap"] > 0.0 and volume == volume:
        quantity = volume_left(rules, instrument["lot"], volume, used, granted)
    out[0] = price
    out[1] = granted
    out[2] = quantity
    out[3] = commission(rules, instrument, side, quantity, price) if quantity > 0.0 else 0.0


@kernel_jit.entry
def package_terms(params: Any, legs: Any, n: int, kind: int, limit: float, quantity: float, out: Any) -> int:
    """Price `n` legs that trade as one; returns the quality of their quotes and modifies `legs` in place.

    `out` gets what one package brings per unit of the underlying (paid is negative), whether an order of the
    entry code `kind` fills at it, and the fees of `quantity` packages. Each leg trades at its mid less the
    share of its spread that a package of so many legs gives away.
    """
    rules = params[0]
    share = share_of(rules, n)
    net = 0.0
    fee = 0.0
    for k in range(n):
        leg = legs[k]
        quality = quote_quality(leg["bid"], leg["ask"])
        if quality != QUOTE_OK:
            return quality
        side = float(leg["side"])
        leg["price"] = 0.5 * (leg["bid"] + leg["ask"]) + side * share * (leg["ask"] - leg["bid"])
        ratio = float(leg["ratio"])
        # one unit of the package's price is one contract's worth, so a leg of shares counts by the contract
        net -= side * ratio * leg["price"]
        fee += leg_fee(rules, leg["right"], ratio * quantity, leg["multiplier"])
    fills, _, _, _, _ = meets_open(rules, kind, codes.NO, np.nan, -limit, -net, -net, -net)
    out[0] = net
    out[1] = 1.0 if fills else 0.0
    out[2] = max(fee + rules["per_order"], rules["commission_min"])
    return QUOTE_OK
