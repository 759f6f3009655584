"""`twinstep compare`: strategies side by side, or one strategy under several conventions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.console import emit, emit_json, table, working
from twinstep.options import Hypothesis, Json, NoTrials
from twinstep.trials import counting
from twinstep.wiring import describe_bars, find_strategy, read_benchmark, simulate, title

if TYPE_CHECKING:
    from simulator.results import Result

__all__ = ["EXAMPLES", "compare"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep compare sma-cross donchian-breakout atr-channel\n"
    "  twinstep compare donchian-breakout --profiles realistic,vectorbt,worst,best"
)

SHOWN: Final = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "exposure",
    "trades",
    "win_rate",
    "profit_factor",
    "average_r",
    "fees",
    "rejected",
)


@bundled
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="STRATEGY…", help="Two strategies or more; or one, with --profiles.", show_default=False
        ),
    ],
    market: Market,
    account: Account,
    profiles: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Run every strategy under each of these convention profiles.",
            show_default=False,
        ),
    ] = None,
    no_trials: NoTrials = False,
    hypothesis: Hypothesis = None,
    as_json: Json = False,
) -> None:
    """Compare strategies, or conventions, on the same bars."""
    names = [name.strip() for name in (profiles or "").split(",") if name.strip()]
    if profiles is not None and account.conventions is not None:
        raise ConfigError("--profiles and --conventions exclude each other", code="CLI_EXCLUSIVE")
    if len(runs) * max(1, len(names)) < 2:
        raise ConfigError(
            "there is nothing to compare: name two strategies, or one with --profiles realistic,worst,best",
            code="CLI_COMPARE",
        )
    settings = settings_of(market, account)
    from simulator.conventions import Conventions

    rules = [Conventions.profile(name) for name in names] or [settings.conventions]
    chosen = [find_strategy(spec) for spec in runs]
    bars = market.bars(settings)
    head = describe_bars(bars)
    benchmark = read_benchmark(bars, settings)
    results: dict[str, Result] = {}
    with counting(settings, off=no_trials, hypothesis=hypothesis) as sink:
        for strategy, rule in itertools.product(chosen, rules):
            label = _label(strategy.name, rule.name, len(chosen) > 1, len(rules) > 1)
            while label in results:
                label += "'"  # the same strategy named twice
            with working(label):
                result = simulate(bars, strategy, settings, conventions=rule, sink=sink)
            results[label] = result.with_benchmark(benchmark)
    if as_json:
        runs_found = {
            label: {"metrics": r.metrics, "fingerprint": r.fingerprint} for label, r in results.items()
        }
        emit_json({"data": head, "runs": runs_found})
        return
    emit(title(head))
    from simulator.results import METRIC_DEFINITIONS
    from simulator.results import compare as side_by_side
    from simulator.results.metrics import format_metric

    figures = side_by_side(results).loc[list(SHOWN)]
    rows = [
        [METRIC_DEFINITIONS[name].label, *(format_metric(name, value) for value in values)]
        for name, *values in figures.itertuples()
    ]
    table(["", *results], rows)


def _label(strategy: str, profile: str, several_strategies: bool, several_profiles: bool) -> str:
    if several_strategies and several_profiles:
        return f"{strategy} / {profile}"
    return strategy if several_strategies else profile
