"""An account as lines to look at: from a running session, or from the journal of one, past every check.

The figures are read off the arrays of a state and off the last bar's logs, so that neither the compiled
kernel nor a table library is imported: a look from a second terminal is soon, and disturbs nobody. What the
journal does not say, or says in a way that cannot be read, is unknown.

Prices and money are in the currency of the prices, percent are percent, times UTC nanoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.types import Entry, HaltState, Reason
from twinstep.stored import open_stored

if TYPE_CHECKING:
    from simulator.kernel.state import State

__all__ = [
    "AccountLines",
    "OrderLine",
    "PositionLine",
    "VerdictLine",
    "account_lines",
    "stored_lines",
    "stored_sessions",
    "verdict_lines",
]

VERDICTS: Final = 5
DAY: Final = 86_400_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine:
    """One open position.

    Attributes
    ----------
    quantity
        Above 0 for long, below 0 for short; packages: above 0 bought, below 0 sold.
    stop, target
        None where there is none; of several targets the next. Of option packages the prices at which their
        stop loss (or trailing stop, once it has begun) and profit target are reached at the mark; a target
        is paid only where the quoted spread leaves as much.
    result
        Of what is still open, in currency.
    r
        Result with what was realized, in multiples of the initial risk; None without one.
    days
        Calendar days since the entry.
    target_pct
        How much of the way from entry to target is done; None without a target.
    legs
        Of an option package, as "-4100P +4000P".
    """

    symbol: str
    quantity: float
    entry: float
    mark: float
    stop: float | None
    target: float | None
    result: float
    r: float | None
    days: float
    target_pct: float | None
    legs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One working entry."""

    symbol: str
    quantity: float
    kind: str
    trigger: float | None
    limit: float | None
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLine:
    """One answer of the risk manager; value and limit are None where the rule has none.

    Attributes
    ----------
    rule
        The answer in words: "admitted", "shrunk by sector", or the rule that refused.
    """

    ts: int
    symbol: str
    rule: str
    value: float | None
    limit: float | None
    asked: float | None
    granted: float

    @property
    def verdict(self) -> str:
        """What became of it: admitted, shrunk or rejected."""
        if self.rule in ("admitted", "close_accepted"):
            return "admitted"
        return "shrunk" if self.rule.partition(" ")[0] == "shrunk" else "rejected"

    @property
    def decided_by(self) -> str:
        """The rule that decided; "" for what was simply admitted, or where it is not known."""
        if self.verdict == "shrunk":
            return self.rule.partition(" by ")[2]
        return "" if self.rule == "admitted" else self.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLines:
    """An account at its last bar.

    Attributes
    ----------
    day, day_pct
        Result since the session before, or since a person armed the account.
    heat_pct, heat_cap_pct
        Risk to all stops, of equity; None: unknown, or no limit.
    halt
        The account's own state, ACTIVE, REDUCING or HALTED, and why.
    """

    session: str
    bars: int
    ts: int | None
    equity: float
    cash: float
    day: float
    day_pct: float
    drawdown_pct: float
    heat_pct: float | None
    heat_cap_pct: float | None
    halt: str
    halt_why: str
    positions: tuple[PositionLine, ...]
    orders: tuple[OrderLine, ...]
    verdicts: tuple[VerdictLine, ...] = ()
    waiting: int = 0
    """Commands that are carried out at the next bar."""


def account_lines(
    state: State,
    symbols: Sequence[str],
    *,
    session: str,
    bars: int,
    limits: Mapping[str, Any] | None,
    heat: float | None,
    verdicts: Sequence[VerdictLine] = (),
    waiting: int = 0,
) -> AccountLines:
    """Read an account off its state.

    Parameters
    ----------
    limits
        Of the risk manager, by name; None where it is switched off.
    heat
        As a fraction of equity, as the equity log has it; None where that is unknown.
    """
    account = state.account[0]
    equity, baseline, peak = (float(account[name]) for name in ("equity", "baseline", "peak_equity"))
    ts = int(account["ts"]) if bars else None
    cap = None if limits is None else limits.get("max_portfolio_heat_pct")
    return AccountLines(
        session=session,
        bars=bars,
        ts=ts,
        equity=equity,
        cash=float(account["cash"]),
        day=equity - baseline if baseline > 0.0 else 0.0,
        day_pct=_share(equity - baseline, baseline) or 0.0,
        drawdown_pct=0.0 - (_share(equity - peak, peak) or 0.0),
        heat_pct=None if heat is None else 100.0 * heat,
        heat_cap_pct=None if cap is None else float(cap),
        halt=HaltState(int(account["state"])).name,
        halt_why=_why(account),
        positions=tuple(
            _position(state, int(slot), symbols, ts or 0)
            for slot in state.open_slots["slot"][: int(account["n_positions"])]
        ),
        orders=tuple(
            _order(state.orders[int(slot)], symbols)
            for slot in state.order_slots["slot"][: int(account["n_orders"])]
            if state.orders[int(slot)]["live"] == 1
        ),
        verdicts=tuple(verdicts),
        waiting=waiting,
    )


def verdict_lines(rows: Any, symbols: Sequence[str]) -> list[VerdictLine]:
    """Return the verdicts of a bar's logs."""
    return [
        VerdictLine(
            ts=int(row["ts"]),
            symbol=symbols[int(row["sym"])],
            rule=_rule(int(row["reason"]), int(row["rule"])),
            value=_finite(row["value"]),
            limit=_finite(row["limit"]),
            asked=_finite(row["asked"]),
            granted=float(row["granted"]),
        )
        for row in rows
    ]


def stored_sessions(journal: str | Path) -> list[str]:
    """Return the names of a journal's sessions, the one that was stepped last first.

    Raises
    ------
    sqlite3.Error, OSError
        Where it cannot be read.
    """
    with closing(open_stored(journal)) as connection:
        return [row[0] for row in connection.execute(_SESSIONS)]


def stored_lines(journal: str | Path, session: str) -> AccountLines | None:
    """Read an account off the journal; None where it has no such session.

    Raises
    ------
    sqlite3.Error, OSError, TwinstepError
        Where it cannot be read, or was written by a release with other records.
    """
    from live.sessions.recording import unpack
    from simulator.kernel.state import from_bytes

    with closing(open_stored(journal)) as connection:
        connection.execute("BEGIN")  # all of one moment
        found = connection.execute(_SESSION, (session,)).fetchone()
        if found is None:
            return None
        identity, run, configuration, changes, frame, bars, state, memory = found
        logs = connection.execute(_LOGS, (identity,)).fetchone()
        said = connection.execute(_VERDICTS, (run, VERDICTS)).fetchall()
        smaller = sorted({row[0] for row in said if row[2] == Reason.SHRUNK.label})
        steps = [connection.execute(_LOGS_AT, (identity, ts)).fetchone() for ts in smaller]
    symbols = unpack(frame)[1]["symbols"]
    shrunk = {
        (one.ts, one.symbol, one.granted): one.rule
        for step in steps
        if step is not None
        for one in verdict_lines(unpack(step[0])[0].get("verdicts", ()), symbols)
        if one.verdict == "shrunk"
    }
    changed = json.loads(changes)
    rules = changed[-1]["configuration"] if changed else json.loads(configuration)
    last = unpack(logs[0])[0].get("equity") if logs else None
    return account_lines(
        from_bytes(state),
        symbols,
        session=session,
        bars=bars,
        limits=rules["risk"],
        heat=None if last is None or not len(last) else float(last[-1]["heat"]),
        verdicts=[
            VerdictLine(
                ts=ts,
                symbol=symbol,
                rule=shrunk.get((ts, symbol, granted), rule),
                value=value,
                limit=limit,
                asked=asked,
                granted=granted,
            )
            for ts, symbol, rule, value, limit, asked, granted in reversed(said)
        ],
        waiting=len(unpack(memory)[1].get("pending", ())),
    )


_SESSIONS: Final = (
    "SELECT s.name FROM sessions s "
    "ORDER BY (SELECT max(t.ts) FROM steps t WHERE t.session_id = s.id) DESC, s.id DESC"
)
_SESSION: Final = (
    "SELECT s.id, s.run_id, s.configuration, s.changes, "
    # with the symbols that joined since
    "coalesce((SELECT i.data FROM inputs i WHERE i.session_id = s.id AND i.kind = 'frame' "
    "AND i.kind <> 'bar' ORDER BY i.id DESC LIMIT 1), s.frame), p.bars, p.state, p.memory "
    "FROM sessions s JOIN snapshots p ON p.session_id = s.id WHERE s.name = ?"
)
_LOGS: Final = "SELECT logs FROM steps WHERE session_id = ? ORDER BY bar DESC LIMIT 1"
# which rule made an order smaller stands in the logs of the bar, not in the table
_LOGS_AT: Final = "SELECT logs FROM steps WHERE session_id = ? AND ts = ? ORDER BY bar DESC LIMIT 1"
_VERDICTS: Final = (
    "SELECT ts, symbol, rule, value, threshold, asked, granted FROM verdicts WHERE run_id = ? "
    "ORDER BY id DESC LIMIT ?"
)


def _position(state: State, slot: int, symbols: Sequence[str], ts: int) -> PositionLine:
    held = state.positions[slot]
    side, quantity = int(held["side"]), float(held["qty"])
    entry, mark = float(held["entry_price"]), float(held["mark"])
    result = (mark - entry) * side * quantity * float(held["multiplier"])
    risk = float(held["initial_risk"])
    # the kernel's own levels are mirrored, so that up is good for shorts too
    stop, target = (_finite(held[name]) for name in ("stop_now", "next_target"))
    stop = None if stop is None else stop * side
    target = None if target is None else target * side
    is_package = bool(held["package"]) and len(state.legs) > 0
    if is_package:
        stop, target = _package_levels(held, state.packages[slot], side)
    return PositionLine(
        symbol=symbols[int(held["sym"])],
        quantity=quantity * side,
        entry=entry,
        mark=mark,
        stop=stop,
        target=target,
        result=result,
        r=(result + float(held["realized"])) / risk if risk > 0.0 else None,
        days=max(0.0, (ts - int(held["entry_ts"])) / DAY),
        target_pct=None if target is None or target == entry else _share(mark - entry, target - entry),
        legs=_legs(state, slot) if is_package else "",
    )


def _package_levels(held: Any, package: Any, side: int) -> tuple[float | None, float | None]:
    """Return stop and target of a package, which its rules give as shares of the premium."""
    premium, entry = float(held["premium"]), float(held["entry"])
    begin, back = float(package["trail_start"]), float(package["trail_back"])
    loss, profit = float(package["stop_loss"]), float(package["profit_target"])
    # as the kernel's own levels: what it is worth, so that up is good for sold ones too
    stops = [entry - loss * premium] if loss > 0.0 else []
    best = float(held["best"])
    if begin > 0.0 and best - entry >= begin * premium:
        stops.append(best - back * premium)
    stop = max(stops) * side if stops else None
    return stop, (entry + profit * premium) * side if profit > 0.0 else None


def _legs(state: State, slot: int) -> str:
    words = []
    for leg in state.legs[slot][: int(state.packages[slot]["legs"])]:
        ratio = int(leg["ratio"])
        kind = {1: "C", -1: "P"}.get(int(leg["right"]), "")
        what = f"{leg['strike']:g}{kind}" if kind else "shares"
        words.append(f"{'+' if leg['side'] > 0 else '-'}{'' if ratio == 1 else f'{ratio}x'}{what}")
    return " ".join(words)


def _order(order: Any, symbols: Sequence[str]) -> OrderLine:
    side = int(order["side"])
    trigger, limit = (_finite(order[name]) for name in ("trigger", "limit"))
    return OrderLine(
        symbol=symbols[int(order["sym"])],
        quantity=(float(order["qty"]) - float(order["filled"])) * side,
        kind=Entry(int(order["entry"])).label,
        trigger=trigger * side if trigger else None,
        limit=limit * side if limit else None,
        bars=int(order["bars_worked"]),
    )


def _rule(reason: int, rule: int) -> str:
    """Return the word of a verdict; of what was made smaller, with the rule that did it."""
    word = Reason(reason).label
    return f"{word} by {Reason(rule).label}" if reason == Reason.SHRUNK else word


def _why(account: Any) -> str:
    words = {
        "killed": "killed", "daily_halt": "daily loss", "drawdown_halt": "drawdown", "reducing": "exits only",
    }  # fmt: skip
    return ", ".join(word for name, word in words.items() if int(account[name]) == 1)


def _share(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole else None


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
