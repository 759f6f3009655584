"""Options on the command line: `--iv` gives bars what premium strategies trade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.errors import ConfigError
from twinstep.config import Settings
from twinstep.iv_sources import history_of
from twinstep.options import DATA

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Iv", "RatePct", "SurfaceName", "with_options"]

Iv = Annotated[
    str | None,
    typer.Option(
        "--iv",
        metavar="SOURCE",
        help="Implied volatility of the underlying: an index (sample:vix, a CSV), from which options are "
        "modelled, or a chain's file or folder, whose quotes are taken.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
SurfaceName = Annotated[
    str,
    typer.Option(
        "--surface", metavar="NAME", help="Surface of modelled options: index, single-name or flat.",
        rich_help_panel=DATA,
    ),
]  # fmt: skip
RatePct = Annotated[
    float,
    typer.Option("--rate-pct", metavar="PERCENT", help="Risk-free rate per year.", rich_help_panel=DATA),
]


def with_options(bars: Bars, iv: str | None, surface: str, rate_pct: float, settings: Settings) -> Bars:
    """Return bars that know options, where `--iv` was given.

    Raises `ConfigError` CLI_IV where the bars have several symbols, and what reading the source raises.
    """
    if iv is None:
        return bars
    from simulator.options import OptionMarket, load_chain

    if len(bars.symbols) != 1:
        raise ConfigError(
            f"--iv {iv} is of one underlying, and the bars have {len(bars.symbols)}: "
            f"{', '.join(bars.symbols[:5])}; choose one with --symbols",
            code="CLI_IV",
        )
    history = history_of(iv, None, settings)
    rate = rate_pct / 100.0
    if history.grade == "chain":
        return bars.with_options(OptionMarket.from_chains(bars, load_chain(Path(iv)), rate=rate))
    level = history.values / (100.0 if history.unit == "points" else 1.0)
    market = OptionMarket.modelled(bars, {bars.symbols[0]: level}, surface=surface, rate=rate)
    return bars.with_options(market)
