"""Options that stand together in several commands, written once.

A bundle is a frozen dataclass whose fields are options, as in `twinstep.options`. `bundled` gives a command
the options of its bundles one by one, as the parser wants to see them, and the function gets them as objects:

>>> @bundled
... def command(market: Market, top: int = 10) -> None: ...
>>> list(inspect.signature(command).parameters)[:3], list(inspect.signature(command).parameters)[-1]
(['data', 'symbols', 'start'], 'top')
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from twinstep.config import Settings
from twinstep.option_market import Iv, RatePct, SurfaceName, with_options
from twinstep.options import (
    Cash,
    ConfigFile,
    ConventionsName,
    CostsName,
    End,
    NoRisk,
    Set,
    Source,
    Start,
    Symbols,
    Timeframe,
    settings_from,
)

if TYPE_CHECKING:
    from simulator.bars import Bars

__all__ = ["Account", "Market", "bundled", "settings_of"]


@dataclass(frozen=True, kw_only=True)
class Market:
    """Which bars, and which options on them."""

    data: Source = None
    symbols: Symbols = None
    start: Start = None
    end: End = None
    timeframe: Timeframe = None
    iv: Iv = None
    surface: SurfaceName = "index"
    rate_pct: RatePct = 0.0

    def bars(self, settings: Settings) -> Bars:
        """Read the bars, with options where `--iv` was given."""
        from twinstep.wiring import read_bars

        return with_options(read_bars(settings), self.iv, self.surface, self.rate_pct, settings)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Cash and rules of a run."""

    cash: Cash = None
    config: ConfigFile = None
    conventions: ConventionsName = None
    costs: CostsName = None
    no_risk: NoRisk = False
    changes: Set = None


def settings_of(market: Market, account: Account, **others: Any) -> Settings:
    """Return the settings that the flags, the configuration file and the defaults give together."""
    return settings_from(
        account.config,
        account.changes,
        source=market.data,
        symbols=market.symbols,
        start=market.start,
        end=market.end,
        timeframe=market.timeframe,
        cash=account.cash,
        conventions=account.conventions,
        costs=account.costs,
        no_risk=account.no_risk,
        **others,
    )


def bundled(function: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the fields of its bundles as parameters of their own."""
    hints = get_type_hints(function, include_extras=True)
    bundles: dict[str, type[Any]] = {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and dataclasses.is_dataclass(hint)
    }
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in bundles:
            parameters.append(_option(parameter.name, parameter.default, hints[parameter.name]))
            continue
        bundle = bundles[parameter.name]
        inner = get_type_hints(bundle, include_extras=True)
        parameters += [
            _option(spec.name, spec.default, inner[spec.name]) for spec in dataclasses.fields(bundle)
        ]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        made = {
            name: bundle(**{spec.name: given.pop(spec.name) for spec in dataclasses.fields(bundle)})
            for name, bundle in bundles.items()
        }
        function(**made, **given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _option(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    # by keyword, as the parser calls it: so one without a default may follow others
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
