"""What a configuration file may say, read off the dataclasses that it fills.

A section of the file is a dataclass (`RiskLimits`, `Costs`, ...) plus, at most, a key or two that choose a
bundle. Names, types, defaults and explanations all come from the class and its docstring, so a new limit is
configurable, documented and checked as soon as its field exists.

>>> {key.name for key in keys_of(RiskLimits, "risk")} >= {"risk_per_trade_pct", "leverage"}
True
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import re
import types
import typing
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from live.brokers.settings import BrokerSettings
from simulator.conventions import CHOICES, PROFILES, Conventions
from simulator.costs import PRESETS, Costs
from simulator.errors import ConfigError
from simulator.risk_limits import POLICIES, RiskLimits

__all__ = [
    "NONE",
    "SECTIONS",
    "Account",
    "Alerts",
    "Data",
    "Journal",
    "Key",
    "Live",
    "Report",
    "Section",
    "keys_of",
    "parameter_docs",
    "schema",
]

NONE: Final = "none"
"""How a file says "no limit": TOML has no null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that a run starts with.

    Parameters
    ----------
    cash
        Starting cash, in the currency of the prices.
    """

    cash: float = 100_000.0

    def __post_init__(self) -> None:
        if not 0.0 < self.cash < float("inf"):
            raise ConfigError(
                f"cash is {self.cash:g}; an account starts with more than 0", code="CONFIG_CASH"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Which bars a run reads.

    Parameters
    ----------
    source
        "sample:stocks" and other samples, a CSV or Parquet file or a folder of them, "yfinance:AAPL,MSFT", or
        "synthetic:...".
    symbols
        Symbols to keep; empty: all.
    start, end
        First and last date, as "2010-01-31"; "none": everything there is.
    timeframe
        Length of a bar where the source offers a choice, as "1d" or "1h".
    calendar
        Exchange calendar, as "XNYS", or "24/7".
    guard
        What to do with impossible bars: "raise" an error, "drop" them, or "note" and keep them.
    adjust
        What prices contain: "all" adjustments, "splits" only, or "none": raw prices, on which splits and
        dividends act.
    sectors
        Sector of each symbol that the source does not know it of, as ["AAPL=Technology", "XOM=Energy"]; those
        without one share the sector "Unknown", and its limit.
    cache_dir
        Folder for downloaded bars; "none": the user's cache folder.
    """

    source: str = "sample:stocks"
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    timeframe: str = "1d"
    calendar: str = "XNYS"
    guard: str = "raise"
    adjust: str = "all"
    sectors: tuple[str, ...] = ()
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None:
                _iso_date(name, value)
        if self.start and self.end and self.end < self.start:
            raise ConfigError(f"end {self.end} is before start {self.start}", code="CONFIG_DATES")
        _one_of("guard", self.guard, GUARDS, code="CONFIG_GUARD")
        _one_of("adjust", self.adjust, ADJUSTMENTS, code="CONFIG_ADJUST")
        for given in self.sectors:
            symbol, _, sector = given.partition("=")
            if not symbol.strip() or not sector.strip():
                raise ConfigError(
                    f'sectors has {given!r}; each is a symbol and its sector, as "AAPL=Technology"',
                    code="CONFIG_SECTOR",
                )

    @property
    def sector_of(self) -> dict[str, str]:
        """Sector by symbol, as `sectors` gives them, for symbols in lower and in upper case alike."""
        pairs = [(given.partition("=")[0].strip(), given.partition("=")[2].strip()) for given in self.sectors]
        either = {word: sector for symbol, sector in pairs for word in (symbol.lower(), symbol.upper())}
        return either | dict(pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run leaves behind, where no flag says otherwise.

    Parameters
    ----------
    path
        HTML report to write after every backtest; "none": no report.
    export
        Folder for trades, fills, equity and verdicts; "none": no export.
    export_format
        "csv", "parquet" or "json".
    benchmark
        Symbol of the bars, or another source as "sample:spx", that alpha, beta and capture are measured
        against; "none": all symbols of the bars, held in equal parts.
    interval
        Also run the "worst" and "best" conventions and name the trades that depend on them.
    keep
        Whether every backtest is kept in the folder `runs` beside the journal, for `twinstep runs` and the
        dashboard.
    """

    path: str | None = None
    export: str | None = None
    export_format: str = "csv"
    benchmark: str | None = None
    interval: bool = False
    keep: bool = True

    def __post_init__(self) -> None:
        _one_of("export_format", self.export_format, FORMATS, code="CONFIG_FORMAT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The journal that `twinstep journal`, `learn` and `report` open, and the ledger of trials beside it.

    Parameters
    ----------
    path
        File, or the address of a PostgreSQL database.
    source
        Which trades they log and look at: "live", "paper" or "backtest".
    trials
        Whether every backtest, sweep and study is counted in `trials.db` beside the journal.
    """

    path: str = "trade_journal.db"
    source: str = "live"
    trials: bool = True

    def __post_init__(self) -> None:
        _one_of("source", self.source, TRADE_SOURCES, code="CONFIG_JOURNAL_SOURCE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Who is told what happens while nobody looks.

    Parameters
    ----------
    urls
        Addresses of apprise, as "tgram://token/chat"; secrets, never shown. Better in the file, or in the
        environment variable TWINSTEP_ALERTS.
    file
        File with further addresses, one a line; "none": no file.
    kinds
        Which alerts go out, as ["stop_hit", "kill_switch"]; empty: all.
    per_hour
        Alerts of each kind that go out within an hour; the others are told together afterwards.
    """

    urls: tuple[str, ...] = dataclasses.field(default=(), repr=False, metadata={"secret": True})
    file: str | None = None
    kinds: tuple[str, ...] = ()
    per_hour: int = 10

    def __post_init__(self) -> None:
        for kind in self.kinds:
            _one_of("kinds", kind, ALERT_KINDS, code="CONFIG_ALERT_KIND")
        if self.per_hour < 1:
            raise ConfigError(f"per_hour is {self.per_hour}; it is at least 1", code="CONFIG_ALERT_RATE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What real money needs in the file; paper needs none of it.

    Parameters
    ----------
    key
        Whether orders may reach a broker that trades real money: one of three locks, beside the flag where
        trading is started and a kill switch of scope live that a person has armed.
    full_auto
        Whether they may do so without a person's decision.
    """

    key: bool = False
    full_auto: bool = False


ALERT_KINDS: Final = (
    "profit_half", "stop_hit", "kill_switch", "daily_loss_half", "daily_loss_full", "approval_waiting",
    "feed_stale", "reconcile_difference", "slippage_drift",
)  # fmt: skip
TRADE_SOURCES: Final = ("live", "paper", "backtest")
GUARDS: Final = ("raise", "drop", "note")
ADJUSTMENTS: Final = ("all", "splits", "none")
FORMATS: Final = ("csv", "parquet", "json")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file: where it is, what it may be, what it is without the file, and what it means."""

    section: str
    name: str
    kind: type
    optional: bool
    default: Any
    doc: str
    choices: tuple[str, ...] = ()
    secret: bool = False
    """Whether its value is shown nowhere."""

    @property
    def path(self) -> str:
        """Dotted name, as in `--set risk.leverage=2`."""
        return f"{self.section}.{self.name}"

    @property
    def wanted(self) -> str:
        """Words for an error message and for the documentation."""
        word = _WORDS.get(self.kind, "one of the names")
        return f"{word} or {NONE!r}" if self.optional else word

    def coerce(self, value: object) -> Any:
        """Return the value as the dataclass takes it; a wrong type is a `ConfigError`."""
        if self.optional and value == NONE:
            return None
        if isinstance(value, dt.date) and self.kind is str:
            return value.isoformat()[:10]  # TOML writes dates without quotes
        right = {
            float: isinstance(value, (int, float)) and not isinstance(value, bool),
            int: isinstance(value, int) and not isinstance(value, bool),
            bool: isinstance(value, bool),
            str: isinstance(value, str),
            tuple: isinstance(value, list) and all(isinstance(item, str) for item in value),
        }.get(self.kind, isinstance(value, (str, int)) and not isinstance(value, bool))
        if not right:
            given = "a text in quotes" if isinstance(value, str) else f"a {type(value).__name__}"
            shown = "" if self.secret else f"{value!r}, "
            raise ConfigError(f"{self.path} is {shown}{given}; it must be {self.wanted}", code="CONFIG_TYPE")
        if self.kind is float:
            return float(typing.cast("float", value))
        return tuple(typing.cast("list[str]", value)) if self.kind is tuple else value


@dataclass(frozen=True, slots=True)
class Section:
    """One section: the dataclass that it fills, and the keys that are not fields of it.

    `bundle` names the key that chooses a preset or a profile; the other keys then override it, one by one.
    """

    name: str
    fills: type[Any]
    title: str
    bundle: str | None = None
    extra: tuple[Key, ...] = ()

    @property
    def keys(self) -> dict[str, Key]:
        """All keys by name, those that are no fields first."""
        fields = keys_of(self.fills, self.name, skip=("name",) if self.bundle else ())
        return {key.name: key for key in (*self.extra, *fields)}


def keys_of(fills: type[Any], section: str, skip: tuple[str, ...] = ()) -> tuple[Key, ...]:
    """Return the keys of a dataclass, in the order of its fields."""
    hints = typing.get_type_hints(fills)
    docs = parameter_docs(fills)
    keys = []
    for field in dataclasses.fields(fills):
        if field.name in skip:
            continue
        kind, optional = _kind(hints[field.name])
        choices = (
            tuple(CHOICES.get(field.name, ()))
            if fills is Conventions
            else tuple(POLICIES.get(field.name, ()))
        )
        doc, secret = docs.get(field.name, ""), bool(field.metadata.get("secret"))
        keys.append(Key(section, field.name, kind, optional, _default(field), doc, choices, secret))
    return tuple(keys)


def parameter_docs(fills: type[Any]) -> dict[str, str]:
    """Return the explanation of each parameter from a numpy docstring; names on one line share theirs."""
    docs: dict[str, str] = {}
    names: list[str] = []
    text = inspect.getdoc(fills) or ""
    _, _, body = text.partition("----------\n")
    for line in body.splitlines():
        if line.startswith(" "):
            for name in names:
                docs[name] = f"{docs.get(name, '')} {line.strip()}".strip()
        elif re.fullmatch(r"\w+(, \w+)*", line):
            names = line.split(", ")
        elif line.strip():
            break  # the next section of the docstring
    return docs


def schema() -> dict[str, Section]:
    """Return all sections by name, in the order of the file."""
    return {section.name: section for section in SECTIONS}


def _kind(hint: Any) -> tuple[type, bool]:
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    kinds = [member for member in members if member is not type(None)]
    return typing.get_origin(kinds[0]) or kinds[0], len(kinds) < len(members)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is dataclasses.MISSING:
        raise TypeError(f"field {field.name} of a configuration section needs a plain default")
    return field.default.name if isinstance(field.default, Enum) else field.default


def _one_of(name: str, value: str, choices: tuple[str, ...], *, code: str) -> None:
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; it may be {', '.join(choices)}", code=code)


def _iso_date(name: str, value: str) -> None:
    try:
        dt.date.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(f"{name} is {value!r}; a date is written 2010-01-31", code="CONFIG_DATE") from error


_WORDS: Final[dict[type, str]] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text in quotes",
    tuple: 'a list of texts, as ["AAPL", "MSFT"]',
}

SECTIONS: Final = (
    Section("account", Account, "The account"),
    Section(
        "risk",
        RiskLimits,
        "The risk manager. Names that end in _pct, and daily_loss_limit, are percent: 2.0 is 2 %.",
        extra=(
            Key(
                "risk",
                "enabled",
                bool,
                False,
                True,
                "Whether the risk manager decides; without it a signal's own quantity is taken as given.",
            ),
        ),
    ),
    Section(
        "costs",
        Costs,
        "What trading costs. Every key here overrides the preset.",
        bundle="preset",
        extra=(
            Key("costs", "preset", str, False, "zero", "A broker's schedule to start from.", tuple(PRESETS)),
        ),
    ),
    Section(
        "conventions",
        Conventions,
        "What a bar does not say. Every key here overrides the profile.",
        bundle="profile",
        extra=(
            Key(
                "conventions", "profile", str, False, "realistic", "A bundle to start from.", tuple(PROFILES)
            ),
        ),
    ),
    Section("data", Data, "Bars"),
    Section("report", Report, "What a run leaves behind"),
    Section("journal", Journal, "The trade journal"),
    Section("alerts", Alerts, "Alerts"),
    Section("live", Live, "Real money"),
    Section("broker", BrokerSettings, "The broker that orders go to; its keys are never in this file"),
)
