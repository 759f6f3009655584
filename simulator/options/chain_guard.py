"""The guard of option chains: finds quotes that cannot be true, and quotes that cannot be traded.

Two grades, as for bars. An **error** is a quote that no market can have shown; the policy says what happens
to it: `drop` (the default for chains) leaves it out, `note` keeps it, `raise` stops with the first. A
**note** is a quote that may be true and is always kept: far strikes really have no bid. `Chain.tradeable` is
False for most of them. Every finding names file, row, contract and rule.

| rule | grade | finds | code |
|---|---|---|---|
| `duplicate` | error | a contract twice at a time; `note` keeps the last row | DATA_DUPLICATE |
| `crossed` | error | a bid above the ask | DATA_CROSSED |
| `negative` | error | a bid or ask that is negative or infinite | DATA_NEGATIVE |
| `expired` | error | an expiry before the session of the quote | DATA_EXPIRED |
| `strike` | error | a strike that is no positive number, or 100 times off the underlying | DATA_STRIKE |
| `locked` | note | a bid equal to the ask | |
| `stale` | note | a quote that a later session repeats although the underlying moved too far | |
| `zero_bid` | note | a bid of 0; one finding per file, with a count | |
| `missing` | note | a bid or ask that is unknown; one finding per file, with a count | |
| `underlying` | note | no price of the underlying; one finding per file, with a count | |

Of rows that quote one contract twice, `drop` keeps one if they are equal and none if they differ. Stale
compares the first snapshot of a session with the last of the one before, and asks whether delta times the
underlying's move exceeds the quoted spread: within the spread, far strikes repeat their prices in good faith.
Where the vendor gives no delta, 0.5 stands in for options in the money, and others are not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from simulator.bars.arrays import Bools, Ints, stamp
from simulator.bars.clock import session_of
from simulator.bars.guard import check_policy
from simulator.errors import DataError
from simulator.options.chain_columns import KIND_NAMES, Draft, contract_ids, repeated

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars.panel import GuardPolicy
    from simulator.options.chain import Chain

__all__ = ["ERROR_RULES", "ChainFinding", "ChainReport", "apply_guard", "check_chain", "check_draft"]

_rule_codes = {
    "duplicate": "DATA_DUPLICATE",
    "crossed": "DATA_CROSSED",
    "negative": "DATA_NEGATIVE",
    "expired": "DATA_EXPIRED",
    "strike": "DATA_STRIKE",
}
ERROR_RULES: Final = tuple(_rule_codes)
_COUNTED: Final = ("zero_bid", "missing", "underlying")

STRIKE_FACTOR: Final = 100.0
DELTA_IN_THE_MONEY: Final = 0.5  # least absolute delta of an option in the money, by and large
MOST_PER_RULE: Final = 1_000  # findings spelled out per rule; the rest is counted
MOST_NOTES: Final = 50  # notes kept on a chain


@dataclass(frozen=True)
class ChainFinding:
    """One quote and the rule it breaks; `row` counts from 1 below the header of `file`."""

    file: str
    row: int
    ts: int
    contract: str
    rule: str
    text: str

    @property
    def grade(self) -> Literal["error", "note"]:
        """Whether the quote cannot be true (error) or only may not be traded (note)."""
        return "error" if self.rule in _rule_codes else "note"

    @property
    def code(self) -> str:
        """Stable code of the `DataError` that this finding raises under the policy `raise`; "" for a note."""
        return _rule_codes.get(self.rule, "")

    def __str__(self) -> str:
        place = f"{self.file} row {self.row}" if self.file else f"row {self.row}"
        return f"{place}: {stamp(self.ts)} {self.contract} {self.rule}: {self.text}"


@dataclass(frozen=True)
class ChainReport:
    """What the guard found; `counts` holds the number per rule, also of what is not spelled out."""

    findings: tuple[ChainFinding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def errors(self) -> tuple[ChainFinding, ...]:
        """Findings of grade error."""
        return tuple(finding for finding in self.findings if finding.grade == "error")

    @property
    def notes(self) -> tuple[ChainFinding, ...]:
        """Findings of grade note."""
        return tuple(finding for finding in self.findings if finding.grade == "note")

    def to_frame(self) -> pd.DataFrame:
        """Return a table: file, row, time (UTC), contract, rule, grade, text."""
        import pandas as pd

        rows = [(f.file, f.row, f.ts, f.contract, f.rule, f.grade, f.text) for f in self.findings]
        table = pd.DataFrame(rows, columns=["file", "row", "time", "contract", "rule", "grade", "text"])
        table["time"] = pd.to_datetime(table["time"].astype("int64"), unit="ns", utc=True)
        return table


def check_chain(chain: Chain) -> ChainReport:
    """Run every rule over a chain and report; rows are positions in the chain, from 1."""
    return check_draft(chain.to_draft(), calendar=chain.calendar)


def check_draft(draft: Draft, *, calendar: str) -> ChainReport:
    """Run every rule over a sorted draft and report; nothing is changed."""
    return _report(draft, _masks(draft, calendar))


def apply_guard(draft: Draft, *, calendar: str, policy: GuardPolicy) -> tuple[Draft, tuple[str, ...]]:
    """Return a sorted draft as the policy leaves it, and notes; duplicates are resolved under every policy.

    Raises `DataError` with the code of the first error under `raise`, `ConfigError` CONFIG_GUARD for an
    unknown policy.
    """
    check_policy(policy)
    masks = _masks(draft, calendar)
    if not masks:
        return draft, ()
    report = _report(draft, masks)
    if policy == "raise":
        _raise_first(report)
    keep = np.ones(len(draft), np.bool_)
    if "duplicate" in masks:
        keep &= _kept_of_repeated(draft, masks["duplicate"], last=policy == "note")
    if policy == "drop":
        for rule in ERROR_RULES:
            if rule in masks and rule != "duplicate":
                keep &= ~masks[rule]
    lines = _note_lines(report, dropped=policy == "drop")
    return (draft if keep.all() else draft.taken(keep)), lines


def _masks(draft: Draft, calendar: str) -> dict[str, Bools]:
    """Return the quotes that each rule finds; rules that find nothing are left out."""
    columns = draft.columns
    bid, ask, strike, underlying = (columns[name] for name in ("bid", "ask", "strike", "underlying"))
    starts = _starts(columns["ts"])
    days = session_of(calendar, columns["ts"][starts[:-1]])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = strike / underlying
        known = underlying > 0
        masks = {
            "duplicate": repeated(columns),
            "crossed": bid > ask,
            "negative": (bid < 0) | (ask < 0) | np.isinf(bid) | np.isinf(ask),
            "expired": columns["expiry"] < np.repeat(days, np.diff(starts)),
            "strike": ~((strike > 0) & np.isfinite(strike))
            | (known & ((ratio > STRIKE_FACTOR) | (ratio < 1 / STRIKE_FACTOR))),
            "locked": (bid == ask) & (bid > 0),
            "stale": _stale(draft, starts, days),
            "zero_bid": (bid == 0) & ~np.isnan(ask),
            "missing": np.isnan(bid) | np.isnan(ask),
            "underlying": ~known,
        }
    return {rule: mask for rule, mask in masks.items() if mask.any()}


def _starts(ts: Ints) -> Ints:
    changes = np.flatnonzero(ts[1:] != ts[:-1]) + 1
    return np.concatenate(([0] if ts.size else [], changes, [ts.size])).astype(np.int64)


def _stale(draft: Draft, starts: Ints, days: Ints) -> Bools:
    found = np.zeros(len(draft), np.bool_)
    later = np.flatnonzero(days[1:] > days[:-1]) + 1
    if not later.size:
        return found
    columns = draft.columns
    ids = contract_ids(columns)
    bid, ask, underlying = columns["bid"], columns["ask"], columns["underlying"]
    inside = columns["kind"] * (underlying - columns["strike"]) > 0
    delta = np.where(np.isnan(columns["delta"]), DELTA_IN_THE_MONEY * inside, abs(columns["delta"]))
    candidate = (bid > 0) & (ask > bid)
    for snapshot in later:
        before = slice(int(starts[snapshot - 1]), int(starts[snapshot]))
        rows = int(starts[snapshot]) + np.flatnonzero(candidate[starts[snapshot] : starts[snapshot + 1]])
        at = before.start + np.searchsorted(ids[before], ids[rows])
        at = np.minimum(at, before.stop - 1)
        same = (ids[at] == ids[rows]) & (bid[at] == bid[rows]) & (ask[at] == ask[rows])
        same &= delta[rows] * abs(underlying[rows] - underlying[at]) > ask[rows] - bid[rows]
        found[rows[same]] = True
    return found


def _kept_of_repeated(draft: Draft, again: Bools, *, last: bool) -> Bools:
    """Return which rows remain: the last of each run, or one of equal rows and none of rows that differ."""
    run = np.cumsum(~again) - 1
    ends = np.concatenate((~again[1:], [True]))
    if last:
        return np.asarray(ends)
    first = np.flatnonzero(~again)
    differs = np.zeros(first.size, np.bool_)
    for name in ("bid", "ask"):
        column = draft.columns[name]
        reference = column[first[run]]
        unlike = (column != reference) & ~(np.isnan(column) & np.isnan(reference))
        differs[run[unlike]] = True
    return np.asarray(~again & ~differs[run])


def _report(draft: Draft, masks: Mapping[str, Bools]) -> ChainReport:
    findings: list[ChainFinding] = []
    counts: dict[str, int] = {}
    for rule, mask in masks.items():
        rows = np.flatnonzero(mask)
        counts[rule] = int(rows.size)
        if rule in _COUNTED:
            codes, first, many = np.unique(draft.file[rows], return_index=True, return_counts=True)
            for _, at, count in zip(codes, first, many, strict=True):
                findings.append(_finding(draft, int(rows[at]), rule, int(count)))
        else:
            findings += [_finding(draft, int(row), rule, 1) for row in rows[:MOST_PER_RULE]]
    return ChainReport(tuple(findings), counts)


def _finding(draft: Draft, at: int, rule: str, count: int) -> ChainFinding:
    values = {name: column[at] for name, column in draft.columns.items()}
    expiry = np.datetime64(int(values["expiry"]), "D")
    name = draft.roots[values["root"]] or draft.symbol
    kind = KIND_NAMES.get(int(values["kind"]), "option")
    contract = f"{name} {expiry} {values['strike']:.10g} {kind}"
    bid, ask, underlying = (float(values[name]) for name in ("bid", "ask", "underlying"))
    texts = {
        "duplicate": f"quoted again, now {bid:g} to {ask:g}",
        "crossed": f"bid {bid:g} is above ask {ask:g}",
        "negative": f"bid {bid:g} and ask {ask:g} must be finite and not below 0",
        "expired": "expires before the session of the quote",
        "strike": f"strike {values['strike']:g} cannot be with the underlying at {underlying:g}: which unit?",
        "locked": f"bid and ask are both {bid:g}",
        "stale": f"{bid:g} to {ask:g} as in the session before; the underlying moved to {underlying:g}",
        "zero_bid": f"{count} quote(s) without a bid, the first here",
        "missing": f"{count} quote(s) with an unknown bid or ask, the first here",
        "underlying": f"{count} quote(s) without a price of the underlying, the first here",
    }
    file = draft.files[int(draft.file[at])]
    return ChainFinding(file, int(draft.row[at]), int(values["ts"]), contract, rule, texts[rule])


def _raise_first(report: ChainReport) -> None:
    errors = report.errors
    if not errors:
        return
    first = min(errors, key=lambda finding: (finding.file, finding.row))
    total = sum(count for rule, count in report.counts.items() if rule in _rule_codes)
    others = f" and {total - 1} more" if total > 1 else ""
    raise DataError(
        f'{first}{others}. guard="drop" leaves such quotes out, guard="note" keeps them', code=first.code
    )


def _note_lines(report: ChainReport, *, dropped: bool) -> tuple[str, ...]:
    lines = [
        f"{finding}{' (dropped)' if dropped and finding.grade == 'error' else ''}"
        for finding in report.findings[:MOST_NOTES]
    ]
    if len(report.findings) > len(lines):
        counts = ", ".join(f"{count} {rule}" for rule, count in report.counts.items())
        lines.append(f"more findings; in all: {counts}")
    return tuple(lines)
