"""Options that several commands share, and how they become settings.

Each is a type alias with its name and help, so that `--cash` means the same wherever it appears. `None` means
that the flag was not given: the configuration file, or the default, decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from twinstep.config import Settings, load_settings

__all__ = [
    "Cash",
    "ConfigFile",
    "ConventionsName",
    "CostsName",
    "End",
    "Force",
    "Hypothesis",
    "Json",
    "NoRisk",
    "NoTrials",
    "Param",
    "Set",
    "Source",
    "Spec",
    "Start",
    "Symbols",
    "Timeframe",
    "settings_from",
]

DATA: Final = "Data"
RULES: Final = "Account and rules"
OUTPUT: Final = "Output"

Spec = Annotated[
    str,
    typer.Argument(
        metavar="STRATEGY",
        help="A name from `twinstep strategies`, a file (path/to/mine.py:Mine) or "
        "a module (package.module:Mine).",
        show_default=False,
    ),
]
Param = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Parameter of the strategy, as fast=10. May be repeated.",
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--data",
        "--underlying",
        metavar="SOURCE",
        help="sample:stocks, sample:spx, sample:nasdaq, sample:vix, a CSV or Parquet file or folder, "
        "yfinance:AAPL,MSFT or synthetic:…; without it, what the configuration says, else sample:stocks.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
Symbols = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Keep only these symbols.", rich_help_panel=DATA, show_default=False),
]
Start = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="First date, as 2010-01-31.", rich_help_panel=DATA, show_default=False),
]
End = Annotated[
    str | None,
    typer.Option(
        metavar="DATE", help="Last date, itself included.", rich_help_panel=DATA, show_default=False
    ),
]
Timeframe = Annotated[
    str | None,
    typer.Option(
        metavar="1d|1h|…",
        help="Length of a bar, where the source offers a choice.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
Cash = Annotated[
    float | None,
    typer.Option(metavar="AMOUNT", help="Starting cash.", rich_help_panel=RULES, show_default=False),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file; without it, twinstep.toml in this folder.",
        rich_help_panel=RULES,
        show_default=False,
    ),
]
ConventionsName = Annotated[
    str | None,
    typer.Option(
        "--conventions",
        metavar="PROFILE",
        help="realistic, worst, best, vectorbt, backtrader, backtesting.py or freqtrade.",
        rich_help_panel=RULES,
        show_default=False,
    ),
]
CostsName = Annotated[
    str | None,
    typer.Option(
        "--costs",
        metavar="PRESET",
        help="zero, alpaca, ibkr-fixed, ibkr-tiered or tastytrade.",
        rich_help_panel=RULES,
        show_default=False,
    ),
]
NoRisk = Annotated[
    bool,
    typer.Option(
        "--no-risk",
        help="Switch the risk manager off; signals then need a quantity of their own.",
        rich_help_panel=RULES,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change any key of the configuration, as risk.max_open_positions=8. May be repeated.",
        rich_help_panel=RULES,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON document instead of tables.", rich_help_panel=OUTPUT),
]
NoTrials = Annotated[
    bool,
    typer.Option(
        "--no-trials",
        help="Do not count this run in trials.db beside the journal.",
        rich_help_panel=OUTPUT,
    ),
]


def _not_empty(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("an empty name is none; leave the option out")
    return value


Hypothesis = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What is searched for: runs under one name are judged together. Without it, the strategy on its "
        "data.",
        callback=_not_empty,
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def settings_from(
    config: Path | None,
    changes: list[str] | None = None,
    *,
    source: str | None = None,
    symbols: str | None = None,
    start: str | None = None,
    end: str | None = None,
    timeframe: str | None = None,
    cash: float | None = None,
    conventions: str | None = None,
    costs: str | None = None,
    no_risk: bool = False,
    **others: Any,
) -> Settings:
    """Return the settings of a command; `others` are further flags, as `report__path` for report.path."""
    flags = {
        "data.source": source,
        "data.symbols": None if symbols is None else [s.strip() for s in symbols.split(",") if s.strip()],
        "data.start": start,
        "data.end": end,
        "data.timeframe": timeframe,
        "account.cash": cash,
        "conventions.profile": conventions,
        "costs.preset": costs,
        "risk.enabled": False if no_risk else None,
        **{name.replace("__", "."): value for name, value in others.items()},
    }
    return load_settings(config, flags=flags, changes=changes or ())
