"""The risk manager: every signal ends in exactly one verdict, and `judge` fixes the order of the rules.

First what the symbol itself says (delisted, no bar, held already), then halts, then the rules that need no
price (strength, score, cooldown, counts of positions), then size. `measures` holds what limits are about,
`limits` those on size, `halts` those on the account; `placing` turns what is granted into an order. A rule on
size shrinks an order to what is left (or rejects it, by policy); the others reject.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernel import codes
from simulator.kernel._jit import kernel_jit
from simulator.kernel.bars import BAR_OK, bar_state
from simulator.kernel.conflicts import close_signal, conflict
from simulator.kernel.halts import halted
from simulator.kernel.logbook import log_verdict, reject
from simulator.kernel.placing import place_package, place_shares
from simulator.kernel.slots import free_order
from simulator.kernel.views import (
    account_of,
    bar_at,
    copy_record,
    has_options,
    metrics_of,
    open_at,
    order_at,
    orders_room,
    plan_at,
    position_at,
    positions_room,
    symbol_at,
    working_at,
)

__all__ = ["judge"]


@kernel_jit
def judge(state: Any, logs: Any, market: Any, params: Any, lane: Any, signal: Any, t: int) -> int:
    """Decide on one signal at the close of bar t: log its verdict and create its order where admitted.

    `lane` holds the option packages that the signal may name.
    """
    account = account_of(state)
    metrics_of(state)["signals"] += 1
    if signal["side"] == 0:
        return close_signal(state, logs, signal)
    sym = signal["sym"]
    symbol = symbol_at(state, sym)
    nan = np.nan
    if symbol["delisted"] == 1:
        return reject(logs, account, signal, codes.REASON_DELISTED, nan, nan, nan, codes.NO, nan)
    fixed = signal["entry"] >= codes.ENTRY_FIXED_OPEN
    if not fixed and bar_state(bar_at(market, t, sym)) != BAR_OK:
        return reject(logs, account, signal, codes.REASON_NO_BAR, nan, nan, nan, codes.NO, nan)
    if (
        params["exit_bar"] == codes.EXIT_BAR_IGNORED
        and signal["entry"] == codes.ENTRY_CLOSE
        and symbol["exit_row"] == account["row"] + 1
    ):
        return reject(logs, account, signal, codes.REASON_EXIT_ON_THIS_BAR, nan, nan, nan, codes.NO, nan)
    skip_side = 0
    if symbol["n_positions"] + symbol["n_orders"] > 0 and not fixed:
        reason = conflict(state, logs, params, signal)
        if reason == codes.REASON_CLOSE_ACCEPTED:
            return log_verdict(
                logs, account, signal, reason, reason, nan, nan, nan, nan, codes.NO, codes.NONE, nan
            )
        if reason == codes.REASON_REVERSED:
            skip_side = -signal["side"]
        elif reason != codes.REASON_NONE:
            now = float(symbol["n_positions"] + symbol["n_orders"])
            return reject(logs, account, signal, reason, now, 0.0, nan, codes.NO, nan)
    reason, value, limit = halted(account, params)
    absent = 0
    if reason == codes.REASON_NONE and params["risk_on"] == 1:
        reason, value, limit, absent = _refused(state, params, signal, skip_side)
    if reason != codes.REASON_NONE:
        return reject(logs, account, signal, reason, value, limit, nan, absent, nan)
    n_positions, n_orders = account["n_positions"], account["n_orders"]
    if n_positions + n_orders >= positions_room(state):
        value, limit = float(n_positions), float(positions_room(state))
        return reject(logs, account, signal, codes.REASON_CAPACITY, value, limit, nan, absent, nan)
    slot = free_order(state)
    if slot < 0 or n_orders >= orders_room(state):
        value, limit = float(n_orders), float(orders_room(state))
        return reject(logs, account, signal, codes.REASON_CAPACITY, value, limit, nan, absent, nan)
    copy_record(plan_at(state, slot), signal)
    plan_at(state, slot)["row"] = account["row"]  # rows of a chunk are not rows of the run
    if has_options(state) and signal["package"] > 0:
        return place_package(state, logs, market, params, lane, signal, slot, t, absent)
    return place_shares(state, logs, market, params, signal, slot, t, skip_side, absent)


@kernel_jit
def _refused(state: Any, params: Any, signal: Any, skip_side: int) -> tuple[int, float, float, int]:
    # The rules that need no price: reason (REASON_NONE to go on), value and limit, and what the signal lacks.
    account = account_of(state)
    absent = 0
    strength = signal["strength"]
    if strength == 0:
        absent |= codes.ABSENT_STRENGTH
    elif strength < params["min_strength"]:
        return codes.REASON_MIN_STRENGTH, float(strength), float(params["min_strength"]), absent
    score = signal["score"]
    if not score == score:
        absent |= codes.ABSENT_SCORE
    elif score < params["min_score"]:
        return codes.REASON_MIN_SCORE, score, params["min_score"], absent
    if account["cooldown_until"] > account["row"]:
        losses = float(account["loss_streak"])
        return codes.REASON_COOLDOWN, losses, float(params["cooldown_losses"]), absent
    total, of_symbol, of_strategy = _counts(state, signal, skip_side)
    if total >= params["max_open_positions"]:
        return codes.REASON_MAX_POSITIONS, float(total), float(params["max_open_positions"]), absent
    if of_symbol >= params["max_per_symbol"]:
        return codes.REASON_SYMBOL_CAP, float(of_symbol), float(params["max_per_symbol"]), absent
    if of_strategy >= params["max_per_strategy"]:
        return codes.REASON_STRATEGY_CAP, float(of_strategy), float(params["max_per_strategy"]), absent
    return codes.REASON_NONE, 0.0, 0.0, absent


@kernel_jit
def _counts(state: Any, signal: Any, skip_side: int) -> tuple[int, int, int]:
    # Positions and working entries: all, of the symbol, of the strategy. An order that already has a
    # position counts once; orders of the signal's own OCO group do not count, since only one can fill.
    account = account_of(state)
    package = 1 if signal["package"] > 0 else 0  # a reversal closes its own kind
    total = 0
    of_symbol = 0
    of_strategy = 0
    for k in range(account["n_positions"]):
        position = position_at(state, open_at(state, k)["slot"])
        leaving = position["sym"] == signal["sym"] and position["side"] == skip_side
        if position["live"] == 0 or (leaving and position["package"] == package):
            continue
        total += 1
        if position["sym"] == signal["sym"]:
            of_symbol += 1
        if position["strategy"] == signal["strategy"]:
            of_strategy += 1
    for k in range(account["n_orders"]):
        order = order_at(state, working_at(state, k)["slot"])
        if order["live"] == 0 or order["position"] != 0:
            continue
        if order["oco"] != 0 and order["oco"] == signal["oco"]:
            continue
        total += 1
        if order["sym"] == signal["sym"]:
            of_symbol += 1
        if order["strategy"] == signal["strategy"]:
            of_strategy += 1
    return total, of_symbol, of_strategy
