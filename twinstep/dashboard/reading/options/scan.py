"""The last scan, as the journal has it: what was recommended, and what was logged as refused.

`twinstep scan --journal` logs what it recommends, one recommendation each, and with `--log-refused` also what
IV rank, days to expiry or the blacklist alone kept out. The journal has no word for a scan: rows that were
logged within `APART` of one another are one. So a scan that found nothing and logged nothing is not known
here, and the time that is shown is that of the last one that left something.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from twinstep.dashboard.reading.parts import part
from twinstep.dashboard.reading.reader import Reader

__all__ = ["Candidate", "Scan", "read_scan"]

APART: Final = 120 * 1_000_000_000
"""Nanoseconds without a row after which another scan begins: refusals are searched for anew."""
FRESH: Final = 24 * 3600 * 1_000_000_000
"""Nanoseconds after which a scan is called stale: by then its quotes are another day's."""
MOST: Final = 120
BACK: Final = 20_000
"""Recommendations among which the newest of options is looked for: ideas for shares are logged there, too."""

_DAY: Final = 86_400_000_000_000

_NEWEST: Final = (
    "SELECT id, created_ts, source FROM recommendations WHERE id > (SELECT max(id) FROM recommendations) - ? "
    "AND kind = 'option' AND source <> 'backtest' ORDER BY id DESC LIMIT ?"
)
_ROWS: Final = (
    "SELECT * FROM recommendations WHERE kind = 'option' AND source = ? AND id BETWEEN ? AND ? "
    "AND created_ts BETWEEN ? AND ? ORDER BY id"
)
_LEGS: Final = (
    "SELECT recommendation_id, side, kind, strike, expiry, ratio FROM legs "
    "WHERE recommendation_id BETWEEN ? AND ? ORDER BY recommendation_id, position LIMIT ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One package that was looked at.

    Attributes
    ----------
    legs
        As "−95P +90P".
    dte
        Calendar days to expiry at the scan.
    credit
        Per unit of the underlying, below 0 a debit.
    probability
        Of profit, percent.
    reward_risk
        Most it can make over most it can lose; None where either is unbounded or unknown.
    contracts
        That the sizing gave; None: nobody has sized it.
    refused
        Whether the scanner itself refused it.
    unfit
        Whether the sizing gave no contract, and nobody has acted on it yet.
    verdict
        What became of it, in words.
    """

    number: int
    symbol: str
    strategy: str
    legs: str
    expiry: date | None
    dte: int | None
    iv_rank: float | None
    credit: float
    probability: float | None
    reward_risk: float | None
    score: float | None
    grade: str
    contracts: float | None
    buying_power: float | None
    refused: bool
    unfit: bool
    state: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The last scan that left something; `at` is None where there is none.

    Attributes
    ----------
    at
        When it was logged, UTC nanoseconds.
    quotes
        Time of the newest quotes that it looked at; None: unknown.
    stale
        Why it should not be acted on; "" where nothing speaks against it.
    """

    at: int | None = None
    source: str = ""
    quotes: int | None = None
    stale: str = ""
    candidates: tuple[Candidate, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def recommended(self) -> tuple[Candidate, ...]:
        """What passed its filters and fits the account, or was acted on; best first."""
        return _best(one for one in self.candidates if not one.refused and not one.unfit)

    @property
    def unfit(self) -> tuple[Candidate, ...]:
        """What passed its filters, and of which the account can take no contract; best first."""
        return _best(one for one in self.candidates if one.unfit)

    @property
    def refused(self) -> tuple[Candidate, ...]:
        """What the scanner refused and logged, best first."""
        return _best(one for one in self.candidates if one.refused)

    @property
    def modelled(self) -> bool:
        """Whether some of it has prices of a model."""
        return any(one.grade == "modelled" for one in self.candidates)


def read_scan(reader: Reader, looked: datetime) -> Scan:
    """Return the last scan of the journal."""
    problems: list[str] = []
    found = part(problems, "The last scan", lambda: _scan(reader, looked))
    return Scan(problems=tuple(problems)) if found is None else found


def _scan(reader: Reader, looked: datetime) -> Scan:
    newest = reader.ask(_NEWEST, (BACK, MOST))
    if not newest:
        return Scan()
    source = newest[0]["source"]
    together = newest[:1]
    for row in newest[1:]:
        # clocks may be set back between two rows
        if row["source"] != source or abs(together[-1]["created_ts"] - row["created_ts"]) > APART:
            break
        together.append(row)
    stamps = [row["created_ts"] for row in together]
    rows = reader.ask(_ROWS, (source, together[-1]["id"], together[0]["id"], min(stamps), max(stamps)))
    now = round(looked.timestamp()) * 1_000_000_000
    quotes = max((row["as_of_ts"] for row in rows if row["as_of_ts"] is not None), default=None)
    legs: dict[int, list[dict[str, Any]]] = {}
    for leg in reader.ask(_LEGS, (rows[0]["id"], rows[-1]["id"], 4 * MOST)):
        legs.setdefault(leg["recommendation_id"], []).append(leg)
    candidates = tuple(_candidate(row, legs.get(row["id"], []), now) for row in rows)
    return Scan(
        at=max(stamps), source=source, quotes=quotes, stale=_stale(max(stamps), quotes, candidates, now),
        candidates=candidates,
    )  # fmt: skip


def _best(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return them by their scores; what has none comes last."""
    return tuple(sorted(candidates, key=lambda one: math.inf if one.score is None else -one.score))


def _stale(at: int, quotes: int | None, candidates: tuple[Candidate, ...], now: int) -> str:
    if now - at > FRESH:
        return "It is older than a day: what it found may be gone. Scan again."
    if quotes is not None and at - quotes > 4 * FRESH:
        days = (at - quotes) // _DAY
        return f"Its quotes were {days:,} days old when it was made: it says nothing of the market of now."
    if candidates and all(one.state == "expired" for one in candidates if not one.refused):
        left = [one for one in candidates if not one.refused]
        return "All that it recommended has expired. Scan again." if left else ""
    return ""


def _candidate(row: dict[str, Any], legs: list[dict[str, Any]], now: int) -> Candidate:
    from optimize.tuning.refused import REASON

    refused = row["reason"] == REASON
    state = row["status"]
    if state == "recommended" and row["expires_ts"] is not None and row["expires_ts"] < now:
        state = "expired"
    return Candidate(
        number=row["id"],
        symbol=row["symbol"],
        strategy=row["strategy"],
        legs=_legs(legs, row["expiry"]),
        expiry=None if row["expiry"] is None else date.fromisoformat(row["expiry"]),
        dte=row["dte"],
        iv_rank=row["iv_rank"],
        credit=-row["side"] * row["entry_price"] + 0.0,
        probability=None if row["probability"] is None else 100.0 * row["probability"],
        reward_risk=_reward_risk(row),
        score=row["score"],
        grade=row["grade"] or "",
        contracts=row["quantity"] if row["quantity"] or row["sizing_rule"] else None,
        buying_power=row["buying_power"],
        refused=refused,
        unfit=not refused and _none_fits(row) and state in ("recommended", "expired"),
        state="refused" if refused else state,
        verdict=_verdict(row, state, refused=refused),
    )


def _verdict(row: dict[str, Any], state: str, *, refused: bool) -> str:
    said = str(row["decision"])
    if refused:
        return said.removeprefix("scanner: ") or _rule(row)
    if state == "executed":
        return f"executed: {said}" if said else "executed"
    if state == "ignored":
        return f"not taken: {said}" if said else "not taken"
    if _none_fits(row):
        words = f"0 fit: {row['sizing_rule'].replace('_', ' ')}"
        return f"{words}; expired" if state == "expired" else words
    return "expired, nobody acted on it" if state == "expired" else "recommended"


def _none_fits(row: dict[str, Any]) -> bool:
    # what was logged without a sizing has a quantity of 0, too
    return not row["quantity"] and bool(row["sizing_rule"])


def _rule(row: dict[str, Any]) -> str:
    try:
        return str(json.loads(row["details"] or "{}")["verdict"]["reason"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "refused by the scanner"


def _reward_risk(row: dict[str, Any]) -> float | None:
    best, worst = row["max_profit"], row["max_loss"]
    if row["reward_risk"] is not None:
        return float(row["reward_risk"])
    return float(best / worst) if best is not None and worst is not None and worst > 0 else None


def _legs(legs: list[dict[str, Any]], first: str | None) -> str:
    words = []
    for leg in legs:
        sign = "+" if leg["side"] > 0 else "−"
        count = "" if leg["ratio"] == 1 else f"{leg['ratio']:g}×"
        if leg["strike"] is None:
            words.append(f"{sign}{count}shares")
            continue
        later = "" if leg["expiry"] in (None, first) else f"@{leg['expiry']}"
        words.append(f"{sign}{count}{leg['strike']:g}{leg['kind'][0].upper()}{later}")
    return " ".join(words)
