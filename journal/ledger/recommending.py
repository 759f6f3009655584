"""Recommendations: logged, then executed, ignored or expired.

    recommended -> executed    by the entry of a trade
    recommended -> ignored     by a word
    recommended -> expired     by itself, when its time is over
    ignored, expired -> executed    only where the entry says `override=True`; the trade remembers it
    expired -> executed        also where the entry was made in time and is logged late

An option's snapshot keeps prices per unit of the underlying and everything else per package; a stock's is
that of its signal. Infinite profit or loss is stored as NULL with a flag, NaN as NULL.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, update

from journal import schema
from journal.accounting import occ_symbol
from journal.ledger.lookup import get_recommendation
from journal.ledger.plan import iv_rank_of
from journal.ledger.sums import inserted
from journal.parameters import in_force
from journal.records import Recommendation
from journal.values import (
    amount,
    as_json,
    from_nanoseconds,
    integer,
    nanoseconds,
    number,
    symbol_of,
    text,
    unknown,
)
from simulator.errors import DataError
from simulator.opportunity import Opportunity, OptionLeg, Sizing
from simulator.types import TradingSignal

__all__ = ["TRANSITIONS", "decide", "expire", "leg_values", "recommend"]

TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "recommended": frozenset({"executed", "ignored", "expired"}),
    "executed": frozenset(),
    "ignored": frozenset({"executed"}),
    "expired": frozenset({"executed"}),
}
"""States that may follow a state; those out of `ignored` and `expired` need an override."""

_INSERT: Final = insert(schema.recommendations)
_INSERT_LEGS: Final = insert(schema.legs)
_DECIDE: Final = (
    update(schema.recommendations)
    .where(schema.recommendations.c.id == bindparam("key"))
    .values(
        status=bindparam("new_status"), decided_ts=bindparam("new_ts"), decision=bindparam("new_decision")
    )
)
_EXPIRE: Final = (
    update(schema.recommendations)
    .where(
        schema.recommendations.c.status == "recommended",
        schema.recommendations.c.expires_ts < bindparam("now"),
    )
    .values(status="expired", decided_ts=schema.recommendations.c.expires_ts)
)


def recommend(
    connection: Connection,
    opp: Opportunity | TradingSignal,
    sizing: Sizing | None,
    *,
    reason: str,
    expires: datetime | timedelta | None,
    days_valid: float,
    source: str,
    parameter_set: int | None,
    now: int,
) -> int:
    """Store a recommendation with its legs and return its number."""
    component = "signal_generator"
    if isinstance(opp, Opportunity):
        component = "options_scanner"
        values = _option_values(opp, sizing)
    elif isinstance(opp, TradingSignal):
        if sizing is not None:
            raise DataError(
                "a signal brings its own size; leave sizing out, or change position_size of the signal",
                code="JOURNAL_SIZING",
            )
        values = _stock_values(opp)
    else:
        raise DataError(
            f"opp is {type(opp).__name__}; a recommendation is an Opportunity of the options scanner or a "
            "TradingSignal",
            code="JOURNAL_OPPORTUNITY",
        )
    learned = in_force(connection, component, source=source)
    if parameter_set is None and learned is not None:
        parameter_set = learned.id
    values |= {
        "status": "recommended",
        "source": source,
        "created_ts": now,
        "expires_ts": _expiry_stamp(expires, days_valid, values.get("expiry"), now),
        "reason": text("reason", reason),
        "parameter_set_id": None if parameter_set is None else integer("parameter_set", parameter_set),
    }
    number_ = inserted(connection.execute(_INSERT, values))
    if isinstance(opp, Opportunity):
        rows = leg_values(values["symbol"], opp.legs, quantity=None)
        connection.execute(_INSERT_LEGS, [row | {"recommendation_id": number_} for row in rows])
    return number_


def decide(connection: Connection, rec_id: int | str, status: str, *, decision: str, now: int) -> None:
    """Move a recommendation to another state.

    Raises
    ------
    DataError
        JOURNAL_STATUS where that state cannot follow.
    """
    recommendation = get_recommendation(connection, rec_id, now)
    if status not in TRANSITIONS[recommendation.status]:
        raise DataError(
            f"recommendation {recommendation.id} is {recommendation.status}"
            f"{_since(recommendation)}; it cannot become {status}",
            code="JOURNAL_STATUS",
        )
    connection.execute(
        _DECIDE,
        {
            "key": recommendation.id,
            "new_status": status,
            "new_ts": now,
            "new_decision": text("reason", decision),
        },
    )


def expire(connection: Connection, now: int) -> int:
    """Mark what nobody acted on in time; return how many."""
    return int(connection.execute(_EXPIRE, {"now": now}).rowcount)


def leg_values(symbol: str, legs: Iterable[OptionLeg], *, quantity: float | None) -> list[dict[str, Any]]:
    """Return rows of `legs` without their owner; `quantity` packages are open, None in a recommendation."""
    rows = []
    for position, leg in enumerate(legs):
        option = leg.kind in ("call", "put")
        expiry = leg.expiry.isoformat()
        ratio = amount("ratio of a leg", leg.ratio, above=True)
        rows.append(
            {
                "recommendation_id": None,
                "trade_id": None,
                "position": position,
                "side": 1 if leg.side > 0 else -1,
                "kind": leg.kind,
                "symbol": occ_symbol(symbol, expiry, leg.kind, leg.strike) if option else symbol,
                "strike": amount("strike of a leg", leg.strike, above=True) if option else None,
                "expiry": expiry if option else None,
                "ratio": ratio,
                "open_quantity": None if quantity is None else ratio * quantity,
                "bid": unknown("bid of a leg", leg.bid),
                "ask": unknown("ask of a leg", leg.ask),
                "iv": unknown("iv of a leg", leg.iv),
                "delta": unknown("delta of a leg", leg.delta),
            }
        )
    return rows


def _option_values(opp: Opportunity, sizing: Sizing | None) -> dict[str, Any]:
    side = -1 if opp.credit >= 0 else 1
    contracts = 0 if sizing is None else sizing.contracts
    values = {
        "kind": "option",
        "symbol": symbol_of("symbol", opp.symbol),
        "strategy": text("strategy", opp.strategy),
        "side": side,
        "quantity": amount("contracts", contracts),
        "entry_price": abs(number("credit", opp.credit)),
        "multiplier": amount("multiplier", opp.multiplier, above=True),
        **_bounded("max_profit", opp.max_profit),
        **_bounded("max_loss", opp.max_loss),
        "probability": unknown("probability_of_profit", opp.probability_of_profit),
        "expected_value": unknown("expected_value", opp.expected_value),
        "risk": unknown("risk", opp.risk),
        "risk_basis": text("risk_basis", opp.risk_basis),
        "margin": unknown("margin", opp.margin),
        "buying_power": unknown("buying_power", opp.buying_power),
        "break_evens": as_json("break_evens", list(opp.break_evens)),
        "as_of_ts": nanoseconds(opp.as_of, "as_of"),
        "spot": unknown("spot", opp.spot),
        "expiry": opp.expiry.isoformat(),
        "dte": integer("dte", opp.dte),
        "width": unknown("width", opp.width),
        "mid_price": _flipped(-side, unknown("mid_credit", opp.mid_credit)),
        "iv": unknown("iv", opp.iv),
        "iv_rank": iv_rank_of(opp.iv_rank),
        "iv_rank_definition": None if opp.iv_rank is None else RANK_DEFINITION,
        "delta": unknown("delta", opp.delta),
        "theta": unknown("theta", opp.theta),
        "vega": unknown("vega", opp.vega),
        "score": unknown("score", opp.score),
        "grade": text("grade", opp.grade),
    }
    details: dict[str, Any] = {"notes": list(opp.notes), "probability_basis": opp.probability_basis}
    if sizing is not None:
        if contracts != math.floor(contracts):
            raise DataError(
                f"sizing gives {contracts} contracts; packages are whole", code="JOURNAL_QUANTITY"
            )
        values |= {
            "sizing_rule": text("sizing rule", sizing.rule),
            "account_size": unknown("account_size", sizing.account_size),
            "total_risk": unknown("risk of the sizing", sizing.risk),
        }
        limits = {name: limit for name, limit in sizing.limits.items() if math.isfinite(limit)}
        details |= {"sizing_reasons": list(sizing.reasons), "sizing_limits": limits}
    if opp.past is not None:
        past = opp.past
        details["past"] = {
            "trades": past.trades, "win_rate": past.win_rate, "average_pnl": past.average_pnl
        }  # fmt: skip
    if opp.quality is not None:
        details["quality"] = asdict(opp.quality)
    return values | {"details": as_json("details", details)}


RANK_DEFINITION: Final = "30-day ATM, 252 sessions"
"""How the scanner's IV rank is defined: where the volatility stands in its range of a year."""


def _stock_values(signal: TradingSignal) -> dict[str, Any]:
    if signal.side not in (-1, 1):
        raise DataError(
            f"signal {signal.signal_id!r} has side {signal.side}; it must be +1 or -1", code="JOURNAL_SIDE"
        )
    entry = amount("entry_price", signal.entry_price, above=True)
    stop = unknown("stop_loss", signal.stop_loss)
    target = unknown("target_price", signal.target_price)
    return {
        "kind": "stock",
        "symbol": symbol_of("ticker", signal.ticker),
        "strategy": text("signal_type", signal.signal_type),
        "side": signal.side,
        "signal_id": text("signal_id", signal.signal_id),
        "signal_type": text("signal_type", signal.signal_type),
        "sector": signal.sector,
        "quantity": amount("position_size", signal.position_size),
        "entry_price": entry,
        "stop_price": stop,
        "target_price": target,
        "reward_risk": unknown("risk_reward_ratio", signal.risk_reward_ratio),
        "risk": None if stop is None else abs(entry - stop),
        "risk_basis": None if stop is None else "stop",
        "total_risk": unknown("risk_amount", signal.risk_amount),
        "as_of_ts": nanoseconds(signal.created_at, "created_at"),
        "spot": entry,
        "score": unknown("score", signal.score),
        "strength": integer("strength", signal.strength),
        "details": as_json("details", {"notes": [signal.notes] if signal.notes else []}),
    }


def _bounded(name: str, value: float) -> dict[str, Any]:
    if math.isinf(value):
        return {name: None, f"{name}_unlimited": 1}
    return {name: unknown(name, value), f"{name}_unlimited": 0}


def _flipped(sign: int, value: float | None) -> float | None:
    return None if value is None else sign * value


def _expiry_stamp(
    expires: datetime | timedelta | None, days_valid: float, option_expiry: str | None, now: int
) -> int:
    if isinstance(expires, timedelta):
        stamp = now + round(expires.total_seconds() * 1e9)
    elif expires is not None:
        stamp = nanoseconds(expires, "expires")
    else:
        stamp = now + round(days_valid * 86_400e9)
        if option_expiry is not None:
            last = nanoseconds(datetime.fromisoformat(option_expiry).replace(tzinfo=UTC) + timedelta(days=1))
            # options of a stored market may be long gone; they are recommended all the same
            stamp = min(stamp, last) if last > now else stamp
    if stamp <= now:
        raise DataError(
            f"expires is {from_nanoseconds(stamp):%Y-%m-%d %H:%M:%S}, which is not after now, "
            f"{from_nanoseconds(now):%Y-%m-%d %H:%M:%S} UTC",
            code="JOURNAL_EXPIRES",
        )
    return stamp


def _since(recommendation: Recommendation) -> str:
    when = recommendation.decided_time
    return "" if when is None else f" since {when:%Y-%m-%d %H:%M} UTC"
