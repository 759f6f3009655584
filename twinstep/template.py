"""The commented configuration file that `twinstep config init` writes, generated from the classes it fills.

Every key stands in the file with its default. A key under a preset or a profile is commented out, because a
line in force would override the bundle whatever bundle is chosen.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from twinstep.schema import NONE, Key, Section, schema

__all__ = ["reference", "template", "toml_value"]

_HEAD: Final = """\
Twinstep configuration. Every key is optional and shown with its default.
A flag on the command line goes before this file, and this file before the defaults.
`twinstep config check` reads it and says what is wrong; `twinstep config show` prints what is in force.
"none" means: no limit, or nothing."""
_WIDTH: Final = 100
_TABLE_HEAD: Final = ("| key | default | may be | meaning |", "|---|---|---|---|")


def template() -> str:
    """Return the text of a configuration file that changes nothing."""
    parts = [_comment(_HEAD)]
    parts += ["\n".join(_section(section)) for section in schema().values()]
    return "\n\n".join(parts) + "\n"


def reference() -> str:
    """Return the tables of `docs/configuration.md`: every key, its default, its type, its meaning."""
    parts = []
    for section in schema().values():
        rows = [
            f"| `{key.name}` | `{toml_value(key.default)}` | {_kind(key)} | {_escape(key)} |"
            for key in section.keys.values()
        ]
        parts.append("\n".join([f"### [{section.name}]", "", section.title, "", *_TABLE_HEAD, *rows]))
    return "\n\n".join(parts) + "\n"


def toml_value(value: Any) -> str:
    """Return a value as TOML: None is "none", a tuple a list."""
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _section(section: Section) -> Iterator[str]:
    yield f"[{section.name}]"
    yield _comment(section.title)
    # keys explained by one sentence stand together under it
    for doc, keys in groupby(section.keys.values(), key=lambda key: key.doc):
        yield ""
        yield _comment(_explained(doc))
        for key in keys:
            yield _line(key, section)


def _line(key: Key, section: Section) -> str:
    overrides = section.bundle is not None and key.name != section.bundle
    line = f"{'# ' if overrides else ''}{key.name} = {toml_value(key.default)}"
    return f"{line}  # {' | '.join(key.choices)}" if key.choices else line


def _kind(key: Key) -> str:
    return ", ".join(f"`{choice}`" for choice in key.choices) or key.wanted


def _escape(key: Key) -> str:
    return _explained(key.doc).replace("|", "\\|")


def _explained(doc: str) -> str:
    """Explanation in the words of the file, which has no None."""
    return re.sub(r"\bNone:", f'"{NONE}":', doc)


def _comment(text: str) -> str:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _WIDTH)]
    return "\n".join(f"# {line}" for line in lines)
