"""`twinstep exchange`: a paper account behind the Alpaca trading protocol, on this machine."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.console import emit, note, table
from twinstep.option_market import Iv, RatePct, SurfaceName, with_options
from twinstep.options import (
    Cash,
    ConfigFile,
    ConventionsName,
    CostsName,
    End,
    Set,
    Source,
    Start,
    Symbols,
    Timeframe,
    settings_from,
)
from twinstep.wiring import describe_bars, read_bars, title

if TYPE_CHECKING:
    from live.exchange import Exchange
    from live.feeds import Feed
    from twinstep.config import Settings

__all__ = ["EXAMPLES", "exchange"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep exchange\n"
    "  twinstep exchange --data sample:stocks --start 2004-01-02 --speed 0.5 --cash 50000\n"
    "  twinstep exchange --data sample:spx --iv sample:vix --start 2014-01-02 --manual\n"
    "  twinstep exchange --feed 'yfinance:AAPL,MSFT?interval=1m' --port 8787 --state paper.events"
)

SERVER: Final = "Server"
_LOOK_SECONDS: Final = 0.2


def exchange(
    data: Source = None,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    timeframe: Timeframe = None,
    iv: Iv = None,
    surface: SurfaceName = "index",
    rate_pct: RatePct = 0.0,
    cash: Cash = None,
    config: ConfigFile = None,
    conventions: ConventionsName = None,
    costs: CostsName = None,
    changes: Set = None,
    feed: Annotated[
        str | None,
        typer.Option(
            "--feed",
            metavar="SPEC",
            help="Bars as they happen, as yfinance:AAPL,MSFT?interval=1m, in place of --data.",
            rich_help_panel=SERVER,
            show_default=False,
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="BARS",
            help="Bars per second of stored bars; 1 without it.",
            rich_help_panel=SERVER,
            show_default=False,
        ),
    ] = None,
    manual: Annotated[
        bool,
        typer.Option(
            "--manual",
            help="Let bars come only when a client asks for the next one at /twinstep/step.",
            rich_help_panel=SERVER,
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65_535,
            help="Port to listen on; 0 takes a free one.",
            rich_help_panel=SERVER,
        ),
    ] = 0,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. One that other machines reach needs --allow-host, and TLS in front.",
            rich_help_panel=SERVER,
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A further name by which clients may call it. May be repeated.",
            rich_help_panel=SERVER,
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="Keep orders and positions in this file, and go on from it.",
            rich_help_panel=SERVER,
            show_default=False,
        ),
    ] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(
            "--rate-limit",
            metavar="N",
            min=1,
            help="Answer 429 beyond so many requests a minute; Alpaca's is 200.",
            rich_help_panel=SERVER,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a paper account to any Alpaca client, with stored bars, or bars as they happen, as its market.

    A pair of keys is made at each start, unless TWINSTEP_EXCHANGE_KEY and TWINSTEP_EXCHANGE_SECRET give one.
    Ctrl-C ends it and shows what the account has come to.
    """
    if manual and speed is not None:
        raise ConfigError(
            "--speed plays bars by the clock, and --manual when a client asks for them: drop one",
            code="CLI_EXCLUSIVE",
        )
    _check_names(allow_host or [])
    _check_state(state)
    settings = settings_from(
        config, changes, source=data, symbols=symbols, start=start, end=end, timeframe=timeframe, cash=cash,
        conventions=conventions, costs=costs,
    )  # fmt: skip
    if feed is None:
        source, head, pace = _stored(settings, 1.0 if speed is None else speed, manual, iv, surface, rate_pct)
    else:
        source, head, pace = _live(feed, data, settings, speed, manual, iv)
    from live.exchange import Exchange
    from live.serving import until_signal

    served = Exchange.open(
        source, cash=settings.account.cash, costs=settings.costs, conventions=settings.conventions,
        path=state, manual=manual, host=host, port=port, allow_hosts=allow_host or (),
        requests_per_minute=rate_limit,
    )  # fmt: skip
    with until_signal() as ended:
        with served:
            emit(head)
            _tell_address(served, pace)
            _wait(served, ended)
            summary = _summary(served)
        _show(summary)
    if served.market.error is not None:
        raise served.market.error


def _check_names(names: list[str]) -> None:
    for name in names:
        if not name or name != "".join(name.split()):
            raise ConfigError(
                f"--allow-host is {name!r}; give the name by which clients call it, as paper.example.org",
                code="CLI_HOST",
            )


def _check_state(state: Path | None) -> None:
    """Refuse a file that cannot be kept, before bars are loaded; raises CLI_STATE."""
    if state is None:
        return
    folder = state.absolute().parent
    if state.is_dir():
        why = "it is a folder; name a file in it"
    elif state.exists() and not os.access(state, os.R_OK | os.W_OK):
        why = "it may not be read and written"
    elif not folder.is_dir():
        why = f"the folder {folder} is not there"
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = f"the folder {folder} may not be written to"
    else:
        return
    raise ConfigError(f"--state {state} cannot be kept: {why}", code="CLI_STATE")


def _stored(
    settings: Settings, speed: float, manual: bool, iv: str | None, surface: str, rate_pct: float
) -> tuple[Feed, str, str]:
    """Return the replay that is meant, and its bars and pace in words."""
    from live.feeds.replay import ReplayFeed

    bars = with_options(read_bars(settings), iv, surface, rate_pct, settings)
    head = title(describe_bars(bars))
    if manual:
        return ReplayFeed(bars), head, "bars come when /twinstep/step says so"
    return ReplayFeed(bars, speed=speed), head, f"{speed:g} bar{'' if speed == 1 else 's'} per second"


def _live(
    spec: str, data: str | None, settings: Settings, speed: float | None, manual: bool, iv: str | None
) -> tuple[Feed, str, str]:
    """Return the feed that is meant, and its symbols and pace in words."""
    from live.feeds import feed_of

    for given, name in ((data, "--data"), (iv, "--iv"), (manual or None, "--manual")):
        if given is not None:
            raise ConfigError(
                f"--feed brings bars as they happen, and {name} is for stored ones", code="CLI_EXCLUSIVE"
            )
    chosen = settings.data
    feed = feed_of(
        spec, speed=speed, start=chosen.start, end=chosen.end, calendar=chosen.calendar,
        cache_dir=chosen.cache_dir, warm=1,
    )  # fmt: skip
    return feed, f"{spec}: {', '.join(feed.like.symbols)}", "bars as they happen"


def _tell_address(served: Exchange, pace: str) -> None:
    emit(f"paper exchange at {served.url}, stream at {served.stream_url}; {pace}")
    emit(f"key id  {served.keys.key_id}")
    emit(f"secret  {served.keys.secret}")
    emit()
    emit("from alpaca.trading.client import TradingClient")
    emit(f'client = TradingClient(key_id, secret, url_override="{served.url}")')
    emit()
    sys.stdout.flush()
    note("Ctrl-C ends it")


def _wait(served: Exchange, ended: threading.Event) -> None:
    told = False
    while not ended.wait(_LOOK_SECONDS):
        if served.market.error is not None or not served.serving:
            return
        if served.market.ended and not told:
            told = True
            note("the last bar has been played; prices stand still, orders are still taken")


def _summary(served: Exchange) -> dict[str, Any]:
    account = served.venue.account()
    last = served.market.last
    return {
        "bars": served.market.played,
        "last": "none" if last is None else last.date().isoformat(),
        "equity": account.equity,
        "cash": account.cash,
        "orders": served.orders,
        "fills": len(served.venue.activities(["FILL"])),
        "requests": served.guard.requests,
        "refused": served.guard.refused,
        "updates": served.hub.published,
        "positions": [
            [held.symbol, held.qty, held.avg_entry_price, held.current_price, held.unrealized_pl]
            for held in served.venue.positions()
        ],
    }


def _show(summary: dict[str, Any]) -> None:
    emit(
        f"{summary['bars']:,} bars to {summary['last']}, equity {summary['equity']:,.2f}, cash "
        f"{summary['cash']:,.2f}"
    )
    emit(
        f"orders {summary['orders']:,}, fills {summary['fills']:,}, requests {summary['requests']:,} "
        f"(refused {summary['refused']:,}), updates {summary['updates']:,}"
    )
    if summary["positions"]:
        table(["symbol", "quantity", "entry", "price", "profit"], summary["positions"])
