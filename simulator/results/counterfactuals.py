"""The counterfactual ledger of a run: what the signals that were refused would have come to, and who refused.

Every signal that the risk manager rejected or shrank is shadow-run to its end (`simulator.shadow`). By rule,
the sum of R of what was vetoed, with its sign turned, is what the rule saved: positive where the vetoed
trades would have lost. The interval comes from `simulator.evidence` and respects that vetoes cluster in time;
where it does not leave out zero the answer is "not enough evidence".

Outcomes that are still open count as cases, not in the figures: their last mark is no result. R is per unit
of risk, so a small account and a large one can be compared; profit in currency stands beside it. What a rule
saves is said of signals that trade alone: had they been admitted, cash and slots would have been missing
elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.evidence import METHOD, Evidence, clustered_mean
from simulator.results.terminal import Canvas

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.raw import RawRun

__all__ = [
    "ALONE",
    "Case",
    "Counterfactuals",
    "Line",
    "cases_of",
    "counterfactuals_of",
    "lines_of",
    "lines_table",
    "print_lines",
]

DAY: Final = 86_400_000_000_000
ALONE: Final = (
    "Each signal traded alone: an account that had taken them would have lacked cash and slots elsewhere."
)


@dataclass(frozen=True, slots=True)
class Case:
    """One signal that was not traded, or not in full, and what it would have come to.

    Attributes
    ----------
    ts
        Label of the signal's bar, UTC nanoseconds.
    rule
        Reason of the verdict, or what a person decided.
    outcome
        "rejected" or "shrunk", or the person's word.
    asked, granted
        Quantities; `qty` was run.
    value, limit
        Of the verdict.
    state, weight, entry_ts, entry_price, exit_ts, exit_price, exit_reason, r, pnl, fees, mae, mfe, why
        As in `simulator.shadow.Outcome`.
    """

    ts: int
    symbol: str
    side: int
    rule: str
    outcome: str
    strategy: str
    tag: str
    asked: float
    granted: float
    value: float
    limit: float
    state: str
    qty: float
    weight: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    exit_reason: str
    r: float
    pnl: float
    fees: float
    mae: float
    mfe: float
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """What one rule, or one kind of human decision, saved.

    Attributes
    ----------
    name
        Of the rule or decision.
    n, closed, open, never_filled
        Cases, and how they stand; `open` includes entries that still work.
    evidence
        Mean R of the closed ones, weighted by what was refused of each.
    pnl
        Sum of their profits in currency.
    """

    name: str
    n: int
    closed: int
    open: int
    never_filled: int
    evidence: Evidence
    pnl: float

    @property
    def saved(self) -> float:
        """R saved: minus the sum of R of what was refused; negative is what it cost."""
        return 0.0 - self.evidence.total if self.evidence.n else 0.0

    @property
    def saved_low(self) -> float:
        """Lower end of the interval of what so many such refusals save."""
        return -self.evidence.weight * self.evidence.high

    @property
    def saved_high(self) -> float:
        """Upper end."""
        return -self.evidence.weight * self.evidence.low

    @property
    def saved_pnl(self) -> float:
        """The same in currency, without an interval."""
        return 0.0 - self.pnl

    def sentence(self, verb: str = "vetoed") -> str:
        """Say it in one sentence or two."""
        found = self.evidence
        head = f"{self.name} {verb} {self.n:,} signal{'' if self.n == 1 else 's'}"
        if not found.n:
            rest = f"; {self.open} still open, {self.never_filled} would not have filled" if self.n else ""
            return f"{head}, none of which closed with a known R{rest}: not enough evidence."
        interval = "interval unknown"
        if math.isfinite(found.low):
            interval = f"{self.saved_low:+.1f} to {self.saved_high:+.1f}"
        head += f"; the {found.n:,} that closed would have made {found.mean:+.2f} R on average"
        if found.decided:
            word = "saved" if self.saved > 0 else "cost"
            return f"{head}. It {word} {abs(self.saved):.1f} R ({interval})."
        more = "how many more are needed cannot be said yet"
        if found.more is not None:
            more = f"about {found.more:,} more closed case{'' if found.more == 1 else 's'} would be needed"
        return f"{head}. Saved {self.saved:+.1f} R ({interval}): not enough evidence, {more}."

    def plain(self, verb: str = "vetoed") -> dict[str, Any]:
        """Return the line as values that JSON can hold."""
        found = self.evidence
        numbers = {
            "mean_r": found.mean, "mean_r_low": found.low, "mean_r_high": found.high,
            "sum_r": found.total, "saved_r": self.saved, "saved_r_low": self.saved_low,
            "saved_r_high": self.saved_high, "saved_pnl": self.saved_pnl,
        }  # fmt: skip
        return {
            "name": self.name, "n": self.n, "closed": self.closed, "open": self.open,
            "never_filled": self.never_filled, "measured": found.n, "blocks": found.blocks,
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
            "decided": found.decided, "more_needed": found.more, "text": self.sentence(verb),
        }  # fmt: skip


def lines_of(cases: Iterable[Case], *, by: str = "rule") -> list[Line]:
    """Return one line per value of a field of the cases, most cases first, then by name."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(str(getattr(case, by)), []).append(case)
    lines = [_line(name, mine) for name, mine in groups.items()]
    return sorted(lines, key=lambda line: (-line.n, line.name))


def _line(name: str, cases: Sequence[Case]) -> Line:
    closed = [case for case in cases if case.state == "closed"]
    evidence = clustered_mean(
        np.array([case.r for case in closed], np.float64),
        np.array([case.ts // DAY for case in closed], np.int64),
        held=np.array([max(case.exit_ts - case.entry_ts, 0) / DAY for case in closed], np.float64),
        weights=np.array([case.weight for case in closed], np.float64),
    )
    never = sum(case.state == "never_filled" for case in cases)
    return Line(
        name=name,
        n=len(cases),
        closed=len(closed),
        open=len(cases) - len(closed) - never,
        never_filled=never,
        evidence=evidence,
        pnl=sum(case.pnl for case in closed),
    )


@dataclass(frozen=True)
class Counterfactuals:
    """Every refusal of a run with its outcome, and the price of each rule.

    Parameters
    ----------
    cases
        In the order of the signals.
    verb
        What the rules did to the signals, for the sentences.
    """

    cases: Sequence[Case]
    verb: str = "vetoed"
    notes: Sequence[str] = field(default=())

    @cached_property
    def lines(self) -> list[Line]:
        """One `Line` per rule, most cases first."""
        return lines_of(self.cases)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per signal that was refused or shrunk; times are UTC timestamps, NaT where none."""
        import pandas as pd

        names = Case.__slots__
        frame = pd.DataFrame([[getattr(case, name) for name in names] for case in self.cases], columns=names)
        for name, column in (("ts", "time"), ("entry_ts", "entry_time"), ("exit_ts", "exit_time")):
            stamps = frame[name].to_numpy(np.int64)
            frame[name] = pd.Series(pd.to_datetime(stamps, unit="ns", utc=True)).where(stamps != 0)
            frame = frame.rename(columns={name: column})
        return frame

    def by_rule(self) -> pd.DataFrame:
        """Return one row per rule.

        Columns: n, closed, open, never_filled, mean_r with mean_r_low and mean_r_high, sum_r, saved_r
        (minus sum_r) with saved_r_low and saved_r_high, saved_pnl, blocks (of time that the closed ones fall
        into), decided, more_needed (NA where it cannot be said), text.
        """
        return lines_table(self.lines, verb=self.verb)

    def plain(self) -> dict[str, Any]:
        """Return the table as values that JSON can hold."""
        return {
            "method": METHOD,
            "cases": len(self.cases),
            "rules": [line.plain(self.verb) for line in self.lines],
            "notes": [ALONE, *self.notes],
        }

    def text(self, *, width: int | None = None, color: bool | None = None) -> str:
        """Return the table per rule, with a sentence each."""
        canvas = Canvas(width=width, color=color)
        print_lines(
            canvas, self.lines, title=f"{len(self.cases):,} signals were not traded in full", verb=self.verb
        )
        for note in (f"Intervals: {METHOD}.", ALONE, *self.notes):
            canvas.print(note, style="dim")
        return canvas.text()

    def __str__(self) -> str:
        """Return `text()`."""
        return self.text()


def lines_table(lines: Sequence[Line], *, verb: str = "vetoed", index: str = "rule") -> pd.DataFrame:
    """Return lines as a table; see `Counterfactuals.by_rule`."""
    import pandas as pd

    rows = [line.plain(verb) for line in lines]
    frame = pd.DataFrame(rows, columns=None if rows else _COLUMNS).set_index("name")
    frame.index.name = index
    frame["more_needed"] = frame["more_needed"].astype("Int64")
    numbers = [name for name in _COLUMNS if name.startswith(("mean_r", "sum_r", "saved"))]
    return frame.astype(dict.fromkeys(numbers, np.float64))


def print_lines(canvas: Canvas, lines: Sequence[Line], *, title: str, verb: str, what: str = "Rule") -> None:
    """Print lines as a table, and below it a sentence each."""
    from rich.table import Table

    canvas.print(title, style="bold")
    if not lines:
        return
    table = Table(box=None, pad_edge=False)
    for name in (what, "n", "closed", "mean R", "saved R", "interval", "profit saved"):
        table.add_column(name, justify="left" if name == what else "right")
    for line in lines:
        found = line.evidence
        known = math.isfinite(found.low)
        table.add_row(
            line.name,
            f"{line.n:,}",
            f"{line.closed:,}",
            f"{found.mean:+.2f}" if found.n else "",
            f"{line.saved:+.1f}" if found.n else "",
            f"{line.saved_low:+.1f} to {line.saved_high:+.1f}" if known else "",
            f"{line.saved_pnl:+,.0f}" if line.closed else "",
        )
    canvas.print(table)
    canvas.print()
    for line in lines:
        canvas.print(line.sentence(verb))
    canvas.print()


_COLUMNS: Final = tuple(Line("", 0, 0, 0, 0, clustered_mean(np.zeros(0), np.zeros(0, np.int64)), 0.0).plain())


def counterfactuals_of(raw: RawRun) -> Counterfactuals:
    """Shadow-run every signal of a run that was rejected or shrunk."""
    from simulator.shadow import RISK_UNIT, shadow

    verdicts = raw.verdicts[raw.verdicts["side"] != 0]
    refused = verdicts[~(verdicts["granted"] >= verdicts["asked"])]
    risk = raw.risk
    outcomes = shadow(
        raw.bars,
        raw.signals,
        refused,
        costs=raw.costs,
        conventions=raw.conventions,
        max_days=None if risk is None else risk.max_days_in_trade,
        risk_unit=RISK_UNIT if risk is None else raw.cash * risk.risk_per_trade_pct / 100.0,
    )
    names = {"strategies": raw.strategies, "tags": raw.tags}
    return Counterfactuals(cases_of(refused, outcomes, names))


def cases_of(verdicts: Any, outcomes: Sequence[Any], names: Mapping[str, Sequence[str]]) -> list[Case]:
    """Return verdicts with the outcomes of their signals, in the same order, as cases."""
    from simulator.kernel import codes
    from simulator.types import Reason

    labels = Reason.labels()
    cases = []
    for verdict, outcome in zip(verdicts, outcomes, strict=True):
        shrunk = verdict["reason"] == codes.REASON_SHRUNK
        code = int(verdict["rule"] if shrunk else verdict["reason"])
        cases.append(
            Case(
                ts=outcome.ts,
                symbol=outcome.symbol,
                side=outcome.side,
                rule=labels.get(code, f"code {code}"),
                outcome="shrunk" if shrunk else "rejected",
                strategy=names["strategies"][verdict["strategy"]] if names["strategies"] else "",
                tag=names["tags"][verdict["tag"]] if names["tags"] else "",
                asked=float(verdict["asked"]),
                granted=float(np.nan_to_num(verdict["granted"])),
                value=float(verdict["value"]),
                limit=float(verdict["limit"]),
                **{name: getattr(outcome, name) for name in _OUTCOME},
            )
        )
    return cases


_OUTCOME: Final = (
    "state", "qty", "weight", "entry_ts", "entry_price", "exit_ts", "exit_price", "exit_reason", "r", "pnl",
    "fees", "mae", "mfe", "why",
)  # fmt: skip
