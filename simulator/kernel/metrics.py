"""Running sums from which every driver works out the same metrics.

Trades count when they close, sessions when the next one begins, exposure on every bar with a position.
"""

from __future__ import annotations

from typing import Any

from simulator.kernel._jit import kernel_jit

__all__ = ["close_session", "count_exposure", "count_trade", "note_peak"]


@kernel_jit
def count_trade(metrics: Any, position: Any, pnl: float) -> None:
    """Add a finished (or, at the end of the data, a marked) trade to the statistics."""
    metrics["trades"] += 1
    metrics["sum_pnl"] += pnl
    if pnl > 0.0:
        metrics["wins"] += 1
        metrics["gross_profit"] += pnl
        metrics["streak"] = metrics["streak"] + 1 if metrics["streak"] > 0 else 1
        if metrics["streak"] > metrics["longest_win"]:
            metrics["longest_win"] = metrics["streak"]
    elif pnl < 0.0:
        metrics["losses"] += 1
        metrics["gross_loss"] -= pnl
        metrics["streak"] = metrics["streak"] - 1 if metrics["streak"] < 0 else -1
        if -metrics["streak"] > metrics["longest_loss"]:
            metrics["longest_loss"] = -metrics["streak"]
    else:
        metrics["streak"] = 0
    if position["initial_risk"] > 0.0:
        r = pnl / position["initial_risk"]
        metrics["n_r"] += 1
        metrics["sum_r"] += r
        metrics["sum_r_square"] += r * r
    scale = abs(position["entry_price"])
    metrics["sum_mae"] += (position["worst"] - position["entry"]) / scale
    metrics["sum_mfe"] += (position["best"] - position["entry"]) / scale
    metrics["sum_bars_held"] += float(position["bars_held"])


@kernel_jit.inlined
def close_session(metrics: Any, account: Any) -> None:
    """Take the finished session's return into the statistics."""
    if account["session_equity"] > 0.0:
        change = account["equity"] / account["session_equity"] - 1.0
        below = min(change, 0.0)
        metrics["sum_return"] += change
        metrics["sum_square"] += change * change
        metrics["sum_downside"] += below * below


@kernel_jit.inlined
def count_exposure(account: Any, metrics: Any) -> None:
    """Count a bar with open positions."""
    if account["n_positions"] > 0:
        metrics["bars_in_market"] += 1
        if account["equity"] > 0.0:
            metrics["sum_exposure"] += account["gross"] / account["equity"]


@kernel_jit.inlined
def note_peak(account: Any, metrics: Any) -> None:
    """Date the peak of the equity: idle bars at the peak have passed without notice."""
    at_peak = account["equity"] >= account["peak_equity"]
    metrics["peak_session"] = account["last_session_no"] if at_peak else metrics["peak_session"]
