"""What a person has to know before saying yes: verdict, reward and risk, the symbol's past, and the heat.

Each request is judged by what is known now: what the risk manager said of the signal behind it, what the
order can win and lose by its own stop and target (a package by what its legs are worth at expiry), what
closed trades of the symbol came to, and what the heat is with it. The session judges again before it sends;
nothing here is a promise, and what is not known is said to be.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from journal.performance.statistics import mean_interval
from live.brokers.interface import Leg, OrderRequest
from live.kill_switch import KillSwitch
from live.review_queue import ReviewQueue, ReviewRequest
from simulator.errors import TwinstepError
from simulator.types import Reason
from twinstep.account_lines import AccountLines
from twinstep.dashboard.reading.reader import Now, Reader
from twinstep.fact_lines import FactLines

__all__ = ["Bet", "Heat", "Past", "Queue", "Verdict", "Waiting", "bet_of", "heat_with", "read_queue"]

_OPTION: Final = re.compile(r"([A-Z][A-Z0-9.]{0,5})(\d{6})([CP])(\d{8})")
_CONTRACT: Final = 100.0
_VERDICT: Final = (
    "SELECT v.ts, v.rule, v.value, v.threshold, v.asked, v.granted FROM verdicts v "
    "WHERE v.symbol = ? AND v.rule NOT IN ('close_accepted', 'nothing_to_close') "
    "AND v.run_id = (SELECT run_id FROM sessions WHERE name = ?) "
    "ORDER BY v.ts DESC, v.id DESC LIMIT 20"
)
_LOGS: Final = (
    "SELECT t.logs FROM steps t JOIN sessions s ON s.id = t.session_id WHERE s.name = ? AND t.ts = ? "
    "ORDER BY t.bar DESC LIMIT 1"
)
_RULES: Final = "SELECT configuration, changes FROM sessions WHERE name = ?"
_PAST: Final = (
    "SELECT pnl, r_multiple FROM trades WHERE symbol = ? AND status = 'closed' "
    "AND source = ? ORDER BY exit_ts DESC, id DESC LIMIT ?"
)
MOST_TRADES: Final = 500
"""Closed trades of a symbol that are looked at, the latest."""
MOST_ENDED: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the risk manager said of the signal; None where a rule has no such figure.

    Attributes
    ----------
    word
        What became of it: admitted, shrunk or rejected.
    rule
        The rule that decided; "" for what was admitted, or where it is not known.
    other
        Whether it is of another signal in this symbol, the last: none of late granted what the order wants.
    """

    ts: int
    word: str
    rule: str
    value: float | None
    limit: float | None
    asked: float | None
    granted: float
    other: bool


@dataclass(frozen=True, slots=True)
class Bet:
    """What an order can win and lose, in currency; None: not known or not limited, and `why` says which."""

    reward: float | None
    risk: float | None
    why: str = ""

    @property
    def ratio(self) -> float | None:
        """Reward per unit of risk; None where either is unknown."""
        if self.reward is None or not self.risk or self.risk <= 0.0:
            return None
        return self.reward / self.risk


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The latest closed trades of the symbol, of one source; the interval of the mean R is at 95 %."""

    source: str
    trades: int
    wins: int
    pnl: float
    mean_r: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Heat without the order and with it, percent of equity; `cap` is the limit, None where there is none."""

    before: float
    after: float
    cap: float | None

    @property
    def above(self) -> bool:
        """Whether it would be more than the limit."""
        return self.cap is not None and self.after > self.cap


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One request, and what is known of it; None: not known."""

    request: ReviewRequest
    verdict: Verdict | None
    bet: Bet
    past: Past | None
    heat: Heat | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits, by request, and what ended lately, the newest first."""

    waiting: dict[str, Waiting]
    ended: tuple[ReviewRequest, ...]


def read_queue(reader: Reader, now: Now, fact: FactLines | None = None) -> Queue:
    """Return the queue; what cannot be read is left out, and the orders themselves stay shown.

    Parameters
    ----------
    fact
        What the session has at its broker; None where it fills its orders itself.
    """
    if not reader.reviews.is_dir():
        return Queue({}, ())
    queue = ReviewQueue(reader.reviews, KillSwitch(reader.folder, arm_fresh=False))
    account = now.view.account
    source = "live" if now.real else "paper"
    from_mark = fact is not None and account is not None and _from_mark(reader, account.session)
    waiting = {}
    for line in now.view.requests:
        request = _looked_up(queue, line.request_id)
        if request is None:
            continue
        bet = _bet(request)
        symbol = underlying(request.order.symbol)
        waiting[request.request_id] = Waiting(
            request=request,
            verdict=None if account is None else _verdict(reader, symbol, account.session, request.order),
            bet=bet,
            past=_past(reader, symbol, source),
            heat=None
            if account is None
            else heat_with(
                account,
                request.order,
                bet,
                None if fact is None else fact.held(request.order.symbol),
                from_mark=from_mark,
            ),
        )
    return Queue(waiting, _ended(reader, queue))


def _bet(request: ReviewRequest) -> Bet:
    """Return what a request can win and lose; one that cannot be worked out hides no other."""
    try:
        return bet_of(request.order, request.price)
    except (ValueError, ArithmeticError, TypeError, IndexError) as error:
        return Bet(None, None, f"it cannot be worked out: {error}")


def _from_mark(reader: Reader, session: str) -> bool:
    """Whether the limits of a session measure heat from the mark; by default it is from the entry."""
    try:
        row = reader.ask(_RULES, (session,))[0]
        changed = json.loads(row["changes"])
        rules = changed[-1]["configuration"] if changed else json.loads(row["configuration"])
        return bool((rules["risk"] or {}).get("heat_basis") == "mark")
    except (sqlite3.Error, OSError, ValueError, LookupError, TypeError):
        return False


def _looked_up(queue: ReviewQueue, number: str) -> ReviewRequest | None:
    try:
        return queue.get(number)
    except (TwinstepError, OSError):
        return None


def _ended(reader: Reader, queue: ReviewQueue) -> tuple[ReviewRequest, ...]:
    """Return the requests that ended last; a file is replaced when its request ends."""
    try:
        with os.scandir(reader.reviews) as entries:
            times = [
                (one.stat().st_mtime_ns, one.name.removesuffix(".json"))
                for one in entries
                if one.name.startswith("R-") and one.name.endswith(".json")
            ]
    except OSError:
        return ()
    newest = [name for _, name in sorted(times, reverse=True)[: 4 * MOST_ENDED]]
    looked = (_looked_up(queue, name) for name in newest)
    return tuple(one for one in looked if one is not None and one.state != "pending")[:MOST_ENDED]


def underlying(symbol: str) -> str:
    """Return the stock behind an option's symbol, and any other symbol as it is."""
    found = _OPTION.fullmatch(symbol)
    return symbol if found is None else found[1]


def bet_of(order: OrderRequest, asked: float | None) -> Bet:
    """Return what an order can win and lose.

    Parameters
    ----------
    asked
        Price when it was laid before a person: per share, or the package's net (received is positive).
    """
    if order.purpose != "entry":
        return Bet(None, None, "it ends or guards a position")
    if _OPTION.fullmatch(order.symbol) or len(order.legs) > 1:
        return _at_expiry(order.legs, order.limit_price if order.limit_price is not None else asked)
    at = next((one for one in (order.limit_price, order.stop_price, asked) if one is not None), None)
    quantity = order.legs[0].quantity
    if at is None:
        return Bet(None, None, "its price is not known")
    reward = None if order.take_profit is None else (order.take_profit - at) * quantity
    risk = None if order.stop_loss is None else (at - order.stop_loss) * quantity
    beyond = [
        name for name, value in (("stop", risk), ("target", reward)) if value is not None and value <= 0
    ]
    if beyond:
        return Bet(None, None, f"its {' and its '.join(beyond)} lies beyond its price")
    missing = [name for name, value in (("stop", risk), ("target", reward)) if value is None]
    return Bet(reward, risk, f"it has no {' and no '.join(missing)}" if missing else "")


def heat_with(
    account: AccountLines,
    order: OrderRequest,
    bet: Bet,
    at_broker: float | None = None,
    *,
    from_mark: bool = False,
) -> Heat | None:
    """Return the heat without and with an order; None where one of them is not known.

    Parameters
    ----------
    at_broker
        How much of the order's symbol is held at the broker, signed; None for a session that fills its orders
        itself. The plan of a session at a broker goes on while a person thinks: its heat has the order inside
        already, as one that works, and later as a position where it holds by it more than the broker does.
    from_mark
        Whether the limits measure heat from the mark, and not from the entry.
    """
    if account.heat_pct is None or account.equity <= 0.0 or order.purpose != "entry" or bet.risk is None:
        return None
    added = 100.0 * bet.risk / account.equity
    before = account.heat_pct
    if at_broker is not None:
        inside = _inside(account, order, bet.risk, at_broker, from_mark=from_mark)
        before = max(0.0, before - 100.0 * inside / account.equity)
    return Heat(before=before, after=before + added, cap=account.heat_cap_pct)


def _inside(
    account: AccountLines, order: OrderRequest, risk: float, at_broker: float, *, from_mark: bool
) -> float:
    """Return what of an account's heat is an order's own, in currency."""
    name, first = underlying(order.symbol), order.legs[0].quantity
    is_option = order.asset_class == "option"
    units, broker = first, at_broker
    if is_option:
        # the plan counts packages, the broker contracts of a leg
        units = _sets([leg.quantity for leg in order.legs if underlying(leg.symbol) != leg.symbol])
        broker = abs(at_broker / first) * units
    for one in account.orders:
        if one.symbol == name and math.isclose(abs(one.quantity) if is_option else one.quantity, units):
            return risk
    for held in account.positions:
        if held.symbol != name or bool(held.legs) is not is_option:
            continue
        if is_option:
            return risk if math.isclose(abs(held.quantity) - broker, units) else 0.0
        if held.stop is not None and math.isclose(held.quantity - broker, units):
            return max(0.0, ((held.mark if from_mark else held.entry) - held.stop) * units)
    return 0.0


def _sets(quantities: Sequence[float]) -> int:
    """Return how many packages contracts make."""
    return math.gcd(*(round(abs(one)) for one in quantities))


def _at_expiry(legs: Sequence[Leg], net: float | None) -> Bet:
    """Return the best and the worst that a package is worth at expiry: both lie at a strike or beyond all."""
    options = [_OPTION.fullmatch(leg.symbol) for leg in legs]
    if net is None:
        return Bet(None, None, "its price is not known")
    if len({found[2] for found in options if found is not None}) > 1:
        return Bet(None, None, "its legs end on different days")
    if not any(options):
        return Bet(None, None, "it is made of several stocks")
    strikes = [int(found[4]) / 1000.0 for found in options if found is not None]
    sets = _sets([leg.quantity for leg, found in zip(legs, options, strict=True) if found])
    # a single option's price is paid where it is bought; a package's is received where it is positive
    paid = -net if len(legs) > 1 else math.copysign(net, legs[0].quantity)

    def worth(spot: float) -> float:
        total = -paid * sets * _CONTRACT
        for leg, found in zip(legs, options, strict=True):
            if found is None:
                total += leg.quantity * spot
                continue
            strike = int(found[4]) / 1000.0
            inside = max(spot - strike, 0.0) if found[3] == "C" else max(strike - spot, 0.0)
            total += leg.quantity * _CONTRACT * inside
        return total

    ends = [worth(spot) for spot in (0.0, *strikes)]
    beyond = worth(max(strikes) + 1.0) - worth(max(strikes))
    reward = None if beyond > 0.0 else max(ends)
    risk = None if beyond < 0.0 else -min(ends)
    if risk is None:
        return Bet(reward, None, "its loss has no limit")
    return Bet(reward, risk, "its gain has no limit" if reward is None else "")


def _verdict(reader: Reader, symbol: str, session: str, order: OrderRequest) -> Verdict | None:
    try:
        rows = reader.ask(_VERDICT, (symbol, session))
    except (sqlite3.Error, OSError):
        return None
    if not rows:
        return None
    wanted = abs(order.legs[0].quantity)
    own = next((row for row in rows if math.isclose(row["granted"], wanted)), None)
    row = rows[0] if own is None else own
    rule = str(row["rule"])
    if rule in ("admitted", "shrunk"):
        word, rule = rule, _that_shrank(reader, session, row) if rule == "shrunk" else ""
    else:
        word = "rejected"
    return Verdict(
        ts=row["ts"], word=word, rule=rule, value=row["value"], limit=row["threshold"], asked=row["asked"],
        granted=row["granted"], other=own is None,
    )  # fmt: skip


def _that_shrank(reader: Reader, session: str, row: dict[str, Any]) -> str:
    """Return the rule that made an order smaller, which stands in the logs of its bar alone; "" unknown."""
    from live.sessions.recording import unpack

    try:
        logs = reader.ask(_LOGS, (session, row["ts"]))
        said = unpack(logs[0]["logs"])[0]["verdicts"] if logs else ()
        rules = {Reason(int(one["rule"])) for one in said if _same(one, row)}
    except (sqlite3.Error, OSError, ValueError, KeyError):
        return ""
    return rules.pop().label if len(rules) == 1 else ""


def _same(one: Any, row: dict[str, Any]) -> bool:
    pairs = (("granted", "granted"), ("value", "value"), ("limit", "threshold"))
    return int(one["reason"]) == Reason.SHRUNK and all(float(one[a]) == row[b] for a, b in pairs)


def _past(reader: Reader, symbol: str, source: str) -> Past | None:
    try:
        rows = reader.ask(_PAST, (symbol, source, MOST_TRADES))
    except (sqlite3.Error, OSError):
        return None
    # in the order of the exits, as the page "performance" has them: the same trades, the same interval
    known = [float(row["r_multiple"]) for row in reversed(rows) if row["r_multiple"] is not None]
    interval = mean_interval(known)
    return Past(
        source=source,
        trades=len(rows),
        wins=sum(row["pnl"] > 0.0 for row in rows),
        pnl=sum(row["pnl"] for row in rows),
        mean_r=math.fsum(known) / len(known) if known else None,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
    )
