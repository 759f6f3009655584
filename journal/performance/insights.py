"""What a closed trade teaches, found by rules and said in a sentence.

Each rule looks at one trade as it was entered, held and closed, and says at most one thing: a stable code, a
direction (+1 speaks for how the trade was made, -1 against it, 0 neither), the number it rests on, and a
sentence. A rule whose fields are unknown says nothing. One trade proves nothing: "may have" is meant; what
holds over many trades is for `PerformanceTracker` and the learning system. The lines that the rules draw are
in `journal.performance.thresholds`.

A profit of exactly 0 is a scratch, neither success nor failure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, insert

from journal.performance import thresholds as at
from journal.performance.recent import Background, Planned, Recent, background
from journal.schema import insights
from journal.values import from_nanoseconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from journal.records import Trade

__all__ = ["Finding", "analyse", "days_left", "find", "stop_overshoot"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about one trade.

    Attributes
    ----------
    code
        Stable name of the rule.
    direction
        +1 speaks for how the trade was made, -1 against it, 0 neither.
    value
        The number that the rule rests on, in the unit that `text` names.
    text
        The finding as a sentence.
    """

    code: str
    direction: int
    value: float | None
    text: str


def analyse(connection: Connection, trade: Trade, known: Background | None = None) -> list[Finding]:
    """Find what a closed trade teaches and store it, in place of what was found for it before.

    Parameters
    ----------
    connection
        Inside a write transaction.
    trade
        The closed trade; an open one teaches nothing yet and gives an empty list.
    known
        What the trade is compared with; None reads it.
    """
    if trade.status != "closed" or trade.exit_ts is None:
        return []
    plan, before = background(connection, trade) if known is None else known
    found = find(trade, plan, before)
    connection.execute(_DELETE, {"key": trade.id})
    if found:
        rows = [
            {
                "trade_id": trade.id,
                "ts": trade.exit_ts,
                "code": one.code,
                "direction": one.direction,
                "value": one.value,
                "text": one.text,
            }
            for one in found
        ]
        connection.execute(_INSERT, rows)
    return found


def find(trade: Trade, plan: Planned | None = None, before: Iterable[Recent] = ()) -> list[Finding]:
    """Return the findings about a closed trade without storing them.

    Parameters
    ----------
    trade
        The closed trade.
    plan
        Prices of its recommendation.
    before
        Trades of the same symbol that closed before its entry.
    """
    found = [rule(trade) for rule in _RULES]
    found.append(_against_plan(trade, plan))
    found.append(_overtrading(trade, list(before)))
    return [one for one in found if one is not None]


def days_left(trade: Trade) -> int | None:
    """Return calendar days from exit to expiry; None where they are unknown or the times contradict.

    The day of the exit is the UTC day, which is the session's day during the regular hours of US markets.
    What a broker books within `thresholds.SETTLEMENT_DAYS` after expiry was held to expiry: 0. An expiry
    longer ago than that, and an exit further from expiry than the entry was, cannot be true.
    """
    if trade.expiry is None or trade.exit_ts is None:
        return None
    left = (date.fromisoformat(trade.expiry) - from_nanoseconds(trade.exit_ts).date()).days
    if left < -at.SETTLEMENT_DAYS or (trade.dte is not None and left > trade.dte + 1):
        return None
    return max(left, 0)


def stop_overshoot(trade: Trade) -> float | None:
    """Return how far the exit lies beyond the stop, as share of the distance from entry to planned stop.

    Negative is on the safe side of the stop. None where there is no stop, no exit price, or a stop that was
    planned on the wrong side of the entry or at it.
    """
    stop = trade.stop_price if trade.current_stop_price is None else trade.current_stop_price
    if stop is None or trade.stop_price is None or trade.exit_price is None:
        return None
    distance = trade.side * (trade.entry_price - trade.stop_price)
    if distance <= at.EPSILON * max(trade.entry_price, abs(trade.stop_price)):
        return None
    return trade.side * (stop - trade.exit_price) / distance


def _iv_rank(trade: Trade) -> Finding | None:
    if trade.kind != "option" or trade.iv_rank is None or trade.pnl == 0:
        return None
    rank, won, sold = trade.iv_rank, trade.pnl > 0, trade.side < 0
    high, low = rank >= at.HIGH_IV_RANK, rank <= at.LOW_IV_RANK
    if not (high or low):
        return None
    word = f"{'High' if high else 'Low'} IV rank ({rank:.0f}%)"
    good = high if sold else low  # who sells wants dear premium, who buys wants it cheap
    code = "iv_rank_high" if high else "iv_rank_low"
    if good and won:
        return Finding(code, 1, rank, f"{word} contributed to success")
    if not good and not won:
        return Finding(code, -1, rank, f"{word} may have caused failure")
    ending = "did not prevent the loss" if good else "did not stand in the way of a profit"
    return Finding(code, 0, rank, f"{word} {ending}")


def _profit_rule(trade: Trade) -> Finding | None:
    if trade.kind != "option" or trade.capture_percent is None or trade.pnl <= 0:
        return None
    captured, code = trade.capture_percent, trade.close_code
    rule = _number_in(trade.close_reason, r"(\d+(?:\.\d+)?)\s*%", at.PROFIT_RULE_PERCENT)
    said = f"{captured:.0f}% of max profit"
    near = abs(captured - rule) <= at.PROFIT_RULE_TOLERANCE
    if code == "profit_target":
        if captured < rule - at.PROFIT_RULE_TOLERANCE:
            return Finding(
                "profit_rule_missed", -1, captured, f"Closed short of the {rule:g}% rule: at {said}"
            )
        return Finding("profit_rule_followed", 1, captured, f"Followed {rule:g}% rule: closed at {said}")
    if code in _BY_HAND and near:
        return Finding("profit_rule_followed", 1, captured, f"Followed {rule:g}% rule: closed at {said}")
    if code not in ("expiry", "assignment") and captured >= at.LATE_CAPTURE_PERCENT:
        text = f"Held past the {rule:g}% rule: closed at {said}"
        return Finding("held_past_profit_rule", 0, captured, text)
    return None


def _fast_winner(trade: Trade) -> Finding | None:
    if trade.capture_percent is None or trade.days is None or not trade.dte or trade.side > 0:
        return None
    if trade.capture_percent < at.PROFIT_RULE_PERCENT or trade.days > at.FAST_SHARE_OF_DTE * trade.dte:
        return None
    text = f"Fast: {trade.capture_percent:.0f}% of max profit in {trade.days:.0f} of {trade.dte} days"
    return Finding("fast_winner", 1, trade.days, text)


def _expiry_rule(trade: Trade) -> Finding | None:
    left = days_left(trade)
    if trade.kind != "option" or trade.side > 0 or left is None or trade.dte is None:
        return None
    rule = round(_number_in(trade.close_reason, r"(\d+)\s*DTE\b", at.DTE_RULE_DAYS))
    if trade.dte <= rule + at.DTE_RULE_TOLERANCE_DAYS:
        return None  # it was opened inside the rule
    days = f"{left} {'day' if left == 1 else 'days'}"
    if trade.close_code == "dte":
        if left > rule + at.DTE_RULE_TOLERANCE_DAYS:
            text = f"Closed {days} before expiry, ahead of the {rule} DTE rule"
            return Finding("dte_rule_early", 0, left, text)
        if left >= rule - at.DTE_RULE_TOLERANCE_DAYS:
            return Finding(
                "dte_rule_followed", 1, left, f"Followed {rule} DTE rule: closed {days} before expiry"
            )
    if left < rule - at.DTE_RULE_TOLERANCE_DAYS:
        text = f"Held to {days} before expiry, past the {rule} DTE rule"
        return Finding("dte_rule_late", -1 if trade.pnl < 0 else 0, left, text)
    return None


def _assignment(trade: Trade) -> Finding | None:
    if trade.close_code != "assignment" or trade.kind == "stock":
        return None  # of shares that were called away, the option's trade says it
    left = days_left(trade)
    if left is None:
        return Finding("assigned", 0, None, "Assigned")
    when = f"{left} {'day' if left == 1 else 'days'} before expiry" if left else "at expiry"
    return Finding("assigned", -1 if left else 0, left, f"Assigned {when}")


def _target(trade: Trade) -> Finding | None:
    if trade.close_code not in ("target", "target2", "target3") or trade.pnl <= 0:
        return None
    r = trade.r_multiple
    return Finding("target_reached", 1, r, "Reached the target" + (f": {r:+.1f}R" if r is not None else ""))


def _stop(trade: Trade) -> Finding | None:
    over = stop_overshoot(trade)
    if over is None or trade.close_code not in _STOPS:
        return None
    if over > at.STOP_TOLERANCE:
        text = f"Filled beyond the stop by {100 * over:.0f}% of the planned risk (gap or slippage)"
        return Finding("gap_beyond_stop", -1, over, text)
    if trade.pnl > 0:
        if _secures_profit(trade):
            text = f"The stop that was moved {'up' if trade.side > 0 else 'down'} kept a profit"
            return Finding("stop_kept_profit", 1, over, text)
        return Finding(
            "stop_respected", 1, over, "Respected the stop, and the trade made a profit as a whole"
        )
    return Finding("stop_respected", 1, over, "Respected the stop: the loss stayed as planned")


def _secures_profit(trade: Trade) -> bool:
    """Tell whether the stop was moved from where it was planned to the entry or beyond it.

    A trade that ends at any other stop may have won by what was closed before: the stop kept nothing then.
    """
    planned_stop, stop = trade.stop_price, trade.current_stop_price
    if planned_stop is None or stop is None:
        return False
    tiny = at.EPSILON * max(abs(planned_stop), abs(stop))
    return trade.side * (stop - planned_stop) > tiny and trade.side * (stop - trade.entry_price) >= -tiny


def _excursion(trade: Trade) -> Finding | None:
    risk = trade.initial_risk
    if risk is None or risk <= 0 or trade.mfe is None or trade.mfe <= 0:
        return None
    kept, best = trade.pnl / trade.mfe, trade.mfe / risk
    if best >= at.GIVEN_BACK_R and kept < at.KEPT_LITTLE_SHARE:
        if trade.pnl <= 0:
            text = f"Gave back a profit of {best:.1f}R (${trade.mfe:,.0f}) and did not win"
        else:
            text = f"Kept {100 * kept:.0f}% of a best open profit of {best:.1f}R (${trade.mfe:,.0f})"
        return Finding("mfe_given_back", -1, best, text)
    if trade.pnl > 0 and best >= at.GIVEN_BACK_R and kept >= at.KEPT_MOST_SHARE:
        return Finding("mfe_kept", 1, kept, f"Kept {100 * kept:.0f}% of the best open profit")
    return None


def _deep(trade: Trade) -> Finding | None:
    risk = trade.initial_risk
    if risk is None or risk <= 0 or trade.mae is None or trade.pnl <= 0:
        return None
    worst = -trade.mae / risk
    if worst < at.DEEP_MAE_R:
        return None
    return Finding("mae_deep", 0, worst, f"Was down {worst:.1f}R before it won")


def _slippage(trade: Trade) -> Finding | None:
    if trade.slippage is None or not trade.mid_price:
        return None
    share = trade.slippage / (abs(trade.mid_price) * trade.quantity * trade.multiplier)
    if share < (at.OPTION_SLIPPAGE_SHARE if trade.kind == "option" else at.STOCK_SLIPPAGE_SHARE):
        return None
    text = f"Slippage of ${trade.slippage:,.2f} at entry: {100 * share:.1f}% of the mid price"
    return Finding("slippage_high", -1, trade.slippage, text)


def _fees(trade: Trade) -> Finding | None:
    if not trade.gross_pnl or trade.fees < at.FEE_SHARE * abs(trade.gross_pnl):
        return None
    share, word = 100 * trade.fees / abs(trade.gross_pnl), "profit" if trade.gross_pnl > 0 else "loss"
    if trade.gross_pnl > 0 >= trade.pnl:
        text = f"Fees of ${trade.fees:,.2f} took the whole gross profit"
    else:
        text = f"Fees of ${trade.fees:,.2f}: {share:.0f}% of the gross {word}"
    return Finding("fees_high", -1, share, text)


def _earnings(trade: Trade) -> Finding | None:
    if trade.earnings_days is None or trade.days is None or not 0 <= trade.earnings_days <= trade.days:
        return None
    ending = " and lost" if trade.pnl < 0 else ""
    return Finding(
        "held_through_earnings",
        -1 if trade.pnl < 0 else 0,
        trade.earnings_days,
        f"Held through earnings{ending}",
    )


def _against_plan(trade: Trade, plan: Planned | None) -> Finding | None:
    if plan is None or plan.entry_price <= 0:
        return None
    better = trade.side * (plan.entry_price - trade.entry_price)
    if abs(better) < at.PRICE_DIFFERENCE_SHARE * plan.entry_price - at.EPSILON:
        return None
    what = ("credit" if trade.side < 0 else "debit") if trade.kind == "option" else "price"
    word = "better" if better > 0 else "worse"
    text = (
        f"Entered at a {what} of {trade.entry_price:.2f}, "
        f"{abs(better):.2f} {word} than the recommended {plan.entry_price:.2f}"
    )
    return Finding(
        "entry_beat_plan" if better > 0 else "entry_missed_plan", 1 if better > 0 else -1, better, text
    )


def _overtrading(trade: Trade, before: list[Recent]) -> Finding | None:
    since = trade.entry_ts - at.OVERTRADING_DAYS * at.DAY_NS
    count = sum(1 for one in before if one.exit_ts >= since)
    if count < at.OVERTRADING_TRADES:
        return None
    some = f"{count} or more" if count >= at.RECENT_TRADES else str(count)
    text = f"{some} trades in {trade.symbol} closed within {at.OVERTRADING_DAYS} days before this entry"
    return Finding("overtrading", -1, count, text)


def _number_in(text: str | None, pattern: str, otherwise: float) -> float:
    match = re.search(pattern, text or "", re.IGNORECASE)
    value = float(match.group(1)) if match else 0.0
    return value if value > 0 else otherwise


_DELETE: Final = delete(insights).where(insights.c.trade_id == bindparam("key"))
_INSERT: Final = insert(insights)
_BY_HAND = ("manual", "other", "signal", None)
_STOPS = ("stop", "trail", "breakeven")
_RULES: tuple[Callable[[Trade], Finding | None], ...] = (
    _iv_rank,
    _profit_rule,
    _fast_winner,
    _expiry_rule,
    _assignment,
    _target,
    _stop,
    _excursion,
    _deep,
    _slippage,
    _fees,
    _earnings,
)
