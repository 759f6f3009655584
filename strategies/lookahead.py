"""Proof that a strategy does not look ahead.

The prefix rule says: signals on `bars[:t]` are, bit for bit, the first part of the signals on all bars.
This module runs the strategy on the first 1, 2, 3, ... bars and compares each answer with the one before:
whatever was known then must still stand, unchanged, now. By induction every prefix agrees with the whole.
Because every bar is a cut, a strategy that peeks a single bar ahead is caught as surely as one that scales
by the whole sample. The series behind the signals (`Strategy.values`) are held to the same rule, so that a
leak shows even where it moves no signal on this data. A signal that opens an option package is compared with
its legs (side, right, ratio, strike, expiry) and its rules; the package's number is only where they stand.

What a proof on data cannot show: a leak that makes no difference on these bars, and knowledge that the
strategy brought along (a file of tomorrow's prices, parameters chosen on this history).

NaN counts as equal to NaN; every other number must have the same bits.

>>> from strategies.registry import strategy_class  # doctest: +SKIP
>>> print(lookahead(strategy_class("sma-cross")(), bars).summary())  # doctest: +SKIP
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import StrategyError

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals
    from simulator.types import Strategy

__all__ = [
    "LookaheadFinding",
    "LookaheadReport",
    "WarmupReport",
    "WarmupRow",
    "lookahead",
    "warmup_report",
]

Progress = Callable[[int, int], None]
Records = npt.NDArray[np.void]

_NAMED: Final = ("tag", "strategy")
"""Fields that hold indices into a table of names, which may be built in another order on other bars."""
_LEGS: Final = 4


@dataclass(frozen=True, slots=True)
class LookaheadFinding:
    """The first place where the rule is broken.

    Parameters
    ----------
    kind
        "changed" (a field of a signal), "vanished" (a signal is gone once more bars are known), "appeared" (a
        signal in the past that was not there at its time), "value" (a series behind the signals), "raised"
        (an exception), "not_repeatable" (two runs on the same bars differ), "bars_changed" (the strategy
        wrote into the bars).
    known
        How many bars the strategy had seen when it gave the earlier answer.
    added
        How many it had seen when the answer was another.
    row, time, symbol, field
        Where: bar, its time, symbol, and the signal's field or the name of the series.
    before, after
        The two values, as text.
    """

    kind: str
    known: int
    added: int
    row: int
    time: str
    symbol: str
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        """One sentence."""
        place = f"bar {self.row} ({self.time}) {self.symbol}".rstrip()
        cut = f"with {self.known} bars known, against {self.added}"
        match self.kind:
            case "changed":
                return f"{place}: {self.field} was {self.before} and became {self.after} ({cut})"
            case "value":
                return f"{place}: the series {self.field!r} was {self.before} and became {self.after} ({cut})"
            case "vanished":
                return f"{place}: a signal ({self.before}) vanished once later bars were known ({cut})"
            case "appeared":
                return f"{place}: a signal ({self.after}) appeared in the past ({cut})"
            case "raised":
                return f"the strategy raised on the first {self.added} bars: {self.after}"
            case "not_repeatable":
                return f"{place}: two runs on the same {self.added} bars differ in {self.field}: " + (
                    f"{self.before} and {self.after}"
                )
            case _:
                return f"{place}: the strategy changed the bars it was given ({self.before} to {self.after})"


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """Answer of `lookahead`.

    Parameters
    ----------
    strategy
        Its representation.
    bars, symbols
        Size of the data.
    prefixes
        How many truncated runs were compared; `bars` with every=1, unless a finding ended the proof.
    signals
        Signals on all bars (up to the finding, if there is one).
    finding
        The first difference, or None.
    """

    strategy: str
    bars: int
    symbols: int
    prefixes: int
    signals: int
    every: int
    finding: LookaheadFinding | None = None

    @property
    def passed(self) -> bool:
        """Whether no difference was found."""
        return self.finding is None

    def summary(self) -> str:
        """Return one or two lines for a terminal."""
        size = f"{self.bars:,} bars of {self.symbols} symbols"
        if self.finding is not None:
            return f"{self.strategy} looks ahead, or is not repeatable, on {size}:\n  {self.finding}"
        cut = "at every bar" if self.every == 1 else f"at every {self.every}th bar"
        text = f"{self.strategy} does not see the future: it keeps the prefix rule {cut}, "
        text += f"{self.prefixes:,} cuts, {size}, {self.signals:,} signals"
        if not self.signals:
            text += "\n  It gave no signal at all, so this proves little: use more data or other parameters."
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**asdict(self), "passed": self.passed}


@dataclass(frozen=True, slots=True)
class WarmupRow:
    """What so much history changes, against all history.

    `changes` holds, per series, the largest relative difference inside the window; inf where one of the two
    is not yet defined. `signals_changed` counts signals of the window that differ.
    """

    history: int
    changes: Mapping[str, float]
    signals_changed: int

    @property
    def worst(self) -> float:
        """Largest of the changes; 0 where the strategy shows no series."""
        return max(self.changes.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class WarmupReport:
    """Answer of `warmup_report`, shortest history first."""

    strategy: str
    warmup: int
    window: int
    full_history: int
    rows: Sequence[WarmupRow] = field(default_factory=tuple)

    def settled(self, tolerance: float = 1e-6) -> int | None:
        """Return the least history from which on nothing changes by more than `tolerance`, or None."""
        answer: int | None = None
        for row in reversed(self.rows):
            if row.worst > tolerance or row.signals_changed:
                break
            answer = row.history
        return answer

    def summary(self) -> str:
        """Return a table for a terminal."""
        lines = [
            f"{self.strategy}: warm-up {self.warmup} bars; the last {self.window} bars, computed from less "
            f"history than all {self.full_history} bars before them",
            f"{'history':>9}  {'largest change':>15}  {'signals changed':>15}  series",
        ]
        for row in self.rows:
            name = max(row.changes, key=lambda key: row.changes[key]) if row.worst > 0 else ""
            lines.append(f"{row.history:>9}  {row.worst:>15.3g}  {row.signals_changed:>15}  {name}")
        enough = self.settled()
        lines.append(
            f"nothing changes by more than one part in a million from {enough} bars on"
            if enough is not None
            else "even the longest history tried still changes something"
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; an undefined change is None."""
        rows = [
            {
                "history": row.history,
                "changes": {
                    key: value if math.isfinite(value) else None for key, value in row.changes.items()
                },
                "signals_changed": row.signals_changed,
            }
            for row in self.rows
        ]
        return {**asdict(self), "rows": rows, "settled": self.settled()}


def lookahead(
    strategy: Strategy, bars: Bars, *, every: int = 1, progress: Progress | None = None
) -> LookaheadReport:
    """Prove the prefix rule on truncated data, or return the first place where it is broken.

    Parameters
    ----------
    strategy
        Anything with `signals(bars)`. It runs once per cut, so the time grows with the square of the bars.
    bars
        Data on which the strategy gives signals; a few symbols and some hundred bars suffice.
    every
        Distance of the cuts in bars; 1 proves every bar. The end is always a cut.
    progress
        Called with (cuts done, cuts in all).

    Raises
    ------
    StrategyError
        STRATEGY_ON_BAR for a strategy without `signals`, STRATEGY_LOOKAHEAD_EVERY, STRATEGY_NO_BARS.
    """
    _check_arguments(strategy, bars, every)
    rows = len(bars)
    cuts = [*range(every, rows, every), rows]
    untouched = bars.panel.copy()
    names: dict[str, int] = {"": 0}
    before: _Answer | None = None
    finding: LookaheadFinding | None = None
    done = 0
    for done, cut in enumerate(cuts, start=1):
        answer = _ask(strategy, bars, cut, names)
        if isinstance(answer, LookaheadFinding):
            finding = answer
        elif before is not None:
            finding = _compare(before, answer, bars, names)
        if finding is not None:
            break
        before = answer if isinstance(answer, _Answer) else before
        if progress is not None:
            progress(done, len(cuts))
    if finding is None:
        again = _ask(strategy, bars, rows, names)
        finding = again if isinstance(again, LookaheadFinding) else _repeat(before, again, bars, names)
    written = _bars_changed(untouched, bars)
    return LookaheadReport(
        strategy=repr(strategy),
        bars=rows,
        symbols=len(bars.symbols),
        prefixes=done,
        signals=0 if before is None else len(before.records),
        every=every,
        # writing into the bars explains whatever else was found
        finding=written or finding,
    )


def warmup_report(
    strategy: Strategy,
    bars: Bars,
    *,
    window: int = 20,
    multiples: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0),
) -> WarmupReport:
    """Measure how much a longer history changes the values and signals of the last `window` bars.

    Parameters
    ----------
    strategy
        Anything with `signals(bars)`; its `values(bars)`, if there, are measured too.
    bars
        At least `warmup` + `window` + 1 bars.
    window
        Bars at the end on which histories are compared.
    multiples
        Histories to try, in multiples of the strategy's warm-up; those that do not fit are left out.
    """
    _check_arguments(strategy, bars, 1)
    total = len(bars) - window
    warmup = max(1, strategy.warmup)
    histories = sorted({math.ceil(warmup * multiple) for multiple in multiples})
    histories = [history for history in histories if history < total]
    if window < 1 or not histories:
        raise StrategyError(
            f"{len(bars)} bars are too few to measure a warm-up of {warmup} on a window of {window}",
            code="STRATEGY_NO_BARS",
        )
    names: dict[str, int] = {"": 0}
    full = _answer(strategy, bars, names)
    rows = []
    for history in histories:
        first = total - history
        part = _answer(strategy, bars[first:], names)
        changes = {
            name: _change(array[total:], part.values[name][history:]) for name, array in full.values.items()
        }
        whole, piece = full.records.copy(), part.records.copy()
        piece["row"] += first
        whole, piece = whole[whole["row"] >= total], piece[piece["row"] >= total]
        rows.append(WarmupRow(history, changes, _signals_changed(whole, piece)))
    return WarmupReport(repr(strategy), strategy.warmup, window, total, tuple(rows))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a strategy said on so many bars: records with global name codes, and its series."""

    bars: int
    records: Records
    values: Mapping[str, npt.NDArray[Any]]


def _check_arguments(strategy: Strategy, bars: Bars, every: int) -> None:
    if not callable(getattr(strategy, "signals", None)):
        raise StrategyError(
            f"{strategy!r} has no signals(bars). A strategy with on_bar(context) is only ever shown bars "
            "that have closed, so there is no prefix to compare: it keeps the rule by construction",
            code="STRATEGY_ON_BAR",
        )
    if isinstance(every, bool) or int(every) != every or every < 1:
        raise StrategyError(
            f"every is {every!r}; it must be a whole number of bars, at least 1",
            code="STRATEGY_LOOKAHEAD_EVERY",
        )
    if not len(bars):
        raise StrategyError("there are no bars to prove anything on", code="STRATEGY_NO_BARS")


def _ask(strategy: Strategy, bars: Bars, cut: int, names: dict[str, int]) -> _Answer | LookaheadFinding:
    try:
        return _answer(strategy, bars[:cut], names)
    except Exception as error:
        # whatever a strategy raises is a finding about the strategy, with the exception in its words
        text = f"{type(error).__name__}: {error}"
        return LookaheadFinding("raised", cut, cut, cut - 1, _time(bars, cut - 1), "", "", "", text)


def _answer(strategy: Strategy, bars: Bars, names: dict[str, int]) -> _Answer:
    # a copy, so that nothing that the strategy remembers passes from one prefix to the next
    runner = copy.deepcopy(strategy)
    compute = _remember_values(runner, bars)
    signals = runner.signals(bars)
    records = signals.aligned(bars)
    records = records.copy()
    for name in _NAMED:
        table = getattr(signals, "tags" if name == "tag" else "strategies")
        codes = np.array([names.setdefault(text, len(names)) for text in table] or [0], np.int64)
        records[name] = codes[records[name]]
    records = _with_packages(records, signals)
    return _Answer(len(bars), records, {key: np.asarray(array) for key, array in compute().items()})


def _with_packages(records: Records, signals: Signals) -> Records:
    """Return the records with the rules and legs of their packages beside them, in place of the number.

    Fields are named as a reader would: "package dte_exit", "leg 2 strike". Always there, so that answers with
    and without packages compare; zero for signals on the symbol itself.
    """
    from simulator.kernel.dtypes import LEG, PACKAGE

    packages, legs = signals.packages, signals.legs
    fields = [(name, records.dtype[name]) for name in records.dtype.names or ()]
    rules = [(f"package {name}", name) for name in PACKAGE.names or ()]
    parts = [(f"leg {k + 1} {name}", k, name) for k in range(_LEGS) for name in LEG.names or ()]
    fields += [(label, PACKAGE[name]) for label, name in rules] + [
        (label, LEG[name]) for label, _, name in parts
    ]
    made = np.zeros(len(records), np.dtype(fields))
    for name in records.dtype.names or ():
        made[name] = records[name]
    some = np.flatnonzero(records["package"] > 0)
    if some.size:
        at = records["package"][some] - 1
        for label, name in rules:
            made[label][some] = packages[name][at]
        for label, k, name in parts:
            made[label][some] = legs[name][at, k]
    made["package"] = made["package"] > 0
    return made


def _remember_values(runner: Any, bars: Bars) -> Callable[[], Mapping[str, npt.NDArray[Any]]]:
    """Return a function that gives the series of `bars`, without computing again what `signals` asked for."""
    original = getattr(runner, "values", None)
    if not callable(original):
        return dict
    if not hasattr(runner, "__dict__"):
        return lambda: dict(original(bars))
    kept: list[dict[str, npt.NDArray[Any]]] = []

    def values(given: Bars) -> Mapping[str, npt.NDArray[Any]]:
        answer: Mapping[str, npt.NDArray[Any]] = original(given)
        if given is bars:
            kept[:] = [dict(answer)]
        return answer

    runner.values = values
    return lambda: kept[0] if kept else dict(original(bars))


def _compare(
    before: _Answer, after: _Answer, bars: Bars, names: Mapping[str, int]
) -> LookaheadFinding | None:
    past = after.records[: int(np.searchsorted(after.records["row"], before.bars))]
    if past.tobytes() != before.records.tobytes():
        finding = _first_difference(before, past, after.bars, bars, names)
        if finding is not None:
            return finding
    return _first_value_difference(before, after, bars)


def _first_difference(
    before: _Answer, past: Records, added: int, bars: Bars, names: Mapping[str, int]
) -> LookaheadFinding | None:
    known = before.records
    shared = min(len(known), len(past))
    different = np.zeros(shared, bool)
    for name in known.dtype.names or ():
        different |= ~_equal(known[name][:shared], past[name][:shared])
    if not different.any() and len(known) == len(past):
        return None
    index = int(np.argmax(different)) if different.any() else shared
    old = known[index] if index < len(known) else None
    new = past[index] if index < len(past) else None
    words = {code: text for text, code in names.items()}

    def found(kind: str, record: Any, name: str, one: str, two: str) -> LookaheadFinding:
        row, sym = int(record["row"]), int(record["sym"])
        return LookaheadFinding(
            kind, before.bars, added, row, _time(bars, row), bars.symbols[sym], name, one, two
        )

    if old is None or (new is not None and _is_new(old, new)):
        return found("appeared", new, "side", "no signal", _describe(new))
    if new is None or _is_new(new, old):
        return found("vanished", old, "side", _describe(old), "no signal")
    for name in known.dtype.names or ():
        if not _equal(known[name][index : index + 1], past[name][index : index + 1])[0]:
            one, two = old[name], new[name]
            if name in _NAMED:
                return found("changed", old, name, repr(words[int(one)]), repr(words[int(two)]))
            return found("changed", old, name, _text(one), _text(two))
    return None


def _first_value_difference(before: _Answer, after: _Answer, bars: Bars) -> LookaheadFinding | None:
    candidates: list[tuple[int, int, str, str, str]] = []
    for name in [*before.values, *(key for key in after.values if key not in before.values)]:
        if name not in before.values or name not in after.values:
            here = "present" if name in before.values else "absent"
            candidates.append((0, 0, name, here, "absent" if here == "present" else "present"))
            continue
        old, new = before.values[name], after.values[name][: before.bars]
        if old.shape != new.shape:
            candidates.append((0, 0, name, f"of shape {old.shape}", f"of shape {new.shape}"))
            continue
        equal = _equal(old, new)
        if not equal.all():
            place = tuple(int(part) for part in np.argwhere(~equal)[0])
            sym = place[1] if len(place) > 1 else 0
            candidates.append((place[0], sym, name, _text(old[place]), _text(new[place])))
    if not candidates:
        return None
    row, sym, name, one, two = min(candidates, key=lambda item: item[:2])
    return LookaheadFinding(
        "value", before.bars, after.bars, row, _time(bars, row), bars.symbols[sym], name, one, two
    )


def _repeat(
    first: _Answer | None, again: _Answer, bars: Bars, names: Mapping[str, int]
) -> LookaheadFinding | None:
    if first is None:
        return None
    found = _compare(first, again, bars, names)
    if found is None:
        return None
    return LookaheadFinding(
        "not_repeatable",
        first.bars,
        again.bars,
        found.row,
        found.time,
        found.symbol,
        found.field,
        found.before,
        found.after,
    )


def _bars_changed(untouched: npt.NDArray[np.float64], bars: Bars) -> LookaheadFinding | None:
    equal = _equal(untouched, bars.panel)
    if equal.all():
        return None
    row, sym, column = (int(part) for part in np.argwhere(~equal)[0])
    return LookaheadFinding(
        "bars_changed",
        len(bars),
        len(bars),
        row,
        _time(bars, row),
        bars.symbols[sym],
        ("open", "high", "low", "close", "volume")[column],
        _text(untouched[row, sym, column]),
        _text(bars.panel[row, sym, column]),
    )


def _equal(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Compare bit by bit, with any NaN equal to any other."""
    if one.dtype.kind == "f" and one.dtype == two.dtype == np.dtype(np.float64):
        first, second = np.ascontiguousarray(one), np.ascontiguousarray(two)
        bits = np.asarray(first.view(np.int64) == second.view(np.int64))
        return bits if bits.all() else np.asarray(bits | (np.isnan(first) & np.isnan(second)))
    return np.asarray(one == two)


def _is_new(one: Any, other: Any) -> bool:
    """Whether `other` stands before `one` and is about another bar or symbol."""
    if (one["row"], one["sym"]) == (other["row"], other["sym"]):
        return False
    places = [(int(r["row"]), -float(r["priority"]), int(r["sym"])) for r in (one, other)]
    return places[1] < places[0]


def _describe(record: Any) -> str:
    return {1: "long", -1: "short", 0: "close"}[int(record["side"])]


def _text(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _time(bars: Bars, row: int) -> str:
    unit = "D" if bars.daily else "s"
    return str(np.datetime64(int(bars.ts[row]), "ns").astype(f"datetime64[{unit}]"))


def _change(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> float:
    first, second = np.asarray(one, np.float64), np.asarray(two, np.float64)
    if (np.isnan(first) != np.isnan(second)).any():
        return math.inf
    scale = np.maximum(np.abs(first), np.abs(second))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(first == second, 0.0, np.abs(first - second) / scale)
    return float(np.nanmax(relative)) if np.isfinite(relative).any() else 0.0


def _signals_changed(one: Records, two: Records) -> int:
    contract = [f"leg {k + 1} {name}" for k in range(_LEGS) for name in ("side", "right", "strike", "expiry")]

    def keys(records: Records) -> Iterator[tuple[str, ...]]:
        for record in records:
            # as text, in which NaN equals NaN
            yield tuple(_text(record[name]) for name in ("row", "sym", "side", "entry", *contract))

    first, second = set(keys(one)), set(keys(two))
    return len(first ^ second)
