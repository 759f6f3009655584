"""The data guard: finds bars that cannot be true, and moves that may not be.

Two grades. An **error** is a bar that no market can have printed, and the policy says what happens to it:
`raise` (default) stops with the first finding, `drop` makes the bar missing, `note` keeps it. A **note** is
a bar that may be true; it is always kept and written into `Bars.notes`, because real crashes exist and a
program that throws them away would flatter every strategy.

| rule | grade | finds | code |
|---|---|---|---|
| `unsorted` | error | times that go back; `drop` and `note` sort | DATA_UNSORTED |
| `duplicate` | error | a time twice; `drop` keeps one of equal rows, `note` the last | DATA_DUPLICATE |
| `nan` | error | some but not all fields absent (all prices absent is a missing bar) | DATA_NAN |
| `price` | error | a price that is zero, negative or infinite | DATA_PRICE |
| `ohlc` | error | high below open, low or close; low above open, high or close | DATA_OHLC |
| `volume` | error | negative or infinite volume | DATA_VOLUME |
| `spread` | error | bid above ask | DATA_SPREAD |
| `rounding` | note | an OHLC violation of at most one part in a million (float32 prices): repaired | |
| `no_volume` | note | volume 0 although the symbol usually trades; one finding per symbol, with a count | |
| `bad_tick` | note | a close at least 20 % away that is back within 5 % at most 3 bars later | |
| `gap` | note | an open 20 % away on less than 4 times the usual volume, or 40 % on less than 10 times | |
| `jump` | note | a close at least 40 % away on less than 10 times the usual volume, no gap | |
| `wick` | note | a high or low at least 40 % beyond both open and close | |

A gap looks like a spin-off or an unadjusted split. Usual volume is the median of the last 20 bars; news
moves a price on volume, a changed basis does not. Of rows that share a time and differ, `drop` keeps none.
Raw prices are compared after their splits. On 619,040 real bars of 505 stocks (2013 to 2018) the
thresholds find every known spin-off and bad tick; see `tests/simulator/bars/test_validation_data.py` for
the counts.

>>> import numpy as np
>>> bars = np.array([[[10.0, 11.0, 9.0, 10.5, 100.0]], [[10.0, 9.5, 9.0, 10.0, 100.0]]])
>>> report = check_panel(("ABC",), np.array([0, 86_400_000_000_000]), bars)
>>> print(report.findings[0])
ABC 1970-01-02 ohlc: high 9.5 is below open 10.0
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from simulator.bars.arrays import FIELDS, Bools, Floats, Ints, Records, stamp
from simulator.errors import ConfigError, DataError, did_you_mean
from simulator.kernel import codes

if TYPE_CHECKING:
    import pandas as pd

    from simulator.bars.panel import Bars, GuardPolicy

__all__ = [
    "POLICIES",
    "Finding",
    "GuardReport",
    "apply_guard",
    "check",
    "check_panel",
    "check_policy",
    "note_lines",
    "raise_first",
    "split_basis",
]

POLICIES: Final = ("raise", "drop", "note")
ERROR_RULES: Final = ("unsorted", "duplicate", "nan", "price", "ohlc", "volume", "spread")

ROUNDING: Final = 1e-6  # relative; prices delivered as float32 carry errors of 6e-8
TICK_JUMP: Final = 0.20
TICK_RETURN: Final = 0.05
TICK_BARS: Final = 3
QUIET_GAP: Final = 0.20
QUIET_VOLUME: Final = 4.0  # times the usual volume
LARGE_JUMP: Final = 0.40
NEWS_VOLUME: Final = 10.0  # times the usual volume
VOLUME_BARS: Final = 20
MOST_PER_RULE: Final = 1_000  # findings spelled out per rule; the rest is counted
MOST_NOTES: Final = 50  # notes kept on the bars


@dataclass(frozen=True)
class Finding:
    """One bar and the rule it breaks; `values` are open, high, low, close, volume and the close before."""

    symbol: str
    ts: int
    rule: str
    text: str
    values: tuple[float, float, float, float, float, float]

    @property
    def grade(self) -> Literal["error", "note"]:
        """Whether the bar cannot be true (error) or only may not be (note)."""
        return "error" if self.rule in ERROR_RULES else "note"

    @property
    def code(self) -> str:
        """Stable code of the `DataError` that this finding raises under the policy `raise`."""
        return f"DATA_{self.rule.upper()}"

    def __str__(self) -> str:
        return f"{self.symbol} {stamp(self.ts)} {self.rule}: {self.text}"


@dataclass(frozen=True)
class GuardReport:
    """What the guard found; `counts` holds the number per rule, also of what is not spelled out."""

    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings of grade error."""
        return tuple(finding for finding in self.findings if finding.grade == "error")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings of grade note."""
        return tuple(finding for finding in self.findings if finding.grade == "note")

    def to_frame(self) -> pd.DataFrame:
        """Return a table: symbol, time, rule, grade, open to volume, previous_close, text."""
        import pandas as pd

        columns = ["symbol", "time", "rule", "grade", *FIELDS, "previous_close", "text"]
        rows = [(f.symbol, f.ts, f.rule, f.grade, *f.values, f.text) for f in self.findings]
        table = pd.DataFrame(rows, columns=columns)
        table["time"] = pd.to_datetime(table["time"].astype("int64"), unit="ns", utc=True)
        return table

    def joined(self, other: GuardReport) -> GuardReport:
        """Return both reports as one."""
        rules = [*self.counts, *(rule for rule in other.counts if rule not in self.counts)]
        counts = {rule: self.counts.get(rule, 0) + other.counts.get(rule, 0) for rule in rules}
        return GuardReport(self.findings + other.findings, counts)


def check(source: Bars | Mapping[str, pd.DataFrame], *, calendar: str = "XNYS") -> GuardReport:
    """Run every rule over bars, or over tables that may be too broken to become bars.

    Raises `DataError` for tables without usable columns or times (wrong columns, naive intraday times).
    """
    from simulator.bars.panel import Bars

    if isinstance(source, Bars):
        return check_panel(source.symbols, source.ts, source.panel, actions=source.actions, raw=source.raw)
    from simulator.bars.clock import check_calendar
    from simulator.bars.frames import align

    aligned = align(source, calendar=check_calendar(calendar), guard="note")
    return aligned.report.joined(check_panel(aligned.symbols, aligned.ts, aligned.panel))


def apply_guard(
    symbols: tuple[str, ...],
    ts: Ints,
    panel: Floats,
    *,
    policy: GuardPolicy,
    jumps: bool,
    actions: Records | None = None,
    raw: bool = False,
) -> tuple[Floats, tuple[str, ...]]:
    """Return the panel as the policy leaves it, and notes; the given panel is copied before it is changed.

    Raises `DataError` with the code of the first error under `raise`, `ConfigError` CONFIG_GUARD for an
    unknown policy.
    """
    check_policy(policy)
    bad, missing, repaired = _error_masks(panel)
    broken = _any(bad.values())
    if not jumps and broken is None and missing is None and repaired is None:
        return panel, ()
    report = check_panel(symbols, ts, panel, actions=actions, raw=raw, jumps=jumps)
    if policy == "raise":
        raise_first(report)
    if broken is not None or missing is not None or repaired is not None:
        panel = panel.copy()
    if repaired is not None:
        _repair(panel, repaired)
    if broken is not None and policy == "drop":
        panel[broken] = np.nan
    if missing is not None:
        panel[missing] = np.nan
    return panel, note_lines(report, dropped=policy == "drop")


def check_policy(policy: str) -> None:
    """Raise `ConfigError` CONFIG_GUARD where the policy is not one of raise, drop, note."""
    if policy not in POLICIES:
        raise ConfigError(
            f"guard policy {policy!r} is unknown.{did_you_mean(str(policy), POLICIES)}", code="CONFIG_GUARD"
        )


def raise_first(report: GuardReport) -> None:
    """Raise the report's first error, with the number of others and what can be done."""
    errors = report.errors
    if not errors:
        return
    first = min(errors, key=lambda finding: finding.ts)
    total = sum(count for rule, count in report.counts.items() if rule in ERROR_RULES)
    others = f" and {total - 1} more" if total > 1 else ""
    raise DataError(
        f'{first}{others}. guard="drop" leaves such bars out, guard="note" keeps them', code=first.code
    )


def note_lines(report: GuardReport, *, dropped: bool) -> tuple[str, ...]:
    """Return one line per finding for `Bars.notes`, at most `MOST_NOTES`, and a line that counts the rest."""
    lines = [
        f"{finding}{' (dropped)' if dropped and finding.grade == 'error' else ''}"
        for finding in report.findings[:MOST_NOTES]
    ]
    if len(report) > len(lines):
        counts = ", ".join(f"{count} {rule}" for rule, count in report.counts.items())
        lines.append(f"{len(report) - len(lines)} more findings; in all: {counts}")
    return tuple(lines)


def check_panel(
    symbols: tuple[str, ...],
    ts: Ints,
    panel: Floats,
    *,
    actions: Records | None = None,
    raw: bool = False,
    jumps: bool = True,
) -> GuardReport:
    """Run the rules over a (T, S, 5) panel and report; nothing is changed.

    `actions` of raw prices explain jumps: a split is taken out before prices are compared.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        bad, _, repaired = _error_masks(panel)
        masks: dict[str, Bools] = {rule: mask for rule, mask in bad.items() if mask is not None}
        if repaired is not None:
            masks["rounding"] = repaired
        basis = split_basis(panel.shape, actions) if raw else None
        unusable = _any(mask for rule, mask in masks.items() if rule in ("nan", "price"))
        closes = panel[:, :, 3] if unusable is None else np.where(unusable, np.nan, panel[:, :, 3])
        previous = _previous(closes, basis)
        if jumps:
            masks.update(_suspicious(panel, closes, previous, masks.get("ohlc"), basis))
    report = GuardReport()
    for rule, mask in masks.items():
        report = report.joined(_spell_out(rule, mask, symbols, ts, panel, previous))
    return report.joined(_no_volume(symbols, ts, panel)) if jumps else report


# Finding


def _error_masks(panel: Floats) -> tuple[dict[str, Bools | None], Bools | None, Bools | None]:
    """Return masks of broken bars by rule, of half-filled missing bars, and of bars off by rounding only.

    None stands for an empty mask: good data is the usual case and should cost two passes.
    """
    prices, volume = panel[:, :, :4], panel[:, :, 4]
    absent = np.isnan(prices)
    gone = absent.all(axis=2)
    known_volume = ~np.isnan(volume)
    nan = (absent.any(axis=2) & ~gone) | (~gone & ~known_volume)
    with np.errstate(invalid="ignore"):
        price = ~gone & ((prices <= 0) | np.isinf(prices)).any(axis=2)
        top = np.maximum(np.maximum(panel[:, :, 0], panel[:, :, 3]), panel[:, :, 2])
        bottom = np.minimum(np.minimum(panel[:, :, 0], panel[:, :, 3]), panel[:, :, 1])
        high, low = panel[:, :, 1], panel[:, :, 2]
        off = (high < top) | (low > bottom)
        far = (high < top * (1 - ROUNDING)) | (low > bottom * (1 + ROUNDING))
        wrong_volume = (volume < 0) | np.isinf(volume)
    clean = ~(nan | price)
    masks: dict[str, Bools] = {
        "nan": nan,
        "price": np.asarray(price),
        "ohlc": far & clean,
        "volume": wrong_volume & ~gone,
    }
    return (
        {rule: _if_any(mask) for rule, mask in masks.items()},
        _if_any(gone & known_volume),
        _if_any(off & ~far & clean),
    )


def _repair(panel: Floats, off: Bools) -> None:
    """Widen high and low to what open and close say, in place."""
    bars = panel[off]
    bars[:, 1] = bars[:, :4].max(axis=1)
    bars[:, 2] = bars[:, :4].min(axis=1)
    panel[off] = bars


def _suspicious(
    panel: Floats, closes: Floats, previous: Floats, broken: Bools | None, basis: Floats | None
) -> dict[str, Bools]:
    opens = panel[:, :, 0]
    ratio, gap = closes / previous, opens / previous
    body_top, body_bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    wick = (panel[:, :, 1] > body_top * (1 + LARGE_JUMP)) | (panel[:, :, 2] < body_bottom * (1 - LARGE_JUMP))
    tick, shadow = _bad_ticks(closes, previous, ratio, basis)
    moved = (abs(ratio - 1) >= LARGE_JUMP) & ~shadow
    gapped = (abs(gap - 1) >= QUIET_GAP) & ~shadow
    if broken is not None:
        wick &= ~broken
        gapped &= ~broken
    for row, column in np.argwhere(moved | gapped):
        times = _volume_times(panel[:, column, 4], int(row))
        quiet = times < NEWS_VOLUME
        large = abs(gap[row, column] - 1) >= LARGE_JUMP and quiet
        gapped[row, column] &= bool(large or times < QUIET_VOLUME)
        moved[row, column] &= bool(quiet and not gapped[row, column])
    return {"bad_tick": tick, "gap": gapped, "jump": moved, "wick": wick & ~tick}


def _bad_ticks(closes: Floats, previous: Floats, ratio: Floats, basis: Floats | None) -> tuple[Bools, Bools]:
    """Return closes that jump and come back, and those bars together with the bars of the way back."""
    tick = np.zeros(closes.shape, np.bool_)
    shadow = np.zeros(closes.shape, np.bool_)
    for row, column in np.argwhere(abs(ratio - 1) >= TICK_JUMP):
        if shadow[row, column]:
            continue
        later = np.arange(row + 1, closes.shape[0])
        later = later[~np.isnan(closes[row + 1 :, column])][:TICK_BARS]
        scale = 1.0 if basis is None else basis[later, column] / basis[row, column]
        back = np.flatnonzero(abs(closes[later, column] * scale / previous[row, column] - 1) <= TICK_RETURN)
        if back.size:
            tick[row, column] = True
            shadow[row : later[back[0]] + 1, column] = True
    return tick, shadow


def _previous(closes: Floats, basis: Floats | None) -> Floats:
    """Return the last known close before each bar, on the bar's own share basis; NaN before the first."""
    rows = np.where(np.isnan(closes), -1, np.arange(closes.shape[0])[:, None])
    last = np.maximum.accumulate(rows, axis=0)[:-1]
    previous = np.full(closes.shape, np.nan)
    found = np.take_along_axis(closes, np.maximum(last, 0), axis=0)
    if basis is not None:
        found = found * np.take_along_axis(basis, np.maximum(last, 0), axis=0) / basis[1:]
    previous[1:] = np.where(last >= 0, found, np.nan)
    return previous


def split_basis(shape: tuple[int, ...], actions: Records | None) -> Floats | None:
    """Return, per bar and symbol, how many shares one first share has become; None without splits."""
    if actions is None or not (actions["kind"] == codes.ACTION_SPLIT).any():
        return None
    basis = np.ones(shape[:2])
    for action in actions[actions["kind"] == codes.ACTION_SPLIT]:
        basis[action["row"] :, action["sym"]] *= action["value"]
    return basis


def _volume_times(volume: Floats, row: int) -> float:
    """Return a bar's volume in multiples of the median of the bars before; 0 where nothing is known."""
    before = volume[:row]
    before = before[~np.isnan(before)][-VOLUME_BARS:]
    usual = float(np.median(before)) if before.size else 0.0
    return float(volume[row]) / usual if usual > 0 else 0.0


def _no_volume(symbols: tuple[str, ...], ts: Ints, panel: Floats) -> GuardReport:
    volume = panel[:, :, 4]
    empty = volume == 0
    counts = empty.sum(axis=0)
    trades = (volume > 0).sum(axis=0)
    findings = []
    for column in np.flatnonzero((counts > 0) & (trades > counts)):
        row = int(np.argmax(empty[:, column]))
        o, h, low, c, v = (float(value) for value in panel[row, column])
        text = f"{counts[column]} bar(s) without volume, the first here"
        findings.append(
            Finding(symbols[column], int(ts[row]), "no_volume", text, (o, h, low, c, v, float("nan")))
        )
    return GuardReport(tuple(findings), {"no_volume": len(findings)} if findings else {})


# Saying


def _spell_out(
    rule: str, mask: Bools, symbols: tuple[str, ...], ts: Ints, panel: Floats, previous: Floats
) -> GuardReport:
    places = np.argwhere(mask)
    findings = []
    for row, column in places[:MOST_PER_RULE]:
        o, h, low, c, v = (float(value) for value in panel[row, column])
        values = (o, h, low, c, v, float(previous[row, column]))
        findings.append(Finding(symbols[column], int(ts[row]), rule, _text(rule, values), values))
    return GuardReport(tuple(findings), {rule: len(places)} if len(places) else {})


def _text(rule: str, values: tuple[float, float, float, float, float, float]) -> str:
    o, h, low, c, v, before = values
    prices = dict(zip(FIELDS, values, strict=False))
    if rule == "nan":
        return (
            f"{', '.join(name for name, value in prices.items() if np.isnan(value))} absent, the rest present"
        )
    if rule == "price":
        name = next(name for name in FIELDS[:4] if not 0 < prices[name] < np.inf)
        return f"{name} {prices[name]} is not a positive finite price"
    if rule in ("ohlc", "rounding"):
        others = ("open", "close", "low")
        name = next((name for name in others if h < prices[name]), "")
        if name:
            return f"high {h} is below {name} {prices[name]}"
        name = next(name for name in ("open", "close", "high") if low > prices[name])
        return f"low {low} is above {name} {prices[name]}"
    if rule == "volume":
        return f"volume {v} is not possible"
    if rule == "wick":
        return f"range {low} to {h} is far beyond open {o} and close {c}"
    if rule == "gap":
        return (
            f"opens at {o}, {o / before - 1:+.1%} from the last close {before:.6g}, without the volume of "
            f"news: spin-off or unadjusted split?"
        )
    back = (
        ", and comes back within 3 bars: bad tick?" if rule == "bad_tick" else " without the volume of news"
    )
    return f"closes at {c}, {c / before - 1:+.1%} from the last close {before:.6g}{back}"


def _any(masks: Iterable[Bools | None]) -> Bools | None:
    found: Bools | None = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else found | mask
    return found


def _if_any(mask: Bools) -> Bools | None:
    return mask if mask.any() else None
