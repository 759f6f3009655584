"""What the scanner passed over because of a setting that is tuned, logged so that its outcome can be known.

A journal of trades above IV rank 50 says nothing about 45: trades that were never taken cannot be learned
from. `log_refused` scans once more with the bounds moved outwards and logs what only that finds as
recommendations that nobody is to take. `CounterfactualLedger.update_decisions(bars)` then runs them to their
end like everything else that was refused, and `tune_journal` counts them as cases that were not taken.

>>> found = scanner.scan_for_opportunities()   # doctest: +SKIP
>>> log_refused(journal, scanner)              # doctest: +SKIP
[14, 15]
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from journal import schema
from journal.counterfactual.decisions import PACKAGE_RULES
from journal.ledger.lookup import recommendations_where
from journal.values import as_json
from optimize.tuning.cases import DAY

if TYPE_CHECKING:
    from journal.records import Recommendation
    from journal.trade_journal import TradeJournal
    from simulator.opportunity import Opportunity
    from simulator.options.chain_time import Instant
    from strategies.options_scanner import OptionsScanner

__all__ = ["REASON", "log_refused"]

REASON: Final = "Refused by the scanner, logged to learn from"
"""Of such recommendations."""

_OPTIONS: Final = ("call", "put")

IV_RANK_REACH: Final = 10.0
"""Points of IV rank below the least that are looked at."""
DTE_REACH: Final = 15
"""Days to expiry on both sides of the bounds that are looked at."""
MOST: Final = 20
"""Refusals logged per scan: the candidates of one day share what the market does, and more add little."""


def log_refused(
    journal: TradeJournal,
    scanner: OptionsScanner,
    symbols: Iterable[str] | str | None = None,
    *,
    as_of: Instant | None = None,
    iv_rank_reach: float = IV_RANK_REACH,
    dte_reach: int = DTE_REACH,
    most: int = MOST,
) -> list[int]:
    """Log what a scanner refuses by IV rank, days to expiry or blacklist alone, and return the numbers.

    Parameters
    ----------
    journal
        Its clock says when; its source, whose they are.
    scanner
        Keeps its own last scan.
    symbols, as_of
        As in `scan_for_opportunities`.
    iv_rank_reach, dte_reach
        How far outside its bounds is looked; days only as short as the ledger's own rule for an exit allows.
    most
        Of the refused, those with the best score.

    Notes
    -----
    The ledger has them under "scanner iv_rank", "scanner dte" and "scanner blacklist". A package that was
    logged so within the last day is not logged again.
    """
    wider = copy.copy(scanner)
    low, high = scanner.settings.dte_bounds
    wider.settings = dataclasses.replace(
        scanner.settings,
        min_iv_rank=max(0.0, scanner.settings.min_iv_rank - iv_rank_reach),
        # what the ledger would close on the next day says nothing
        min_dte=max(min(low, int(PACKAGE_RULES["dte_exit"]) + 1), low - dte_reach),
        max_dte=high + dte_reach,
    )
    wider.blacklist = frozenset()
    named = [(opp, _refused_by(scanner, opp)) for opp in wider.scan_for_opportunities(symbols, as_of=as_of)]
    refused = sorted(
        ((opp, name) for opp, name in named if name), key=lambda pair: (-pair[0].score, pair[0].symbol)
    )[:most]
    known = _logged(journal, {opp.symbol for opp, _ in refused}, most)
    return [_log(journal, opp, name) for opp, name in refused if _package(opp) not in known]


def _logged(journal: TradeJournal, symbols: Iterable[str], most: int) -> set[tuple[Any, ...]]:
    """Return the packages that were logged as refused within a day."""
    now = journal.now()
    with journal.database.read() as connection:
        recent = [
            one
            for symbol in sorted(symbols)
            for one in recommendations_where(
                connection, now=now, status="ignored", symbol=symbol, source=[journal.source], limit=5 * most
            )
        ]
    return {_package(one) for one in recent if one.reason == REASON and now - one.created_ts < DAY}


def _package(of: Opportunity | Recommendation) -> tuple[Any, ...]:
    legs = (
        (leg.side, leg.kind, leg.strike or 0.0, str(leg.expiry)) for leg in of.legs if leg.kind in _OPTIONS
    )
    return of.symbol, of.strategy, tuple(sorted(legs))


def _refused_by(scanner: OptionsScanner, opp: Opportunity) -> str:
    """Return the first filter of the scanner that stands against it, in their order; "" is none."""
    settings = scanner.settings
    low, high = settings.dte_bounds
    if opp.symbol in scanner.blacklist:
        return "blacklist"
    if opp.iv_rank is not None and opp.iv_rank < settings.min_iv_rank:
        return "iv_rank"
    return "" if low <= opp.dte <= high else "dte"


def _log(journal: TradeJournal, opp: Opportunity, name: str) -> int:
    table = schema.recommendations
    words = {
        "iv_rank": f"IV rank {opp.iv_rank:.1f} is below the least" if opp.iv_rank is not None else "",
        "dte": f"{opp.dte} days to expiry are out of bounds",
        "blacklist": f"{opp.symbol} is on the blacklist",
    }[name]
    with journal.database.write() as connection:
        number = journal.log_recommendation(opp, reason=REASON)
        journal.ignore_recommendation(number, f"scanner: {words}")
        stored = connection.execute(select(table.c.details).where(table.c.id == number)).scalar()
        # where the ledger looks for who refused it: a rule, and no person
        details: dict[str, Any] = json.loads(stored or "{}") | {
            "ended_by": "risk", "verdict": {"reason": f"scanner {name}"},
        }  # fmt: skip
        connection.execute(
            update(table).where(table.c.id == number).values(details=as_json("details", details))
        )
    return number
