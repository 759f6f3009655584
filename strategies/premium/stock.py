"""Premium against cash or shares: the cash-secured put, the covered call, and the wheel of both.

A put that is secured by cash ties up its whole strike; its risk is the loss at two deviations of the
underlying over five sessions, and so is that of shares with a sold call. One contract on a share at 200 may
still be more than 2 % of a small account. The wheel needs an underlying that can be delivered: on an index,
whose options pay cash, no shares arrive and it only ever sells puts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strategies.base import Float, param
from strategies.premium.base import DeltaParams, Leg, Plan, PremiumStrategy

if TYPE_CHECKING:
    from simulator.options.selection import Selection

__all__ = ["CashSecuredPut", "CoveredCall", "Wheel"]


class CashSecuredPut(PremiumStrategy):
    """Sell a put whose strike lies in cash."""

    name = "cash-secured-put"

    @dataclass(frozen=True)
    class Params(DeltaParams):
        """The common parameters and the put's delta."""

        delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="absolute delta of the put")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return one sold put."""
        return [Plan([Leg(-1, self.sold(selection, "put", self.params.delta))])]


class CoveredCall(PremiumStrategy):
    """Buy shares and sell a call on them, as one package that is paid for.

    Its premium is that of the call alone, its profit and loss that of both; so by default no share of the
    premium ends it, and it is held until the call expires. Shares that are left are sold at the next open.
    """

    name = "covered-call"

    @dataclass(frozen=True)
    class Params(DeltaParams):
        """The common parameters and the call's delta."""

        profit_target_pct: float = param(
            0.0, minimum=0.0, help="gain of shares and call, percent of the call's credit; 0 is never"
        )
        stop_multiple: float = param(
            0.0, minimum=0.0, help="loss of shares and call: 2 loses one credit; 0 is never"
        )
        exit_dte: int = param(0, minimum=0, help="exit at days to expiry; 0 holds to expiry")
        delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="delta of the call")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return shares and one sold call."""
        call = self.sold(selection, "call", self.params.delta)
        return [Plan([Leg(1, None), Leg(-1, call)], side=1)]


class Wheel(PremiumStrategy):
    """Sell cash-secured puts until shares are assigned, then calls on them until they are called away.

    Both signals come on every bar that qualifies, the call first. It is refused as long as there are no free
    shares to cover it; where it is taken, the open call keeps the put out. A put is only a candidate where a
    call is one too, so that shares are never doubled for want of a call.
    """

    name = "wheel"

    @dataclass(frozen=True)
    class Params(DeltaParams):
        """The common parameters and both deltas; by default everything is held to expiry."""

        profit_target_pct: float = param(0.0, minimum=0.0, maximum=100.0, help="of the credit; 0 is never")
        stop_multiple: float = param(0.0, minimum=0.0, help="stop at so many credits; 0 is never")
        exit_dte: int = param(0, minimum=0, help="exit at days to expiry; 0 holds to expiry")
        put_delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="absolute delta of the put")
        call_delta: float = param(0.30, Float(0.15, 0.45, 0.05), help="delta of the call")

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return a call on shares that are held, and a put."""
        call = self.sold(selection, "call", self.params.call_delta)
        put = self.sold(selection, "put", self.params.put_delta)
        return [
            Plan([Leg(-1, call)], rules={"covered": 1}, priority=1.0),
            Plan([Leg(-1, put)], rules={"hold": 1}, where=call.expiry > 0),
        ]
