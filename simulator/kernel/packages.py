"""Option packages: valued and closed on one quote snapshot per bar, its close.

A package is a position like any other: one slot, a side, a price. Its price is what its legs cost together
per share, and a package that brought a credit is a short position at that credit, so that cash, equity, heat
and statistics need no rules of their own. What differs is here, in `package_opening` and in
`package_settlement`: it sees no open, high or low; its exits are shares of the premium; it ends at an expiry,
and its sold legs can be assigned on the way.

Worth is seen from the holder's side throughout: `worth` is negative for a package sold for a credit, and
rises as the trade earns, for credits and debits alike. It is the mirrored price of the kernel.

A package expires with its session, not with the session's first bar: a bar knows from the exchange's calendar
how much of it is left. Until then it trades by its quotes and its exits. Where the bar that ends the session
never comes, the next session begins with the settlement, at the underlying's last price of the one before.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_OK, bar_state
from simulator.kernel.collateral import count_collateral, free_cover, package_margin
from simulator.kernel.greeks import note_volatilities
from simulator.kernel.open_loss import capped_loss, is_defined, net_delta, sold_delta
from simulator.kernel.package_settlement import assign_early, settle
from simulator.kernel.positions import leave
from simulator.kernel.quotes import (
    QUOTE_NONE,
    has_expired,
    intrinsic,
    package_quote,
    price_rule,
    share_of,
    worst_payoff,
)
from simulator.kernel.views import account_of, bar_at, leg_at, open_at, package_at, position_at, symbol_at

__all__ = ["close_package", "settle_overdue", "shares_of", "split_package", "value_packages", "worth_at"]

# So much of a contract is rounding.
WHOLE = 1e-9


@kernel_jit
def value_packages(state: Any, logs: Any, market: Any, params: Any, t: int) -> None:
    """Mark every package at this close, and close, settle or assign those whose time has come."""
    account = account_of(state)
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 1 and position["package"] == 1:
            _value_one(state, logs, market, params, slot, t)
    count_collateral(state)


@kernel_jit
def settle_overdue(state: Any, logs: Any, market: Any, params: Any) -> None:
    """Settle packages whose expiry session went by without the bar that ends it, as a session begins.

    The price is the underlying's last one of that session. What it turns into can be sold at this open, as if
    it had been settled in time. A leg that lives on needs a quote, so such a package waits for the close.
    """
    account = account_of(state)
    settled = False
    for k in range(account["n_positions"]):
        slot = open_at(state, k)["slot"]
        position = position_at(state, slot)
        if position["live"] == 0 or position["package"] == 0 or not position["forced_price"] > 0.0:
            continue
        if _lives_on(state, slot, account["session"]):
            continue
        spot = position["forced_price"]
        worth = worth_at(state, slot, spot)
        position["best"] = max(position["best"], worth)
        position["worst"] = min(position["worst"], worth)
        settle(state, logs, market, params, slot, spot, worth, 0.0, codes.NONE)
        settled = True
    if settled:
        count_collateral(state)


@kernel_jit
def _lives_on(state: Any, slot: int, session: int) -> bool:
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        if leg["right"] != 0 and leg["expiry"] >= session:
            return True
    return False


@kernel_jit
def _value_one(state: Any, logs: Any, market: Any, params: Any, slot: int, t: int) -> None:
    account = account_of(state)
    position = position_at(state, slot)
    package = package_at(state, slot)
    sym = position["sym"]
    side = float(position["side"])
    bar = bar_at(market, t, sym)
    expired = has_expired(market, t, package["expiry"])
    if account["session"] == package["expiry"] and bar_state(bar) == BAR_OK:
        if not expired or position["forced_price"] > 0.0:
            position["forced_price"] = bar["close"]
    quality, worth, spread, sold, delta = package_quote(state, market, t, sym, slot, codes.NO)
    position["tradable"] = 0
    if quality == QUOTE_NONE:
        return
    position["tradable"] = 1
    spot = bar["close"]
    ended_at = spot
    if position["forced_price"] > 0.0 and account["session"] > package["expiry"]:
        ended_at = position["forced_price"]
        worth += _moved(state, slot, account["session"], ended_at)
    position["mark"] = worth * side
    position["best"] = max(position["best"], worth)
    position["worst"] = min(position["worst"], worth)
    symbol_at(state, sym)["last"] = spot
    stressed = package["covered"] == 0 and not is_defined(state, slot, codes.NO)
    if stressed or params["greeks_on"] == 1 or not delta == delta:
        note_volatilities(state, market, t, sym, slot, codes.NO)
        delta = net_delta(state, market, t, sym, slot, codes.NO)
        sold = sold_delta(state, slot)
    position["delta"] = delta
    if expired:
        settle(state, logs, market, params, slot, ended_at, worth, spread, codes.NONE)
        if position["live"] == 1:
            position["mark"] = spot  # shares by now
        return
    if stressed or package["naked"] == 1:
        lowest, bounded = worst_payoff(state, slot, codes.NO)
        margin = package_margin(state, slot, codes.NO, spot, worth, lowest, bounded)
        if package["naked"] == 1:
            position["unit_margin"] = margin
        if stressed:
            most = (worth - lowest) * package["multiplier"] if bounded else margin
            position["unit_loss"] = capped_loss(
                state, market, t, sym, slot, codes.NO, max(most, 0.0), bounded, package["multiplier"]
            )
    reason = _exit_reason(account, params, package, position, worth, spread, sold)
    if reason == codes.EXIT_NONE and package["covered"] == 1:
        if free_cover(state, sym, position["strategy"], package["multiplier"]) < -WHOLE:
            reason = codes.EXIT_UNCOVERED
    if reason != codes.EXIT_NONE:
        if reason == codes.EXIT_ROLL:
            symbol_at(state, sym)["roll_row"] = account["row"] + 1
            symbol_at(state, sym)["roll_group"] = position["group"]
            symbol_at(state, sym)["roll_strategy"] = position["strategy"]
        close_package(state, logs, market, params, slot, worth, spread, reason)
        return
    assign_early(state, logs, market, params, slot, t, spot)


@kernel_jit
def _moved(state: Any, slot: int, session: int, spot: float) -> float:
    # What the worth of the last quote lacks where all but the legs that live on are worth what `spot` makes
    # them.
    change = 0.0
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        if leg["right"] == 0 or leg["expiry"] < session:
            change += float(leg["side"] * leg["ratio"]) * (intrinsic(leg, spot) - leg["mark"])
    return change


@kernel_jit
def _exit_reason(
    account: Any, params: Any, package: Any, position: Any, worth: float, spread: float, sold: float
) -> int:
    if position["pending"] != 0:
        return position["pending"]
    premium = position["premium"]
    gain = worth - position["entry"]
    if package["stop_loss"] > 0.0 and gain <= -package["stop_loss"] * premium:
        return codes.EXIT_STOP
    best = position["best"] - position["entry"]
    if (
        package["trail_start"] > 0.0
        and best >= package["trail_start"] * premium
        and gain <= best - package["trail_back"] * premium
    ):
        return codes.EXIT_TRAIL
    # a target is a limit order: it needs a price that somebody pays, a stop only one that is quoted
    if package["profit_target"] > 0.0:
        paid = gain - share_of(params, package["legs"]) * spread
        if paid >= package["profit_target"] * premium:
            return codes.EXIT_PROFIT_TARGET
    if package["delta_exit"] > 0.0 and sold >= package["delta_exit"]:
        return codes.EXIT_DELTA
    if package["dte_exit"] > 0 and package["expiry"] - account["session"] <= package["dte_exit"]:
        return codes.EXIT_ROLL if package["roll"] == 1 else codes.EXIT_DTE
    by_bars = position["max_bars"] > 0 and position["bars_held"] >= position["max_bars"]
    by_days = position["max_days"] > 0 and account["session"] - position["entry_day"] >= position["max_days"]
    return codes.EXIT_TIME if by_bars or by_days else codes.EXIT_NONE


@kernel_jit
def close_package(
    state: Any,
    logs: Any,
    market: Any,
    params: Any,
    slot: int,
    worth: float,
    spread: float,
    reason: int,
) -> None:
    """Close a package at its quotes."""
    position = position_at(state, slot)
    given = share_of(params, package_at(state, slot)["legs"]) * spread
    kind = codes.KIND_EXIT
    if reason == codes.EXIT_STOP:
        kind = codes.KIND_STOP
    elif reason == codes.EXIT_TRAIL:
        kind = codes.KIND_TRAIL
    elif reason == codes.EXIT_PROFIT_TARGET:
        kind = codes.KIND_TARGET
    leave(
        state,
        logs,
        market,
        params,
        slot,
        position["qty"],
        (worth - given) * float(position["side"]),
        kind,
        reason,
        price_rule(market),
        codes.SOURCE_SIMULATED,
        given,
    )


@kernel_jit
def worth_at(state: Any, slot: int, spot: float) -> float:
    """Worth of a package per share when every leg is exercised at `spot`: after a delisting."""
    worth = 0.0
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        worth += float(leg["side"] * leg["ratio"]) * intrinsic(leg, spot)
    return worth


@kernel_jit
def shares_of(state: Any, slot: int) -> float:
    """Shares in a package, per package and per unit of its multiplier; negative where it is short of them."""
    shares = 0.0
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        if leg["right"] == 0:
            shares += float(leg["side"] * leg["ratio"])
    return shares


@kernel_jit
def split_package(state: Any, position: Any, slot: int, ratio: float) -> None:
    """Adjust the legs to a split of the underlying, as the clearing house does for whole ratios."""
    position["premium"] /= ratio
    position["forced_price"] /= ratio
    position["unit_loss"] /= ratio
    position["unit_margin"] /= ratio
    for k in range(package_at(state, slot)["legs"]):
        leg = leg_at(state, slot, k)
        leg["strike"] /= ratio
        leg["entry_price"] /= ratio
        leg["mark"] /= ratio
