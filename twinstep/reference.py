"""The generated parts of `docs/`: every command with its options, every key of the configuration.

`python -m twinstep.reference docs` rewrites what stands between the markers; a test fails on stale ones.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from twinstep.cli import app
from twinstep.template import reference as configuration

__all__ = ["PAGES", "commands", "refreshed"]

BEGIN: Final = "<!-- generated: make docs -->\n"
END: Final = "<!-- end -->"


def commands() -> str:
    """Return a section per command: what it does, its arguments and options, its examples."""
    return "\n".join(
        _section(path, command) for path, command in _walk(typer.main.get_command(app), "twinstep")
    )


def refreshed(text: str, generated: str) -> str:
    """Return the page with its generated part replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{generated.rstrip()}\n\n{END}{after}"


PAGES: Final[dict[str, Callable[[], str]]] = {"cli.md": commands, "configuration.md": configuration}
"""Pages and what generates their tables."""


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    lines = [f"### {path}", "", " ".join((command.help or "").split()), ""]
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    examples = re.findall(r"^  (twinstep .+)$", command.epilog or "", flags=re.MULTILINE)
    if examples:
        lines += ["```console", *(f"$ {example}" for example in examples), "```", ""]
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
    return f"| `{name}{value}` | {meaning} |".replace("1d|1h|…", "1d\\|1h\\|…").replace(
        "csv|parquet|json", "csv\\|parquet\\|json"
    )


def main(folder: Path) -> None:
    """Rewrite the pages in a folder."""
    for name, generate in PAGES.items():
        page = folder / name
        page.write_text(refreshed(page.read_text(encoding="utf-8"), generate()), encoding="utf-8")
        print(f"wrote {page}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
