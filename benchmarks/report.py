"""What a section of the benchmark found, and how it is shown: a table for people, JSON for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.agreement import Agreement


@dataclass(frozen=True)
class Check:
    """One number against its target: a ratio that should be at least, or seconds that should be at most."""

    name: str
    value: float
    target: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass
class Section:
    """One comparison: what agreed first, then measurements row by row, then targets."""

    key: str
    title: str
    agreements: dict[str, Agreement] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every comparison of trades holds; without that nothing is timed."""
        return all(agreement.holds for agreement in self.agreements.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the section for JSON."""
        return {
            "key": self.key,
            "title": self.title,
            "agrees": self.agrees,
            "agreements": {
                name: {"trades": found.trades, "agrees": found.holds, "difference": found.difference}
                for name, found in self.agreements.items()
            },
            "rows": self.rows,
            "checks": [{**asdict(check), "met": check.met} for check in self.checks],
            "notes": self.notes,
        }


def show(section: Section) -> None:
    """Print a section to the terminal."""
    from rich.console import Console
    from rich.table import Table

    # a file or a pipe has no width of its own, and eighty columns would break the tables
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(f"\n[bold]{section.title}[/bold]")
    for name, found in section.agreements.items():
        if found.holds:
            console.print(f"  {found.trades:,} trades agree with {name}")
        else:
            console.print(f"  [red]trades differ from {name}: {found.difference}[/red]")
    if section.rows:
        table = Table(show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        columns = list(dict.fromkeys(name for row in section.rows for name in row))
        for name in columns:
            numeric = any(isinstance(row.get(name), (int, float)) for row in section.rows)
            table.add_column(name, justify="right" if numeric else "left")
        for row in section.rows:
            table.add_row(*(_text(name, row.get(name)) for name in columns))
        console.print(table)
    for check in section.checks:
        word = "[green]met[/green]" if check.met else "[yellow]not met[/yellow]"
        relation = "at least" if check.at_least else "at most"
        console.print(f"  {check.name}: {check.value:,.4g} (target {relation} {check.target:,.4g}) {word}")
    for note in section.notes:
        console.print(f"  {note}")


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        if name.endswith("ms"):
            return f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
