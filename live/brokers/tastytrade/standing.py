"""What an account at tastytrade may do and see: its trading status, its level of options, its quotes.

A token of the API has scopes of its own, which nothing tells: whether it may trade is found out by a dry run,
which places nothing. Which quotes a login gets is the level of its quote token: "api" is real time, "demo",
which the sandbox has, is late or made up.
"""

from __future__ import annotations

from typing import Any, Final

from live.brokers.tastytrade.line import NotThere
from live.brokers.told import DataLevel, Standing

__all__ = ["standing_of"]

_LEVELS: Final = {"No Restrictions": 4, "Defined Risk Spreads": 3, "Covered And Cash Secured": 1, "None": 0}
_QUOTES: Final[dict[str, DataLevel]] = {"api": "all", "demo": "delayed"}

_CLOSED: Final = {
    "is_closed": "the account is closed",
    "is_frozen": "the account is frozen",
    "is_closing_only": "the account may only close positions",
    "is_risk_reducing_only": "the account may only reduce risk",
}
_LIMITED: Final = {
    "is_in_margin_call": "there is a margin call",
    "is_in_day_trade_equity_maintenance_call": "there is a day trade call",
    "is_pattern_day_trader": "it is marked as that of a pattern day trader",
    "are_far_otm_net_options_restricted": "options far out of the money are restricted",
}


async def standing_of(session: Any, account: Any, *, sandbox: bool) -> Standing:
    """Return what the account may do.

    Parameters
    ----------
    session, account
        The library's.
    sandbox
        Whether quotes are late whatever the token says.
    """
    status = await account.get_trading_status(session)
    data, words = await _entitlement(session, sandbox=sandbox)
    closed = [text for name, text in _CLOSED.items() if getattr(status, name, None)]
    limited = [text for name, text in _LIMITED.items() if getattr(status, name, None)]
    return Standing(
        status="; ".join(closed) or "open",
        account_type=f"{account.account_type_name}, {account.margin_or_cash.lower()}",
        may_trade=not closed,
        may_short=account.margin_or_cash.lower() == "margin",
        option_level=_LEVELS.get(status.options_level),
        option_words=status.options_level,
        data=data,
        option_data=data,
        data_words=words,
        restrictions=(*closed, *limited),
    )


async def _entitlement(session: Any, *, sandbox: bool) -> tuple[DataLevel | None, str]:
    try:
        token = await session._get("/api-quote-tokens")
    except NotThere as error:
        # who is registered and no customer yet has none
        return "none", str(error.args[0])
    level = str(token.get("level", ""))
    if sandbox:
        return "delayed", f"the sandbox is 15 minutes late (quote token of level {level!r})"
    return _QUOTES.get(level), f"quote token of level {level!r}"
