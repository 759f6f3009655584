"""Why a session at a broker did not trade what its plan traded: by trade, one cause for each difference.

The plan of a followed session is byte for byte a backtest (`live.parity` proves it); what the account made of
it is another matter. `explain` puts every trade and every open position of the plan beside the executions at
the broker, as the journal has them, and names what differs and why: price, quantity, bar, fees, what was
refused or never filled, what filled by itself or by somebody else. Each difference has an amount of currency,
and the amounts add up to the difference of the two profits. Nothing is asked of the broker, and nothing is
written, so it can be read while the session trades. What has no known cause is called unexplained.

>>> print(explain("trade_journal.db", "paper"))                   # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Any

from journal.database import Database
from live.following.explaining.cases import joined
from live.following.explaining.differences import explained
from live.following.explaining.fact import Fact, Fill, read_fact
from live.following.explaining.plan import Plan, read_plan
from live.following.explaining.text import table
from live.following.explaining.values import CAUSES, UNEXPLAINED, Course, Difference, Explained
from live.following.record import Parted, of_notes
from live.sessions.store import SessionStore
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from live.session import HasDatabase

__all__ = ["CAUSES", "Course", "Difference", "Explained", "Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The trades of a plan beside those of an account.

    Attributes
    ----------
    session, journal, accounts
        Which session of which journal, and in which accounts its orders have filled; none where none has.
    bars
        Bars of the plan.
    trades
        Every trade and open position of either side, in the order in which they began.
    plan_profit, fact_profit
        Sums over them, after fees, what is open at the plan's mark; currency.
    """

    session: str
    journal: str
    accounts: tuple[str, ...]
    bars: int
    trades: tuple[Explained, ...]
    plan_profit: float
    fact_profit: float

    @property
    def ok(self) -> bool:
        """Whether every difference has a known cause."""
        return not self.unexplained

    @property
    def unexplained(self) -> tuple[Explained, ...]:
        """The trades with a difference that nothing on record explains."""
        return tuple(one for one in self.trades if any(each.cause == UNEXPLAINED for each in one.differences))

    @property
    def equal(self) -> int:
        """Trades that are the same on both sides."""
        return sum(not one.differences for one in self.trades)  # a fill that is nobody's always has one

    @property
    def rounded(self) -> int:
        """Trades that differ by the rounding of prices or quantities alone."""
        causes = [{each.cause for each in one.differences} for one in self.trades if one.is_trade]
        return sum(each == {"rounding"} for each in causes)

    @property
    def difference(self) -> float:
        """What the account made more than the plan, currency."""
        return fsum((self.fact_profit, -self.plan_profit))

    @property
    def causes(self) -> dict[str, float]:
        """The difference by cause, currency, largest first; the sum is `difference`."""
        amounts: dict[str, list[float]] = {}
        for one in self.trades:
            for each in one.differences:
                amounts.setdefault(each.cause, []).append(each.amount)
        sums = {cause: fsum(each) for cause, each in amounts.items()}
        return dict(sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0])))

    @property
    def counts(self) -> dict[str, int]:
        """How many differences each cause has, in the order of `causes`."""
        found = dict.fromkeys(self.causes, 0)
        for one in self.trades:
            for each in one.differences:
                found[each.cause] += 1
        return found

    def __str__(self) -> str:
        """Return the explanation as a table: totals, causes, then trade by trade."""
        return table(self)

    def plain(self) -> dict[str, Any]:
        """Return the explanation as values that JSON can hold."""
        counts = self.counts
        return {
            "ok": self.ok, "session": self.session, "journal": self.journal, "accounts": list(self.accounts),
            "bars": self.bars, "equal": self.equal, "rounded": self.rounded, "plan_profit": self.plan_profit,
            "fact_profit": self.fact_profit, "difference": self.difference,
            "causes": [
                {"cause": cause, "means": CAUSES[cause], "count": counts[cause], "amount": amount}
                for cause, amount in self.causes.items()
            ],
            "trades": [one.plain() for one in self.trades],
        }  # fmt: skip


def explain(where: str | os.PathLike[str] | Database | HasDatabase, name: str = "paper") -> Explanation:
    """Set the trades of a followed session's plan beside what was filled at its broker.

    Parameters
    ----------
    where
        Path or URL of the journal, an open `Database`, or a `TradeJournal`; it is only read.
    name
        The session's name.

    Raises
    ------
    UnknownNameError
        LIVE_SESSION.
    ConfigError
        LIVE_NOT_FOLLOWED for a session that has decided nothing for a broker.
    JournalError
        As opening and reading a journal raises.
    """
    if isinstance(where, (str, os.PathLike)):
        with Database(where, read_only=True) as database:
            return _explain(database, name)
    return _explain(where if isinstance(where, Database) else where.database, name)


def _explain(database: Database, name: str) -> Explanation:
    store = SessionStore(database, name)
    with database.read() as connection:
        session = store.get(connection)
        decided, parted = of_notes(store.kept_notes(connection, session.id, -2))
        if not decided and not parted:
            raise ConfigError(
                f"session {name!r} in {database.name} has followed no broker: nothing was to be sent to one; "
                "its receipt is all that there is: twinstep parity, or verify_parity",
                code="LIVE_NOT_FOLLOWED",
            )
        plan = read_plan(store, connection, {one.symbol for one in decided})
    # after the plan: what a session that trades meanwhile has filled since is not yet in the plan
    fact = read_fact(database, decided)
    return explanation_of(name, database.name, plan, fact, parted)


def explanation_of(name: str, journal: str, plan: Plan, fact: Fact, parted: Sequence[Parted]) -> Explanation:
    """Return the explanation of what was read."""
    cases, nobody = joined(plan, fact, parted)
    trades = (*(explained(case, plan.bars) for case in cases), *(_foreign(one) for one in nobody))
    return Explanation(
        session=name,
        journal=journal,
        accounts=fact.accounts,
        bars=len(plan.bars.ts),
        trades=trades,
        plan_profit=fsum(one.plan.profit for one in trades if one.plan is not None),
        fact_profit=fsum(one.fact.profit for one in trades if one.fact is not None),
    )


def _foreign(fill: Fill) -> Explained:
    """Return a fill that is nobody's as what it is: no trade of the session, and none of its profit."""
    one = fill.execution
    what = "bought" if one.side > 0 else "sold"
    detail = f"{what} {one.quantity:g} at {one.price:,.4f} at {one.time.isoformat(timespec='seconds')}"
    difference = Difference(
        "position", "foreign fill", 0.0, f"{detail}; it counts for no trade of the session"
    )
    return Explained(one.symbol, one.side, "", -1, -1, -1, fill.ts, None, None, (difference,))
