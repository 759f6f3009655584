"""What `twinstep paper` and `twinstep live` share: their options, and how those become a session's parts.

Both play the same session; they differ in where its orders go. So every option that says what is traded, from
which bars, and how it is shown stands here once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.option_market import with_options
from twinstep.parameters import parse_parameters
from twinstep.wiring import describe_bars, find_strategy, read_bars

if TYPE_CHECKING:
    from contextlib import ExitStack

    from live.alerts import Alerts
    from live.kill_switch import KillSwitch
    from live.session import Session
    from twinstep.config import Settings

__all__ = [
    "AcceptChange",
    "BarCount",
    "FeedSpec",
    "Folder",
    "Lines",
    "SessionName",
    "Speed",
    "StrategyNames",
    "check_name",
    "chosen_strategies",
    "head_of",
    "opened_alerts",
    "session_feed",
    "state_folder",
    "watched",
]

SESSION: Final = "Session"

StrategyNames = Annotated[
    list[str],
    typer.Option(
        "--strategy",
        metavar="STRATEGY",
        help="A name from `twinstep strategies`, a file or a module. May be repeated: one account.",
        show_default=False,
    ),
]
SessionName = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Name of the session.", rich_help_panel=SESSION)
]
Speed = Annotated[
    float | None,
    typer.Option(
        metavar="BARS",
        help="Bars per second; without it, as fast as they can be stored.",
        rich_help_panel=SESSION,
        show_default=False,
    ),
]
BarCount = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Stop after so many bars.", rich_help_panel=SESSION, show_default=False, min=1
    ),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Folder of kill switch and review queue, where the journal is on a server; beside one in a "
        "file they lie in its .switch folder.",
        rich_help_panel=SESSION,
        show_default=False,
    ),
]
FeedSpec = Annotated[
    str | None,
    typer.Option(
        "--feed",
        metavar="SPEC",
        help="Bars as they happen, as yfinance:AAPL,MSFT?interval=1m, in place of --data.",
        rich_help_panel=SESSION,
        show_default=False,
    ),
]
Lines = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Where no terminal is, a line of the account every N bars; 1 for bars as they happen, "
        "else 0: a line per trade only.",
        rich_help_panel=SESSION,
        show_default=False,
    ),
]
AcceptChange = Annotated[
    str | None,
    typer.Option(
        metavar="WHY",
        help="Go on although engine, limits, costs or strategies have changed; recorded.",
        rich_help_panel=SESSION,
        show_default=False,
    ),
]


def chosen_strategies(specs: list[str], param: list[str] | None) -> list[Any]:
    """Return the strategies of a session; raises `ConfigError` CLI_EXCLUSIVE for parameters of several."""
    parameters = parse_parameters(param or ())
    if parameters and len(specs) > 1:
        raise ConfigError(
            "--param belongs to one strategy, and several are named; give them their parameters in files",
            code="CLI_EXCLUSIVE",
        )
    return [find_strategy(spec, parameters) for spec in specs]


def check_name(name: str) -> str:
    """Return the name of a session; raises `ConfigError` CLI_USAGE for an empty one."""
    if not name.strip():
        raise ConfigError("--name is empty; a session is found by its name", code="CLI_USAGE")
    return name


def state_folder(where: str, folder: str | None) -> Path:
    """Return where kill switch and review queue lie: beside a file, for a server where it was said.

    Raises
    ------
    ConfigError
        CLI_EXCLUSIVE for a folder beside a file, CLI_SWITCH for a server without one.
    """
    from live.kill_switch import switch_folder

    if "://" not in where:
        if folder is not None:
            raise ConfigError(
                f"--folder is for journals on a server; the kill switch of {where} lies beside it, where "
                "twinstep kill looks for it",
                code="CLI_EXCLUSIVE",
            )
        return switch_folder(where)
    if folder is None:
        raise ConfigError(
            f"{where.partition('://')[0]} is a server, beside which no kill switch can lie; name its folder "
            "with --folder, as paper.switch: twinstep kill then halts it from here",
            code="CLI_SWITCH",
        )
    return Path(folder).expanduser().absolute()


def session_feed(
    spec: str | None,
    data: str | None,
    settings: Settings,
    speed: float | None,
    iv: str | None,
    surface: str,
    rate_pct: float,
) -> Any:
    """Return the feed that is meant: stored bars at some speed, or bars as they happen.

    Raises
    ------
    ConfigError
        CLI_EXCLUSIVE for options that contradict each other, and what the feeds raise.
    """
    if spec is not None and data is not None:
        raise ConfigError("--feed and --data both say where bars come from; drop one", code="CLI_EXCLUSIVE")
    if spec is None:
        from live.feeds.replay import ReplayFeed

        market = with_options(read_bars(settings), iv, surface, rate_pct, settings)
        describe_bars(market)  # says where there is no bar
        return ReplayFeed(market, speed=speed)
    if iv is not None:
        raise ConfigError(
            "--iv models options on stored bars; a feed of bars as they happen has none", code="CLI_EXCLUSIVE"
        )
    from live.feeds import feed_of

    stored = settings.data
    return feed_of(
        spec, speed=speed, start=stored.start, end=stored.end, calendar=stored.calendar,
        cache_dir=stored.cache_dir,
    )  # fmt: skip


def head_of(source: Any, spec: str | None) -> dict[str, Any]:
    """Return what a session says of its bars before the first."""
    if spec is None:
        return describe_bars(source.like)
    return {"name": spec, "symbols": list(source.like.symbols)}


def opened_alerts(ending: ExitStack, settings: Settings) -> Alerts | None:
    """Return whom the configuration wants told; what waits to be told at the end still goes out."""
    from live.alerting.addresses import alerts_from

    alerts = alerts_from(settings.alerts)
    if alerts is not None:
        ending.callback(alerts.close)
    return alerts


def watched(ending: ExitStack, session: Session, alerts: Alerts | None, switch: KillSwitch) -> None:
    """Have a session watched for what is worth an alert."""
    if alerts is None:
        return
    from live.alerting.watch import watch
    from live.review_queue import ReviewQueue

    queue = ReviewQueue(switch.folder / "reviews", switch)
    ending.callback(watch(session, alerts, review_queue=queue).close)
