"""What an account at Interactive Brokers may do, found out by asking what orders would cost.

A gateway tells no permissions. But it answers what an order would do to the margin (`whatIf`), and refuses
that like the order itself where the account, or the gateway in read-only mode, may not trade it. Nothing is
placed. A refusal for another reason, as for too little money, says nothing about permissions and is told in
its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from live.brokers.interactive_brokers.contracts import Contracts, symbol_of
from live.brokers.interactive_brokers.door import library
from live.brokers.interactive_brokers.gateway import Gateway
from live.brokers.interactive_brokers.market import entitlement_of
from live.brokers.interactive_brokers.orders import contract_for
from live.brokers.interactive_brokers.replies import REFUSALS, Refusal, Replies
from live.brokers.interface import Leg, OrderRequest
from live.brokers.told import DataLevel, Standing
from simulator.errors import TwinstepError

__all__ = ["standing_of"]

PROBE: Final = "SPY"
"""What is asked about: every account that trades US shares or options may trade these."""

WHAT_IF_SECONDS: Final = 4.0
DATA_SECONDS: Final = 15.0
OPTION_DAYS: Final = 7
"""Days to expiry from which options are asked about: those about to end have rules of their own."""

_NO_PERMISSION: Final = re.compile(
    r"permission|not (?:allowed|permitted|available)|restricted|closing.only|liquidat", re.IGNORECASE
)
_PERMISSION_CODES: Final = frozenset({203, 460})

Ask = Callable[[Any], Coroutine[Any, Any, Any]]


class Verdict(NamedTuple):
    """Whether an order would be taken, None where that stays open, and why not."""

    allowed: bool | None
    words: str = ""


def standing_of(gateway: Gateway, contracts: Contracts) -> Standing:
    """Return what the account may do; takes some seconds, and the prices up to `DATA_SECONDS`.

    What cannot be found out stays None and says why. Raises what connecting raises, and nothing else.
    """
    values = gateway.call(lambda ib: account_values(ib, gateway.account), "standing")

    def asked(work: Ask, what: str, beside: float | None = None) -> Any:
        try:
            return gateway.call(work, what, beside=beside)
        except (TwinstepError, OSError) as error:  # time-outs and broken lines are among the latter
            return Verdict(None, f"{what}: {error.args[0] if error.args else type(error).__name__}")

    stock = asked(lambda ib: _stock(ib, gateway, contracts, "BUY"), "permissions")
    short = asked(lambda ib: _stock(ib, gateway, contracts, "SELL"), "short sales")
    level, level_words = _level(lambda work, what: asked(work, what), gateway, contracts)
    data = asked(lambda ib: entitlement_of(ib, gateway.heard, contracts, PROBE), "prices", DATA_SECONDS)
    found: tuple[DataLevel | None, str] = (None, data.words) if isinstance(data, Verdict) else data
    return Standing(
        status="" if values.get("AccountReady", "true") == "true" else "not ready",
        account_type=values.get("AccountType", "").capitalize(),
        may_trade=stock.allowed,
        may_short=short.allowed,
        option_level=level,
        option_words=level_words,
        data=found[0],
        data_words=found[1],
        restrictions=tuple(_restrictions(values, stock)),
    )


async def account_values(ib: Any, account: str) -> dict[str, str]:
    """Return what the gateway tells about an account, by tag; of amounts those in its base currency."""
    request = ib.client.getReqId()
    future = ib.wrapper.startReq(request)
    ib.client.reqAccountUpdatesMulti(request, account, "", False)
    await future
    ib.client.cancelAccountUpdatesMulti(request)
    found: dict[str, str] = {}
    for value in ib.accountValues(account):
        if value.currency != "BASE":
            found[value.tag] = value.value
            if value.tag == "NetLiquidation":
                found["Currency"] = value.currency
    return found


def _restrictions(values: Mapping[str, str], stock: Verdict) -> list[str]:
    found = [stock.words] if stock.words else []
    if values.get("DayTradesRemaining") == "0":
        found.append("no day trade is left; an account of less than 25,000 may make three in five days")
    return found


async def _stock(ib: Any, gateway: Gateway, contracts: Contracts, action: str) -> Verdict:
    contract = (await contracts.find(ib, [PROBE]))[PROBE]
    return await _what_if(ib, gateway, contract, action)


def _level(
    asked: Callable[[Ask, str], Any], gateway: Gateway, contracts: Contracts
) -> tuple[int | None, str]:
    """Return the highest level whose orders would be taken, and what was said against the next one."""
    listed = asked(lambda ib: _two_puts(ib, contracts), "options")
    if isinstance(listed, Verdict):
        return None, listed.words
    if not listed:
        return None, f"no options of {PROBE} are listed here"
    low, high = listed
    spread = contract_for(
        OrderRequest(
            client_order_id="what-if", order_class="multi_leg",
            legs=(Leg(symbol_of(high), -1.0), Leg(symbol_of(low), 1.0)),
        ),
        {symbol_of(one): one for one in listed},
    )  # fmt: skip
    against = ""
    for level, contract, action in ((3, spread, "BUY"), (2, high, "BUY"), (1, low, "SELL")):
        verdict = asked(lambda ib: _what_if(ib, gateway, contract, action), "options")  # noqa: B023
        if verdict.allowed:
            return level, against
        if verdict.allowed is None:
            return None, verdict.words
        against = against or verdict.words
    return 0, against


async def _two_puts(ib: Any, contracts: Contracts) -> Sequence[Any]:
    """Return two puts of neighbouring strikes in the middle of the listed ones, the lower one first."""
    stock = (await contracts.find(ib, [PROBE]))[PROBE]
    lists = await ib.reqSecDefOptParamsAsync(stock.symbol, "", "STK", stock.conId)
    days = sorted({day for one in lists if one.exchange == "SMART" for day in one.expirations})
    if not days:
        return ()
    after = (datetime.now(UTC) + timedelta(days=OPTION_DAYS)).strftime("%Y%m%d")
    day = next((one for one in days if one >= after), days[-1])
    details = await ib.reqContractDetailsAsync(
        library().Contract(
            secType="OPT", symbol=stock.symbol, lastTradeDateOrContractMonth=day, right="P", exchange="SMART",
            currency=stock.currency,
        )
    )  # fmt: skip
    puts = sorted((one.contract for one in details), key=lambda one: float(one.strike))
    middle = len(puts) // 2
    return puts[middle - 1 : middle + 1] if len(puts) > 1 else ()


async def _what_if(ib: Any, gateway: Gateway, contract: Any, action: str) -> Verdict:
    """Ask what an order for one unit would do."""
    number = gateway.order_id(ib)
    order = library().Order(
        orderId=number, action=action, totalQuantity=1, orderType="MKT", tif="DAY", account=gateway.account,
        whatIf=True,
    )  # fmt: skip
    with Replies(gateway, [number]) as replies:
        answer = ib.wrapper.startReq(number, contract)
        ib.client.placeOrder(number, contract, order)
        # some refusals are notices for the library, which then waits for ever
        await gateway.until(ib, lambda: answer.done() or bool(replies.refused()), WHAT_IF_SECONDS)
        refusal = replies.refused()
    if not answer.done():
        answer.cancel()
    elif (error := answer.exception()) is None:
        return Verdict(True)
    elif not isinstance(error, library().RequestError):
        raise error
    else:
        refusal = refusal or Refusal(number, error.code, error.message)
    if refusal is None:
        return Verdict(None, f"no answer within {WHAT_IF_SECONDS:g} s")
    return Verdict(False if _is_permission(refusal) else None, str(refusal))


def _is_permission(refusal: Refusal) -> bool:
    return (
        refusal.is_access
        or refusal.code in _PERMISSION_CODES
        or (refusal.code in REFUSALS and _NO_PERMISSION.search(refusal.text) is not None)
    )
