"""The configuration file: `twinstep.toml`, validated, with every limit, cost and convention in it.

A value comes from the command line if a flag gives it, else from the file, else from the defaults of the
classes in `simulator`. The file is the one named by `--config`, else `twinstep.toml` in the current folder,
if there is one. An unknown section or key, a wrong type or a value outside its range is an error that names
file, line and section; nothing is ignored.

>>> load_settings(changes=["risk.max_open_positions=8"]).risk.max_open_positions
8
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from live.brokers.settings import BrokerSettings
from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import ConfigError, TwinstepError, did_you_mean
from simulator.risk_limits import RiskLimits
from twinstep.schema import Account, Alerts, Data, Journal, Key, Live, Report, Section, schema

__all__ = ["FILE_NAME", "Settings", "find_file", "load_settings"]

FILE_NAME: Final = "twinstep.toml"
HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run needs beside a strategy. `risk` is None where the risk manager is switched off."""

    account: Account
    risk: RiskLimits | None
    costs: Costs
    conventions: Conventions
    data: Data
    report: Report
    journal: Journal
    alerts: Alerts
    live: Live
    broker: BrokerSettings
    path: Path | None
    given: Mapping[str, Any] = field(repr=False)
    """Values that somebody gave, by dotted key, secrets included; the others are defaults."""
    origins: Mapping[str, str]
    """Where each of them came from: "twinstep.toml:12" or "the command line"."""

    def value(self, key: Key) -> Any:
        """Value in force for a key, with an enumeration as its name, and stars for secrets."""
        if key.secret:
            return tuple(HIDDEN for _ in getattr(getattr(self, key.section), key.name))
        if key.path in self.given:
            return self.given[key.path]
        if key in schema()[key.section].extra:
            return key.default  # no field: the class may have a method of that name
        value = getattr(getattr(self, key.section), key.name, key.default)
        return value.name if isinstance(value, Enum) else value


def find_file(given: str | Path | None) -> Path | None:
    """Return the file to read: the given one, else `twinstep.toml` here, else None."""
    if given is not None:
        path = Path(given)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise ConfigError(
                f"configuration file {path} {what}; `twinstep config init` writes one",
                code="CONFIG_FILE",
            )
        return path
    here = Path(FILE_NAME)
    return here if here.is_file() else None


def load_settings(
    file: str | Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    changes: Iterable[str] = (),
    search: bool = True,
) -> Settings:
    """Return the settings in force.

    Parameters
    ----------
    file
        Configuration file; None: `twinstep.toml` in the current folder, if there is one and `search` is true.
    flags
        Values by dotted key ("account.cash"), as TOML would give them; None values are skipped. A flag that
        chooses a preset or a profile replaces the whole section of the file.
    changes
        "section.key=value" texts, read as TOML values.
    search
        Whether to look for a file where none is given.

    Raises
    ------
    ConfigError
        `CONFIG_FILE`, `CONFIG_TOML`, `CONFIG_SECTION`, `CONFIG_KEY`, `CONFIG_TYPE`, or the code of the class
        that refuses the value, with file and line in front.
    """
    path = find_file(file) if file is not None or search else None
    given = _read(path) if path is not None else {}
    for dotted, value in _from_command_line(flags or {}, changes):
        section, name = _split(dotted)
        if name == section.bundle:
            given = {key: held for key, held in given.items() if not key.startswith(f"{section.name}.")}
        given[dotted] = _Given(value, "the command line")
    values = {dotted: _coerce(_key(dotted), item) for dotted, item in given.items()}
    built = {name: _build(section, values, given) for name, section in schema().items()}
    return Settings(
        **built, path=path, given=values, origins={dotted: item.origin for dotted, item in given.items()}
    )


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    origin: str


def _read(path: Path) -> dict[str, _Given]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", code="CONFIG_FILE") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", code="CONFIG_TOML") from error
    given: dict[str, _Given] = {}
    for name, content in tree.items():
        where = f"{path}:{_line_of(text, name, None)}"
        if name not in schema():
            raise _unknown_section(name, where)
        if not isinstance(content, dict):
            raise ConfigError(f"{where}: {name} is a section; write [{name}]", code="CONFIG_SECTION")
        for key, value in content.items():
            given[f"{name}.{key}"] = _Given(value, f"{path}:{_line_of(text, name, key)}")
    for dotted, item in given.items():
        _key(dotted, f"{item.origin}: ")
    return given


def _line_of(text: str, section: str, key: str | None) -> int:
    """Line of a key for messages; the TOML reader does not keep it. Line 1 where it is written unusually."""
    current = ""
    header_line = 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*[\"']?([^\"'\].]+)", line)
        if header:
            current = header.group(1).strip()
            if current == section:
                header_line = number
                if key is None:
                    return number
        elif key is None and re.match(rf"\s*[\"']?{re.escape(section)}[\"']?\s*[.=]", line):
            return number
        elif current == section and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return header_line


def _from_command_line(flags: Mapping[str, Any], changes: Iterable[str]) -> list[tuple[str, object]]:
    items: list[tuple[str, object]] = []
    for change in changes:
        dotted, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(
                f"--set {change!r} has no '='; write section.key=value, as risk.max_open_positions=8",
                code="CONFIG_SET",
            )
        items.append((dotted.strip(), _toml_value(value.strip())))
    items.extend((dotted, value) for dotted, value in flags.items() if value is not None)
    # A preset or a profile first: it clears its section, and must not clear what stands beside it.
    return sorted(items, key=lambda item: not item[0].endswith((".preset", ".profile")))


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # the shell has eaten the quotes


def _split(dotted: str) -> tuple[Section, str]:
    name, _, key = dotted.partition(".")
    if name not in schema() or not key:
        raise _unknown_section(name, "--set")
    return schema()[name], key


def _key(dotted: str, where: str = "") -> Key:
    section, name = _split(dotted)
    if name in section.keys:
        return section.keys[name]
    homes = [other.name for other in schema().values() if name in other.keys]
    hint = f" It belongs in [{homes[0]}]." if homes else did_you_mean(name, section.keys)
    raise ConfigError(f"{where}[{section.name}] has no key {name!r}.{hint}", code="CONFIG_KEY")


def _unknown_section(name: str, where: str) -> ConfigError:
    homes = [other.name for other in schema().values() if name in other.keys]
    hint = f" {name} is a key of [{homes[0]}]." if homes else did_you_mean(name, schema())
    return ConfigError(f"{where}: no section {name!r}.{hint}", code="CONFIG_SECTION")


def _coerce(key: Key, given: _Given) -> Any:
    try:
        return key.coerce(given.value)
    except ConfigError as error:
        raise _located(error, given.origin) from error


def _build(section: Section, values: Mapping[str, Any], given: Mapping[str, _Given]) -> Any:
    mine = {dotted.partition(".")[2]: value for dotted, value in values.items() if _is_in(section, dotted)}
    try:
        if section.name == "risk" and not mine.pop("enabled", True):
            RiskLimits(**mine)  # a wrong limit stays wrong while the manager is off
            return None
        if section.bundle is None:
            return section.fills(**mine)
        bundle = section.fills.of(mine.pop(section.bundle, section.keys[section.bundle].default))
        return bundle.replace(**mine) if mine else bundle
    except TwinstepError as error:
        culprit = [dotted for dotted in given if _is_in(section, dotted) and _names(error, dotted)]
        raise _located(error, given[culprit[0]].origin if culprit else f"[{section.name}]") from error


def _is_in(section: Section, dotted: str) -> bool:
    return dotted.startswith(f"{section.name}.")


def _names(error: TwinstepError, dotted: str) -> bool:
    key = dotted.partition(".")[2]
    return bool(re.search(rf"\b{re.escape(key)}\b", str(error.args[0])))


def _located(error: TwinstepError, origin: str) -> TwinstepError:
    if origin == "the command line":
        return error
    return type(error)(f"{origin}: {error.args[0]}", code=error.code)
