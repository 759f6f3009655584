"""What the page "learning" shows: sets of learned settings, what speaks for them, and the ledger of refusals.

Sets are those of `ParameterStore`, as `twinstep parameters show` and `diff` have them; the ledger is
`CounterfactualLedger`, with its own intervals and its own sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twinstep.dashboard.reading.parts import first_source, opened, part
from twinstep.dashboard.reading.reader import Reader

if TYPE_CHECKING:
    from journal.parameters import ParameterSet
    from simulator.results.counterfactuals import Line

__all__ = ["Change", "Component", "Learning", "Ledger", "SetLines", "read_ledger", "read_parameters"]

_COUNTS: Final = "SELECT source, count(*) AS n FROM counterfactuals GROUP BY source"
# a verdict without an amount asked for was refused as a whole
_PENDING: Final = (
    "SELECT name, n FROM (SELECT s.name, s.id, (SELECT count(*) FROM verdicts v WHERE v.run_id = s.run_id "
    "AND NOT coalesce(v.granted >= v.asked, 0) AND v.rule NOT IN ('close_accepted', 'nothing_to_close')) "
    "- (SELECT count(*) FROM counterfactuals c WHERE c.session = s.name AND c.origin = 'rule') AS n "
    "FROM sessions s) WHERE n > 0 ORDER BY id DESC"
)
_LONGEST: Final = 8
"""Values of a list that a line still shows."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that a set changes, in words."""

    setting: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLines:
    """A set, what it changes against the one before it, and what it was proposed with.

    Attributes
    ----------
    before
        What it is compared with, in words.
    evidence
        A value under its path; long lists by their length.
    """

    set: ParameterSet
    before: str
    changes: tuple[Change, ...]
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """The sets of one component: the one in force (None: defaults apply), what waits, and what was."""

    name: str
    in_force: SetLines | None
    back_to: str
    waiting: tuple[SetLines, ...]
    past: tuple[ParameterSet, ...]


@dataclass(frozen=True, slots=True)
class Learning:
    """All components; `components` is None where the journal cannot be read."""

    components: tuple[Component, ...] | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What rules and people kept out of the account; `counts` are cases by source.

    Attributes
    ----------
    pending
        Sessions with signals that their rules refused and nobody has run yet, and how many.
    """

    source: str
    counts: Mapping[str, int]
    rules: tuple[Line, ...] = ()
    decisions: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    pending: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """Range of R that all intervals share, with 0 inside."""
        import math

        found = [0.0]
        for line in (*self.rules, *self.decisions):
            found += [x for x in (line.saved, line.saved_low, line.saved_high) if math.isfinite(x)]
        return min(found), max(found)


def read_parameters(reader: Reader) -> Learning:
    """Return the sets of all components, a component in the order of its first set."""
    problems: list[str] = []
    name = f"The journal {reader.journal.name}"
    if not reader.journal.exists():
        return Learning(None, (f"{name} cannot be read: it is not there yet",))
    found = part(problems, name, lambda: _components(reader))
    return Learning(found, tuple(problems))


def read_ledger(reader: Reader, *, real: bool, source: str | None = None) -> Ledger:
    """Return the ledger of a source, of the first that has cases where none is named."""
    problems: list[str] = []
    if not reader.journal.exists():
        return Ledger(source=source or first_source({}, real=real), counts={})
    rows = part(problems, "The ledger", lambda: reader.ask(_COUNTS)) or []
    counts = {str(row["source"]): int(row["n"]) for row in rows}
    chosen = source or first_source(counts, real=real)
    lines = None if problems else part(problems, "The ledger", lambda: _lines(reader, chosen))
    rules, decisions, notes = lines or ((), (), ())
    # sessions trade on paper, whatever else is shown
    left = part(problems, "The verdicts", lambda: reader.ask(_PENDING)) if chosen == "paper" else None
    return Ledger(
        source=chosen, counts=counts, rules=rules, decisions=decisions, notes=notes,
        pending=tuple((str(row["name"]), int(row["n"])) for row in left or ()), problems=tuple(problems),
    )  # fmt: skip


def _lines(reader: Reader, source: str) -> tuple[tuple[Line, ...], tuple[Line, ...], tuple[str, ...]]:
    from journal.counterfactuals import CounterfactualLedger
    from journal.trade_journal import TradeJournal
    from simulator.evidence import METHOD
    from simulator.results.counterfactuals import ALONE

    with opened(reader) as database:
        ledger = CounterfactualLedger(TradeJournal(database), source=source)
        rules, decisions = tuple(ledger.lines("rule")), tuple(ledger.lines("decision"))
    return rules, decisions, (f"Intervals: {METHOD}.", ALONE)


def _components(reader: Reader) -> tuple[Component, ...]:
    from journal.parameters import ParameterStore

    with opened(reader) as database:
        history = ParameterStore(database).history()
    names = dict.fromkeys(one.component for one in history)
    return tuple(_component(name, [one for one in history if one.component == name]) for name in names)


def _component(name: str, history: list[ParameterSet]) -> Component:
    numbered = {one.id: one for one in history}
    current = next((one for one in history if one.status == "in_force"), None)
    before = None if current is None else numbered.get(current.parent_id or -1)
    return Component(
        name=name,
        in_force=None if current is None else _set_lines(current, before),
        back_to="the defaults" if before is None else f"version {before.version}",
        waiting=tuple(_set_lines(one, current) for one in history if one.status == "proposed"),
        past=tuple(one for one in reversed(history) if one.status not in ("proposed", "in_force")),
    )


def _set_lines(one: ParameterSet, before: ParameterSet | None) -> SetLines:
    old = {} if before is None else before.settings
    names = sorted({*old, *one.settings})
    defaults = _defaults(one.component)
    pairs = [
        (name, old.get(name, defaults.get(name)), one.settings.get(name, defaults.get(name)))
        for name in names
    ]
    return SetLines(
        set=one,
        before="the defaults" if before is None else f"version {before.version}",
        changes=tuple(
            Change(name, _word(first), _word(second))
            for name, first, second in pairs
            if _plain(first) != _plain(second)
        ),
        evidence=tuple(_flat(one.evidence)),
    )


def _defaults(component: str) -> dict[str, Any]:
    """Return what applies where a set does not say."""
    import dataclasses

    from journal.learning.rules import DEFAULTS

    known: dict[str, Any] = dict(DEFAULTS.get(component, {}))
    if component == "options_scanner":
        from strategies.scanner_settings import ScanSettings

        known = {spec.name: spec.default for spec in dataclasses.fields(ScanSettings)} | known
    return known


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one) for one in value) or "none"
    return f"{value:,g}".replace("-", "−") if isinstance(value, float) else str(value)


def _flat(evidence: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in evidence.items():
        path = f"{above}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path} · ")
        elif isinstance(value, list) and (
            len(value) > _LONGEST or any(isinstance(one, (dict, list)) for one in value)
        ):
            yield path, f"{len(value)} entries"
        else:
            yield path, _word(value)
