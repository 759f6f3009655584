"""A feed from a line of text, as the command line has it.

>>> feed_of("synthetic:2x30?seed=1").live
False
>>> feed_of("yfinance:AAPL,MSFT?interval=5m&warm=100").interval
'5m'
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from live.clock import Clock, system_clock
from simulator.errors import ConfigError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from live.feeds import Feed

__all__ = ["feed_of"]

SCHEME: Final = "yfinance:"
ALPACA: Final = "alpaca:"
TASTYTRADE: Final = "tastytrade:"
_SETTINGS: Final[dict[str, Callable[[str], Any]]] = {
    "interval": str, "calendar": str, "warm": int, "grace": float, "patience": float, "delay": float,
    "band": float, "stale_bars": int, "give_up": float,
}  # fmt: skip
_YES: Final = {"yes": True, "no": False}


def feed_of(
    spec: str,
    *,
    speed: float | None = None,
    start: str | date | None = None,
    end: str | date | None = None,
    calendar: str = "XNYS",
    sectors: Mapping[str, str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    warm: int | None = None,
    clock: Clock = system_clock,
) -> Feed:
    """Return the feed that a text names.

    Parameters
    ----------
    spec
        `yfinance:AAPL,MSFT?interval=1m` polls Yahoo, with `&stream=yes` it listens to Yahoo's stream; the
        other settings are those of `YahooFeed` by name. `alpaca:AAPL,MSFT?interval=5m` takes Alpaca's data,
        with the keys of `load_credentials`, and so does `tastytrade:AAPL,MSFT?interval=1m` tastytrade's.
        Anything else is a source of `load_bars`, replayed.
    speed, start, end
        Of a replay.
    calendar, sectors, cache_dir, warm, clock
        Of a live feed, where the text does not say otherwise.

    Raises
    ------
    ConfigError
        FEED_SPEC for a setting that does not exist or cannot be read, and for a part of the past asked of a
        live feed; and what the feeds raise.
    UnknownNameError
        NAME_SOURCE for what is neither a file nor the beginning of a feed.
    """
    if not spec.startswith((SCHEME, ALPACA, TASTYTRADE)):
        _check_scheme(spec)
        from live.feeds.replay import ReplayFeed

        return ReplayFeed(spec, speed=speed, start=start, end=end)
    for name, value in (("speed", speed), ("start", start), ("end", end)):
        if value is not None:
            raise ConfigError(
                f"{name} is for replays; {spec} happens now. Stored bars, in a file, can be replayed",
                code="FEED_SPEC",
            )
    if spec.startswith(ALPACA):
        from live.feeds.alpaca import alpaca_feed_of

        return alpaca_feed_of(spec, calendar=calendar, sectors=sectors, warm=warm, clock=clock)
    if spec.startswith(TASTYTRADE):
        from live.feeds.dxlink import dxlink_feed_of

        return dxlink_feed_of(spec, calendar=calendar, sectors=sectors, warm=warm, clock=clock)
    names, _, query = spec.removeprefix(SCHEME).partition("?")
    settings: dict[str, Any] = {"calendar": calendar}
    if warm is not None:
        settings["warm"] = warm
    stream = False
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name == "stream":
            stream = _yes(text, spec)
        else:
            settings[name] = _value(name, text, spec)
    common: dict[str, Any] = {"sectors": sectors, "cache_dir": cache_dir, "clock": clock}
    if stream:
        from live.feeds.yahoo_stream import YahooStream

        return YahooStream(names.split(","), **settings, **common)
    from live.feeds.yahoo import YahooFeed

    return YahooFeed(names.split(","), **settings, **common)


def _check_scheme(spec: str) -> None:
    """Refuse a misspelt scheme by all that a feed may begin with, those of live feeds among them."""
    scheme, colon, rest = spec.partition(":")
    names = ("sample", "synthetic", *(live.rstrip(":") for live in (SCHEME, ALPACA, TASTYTRADE)))
    # a letter before the colon is a drive, and a file may have a colon in its name
    if not colon or len(scheme) < 2 or scheme in names or os.path.exists(spec):
        return
    near = difflib.get_close_matches(scheme.lower(), names, n=1)
    more = f" Did you mean {f'{near[0]}:{rest}'!r}?" if near else ""
    raise UnknownNameError(
        f"{spec!r} is neither a file nor a feed: {scheme!r} is none of {', '.join(names)}.{more}",
        code="NAME_SOURCE",
    )


def _value(name: str, text: str, spec: str) -> Any:
    if name not in _SETTINGS:
        raise ConfigError(
            f"{spec}: a live feed has no setting {name!r}.{did_you_mean(name, [*_SETTINGS, 'stream'])}",
            code="FEED_SPEC",
        )
    try:
        return _SETTINGS[name](text)
    except ValueError as error:
        raise ConfigError(f"{spec}: {name} is {text!r}, which is no number", code="FEED_SPEC") from error


def _yes(text: str, spec: str) -> bool:
    if text not in _YES:
        raise ConfigError(f"{spec}: stream is {text!r}; write stream=yes", code="FEED_SPEC")
    return _YES[text]
