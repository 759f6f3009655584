"""The generated parts of `docs/`: commands, configuration keys, metrics, conventions, limits, order states.

`python -m twinstep.reference docs`, which is what `make docs` does, rewrites what stands between the
markers; a test fails on stale ones. What is not made here comes from where it is known: the configuration's
tables from `twinstep.template`, the metrics' from their definitions, and what only a run of the engine can
say from `twinstep.reference_conventions` and `twinstep.reference_risk`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import typer.main

from simulator.results.metrics import definitions_table
from simulator.types import OrderState, allowed_transitions
from twinstep.cli import app
from twinstep.reference_conventions import EXAMPLES, profiles
from twinstep.reference_names import PACKAGES, public_names
from twinstep.reference_pictures import drawings, example_of
from twinstep.reference_risk import halts, heats, limits, verdicts
from twinstep.reference_tables import table
from twinstep.template import reference as configuration

__all__ = ["NOT_RUN", "PAGES", "commands", "refreshed", "transitions"]

Blocks = Mapping[str, Callable[[], str]]
_END: Final = "<!-- end -->"

_NETWORK: Final = "needs the network; lines with `yfinance:`"
_ACCOUNT: Final = "needs an account at a broker"
_WAITING: Final = "needs a request that waits for an answer"
_RUNNING: Final = "needs a session that is running"
NOT_RUN: Final = {
    "paper": _NETWORK,
    "live": _ACCOUNT,
    "broker": _ACCOUNT,
    "approve": _WAITING,
    "reject": _WAITING,
    "close": _RUNNING,
    "close-all": _RUNNING,
    "counterfactuals": _NETWORK,
    "exchange": "waits for clients until it is interrupted",
    "dashboard": "serves pages until it is interrupted",
    "alerts": "needs addresses that can be reached",
    "data": _NETWORK,
    "runs": "names runs by the beginning of a fingerprint; lines with `4d56`",
    "trials": "names a hypothesis by a hash of its bars; lines with `3f2a`",
}
"""Why the examples of a command are not run by the tests; see `tests/snippets`."""


def commands() -> str:
    """Return a section per command: what it does, its arguments and options, its examples."""
    return "\n".join(
        _section(path, command) for path, command in _walk(typer.main.get_command(app), "twinstep")
    )


def transitions() -> str:
    """Return the states of an order, each with those that may follow it."""
    rows = []
    for state in OrderState:
        following = sorted(allowed_transitions(state))
        rows.append((f"`{state.name}`", ", ".join(f"`{other.name}`" for other in following) or "final"))
    return table(("state", "may become"), rows)


def refreshed(text: str, blocks: Blocks) -> str:
    """Return a page with what stands between its markers made anew; a missing one is a `LookupError`."""
    for name, generate in blocks.items():
        begin = f"<!-- generated: {name} -->\n"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(_END)
        if not (found and ended):
            raise LookupError(f"no marker {begin.strip()!r} with {_END!r} below it")
        text = f"{before}{begin}\n{generate().rstrip()}\n\n{_END}{after}"
    return text


# where a page has one generated part, its marker says how it is made
PAGES: Final[dict[str, Blocks]] = {
    "cli.md": {"make docs": commands},
    "configuration.md": {"make docs": configuration},
    "conventions.md": {**{name: partial(example_of, name) for name in EXAMPLES}, "profiles": profiles},
    "metrics.md": {"make docs": definitions_table},
    "orders.md": {"transitions": transitions},
    **{f"api_{page}.md": {"make docs": partial(public_names, page)} for page in PACKAGES},
    "risk.md": {"limits": limits, "verdicts": verdicts, "heat": heats, "halts": halts},
}
"""Pages, the names of their markers, and what generates the parts between them."""


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:  # a former name
            yield from _walk(child, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    lines = [f"### {path}", "", " ".join((command.help or "").split()), ""]
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    examples = re.findall(r"^  (twinstep .+)$", command.epilog or "", flags=re.MULTILINE)
    if examples:
        reason = NOT_RUN.get(path.split()[1], "")
        named = re.findall(r"`([^`]+)`", reason)
        excused = reason and (not named or any(word in one for word in named for one in examples))
        marker = [f"<!-- not run: {reason} -->"] if excused else []
        lines += [*marker, "```console", *(f"$ {example}" for example in examples), "```", ""]
    return "\n".join(lines)


def _row(parameter: Any) -> str:
    meaning = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return f"| `{parameter.metavar or parameter.name.upper()}` | {meaning} |"
    name = parameter.opts[0]
    value = "" if getattr(parameter, "is_flag", False) else f" {parameter.metavar or 'VALUE'}"
    default = parameter.default
    if default is not None and not isinstance(default, (bool, list, tuple)) and not callable(default):
        meaning += f" Default: {default}."
    value = value.replace("|", "\\|")
    return f"| `{name}{value}` | {meaning} |"


def main(folder: Path) -> None:
    """Rewrite the pages in a folder."""
    for name, blocks in PAGES.items():
        page = folder / name
        page.write_text(refreshed(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
        print(f"wrote {page}")
    for name, drawn in drawings().items():
        (folder / "pictures" / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
