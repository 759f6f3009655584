"""Is this broker ready to trade at? Questions before the first order, each with what to do where it is not.

Library, locks, credentials, connection, account and permissions, clock, data entitlement, option level: in
this order, since each rests on those before it, and what cannot be asked any more is left out. Nothing is
ordered, changed or cancelled. What a broker does not tell is a note, never "ok".

>>> [check.name for check in examine_broker(BrokerSettings())]
['broker']
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from live.brokers.credentials import load_credentials
from live.brokers.errors import AccessRefused, BrokerError
from live.brokers.interface import BrokerInterface
from live.brokers.live_gate import check_live
from live.brokers.opening import ADAPTERS, check_addresses, open_broker
from live.brokers.secrets import scrub
from live.brokers.settings import BrokerSettings
from live.brokers.told import Standing
from live.kill_switch import KillSwitch
from simulator.errors import ConfigError, TwinstepError

__all__ = ["Check", "advised", "examine_broker", "words_of"]

State = Literal["ok", "note", "problem"]

LIBRARIES: Final = {
    "alpaca": ("alpaca-py", "alpaca"),
    "interactive_brokers": ("ib_async", "ib"),
    "tastytrade": ("tastytrade", "tastytrade"),
}
"""Package, and the extra that brings it."""

CLOCK_WARNING: Final = timedelta(seconds=2)
CLOCK_LIMIT: Final = timedelta(seconds=30)
"""How far this machine's clock may be from the broker's: for a good record, and to trade at all."""

PROBE: Final = "SPY"
"""Whose quote is asked for: every subscription to US stocks has it."""

SPREADS: Final = 3
"""Level of options from which packages can be opened."""

_OPTIONS: Final = (
    "no options", "covered calls and cash-secured puts only", "long options, no spreads", "spreads too",
    "spreads, and uncovered sales",
)  # fmt: skip
_LESS: Final[Mapping[str | None, str]] = {
    "part": "those of one exchange, a few percent of what trades", "delayed": "late or modified",
}  # fmt: skip

_ADVICE: Final = {
    "alpaca": {
        "access": "make a new pair of keys on the dashboard; those of paper and of real money are different",
        "connect": "look at https://status.alpaca.markets and at proxies in between",
        "permissions": "look at the notices on the dashboard, and at Account > Configure for what you "
        "suspended yourself",
        "data": "the free plan has shares of IEX only and modified prices of options; all exchanges need "
        "Algo Trader Plus, under Account > Plan & Billing",
        "options": "ask for a higher level under Account > Options Trading; spreads need level 3",
    },
    "interactive_brokers": {
        "access": "log in to the gateway by hand once; a second login elsewhere ends the first",
        "connect": "start TWS or IB Gateway, log in, and allow socket clients under API > Settings: port, "
        "127.0.0.1 as trusted, Read-Only API off",
        "permissions": "switch off Read-Only API under API > Settings of the gateway, and look at Settings > "
        "Trading Permissions in the Client Portal; a paper account takes them over the next day",
        "data": "subscribe to US equity quotes in the Client Portal (Settings > Market Data Subscriptions), "
        "sign the API agreement there, and share them with the paper account; only one login has them at a "
        "time",
        "options": "ask for a higher level under Settings > Trading Permissions > Options in the Client "
        "Portal",
    },
    "tastytrade": {
        "access": "make a new grant under Manage > My Profile > API; do not try again and again, since "
        "failed logins close the way for hours",
        "connect": "look at the status page of tastytrade and at proxies in between",
        "permissions": "look at the notices under Manage > Account; a token that may only read needs a new "
        "grant with the scope trade (Manage > My Profile > API)",
        "data": "finish the application for an account and sign the agreements for market data; the sandbox "
        "is 15 minutes late, whatever is signed",
        "options": "look at Manage > Trading Preferences; spreads need more than the basic level",
    },
}


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: "ok", a "note" (works, or cannot be told), or a "problem" with what to do."""

    name: str
    state: State
    detail: str


def examine_broker(
    settings: BrokerSettings,
    *,
    live: bool = False,
    live_key: bool = False,
    switch: KillSwitch | None = None,
    config: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    now: Callable[[], datetime] | None = None,
) -> list[Check]:
    """Return what was found; it asks the broker and takes some seconds, and raises nothing.

    Parameters
    ----------
    settings, live, live_key, switch, config, environment
        As `open_broker`; real money is examined behind its three locks only.
    now
        The clock of this machine, aware.
    """
    if settings.name == "paper":
        return [
            Check(
                "broker", "ok", "paper: an account of this program, for sessions of twinstep live; no keys, "
                "no connection, and no prices for orders by hand",
            )
        ]  # fmt: skip
    found = [_library(settings.name)]
    if found[0].state == "problem":
        return found
    if live:
        found.append(_locks(live_key, switch))
    try:
        check_addresses(settings, live=live)
    except TwinstepError as error:
        found.append(Check("address", "problem", _words(error)))
    found.append(_credentials(settings, live, config, environment))
    if any(check.state == "problem" for check in found):
        return found
    try:
        broker = open_broker(
            settings, live=live, live_key=live_key, switch=switch, config=config, environment=environment
        )
    except TwinstepError as error:
        return [*found, Check("broker", "problem", _words(error))]
    try:
        own = settings.url is None and settings.data_url is None
        found += _asked(broker, settings.name, now or _now, real=own)
    finally:
        close = getattr(broker, "close", None)
        if close is not None:
            close()
    return found


def _library(name: str) -> Check:
    package, extra = LIBRARIES[name]
    try:
        return Check("library", "ok", f"{package} {version(package)}")
    except PackageNotFoundError:
        return Check("library", "problem", f"{package} is not installed: pip install 'twinstep[{extra}]'")


def _locks(live_key: bool, switch: KillSwitch | None) -> Check:
    try:
        check_live(key=live_key, flag=True, switch=switch)
    except TwinstepError as error:
        return Check("real money", "problem", _words(error))
    return Check("real money", "ok", "key, flag and an armed switch of scope live")


def _credentials(
    settings: BrokerSettings,
    live: bool,
    config: str | os.PathLike[str] | None,
    environment: Mapping[str, str] | None,
) -> Check:
    adapter = ADAPTERS[settings.name]
    try:
        found = load_credentials(
            settings.name, adapter.needed, optional=adapter.optional, paper=not live, config=config,
            environment=environment,
        )  # fmt: skip
    except TwinstepError as error:
        return Check("credentials", "problem", _words(error))
    if found:
        return Check("credentials", "ok", f"{', '.join(sorted(found))} from {found.source}")
    lost = f"; without {' and '.join(adapter.optional)} no statements" if adapter.optional else ""
    return Check("credentials", "note", f"none needed{lost}")


def advised(error: Exception, name: str) -> TwinstepError | None:
    """Return the error of a broker with what to do about it; None for one that is not of a connection.

    Parameters
    ----------
    name
        The broker, as section [broker] has it.
    """
    code = error.code if isinstance(error, TwinstepError) else "LIVE_NO_ANSWER"
    silent = code in ("LIVE_NO_ANSWER", "LIVE_TIMEOUT") or isinstance(error, ConnectionError)
    if not isinstance(error, (TwinstepError, ConnectionError, TimeoutError)):
        return None
    if code in ("LIVE_RATE_LIMITED", "LIVE_DUPLICATE_ID"):
        return None
    if name not in _ADVICE or not (silent or isinstance(error, AccessRefused)):
        return None
    advice = _ADVICE[name]["access" if isinstance(error, AccessRefused) else "connect"]
    words = error.args[0] if isinstance(error, TwinstepError) else _words(error)
    text = scrub(
        f"{name}: {' '.join(str(words).split())}: {advice}. twinstep doctor --broker {name} says more"
    )
    return AccessRefused(text) if isinstance(error, AccessRefused) else BrokerError(text, code=code)


def words_of(name: str, message: str) -> str:
    """Return what to do about an order that was kept back because a broker is not reconciled; "" for none."""
    if name not in _ADVICE:
        return ""
    refused = AccessRefused.__name__ in message or "LIVE_ACCESS" in message
    return _ADVICE[name]["access" if refused else "connect"]


def _asked(
    broker: BrokerInterface, name: str, now: Callable[[], datetime], *, real: bool = True
) -> Iterator[Check]:
    """Yield what the broker itself answers; the first question that fails ends it."""
    advice = _ADVICE[name]
    try:
        worth = broker.get_account()
        number = broker.account
    except AccessRefused as error:
        yield Check("connection", "problem", f"{_words(error)}: {advice['access']}")
        return
    except (
        ConfigError
    ) as error:  # another account, or of the other kind: the message says which, and what to do
        yield Check("connection", "problem", _words(error))
        return
    except Exception as error:  # adapters raise whatever their libraries raise, and doctor has to go on
        yield Check("connection", "problem", f"{_words(error)}: {advice['connect']}")
        return
    kind = "paper" if broker.is_paper else "REAL MONEY"
    yield Check(
        "connection", "ok", f"{kind} account {number}: equity {worth.equity:,.2f} {worth.currency}, buying "
        f"power {worth.buying_power:,.2f}",
    )  # fmt: skip
    yield from _reading(broker)
    try:
        standing = _standing(broker)
    except Exception as error:  # as above
        yield Check("permissions", "problem", f"{_words(error)}: {advice['permissions']}")
        return
    yield _permissions(standing, advice["permissions"])
    yield _clock(broker, now, real=real)
    yield _data(broker, standing, advice["data"], real=real)
    yield _options(standing, advice["options"])


def _reading(broker: BrokerInterface) -> Iterator[Check]:
    for name, ask in (
        ("positions", broker.get_positions),
        ("orders", broker.get_orders),
        ("executions", broker.executions),
    ):
        try:
            count = len(ask())
        except Exception as error:  # as above
            yield Check(name, "problem", f"they cannot be read: {_words(error)}")
        else:
            yield Check(name, "ok", f"{count} {'working' if name == 'orders' else 'told'}")


def _standing(broker: BrokerInterface) -> Standing:
    """Return what the account may do, as far as the adapter tells."""
    tell = getattr(broker, "standing", None)
    return Standing() if tell is None else tell()


def _permissions(standing: Standing, advice: str) -> Check:
    kind = f"the account ({standing.account_type})" if standing.account_type else "the account"
    more = f": {'; '.join(standing.restrictions)}" if standing.restrictions else ""
    if standing.may_trade is None:
        return Check(
            "permissions", "note", f"whether {kind} may trade is not known{more}. An order that is refused "
            f"says why; then {advice}",
        )  # fmt: skip
    if not standing.may_trade:
        status = f" (status {standing.status})" if standing.status else ""
        return Check("permissions", "problem", f"{kind} may not trade{status}{more}. To trade, {advice}")
    short = "" if standing.may_short is not False else ", and not sell short"
    state: State = "note" if short or more else "ok"
    return Check("permissions", state, f"{kind} may trade{short}{more}")


def _clock(broker: BrokerInterface, now: Callable[[], datetime], *, real: bool = True) -> Check:
    """Compare the clocks; that of a server of one's own may be a replay's, which nobody has to set."""
    ask = getattr(broker, "server_time", None)
    began = now()
    try:
        time = None if ask is None else ask()
    except Exception as error:  # as above
        return Check(
            "clock", "note", f"the broker's time cannot be asked ({_words(error)}); keep NTP running"
        )
    ended = now()
    if time is None:
        return Check("clock", "note", "the broker does not tell its time; keep this machine's by NTP")
    # between question and answer the broker's clock was read; what lies within is no difference
    off = max(began - time, time - ended, timedelta(0))
    seconds = off.total_seconds()
    if off <= CLOCK_WARNING:
        return Check("clock", "ok", f"within {max(seconds, 0.1):.1f} s of the broker's")
    which = "behind" if time > ended else "ahead of"
    if not real:
        return Check(
            "clock", "note", f"the server at [broker] url is at {time:%Y-%m-%d %H:%M:%S} UTC: the time of "
            "stored bars, as twinstep exchange plays them",
        )  # fmt: skip
    state: State = "problem" if off > CLOCK_LIMIT else "note"
    return Check("clock", state, f"this machine is {seconds:.0f} s {which} the broker: set it by NTP")


def _data(broker: BrokerInterface, standing: Standing, advice: str, *, real: bool = True) -> Check:
    """Say which prices the login gets, and whether one comes."""
    told = f" ({standing.data_words})" if standing.data_words else ""
    if standing.data == "none":
        return Check("data", "problem", f"no prices are subscribed{told}. To have them, {advice}")
    ask = getattr(broker, "quotes", None)
    if ask is None:
        return Check("data", "note", "this broker gives no quotes; name a --feed")
    try:
        quote = ask([PROBE])[PROBE]
    except Exception as error:  # as above
        if not real:
            return Check(
                "data", "note", f"the server at [broker] url gives no quote of {PROBE}: name the bars with "
                "--data or a --feed",
            )  # fmt: skip
        return Check("data", "problem", f"no quote of {PROBE}: {_words(error)}. To have one, {advice}")
    if standing.data in _LESS or quote.is_delayed:
        what = _LESS.get(standing.data or "delayed", _LESS["delayed"])
        return Check("data", "note", f"prices are {what}{told}: {advice}")
    if standing.option_data in _LESS:
        what = _LESS[standing.option_data]
        return Check("data", "note", f"prices of options are {what}{told}: {advice}")
    if not quote.is_usable:
        return Check(
            "data", "note", f"the quote of {PROBE} lacks a side, as usual outside trading hours{told}"
        )
    return Check("data", "ok", f"{PROBE} {quote.bid:.2f} x {quote.ask:.2f}, not delayed{told}")


def _options(standing: Standing, advice: str) -> Check:
    level = standing.option_level
    named = f" ({standing.option_words})" if standing.option_words else ""
    if level is None:
        return Check("options", "note", f"the level of options is not known{named}; {advice}")
    if level >= SPREADS:
        return Check("options", "ok", f"level {level}: {_OPTIONS[min(level, 4)]}{named}")
    return Check("options", "note", f"level {level}: {_OPTIONS[level]}{named}. To trade more, {advice}")


def _words(error: Exception) -> str:
    code = f"[{error.code}] " if isinstance(error, TwinstepError) else f"{type(error).__name__}: "
    words = error.args[0] if error.args else ""
    return scrub(f"{code}{' '.join(str(words).split())}")


def _now() -> datetime:
    return datetime.now(UTC)
