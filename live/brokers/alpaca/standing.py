"""What an account at Alpaca may do and see, of which its account says all but the data subscription.

Whether prices of all exchanges are subscribed nothing tells; it shows by asking for them: the service refuses
feed "sip" to whoever has the free plan, and "opra" likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from live.brokers.alpaca.line import Line, Refused
from live.brokers.alpaca.market import quotes_of
from live.brokers.alpaca.readings import number
from live.brokers.errors import AccessRefused
from live.brokers.told import DataLevel, Standing
from simulator.errors import TwinstepError, UnknownNameError

__all__ = ["standing_of"]

PROBE: Final = "SPY"
_BLOCKED: Final = {
    "account_blocked": "the account is blocked",
    "trading_blocked": "trading is blocked",
    "trade_suspended_by_user": "trading is suspended in the settings of the account",
}


def standing_of(line: Line, raw: Mapping[str, Any]) -> Standing:
    """Return how an account stands; `raw` is the account as the service tells it."""
    blocked = tuple(text for name, text in _BLOCKED.items() if raw.get(name))
    limited = ("it is marked as that of a pattern day trader",) if raw.get("pattern_day_trader") else ()
    year = datetime.now(UTC).year + 1
    stocks, words = _level(line, PROBE, "sip", "part")
    # whether there is such a contract does not matter: who has no subscription is refused whatever it is
    options, option_words = _level(line, f"{PROBE}{year % 100:02d}1218C00500000", "opra", "delayed")
    multiplier = number(raw.get("multiplier"))
    return Standing(
        status=str(raw.get("status") or ""),
        account_type="" if multiplier is None else "cash" if multiplier <= 1.0 else "margin",
        may_trade=not blocked and raw.get("status") in (None, "ACTIVE"),
        may_short=bool(raw.get("shorting_enabled")),
        option_level=int(number(raw.get("options_trading_level")) or 0),
        data=stocks,
        option_data=options,
        data_words=f"shares: {words}; options: {option_words}",
        restrictions=(*blocked, *limited),
    )


def _level(line: Line, symbol: str, feed: str, otherwise: DataLevel) -> tuple[DataLevel | None, str]:
    """Return what this login gets: all where it may ask the feed of all exchanges."""
    try:
        quotes_of(line, [symbol], feed=feed, option_feed=feed)
    except (AccessRefused, Refused) as error:
        return otherwise, f"{feed} is refused ({error.args[0]})"
    except UnknownNameError:
        return "all", f"{feed} is open"
    except TwinstepError as error:
        return None, f"{feed} cannot be asked ({error.args[0]})"
    return "all", f"{feed} is open"
